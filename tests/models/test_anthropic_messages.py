"""Our conversations as messages of the Messages wire: legal, whatever they hold."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent_host.core.types import (
    Audio,
    Image,
    Message,
    Origin,
    Reasoning,
    Resource,
    Text,
    ToolCall,
    ToolResult,
)
from agent_host.models.anthropic_messages import TurnEncoder, with_mark
from agent_host.models.schemas import tool_table
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import built_in
from tests.fakes.asking import tool, user
from tests.fakes.messages_rules import judge, sealed, signed

OWN = Origin(provider="fake", model="fake-1", adapter="anthropic")
OTHERS = [
    Origin(provider="fake", model="fake-2", adapter="anthropic"),
    Origin(provider="other", model="fake-1", adapter="anthropic"),
    Origin(provider="fake", model="fake-1", adapter="openai-chat"),
    None,
]
PROFILE = built_in().of("", "fake-1", "anthropic")
PICTURE = Image(data="iVBORw0KGgo=", media_type="image/png")
PDF = Resource(uri="file:///a.pdf", name="a.pdf", media_type="application/pdf", data="JVBERi0=")
DOCUMENT = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
    "title": "a.pdf",
}
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}


def sent(*messages: Message, profile: Profile = PROFILE) -> list[Any]:
    """The messages as sent; the provider has nothing against them."""
    data, _ = TurnEncoder(OWN, profile).messages(messages)
    wire: list[Any] = json.loads(data)
    assert judge({"model": "fake-1", "max_tokens": 9, "messages": wire}) is None
    return wire


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def answer(*content: Any, origin: Origin | None = OWN) -> Message:
    return Message(role="assistant", content=content, origin=origin)


def results(*content: ToolResult) -> Message:
    return Message(role="tool", content=content)


def calling(*ids: str) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(id=one, name="x__y", arguments={"n": 1}) for one in ids)


def ok(call_id: str, *content: Any, error: Any = None) -> ToolResult:
    return ToolResult(call_id=call_id, content=content or (Text(text="ok"),), error=error)


def test_a_conversation_is_what_the_provider_documents() -> None:
    wire = sent(
        user("go"),
        answer(Text(text="Wait."), *calling("toolu_a", "toolu_b")),
        results(ok("toolu_a"), ok("toolu_b", Text(text="no"), error="timeout")),
        user("and?"),
        answer(Text(text="Done.")),
        user("thanks"),
    )
    use = {"type": "tool_use", "name": "x__y", "input": {"n": 1}}
    assert wire == [
        {"role": "user", "content": [text("go")]},
        {
            "role": "assistant",
            "content": [text("Wait."), {**use, "id": "toolu_a"}, {**use, "id": "toolu_b"}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_a", "content": "ok"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_b",
                    "content": "no",
                    "is_error": True,
                },
                text("and?"),
            ],
        },
        {"role": "assistant", "content": [text("Done.")]},
        {"role": "user", "content": [text("thanks")]},
    ]


def test_results_of_a_batch_stand_in_one_message_before_anything_else() -> None:
    wire = sent(
        user("go"),
        answer(*calling("a", "b", "c")),
        results(ok("a", Text(text="seen"), PICTURE)),
        results(ok("b", PICTURE, Text(text="broken"), error="tool_error")),
        results(ok("c")),
        user("and?"),
    )
    assert [message["role"] for message in wire] == ["user", "assistant", "user"]
    last = wire[2]["content"]
    assert [block["type"] for block in last] == [*["tool_result"] * 3, "text", "image", "text"]
    assert last[0]["content"] == [text("seen"), IMAGE]
    assert last[1]["content"] == "[image image/png] (shown after the results)\nbroken"
    assert last[3:] == [text("From the result of b:"), IMAGE, text("and?")]


def test_what_results_cannot_hold_stands_behind_the_last_batch_too() -> None:
    history = (user("go"), answer(*calling("a")), results(ok("a", PICTURE, error="tool_error")))
    encoder = TurnEncoder(OWN, PROFILE)
    for more in ((), (user("and?"),)):
        last = json.loads(encoder.messages((*history, *more))[0])[-1]["content"]
        kinds = [block["type"] for block in last]
        assert kinds == ["tool_result", "text", "image", *["text"] * len(more)]


def test_users_in_a_row_are_one_message_and_answers_in_a_row_too() -> None:
    wire = sent(user("a"), user("b"), answer(Text(text="c")), answer(Text(text="d")), user("e"))
    assert [(m["role"], [b["text"] for b in m["content"]]) for m in wire] == [
        ("user", ["a", "b"]),
        ("assistant", ["c", "d"]),
        ("user", ["e"]),
    ]


def test_the_user_speaks_first_and_last() -> None:
    wire = sent(answer(Text(text="a")))
    assert wire == [
        {"role": "user", "content": [text("Go on.")]},
        {"role": "assistant", "content": [text("a")]},
        {"role": "user", "content": [text("Go on.")]},
    ]
    assert sent(user("a"), answer(Text(text="b")))[-1]["content"] == [text("Go on.")]


def test_nothing_to_say_is_said_all_the_same() -> None:
    assert sent() == [{"role": "user", "content": [text("Go on.")]}]
    assert sent(Message(role="user", content=())) == [
        {"role": "user", "content": [text("(empty)")]}
    ]


def test_blank_text_is_left_out_and_answers_of_nothing_else_too() -> None:
    wire = sent(
        Message(role="user", content=(Text(text=" \n"), Text(text="a"), Text(text=""))),
        answer(Text(text="  ")),
        answer(Text(text="\n"), *calling("a")),
        results(ToolResult(call_id="a", content=(Text(text=" "),))),
        answer(),
        user("b"),
    )
    assert [[block["type"] for block in message["content"]] for message in wire] == [
        ["text"],
        ["tool_use"],
        ["tool_result", "text"],
    ]
    assert wire[2]["content"][0]["content"] == "(no output)"


@pytest.mark.parametrize(
    ("result", "content"),
    [
        (ToolResult(call_id="a", content=()), "(no output)"),
        (ToolResult(call_id="a", content=(), error="denied"), "(denied)"),
        (ToolResult(call_id="a", content=(Text(text="x"), Text(text="y"))), "x\ny"),
        (ok("a", PDF), [DOCUMENT]),
        (ok("a", Text(text=" "), PICTURE), [IMAGE]),
        (ok("a", Resource(uri="file:///b", text="words")), "[resource file:///b]\nwords"),
        (ok("a", Resource(uri="u", media_type="image/png", data="iVBORw0KGgo=")), [IMAGE]),
        (
            ok("a", Audio(data="UklGRg==", media_type="audio/wav")),
            "[audio audio/wav: not shown, this model cannot take it]",
        ),
        (
            ok("a", Image(data="%%", media_type="image/png")),
            "[image image/png: not shown, this model cannot take it]",
        ),
        (
            ok("a", Image(data="AAAA", media_type="image/svg+xml")),
            "[image image/svg+xml: not shown, this model cannot take it]",
        ),
    ],
)
def test_a_result_holds_what_the_provider_takes(result: ToolResult, content: Any) -> None:
    wire = sent(user("go"), answer(*calling("a")), results(result))
    [block] = wire[2]["content"]
    assert block["content"] == content
    assert block.get("is_error", False) is (result.error is not None)


def test_a_user_may_show_pictures_and_documents() -> None:
    sound = Audio(data="UklGRg==", media_type="audio/wav")
    wire = sent(Message(role="user", content=(Text(text="look"), PICTURE, PDF, sound)))
    assert wire[0]["content"] == [
        text("look"),
        IMAGE,
        DOCUMENT,
        text("[audio audio/wav: not shown, this model cannot take it]"),
    ]


def test_a_server_that_takes_no_media_gets_words() -> None:
    plain = replace(PROFILE, images=False, files=False)
    assert sent(Message(role="user", content=(PICTURE, PDF)), profile=plain)[0]["content"] == [
        text("[image image/png: not shown, this model cannot take it]"),
        text(
            "[resource a.pdf file:///a.pdf application/pdf: not shown, this model cannot take it]"
        ),
    ]
    outside = replace(PROFILE, tool_images=False)
    wire = sent(user("go"), answer(*calling("a")), results(ok("a", PICTURE)), profile=outside)
    assert [block["type"] for block in wire[2]["content"]] == ["tool_result", "text", "image"]


# -- calls --------------------------------------------------------------------------------------


def test_ids_of_calls_are_legal_and_match_their_results() -> None:
    ids = ["toolu_01", "x" * 200, "a|b", "é", "call.1:2"]
    data, known = TurnEncoder(OWN, PROFILE).messages(
        (user("go"), answer(*calling(*ids)), results(*map(ok, ids)))
    )
    wire = json.loads(data)
    assert judge({"model": "m", "max_tokens": 9, "messages": wire}) is None
    made = [block["id"] for block in wire[1]["content"]]
    assert made == [block["tool_use_id"] for block in wire[2]["content"]]
    assert made[0] == "toolu_01"
    assert known == set(ids)


def test_a_call_that_could_not_be_executed_goes_back_without_arguments() -> None:
    faulty = ToolCall(
        id="a", name="bad name!", arguments={}, fault="truncated_call", raw='{"amount":25'
    )
    wire = sent(user("go"), answer(faulty), results(ok("a", error="truncated_call")))
    assert wire[1]["content"] == [{"type": "tool_use", "id": "a", "name": "bad_name_", "input": {}}]


def test_arguments_go_back_under_the_keys_that_the_model_knows() -> None:
    schema = {"type": "object", "properties": {"größe": {"type": "string"}}}
    table = tool_table((tool("orders__get", schema),), "anthropic")
    [key] = table.offered[0].compiled.schema["properties"]
    history = (
        user("go"),
        answer(ToolCall(id="a", name="orders__get", arguments={"größe": "L"})),
        results(ok("a")),
    )
    encoder = TurnEncoder(OWN, PROFILE)
    for used, expected in ((table, key), (tool_table((), "anthropic"), "größe"), (table, key)):
        wire = json.loads(encoder.messages(history, used)[0])
        assert wire[1]["content"][0]["input"] == {expected: "L"}


# -- thinking -----------------------------------------------------------------------------------

THOUGHT = Reasoning(text="hm", opaque={"signature": signed("hm")})
HIDDEN = Reasoning(text="", opaque={"data": sealed()})


def test_thinking_goes_back_as_it_came_and_in_its_place() -> None:
    wire = sent(
        user("go"),
        answer(THOUGHT, Text(text="Wait."), HIDDEN, *calling("a")),
        results(ok("a")),
        answer(THOUGHT, Text(text="Done.")),
        user("thanks"),
    )
    assert wire[1]["content"][:3] == [
        {"type": "thinking", "thinking": "hm", "signature": signed("hm")},
        text("Wait."),
        {"type": "redacted_thinking", "data": sealed()},
    ]
    assert wire[3]["content"][0]["type"] == "thinking"


def test_thinking_whose_text_was_left_out_goes_back_for_its_signature() -> None:
    silent = Reasoning(text="", opaque={"signature": signed("")})
    wire = sent(user("go"), answer(silent, *calling("a")), results(ok("a")))
    assert wire[1]["content"][0]["signature"] == signed("")


@pytest.mark.parametrize("origin", OTHERS)
def test_thinking_of_another_model_stays_here(origin: Origin | None) -> None:
    wire = sent(user("go"), answer(THOUGHT, HIDDEN, Text(text="a"), origin=origin), user("thanks"))
    assert wire[1]["content"] == [text("a")]


def test_thinking_without_its_signature_stays_here() -> None:
    wire = sent(user("go"), answer(Reasoning(text="hm"), Text(text="a")), user("thanks"))
    assert wire[1]["content"] == [text("a")]


def test_thinking_that_nothing_follows_stays_here() -> None:
    wire = sent(user("a"), answer(THOUGHT), answer(Text(text="b"), THOUGHT, HIDDEN), user("c"))
    assert [message["content"] for message in wire] == [[text("a")], [text("b")], [text("c")]]


def test_a_provider_that_wants_thinking_of_every_turn_gets_an_empty_one() -> None:
    profile = replace(PROFILE, echo_reasoning="reasoning_content")
    encoder = TurnEncoder(OWN, profile)
    wire = json.loads(encoder.messages((user("a"), answer(Text(text="b"), origin=None)))[0])
    assert wire[1]["content"] == [{"type": "thinking", "thinking": "", "signature": ""}, text("b")]


# -- bytes --------------------------------------------------------------------------------------


def test_the_bytes_of_a_conversation_stay_as_it_grows() -> None:
    encoder = TurnEncoder(OWN, PROFILE)
    history: list[Message] = []
    last = b""
    for turn in range(8):
        history.append(user(f"q{turn} é"))
        for step in range(turn % 3):
            call_id = f"call_{turn}_{step}"
            asked = encoder.messages(history)[0]
            assert asked.startswith(last[:-1])
            last = asked
            history += [answer(THOUGHT, *calling(call_id)), results(ok(call_id, PICTURE))]
        asked = encoder.messages(history)[0]
        assert asked.startswith(last[:-1])
        assert asked == TurnEncoder(OWN, PROFILE).messages(history)[0]
        last = asked
        history.append(answer(Text(text=f"a{turn}")))


def test_a_conversation_that_forks_or_is_shortened_is_written_right() -> None:
    encoder = TurnEncoder(OWN, PROFILE)
    start = [user("a"), answer(Text(text="b")), user("c")]
    for history in (start, [*start, answer(Text(text="d")), user("e")], start, start[:1], start):
        assert encoder.messages(history)[0] == TurnEncoder(OWN, PROFILE).messages(history)[0]


def test_a_message_is_written_once_while_it_is_the_same_object() -> None:
    encoder = TurnEncoder(OWN, PROFILE)
    written: list[Message] = []
    original = encoder._turns._write

    def counting(message: Message) -> Any:
        written.append(message)
        return original(message)

    encoder._turns._write = counting  # type: ignore[method-assign]
    history = [user(f"m{n}") for n in range(50)]
    encoder.messages(history)
    encoder.messages([*history, user("new")])
    assert len(written) == 51


def test_the_cache_of_messages_is_bounded_and_stays_right() -> None:
    encoder = TurnEncoder(OWN, PROFILE, limit=1000)
    history = [user(f"message {n} " + "x" * 50) for n in range(100)]
    for end in range(1, 100):
        [message] = json.loads(encoder.messages(history[:end])[0])
        assert len(message["content"]) == end
    cache = encoder._turns._cache
    kept = (*cache._young.values(), *cache._old.values())
    assert sum(len(one.body) for one in kept) < 2500


def test_the_mark_of_the_clouds_is_on_the_last_block() -> None:
    encoder = TurnEncoder(OWN, PROFILE)
    for history in (
        [user("a")],
        [user("a"), answer(*calling("a")), results(ok("a", PICTURE))],
        [user("a"), answer(Text(text="b"))],
    ):
        plain = encoder.messages(history)[0]
        marked = json.loads(with_mark(plain))
        assert marked[-1]["content"][-1].pop("cache_control") == {"type": "ephemeral"}
        assert marked == json.loads(plain)


def test_tools_end_in_a_breakpoint_and_are_written_once() -> None:
    encoder = TurnEncoder(OWN, PROFILE)
    table = tool_table((tool("a__b"), tool("c__d", description="")), "anthropic")
    body = encoder.tools(table)
    schema = {"type": "object", "properties": {}}
    assert json.loads(body) == [
        {"name": "a__b", "description": "Does a thing.", "input_schema": schema},
        {"name": "c__d", "input_schema": schema, "cache_control": {"type": "ephemeral"}},
    ]
    assert encoder.tools(table) is body
    plain = TurnEncoder(OWN, replace(PROFILE, prompt_cache="none"))
    assert b"cache_control" not in plain.tools(table)
