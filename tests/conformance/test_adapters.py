"""What every model adapter owes the engine, whatever its wire: `ports.ModelAdapter` as tests."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from agent_host.core.events import TextDelta
from agent_host.core.types import (
    Audio,
    Image,
    Message,
    ModelFailure,
    ModelResponse,
    Origin,
    Reasoning,
    Resource,
    Text,
    ToolCall,
    ToolResult,
)
from tests.conformance.subjects import SUBJECTS, Call, Plan, Subject
from tests.fakes.asking import ask, request, tool, user
from tests.fakes.provider_server import Play

CALLS = frozenset({"calls"})
NETWORK = frozenset({"verbatim", "network"})
TWO = (Call("orders__get", {"id": "1"}), Call("orders__list", {"n": [1, 2.5]}))
PLANS = {
    "anything": Plan(says=("Hel", "lo"), needs=frozenset({"text"})),
    "text": Plan(says=("Hel", "lo")),
    "empty answer": Plan(needs=frozenset({"ends"})),
    "reasoning": Plan(says=("4",), thinks=("2+", "2"), needs=frozenset({"reasoning"})),
    "calls": Plan(calls=TWO, needs=CALLS),
    "calls again": Plan(calls=TWO, needs=frozenset({"calls", "turns"})),
    "text and calls": Plan(says=("Wait.",), calls=TWO, needs=CALLS),
    "no arguments": Plan(calls=(Call("orders__list", raw=""),), needs=CALLS),
    "length": Plan(says=("Hel",), end="length", needs=frozenset({"length"})),
    "length in calls": Plan(calls=TWO, end="length", needs=frozenset({"length"})),
    "silent": Plan(says=("Hel",), end="silent", needs=frozenset({"ends"})),
    "silent at once": Plan(end="silent", needs=frozenset({"ends"})),
    "silent in calls": Plan(calls=TWO, end="silent", needs=frozenset({"ends"})),
    "silent after text and calls": Plan(
        says=("Hel",), calls=TWO, end="silent", needs=frozenset({"ends"})
    ),
    "lost": Plan(says=("Hel",), end="lost", needs=NETWORK),
    "lost at once": Plan(end="lost", needs=NETWORK),
    "lost in calls": Plan(says=("Hel",), calls=TWO, end="lost", needs=NETWORK),
    **{f"status {code}": Plan(status=code, needs=NETWORK) for code in (400, 401, 404, 429, 500)},
}


def rows(*names: str) -> Any:
    """Each adapter with each of the plans that it can play."""
    return pytest.mark.parametrize(
        ("subject", "plan"),
        [
            pytest.param(subject, PLANS[name], id=f"{subject.name}: {name}")
            for subject in SUBJECTS
            for name in names or PLANS
            if PLANS[name].needs <= subject.able
        ],
    )


def able(*needs: str) -> Any:
    return pytest.mark.parametrize(
        "subject", [pytest.param(s, id=s.name) for s in SUBJECTS if set(needs) <= s.able]
    )


@rows()
def test_every_stream_has_exactly_one_terminal_item_and_it_is_the_last(
    subject: Subject, plan: Plan, tmp_path: Path
) -> None:
    with subject.play(plan, tmp_path) as playing:
        [got] = ask(playing.adapter, request())
    assert len(got.terminals) == 1
    assert got.after == 0


@rows()
def test_the_deltas_together_are_the_message(subject: Subject, plan: Plan, tmp_path: Path) -> None:
    with subject.play(plan, tmp_path) as playing:
        [got] = ask(playing.adapter, request())
    if isinstance(got.terminals[0], ModelResponse):
        assert got.shown == got.text
        content = got.response.message.content
        assert got.thought == "".join(b.text for b in content if isinstance(b, Reasoning))


@rows("anything", "calls", "text and calls", "reasoning")
def test_an_answer_says_who_wrote_it(subject: Subject, plan: Plan, tmp_path: Path) -> None:
    with subject.play(plan, tmp_path) as playing:
        [got] = ask(playing.adapter, request())
        assert got.response.message.origin == playing.adapter.origin
    assert got.response.message.role == "assistant"


@rows("anything", "text")
def test_an_answer_of_text_ends_the_turn(subject: Subject, plan: Plan, tmp_path: Path) -> None:
    with subject.play(plan, tmp_path) as playing:
        [got] = ask(playing.adapter, request())
    assert got.text == "Hello" if "verbatim" in plan.needs else got.text
    assert got.response.stop_reason == "end_turn"


@rows("calls", "text and calls", "no arguments")
def test_calls_come_whole_and_in_order(subject: Subject, plan: Plan, tmp_path: Path) -> None:
    with subject.play(plan, tmp_path) as playing:
        [got] = ask(playing.adapter, request())
    assert [(c.name, c.arguments, c.fault) for c in got.calls] == [
        (c.name, c.arguments, None) for c in plan.calls
    ]
    assert got.response.stop_reason == "tool_use"


@rows("calls again", "length in calls", "silent after text and calls", "lost in calls")
def test_call_ids_are_unique_also_when_the_provider_repeats_them(
    subject: Subject, plan: Plan, tmp_path: Path
) -> None:
    with subject.play(plan, tmp_path) as playing:
        first = ask(playing.adapter, request())[0]
    used = [call.id for call in first.calls]
    answers = tuple(ToolResult(call_id=one, content=(Text(text="ok"),)) for one in used)
    history = (user("a"), first.response.message, Message(role="tool", content=answers))
    with subject.play(plan, tmp_path) as playing:
        again = ask(playing.adapter, request(*history))[0]
    ids = [*used, *(call.id for call in again.calls)]
    assert all(ids)
    assert len(set(ids)) == 2 * len(plan.calls)


@rows("length in calls", "silent in calls", "silent after text and calls", "lost in calls")
def test_a_call_of_an_answer_that_was_cut_is_never_sound(
    subject: Subject, plan: Plan, tmp_path: Path
) -> None:
    with subject.play(plan, tmp_path) as playing:
        [got] = ask(playing.adapter, request())
    if isinstance(got.terminals[0], ModelFailure):
        return
    assert [call.fault for call in got.calls] == ["truncated_call"] * len(plan.calls)


@rows("length", "length in calls")
def test_an_answer_over_the_limit_says_so(subject: Subject, plan: Plan, tmp_path: Path) -> None:
    with subject.play(plan, tmp_path) as playing:
        [got] = ask(playing.adapter, request())
    assert got.response.stop_reason == "max_tokens"


@rows("silent", "silent at once", "silent in calls", "lost", "lost at once", "lost in calls")
def test_an_answer_that_just_stops_is_never_taken_for_whole(
    subject: Subject, plan: Plan, tmp_path: Path
) -> None:
    with subject.play(plan, tmp_path) as playing:
        [got] = ask(playing.adapter, request())
    last = got.terminals[0]
    if isinstance(last, ModelResponse):
        assert last.stop_reason == "unknown"
    else:
        assert last.kind in ("protocol", "unavailable")
        assert last.retryable


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "bad_request", False),
        (401, "auth", False),
        (404, "not_found", False),
        (429, "rate_limit", True),
        (500, "unavailable", True),
        (503, "overloaded", True),
    ],
)
@able("network")
def test_a_refusal_is_a_failure_of_its_kind(
    subject: Subject, status: int, kind: str, retryable: bool, tmp_path: Path
) -> None:
    with subject.play(Plan(status=status), tmp_path) as playing:
        [got] = ask(playing.adapter, request())
    assert (got.failure.kind, got.failure.retryable) == (kind, retryable)
    assert "fake" in got.failure.message
    assert "\n" not in got.failure.message


@able("network")
def test_closing_early_ends_the_request(subject: Subject, tmp_path: Path) -> None:
    async def run(adapter: Any) -> None:
        async with aclosing(adapter.stream(request())) as items:
            async for item in items:
                assert isinstance(item, TextDelta)
                break
        await adapter.aclose()

    with subject.play(Plan(says=("Hel",), end="hang"), tmp_path) as playing:
        asyncio.run(run(playing.adapter))
        assert playing.left.wait(5)


@able("network")
def test_cancelling_ends_the_request(subject: Subject, tmp_path: Path) -> None:
    async def run(adapter: Any) -> None:
        shown = asyncio.Event()

        async def read() -> None:
            async for _ in adapter.stream(request()):
                shown.set()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(read())
            await shown.wait()
            task.cancel()
        await adapter.aclose()

    with subject.play(Plan(says=("Hel",), end="hang"), tmp_path) as playing:
        asyncio.run(run(playing.adapter))
        assert playing.left.wait(5)


@able()
def test_closing_twice_and_closing_unused_do_no_harm(subject: Subject, tmp_path: Path) -> None:
    async def run(adapter: Any) -> None:
        await adapter.aclose()
        await adapter.aclose()

    with subject.play(Plan(says=("x",)), tmp_path) as playing:
        asyncio.run(run(playing.adapter))


@able("text")
def test_several_sessions_are_served_at_once(subject: Subject, tmp_path: Path) -> None:
    async def run(adapter: Any) -> None:
        async def one() -> str:
            last: Any = None
            async for item in adapter.stream(request()):
                last = item
            assert isinstance(last, ModelResponse)
            return "".join(b.text for b in last.message.content if isinstance(b, Text))

        expected = await one()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(20)]
        await adapter.aclose()
        assert expected
        assert [task.result() for task in tasks] == [expected] * 20

    with subject.play(Plan(says=("Hel", "lo")), tmp_path) as playing:
        asyncio.run(run(playing.adapter))


@able("network")
def test_a_kept_connection_that_was_given_up_costs_no_answer(
    subject: Subject, tmp_path: Path
) -> None:
    with subject.play(Plan(says=("Hello",)), tmp_path) as playing:
        play = playing.provider.plays[0]
        playing.provider.plays = [play, Play(end="drop"), play, Play(end="drop"), Play(end="drop")]
        first, second, third = ask(playing.adapter, request(), request(), request())
        connections = [one.connection for one in playing.provider.received]
    assert (first.text, second.text) == ("Hello", "Hello")
    assert connections[0] == connections[1] != connections[2]
    # Given up twice in a row is no matter of a connection that was kept.
    assert third.failure.kind == "unavailable"
    assert third.failure.retryable


@able("network")
def test_a_new_connection_that_is_dropped_is_a_failure_at_once(
    subject: Subject, tmp_path: Path
) -> None:
    with subject.play(Plan(says=("Hello",)), tmp_path) as playing:
        playing.provider.plays.insert(0, Play(end="drop"))
        [got] = ask(playing.adapter, request())
        assert len(playing.provider.received) == 1
    assert got.failure.kind == "unavailable"


FOREIGN = Origin(provider="elsewhere", model="other", adapter="another-wire")
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg"
    "=="
)


def _turn(*calls: ToolCall, results: tuple[ToolResult, ...], said: str = "") -> list[Message]:
    text = (Text(text=said),) if said else ()
    return [
        Message(role="assistant", content=(*text, *calls), origin=FOREIGN),
        Message(role="tool", content=results),
    ]


def _result(call_id: str, *content: Any, error: Any = None) -> ToolResult:
    return ToolResult(call_id=call_id, content=content, error=error)


HISTORIES: dict[str, list[Message]] = {
    "a long foreign id": _turn(
        ToolCall(id="x" * 90 + "|é", name="orders__get", arguments={}),
        results=(_result("x" * 90 + "|é", Text(text="ok")),),
    ),
    "faulty calls": _turn(
        ToolCall(id="a", name="bad name!", arguments={}, fault="malformed_call", raw='{"x":'),
        ToolCall(id="b", name="", arguments={}, fault="truncated_call", raw="{"),
        results=(
            _result("a", Text(text="no"), error="malformed_call"),
            _result("b", error="truncated_call"),
        ),
    ),
    "pictures and sounds in results": _turn(
        ToolCall(id="a", name="x__y", arguments={}, opaque={"signature": "s"}),
        ToolCall(id="b", name="x__y", arguments={"a": "\ud800"}),
        results=(
            _result("a", Image(data=PIXEL, media_type="image/png"), Text(text="a picture")),
            _result(
                "b",
                Audio(data="UklGRg==", media_type="audio/wav"),
                Image(data="no base64!", media_type="image/png"),
                Image(data=PIXEL, media_type="image/x-odd"),
                Resource(uri="file:///a", name="a", text="\udfff text"),
                Resource(uri="file:///b", media_type="image/png", data=PIXEL),
                Resource(uri="https://example.org/c"),
            ),
        ),
    ),
    "reasoning and its signature": [
        Message(
            role="assistant",
            content=(Reasoning(text="hm", opaque={"signature": "s"}), Text(text="four")),
            origin=FOREIGN,
        )
    ],
    "an answer of reasoning alone": [
        Message(role="assistant", content=(Reasoning(text="hm"),), origin=FOREIGN)
    ],
    "an empty text": [Message(role="assistant", content=(Text(text=""),), origin=FOREIGN)],
    "a user's picture and sound": [
        Message(
            role="user",
            content=(
                Text(text="what is this?"),
                Image(data=PIXEL, media_type="image/png"),
                Audio(data="UklGRg==", media_type="audio/wav"),
                Audio(data="AAAA", media_type="audio/odd"),
            ),
        )
    ],
    "a message of nothing": [Message(role="user", content=())],
    "users in a row": [user("a"), user("b")],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES.keys())
@able("network")
def test_any_history_is_legal_for_the_provider(
    subject: Subject, history: list[Message], tmp_path: Path
) -> None:
    with subject.play(Plan(says=("ok",)), tmp_path) as playing:
        [got] = ask(playing.adapter, request(user("a"), *history, user("z"), system="be brief"))
        assert playing.refused == []
    assert got.text == "ok"


SCHEMAS: dict[str, Any] = {
    "empty": {},
    "no object": True,
    "no properties": {"type": "object"},
    "properties are null": {"type": "object", "properties": None},
    "array without items": {"properties": {"a": {"type": "array"}}},
    "array of nothing": {"properties": {"a": {"type": ["array", "null"], "items": None}}},
    "tuple": {"properties": {"a": {"type": "array", "items": [{"type": "string"}]}}},
    "true and false": {"properties": {"a": True, "b": False, "c": "string"}},
    "root anyOf": {"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}, 7]},
    "root ref": {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"properties": {"a": {"type": "string"}}, "required": ["a"]}},
    },
    "foreign ref": {"properties": {"a": {"$ref": "https://example.org/schema.json"}}},
    "not finite": {"properties": {"a": {"type": "number", "maximum": float("inf")}}},
    "default not finite": {"properties": {"a": {"default": [float("nan")]}}},
    "lone surrogate": {"properties": {"a\ud800": {"description": "\udfff"}}},
    "required is odd": {"properties": {"a": {}}, "required": ["a", 7, "zz"]},
}


def _nested(levels: int) -> Any:
    schema: Any = {"type": "array"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    "schema", [*SCHEMAS.values(), _nested(5000)], ids=[*SCHEMAS.keys(), "nested"]
)
@able("network")
def test_one_bad_schema_never_breaks_the_request(
    subject: Subject, schema: Any, tmp_path: Path
) -> None:
    tools = [tool("orders__good"), tool("orders__bad", schema)]
    with subject.play(Plan(says=("ok",)), tmp_path) as playing:
        [got] = ask(playing.adapter, request(tools=tools))
        assert playing.refused == []
    assert got.text == "ok"
