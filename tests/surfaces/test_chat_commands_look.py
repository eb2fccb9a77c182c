from functools import partial

from agent_host.core.events import (
    ModelChanged,
    ModelResponded,
    Record,
    RunStarted,
    SummaryFinished,
    UserSaid,
)
from agent_host.core.limits import Limits
from agent_host.core.types import (
    Image,
    Message,
    ModelResponse,
    Principal,
    Reasoning,
    Text,
    ToolResult,
    Usage,
)
from agent_host.surfaces.chat_around import Around, ModelFacts
from agent_host.surfaces.commands_look import calls_of
from agent_host.surfaces.spending import spending
from tests.fakes import rooms
from tests.fakes.offers import Servers
from tests.fakes.screens import FORBIDDEN, HOSTILE, record, sized
from tests.surfaces.commanding import command
from tests.surfaces.test_chat import desk

THOUGHT = ModelResponse(
    message=Message(
        role="assistant",
        content=(Reasoning(text="First this,\nthen that."), Text(text="So.")),
        origin=rooms.ORIGIN,
    ),
    stop_reason="end_turn",
)
MIDDAY = "2026-11-22T12:00:00Z"


def said(text: str) -> UserSaid:
    return UserSaid(message=Message(role="user", content=(Text(text=text),)))


def answered(tokens: int, cost: float | None, read: int = 0) -> ModelResponded:
    return ModelResponded(
        request_id="r",
        message=Message(role="assistant", content=(Text(text="x"),)),
        stop_reason="end_turn",
        usage=Usage(input_tokens=tokens, output_tokens=1, cache_read_tokens=read),
        cost=cost,
    )


def run_of(*events: object) -> list[Record]:
    begun = RunStarted(
        run_id="r",
        principal=Principal(id="tester"),
        provider="acme",
        model="large",
        adapter="a",
        simulated=False,
        config_fingerprint="",
    )
    return [record(event, at=MIDDAY) for event in (begun, *events)]  # type: ignore[arg-type]


def changed(model: str) -> ModelChanged:
    return ModelChanged(provider="acme", model=model, adapter="a", simulated=False, by="tester")


# -- calls ---------------------------------------------------------------------------------


def test_calls_are_listed_by_number_and_shown_whole() -> None:
    host = desk(["read", "put"], [], ["pay"], [])
    seen = command(host, "/show", "one", "two", "/show", "/show 3", "/show 4", "/show x", "/show 0")
    assert "no tool was called yet" in seen.screen
    for line in ("1 w · read", "2 w · put", "3 w · pay"):
        assert f"  {line}    → ok" in seen.screen
    assert "3 w · pay\n  arguments, as the model wrote them:\n│ {}\n  result:\n│ ok" in seen.screen
    for wrong in ("'4'", "'x'", "'0'"):
        assert f"there is no call {wrong}; there is 1 to 3" in seen.screen


def test_a_result_that_was_cut_for_the_model_is_shown_whole_while_its_file_is_there() -> None:
    cut = ToolResult(call_id="c0.0", content=(Text(text="head"),), artifact="a/long.txt")
    kept = {"a/long.txt": "head and all the rest"}
    for around, shown in (
        (Around(artifact=kept.get), "│ head and all the rest"),
        (Around(artifact=lambda _: None), "│ head\n"),
        (None, "│ head\n"),
    ):
        host = desk(["read"], [], pool=Servers(results={"read": cut}))
        assert shown in command(host, "go", "/show 1", around=around).screen


def test_what_a_result_has_for_the_user_alone_is_told_apart() -> None:
    picture = Image(data="AAAA", media_type="image/png")
    result = ToolResult(
        call_id="c0.0", content=(picture,), for_user=(Text(text="mind the gap"),), error="timeout"
    )
    host = desk(["read"], [], pool=Servers(results={"read": result}))
    seen = command(host, "go", "/show 1")
    assert "result (timeout):\n│ [image, image/png, 3 bytes]" in seen.screen
    assert "for you alone, never sent to the model:\n│ mind the gap" in seen.screen


def test_two_answers_may_use_the_same_id_for_a_call() -> None:
    host = desk()
    one = rooms.answer("", rooms.call("same", "read"))
    two = rooms.answer("", rooms.call("same", "pay"))
    host = desk(one, two, [])
    command(host, "go")
    found = calls_of(host.session.conversation)
    assert [(c.number, c.call.name) for c in found] == [(1, "w__read"), (2, "w__pay")]
    assert all(c.result is not None for c in found)


def test_reasoning_is_shown_of_the_last_answer_that_has_some_and_of_those_before() -> None:
    host = desk([], THOUGHT)
    seen = command(host, "one", "/reasoning", "two", "/reasoning", "/reasoning 5", "/reasoning x")
    assert "no reasoning was shown" in seen.screen
    assert "│ First this,\n│ then that.\n" in seen.screen
    assert "of 1 answers only" in seen.screen
    assert "as in /reasoning" in seen.screen


# -- cost ----------------------------------------------------------------------------------


def test_money_and_tokens_are_counted_by_model_and_by_message() -> None:
    spent = spending(
        run_of(
            said("first"),
            answered(10, 0.5, read=4),
            changed("small"),
            said("second"),
            answered(20, None),
            answered(30, 0.25),
            SummaryFinished(request_id="s", usage=Usage(input_tokens=5), cost=0.25),
            SummaryFinished(request_id="s", error="no"),
        )
    )
    assert {n: (s.answers, s.cost, s.unpriced) for n, s in spent.models.items()} == {
        "acme large": (1, 0.5, 0),
        "acme small": (3, 0.5, 1),
    }
    assert [(m.name, m.usage.input_tokens) for m in spent.messages] == [
        ("first", 10),
        ("second", 55),
    ]


def test_the_cost_names_what_has_no_price_and_what_limits_leave() -> None:
    host = desk([], [])
    command(host, "one")
    host.session.limits = Limits(
        max_cost=2.0, max_tokens=1000, max_turns=50, max_tool_calls=None, max_seconds=60
    )
    records = run_of(said("first"), answered(10, 0.5, read=4), said("second"), answered(20, None))
    seen = command(host, "/cost", around=Around(records=lambda: records))
    assert "in all: 1 tokens in, 1 out; 1 answer; cost unknown" in seen.screen
    assert "acme large: 30 tokens in, 2 out; 4 read from cache; 2 answers; $0.5000" in seen.screen
    assert "1 of 2 answers have no known price" in seen.screen
    assert "“second”: 20 tokens in, 1 out; 1 answer; cost unknown" in seen.screen
    assert "left of max_cost: $2.0000 of $2" in seen.screen
    assert "left of max_tokens: 998 of 1,000" in seen.screen
    assert "left of max_turns, for one message: 49 of 50" in seen.screen
    assert "may take 60 seconds of work" in seen.screen
    assert "max_tool_calls" not in seen.screen


def test_a_long_run_shows_the_newest_messages_and_counts_the_others() -> None:
    events = [e for n in range(30) for e in (said(f"message {n}"), answered(1, 0.0))]
    seen = command(desk(), "/cost", around=Around(records=lambda: run_of(*events)))
    assert "message 29" in seen.screen
    assert "message 3”" not in seen.screen
    assert "… and 20 before" in seen.screen


# -- context and model ---------------------------------------------------------------------


def test_the_context_is_shown_by_part_and_server_and_fits_forty_columns() -> None:
    for columns in (40, 80, 120):
        with sized(columns, 24, NO_COLOR="1") as (out, screen):
            command(desk(["read"], []), "go", "/context", out=out)
            shown = screen.getvalue()
        assert max(map(len, shown.splitlines())) <= columns
        assert "tools of w" in shown
        assert "results of w" in shown
        assert "█" in shown
        assert "not known; /compact" in " ".join(shown.split())


def test_the_parts_of_the_context_add_up_to_the_sum() -> None:
    host = desk(["read"], [])
    shown = command(host, "go", "/context").screen
    parts = [line.split()[-2] for line in shown.splitlines() if "░" in line or "█" in line]
    used = host.session.filling().used
    assert sum(int(part.replace(",", "")) for part in parts) == used
    assert f"about {used:,} tokens" in shown


def test_compacting_says_what_it_did_or_that_there_is_nothing() -> None:
    long = ToolResult(call_id="c0.0", content=(Text(text="x " * 4000),))
    host = desk(["read"], [], [], [], pool=Servers(results={"read": long}))
    seen = command(host, "/compact", "one " * 500, "two", "three", "/compact keep this", "/context")
    assert "there is nothing that could be left out" in seen.screen
    assert "a summary stands for the first" in seen.screen
    assert "keeps everything" in seen.screen
    assert 1 <= seen.screen.count("│ ") <= 8
    assert " more\n" in seen.screen
    assert "are left out or shortened already" in " ".join(seen.screen.split())
    assert host.session.conversation.covered > 0


def test_models_are_listed_with_what_is_known_of_them() -> None:
    facts = [
        ModelFacts(name="claude", window=200_000, price="$3 in, $15 out a million tokens"),
        ModelFacts(name="offline", key="no AI"),
    ]
    seen = command(desk(), "/model", around=Around(models=lambda: facts))
    assert "/model claude   200,000 tokens  $3 in, $15 out a million tokens" in seen.screen
    assert "/model offline  no AI" in seen.screen


def test_nothing_hostile_of_calls_thoughts_or_servers_gets_onto_the_screen() -> None:
    for text in HOSTILE:
        thought = ModelResponse(
            message=Message(
                role="assistant",
                content=(Reasoning(text=text), Text(text=text)),
                origin=rooms.ORIGIN,
            ),
            stop_reason="end_turn",
        )
        result = ToolResult(call_id="c", content=(Text(text=text),), for_user=(Text(text=text),))
        asked = rooms.answer("", rooms.call("c", "read", k=text))
        events = (said(text), answered(1, None), said(text), answered(1, None))
        host = desk(asked, thought, pool=Servers(results={"read": result}))
        seen = command(
            host,
            "go",
            "/show",
            "/show 1",
            f"/show {text}",
            "/reasoning",
            "/context",
            "/cost",
            around=Around(records=partial(run_of, *events)),
        )
        assert not set(FORBIDDEN) & set(seen.screen)
