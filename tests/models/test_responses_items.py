"""Whatever a legal conversation of ours holds, the Responses API takes it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.types import (
    Audio,
    Content,
    Image,
    Message,
    ModelResponse,
    Origin,
    Reasoning,
    Resource,
    Text,
    ToolCall,
    ToolResult,
)
from agent_host.models.failures import Endpoint
from agent_host.models.responses_items import ItemEncoder
from agent_host.models.responses_stream import ResponsesStream
from agent_host.models.schemas import tool_table
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import built_in
from tests.fakes.asking import tool, user
from tests.fakes.responses_server import Part, answer, called, items, judge, said, thought

OWN = Origin(provider="p", model="m", adapter="openai-responses")
OTHER = Origin(provider="p", model="n", adapter="openai-responses")
OPENAI = built_in().of("openai", "gpt-6", "openai-responses")
PLAIN = built_in().of("", "m", "openai-responses")
PICTURE = Image(data="iVBORw0KGgo=", media_type="image/png")
PDF = Resource(uri="file:///a/b.pdf", media_type="application/pdf", data="JVBERi0=")
SOUND = Audio(data="UklGRg==", media_type="audio/wav")


def answered(*parts: Part, origin: Origin | None = OWN, stem: str = "") -> Message:
    """The message that an answer of the provider became."""
    stream = ResponsesStream(
        Endpoint(provider="p", model="m", url="http://x/v1"), OWN, (), tool_table((), "plain")
    )
    stream.feed(b"".join(answer(*parts, stem=stem)))
    stream.finish()
    result = stream.result()
    assert isinstance(result, ModelResponse)
    return replace(result.message, origin=origin)


def results(message: Message, *content: Content) -> Message:
    return Message(
        role="tool",
        content=tuple(
            ToolResult(call_id=block.id, content=content)
            for block in message.content
            if isinstance(block, ToolCall)
        ),
    )


def wire(*messages: Message, profile: Profile = OPENAI, system: str = "") -> Any:
    sent, _ = ItemEncoder(OWN, profile).items(system, messages)
    made = json.loads(sent)
    assert judge(
        {"model": "m", "store": False, "input": [*made, {"role": "user", "content": "z"}]}
    ) in (
        None,
        *UNFINISHED,
    )
    return made


UNFINISHED = ("No tool output found for function call {'a'}.",)


# -- any conversation -----------------------------------------------------------------------------

TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(["\ud800", "é", "", "\x00\x1b[2J"])
MEDIA = st.sampled_from(["image/png", "image/svg+xml", "audio/wav", "application/pdf", "x;\n"])
DATA = st.sampled_from(["iVBORw0KGgo=", "", "no base64!", "AAA"])
OPAQUE = st.none() | st.sampled_from(
    [{"id": "msg_9_1"}, {"id": "fc_8_1", "phase": "commentary"}, {"extra_content": {}}, {"id": 7}]
)
CONTENT = st.one_of(
    st.builds(Text, text=TEXTS),
    st.builds(Image, data=DATA, media_type=MEDIA),
    st.builds(Audio, data=DATA, media_type=MEDIA),
    st.builds(Resource, uri=TEXTS, name=TEXTS, media_type=MEDIA, text=st.none() | TEXTS, data=DATA),
)
CALL = st.builds(
    ToolCall,
    id=TEXTS | st.just("x" * 200),
    name=TEXTS | st.sampled_from(["orders__get", "a" * 100]),
    arguments=st.dictionaries(TEXTS, TEXTS, max_size=2),
    fault=st.sampled_from([None, None, "malformed_call", "truncated_call"]),
    opaque=OPAQUE,
)
PARTS = st.lists(
    st.one_of(
        st.builds(thought, TEXTS, sealed=st.sampled_from([True, True, True, False])),
        st.builds(said, TEXTS, phase=st.sampled_from([None, "commentary", "final_answer"])),
        st.builds(called, st.uuids().map(str), st.just("orders__get"), st.just("{}")),
        st.builds(called, st.uuids().map(str), st.just("orders__get"), st.just("{cut")),
    ),
    max_size=5,
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Turns as the engine makes them: each call has one result, ids are unique. Some answers are
    the provider's own, as it streamed them, some anybody's."""
    messages: list[Message] = []
    used: set[str] = set()
    for turn in range(draw(st.integers(1, 4))):
        messages.append(Message(role="user", content=tuple(draw(st.lists(CONTENT, max_size=3)))))
        origin = draw(st.sampled_from([None, OWN, OWN, OTHER]))
        if draw(st.booleans()):
            message = answered(*draw(PARTS), origin=origin, stem=f"{turn}")
        else:
            blocks = [Reasoning(text=text) for text in draw(st.lists(TEXTS, max_size=1))]
            texts = [Text(text=text) for text in draw(st.lists(TEXTS, max_size=1))]
            found = {call.id: call for call in draw(st.lists(CALL, max_size=3))}
            calls = [call for call in found.values() if call.id not in used]
            used.update(call.id for call in calls)
            message = Message(role="assistant", content=(*blocks, *texts, *calls), origin=origin)
        messages.append(message)
        if answers := results(message, *draw(st.lists(CONTENT, max_size=2))).content:
            error = draw(st.sampled_from([None, "timeout", "denied"]))
            content = tuple(replace(one, error=error) for one in answers)  # type: ignore[type-var]
            messages.append(Message(role="tool", content=content))
    return [*messages, user("z")]


@settings(deadline=None, max_examples=250)
@given(conversations(), st.sampled_from([OPENAI, PLAIN]), TEXTS)
def test_any_conversation_is_legal(messages: list[Message], profile: Profile, system: str) -> None:
    encoder = ItemEncoder(OWN, profile)
    sent, known = encoder.items(system, messages)
    again, _ = encoder.items(system, messages)
    assert sent == again
    body = {"model": "m", "store": False, "input": json.loads(sent.decode("utf-8"))}
    assert judge(body) is None
    assert known == {
        block.id for m in messages for block in m.content if isinstance(block, ToolCall)
    }


# -- reasoning ------------------------------------------------------------------------------------

CHAIN = (
    thought("hm"),
    said("I look.", phase="commentary"),
    called("a", "f", '{"x":"é"}'),
    thought(),
    called("b", "g", "{}"),
)


def plain(text: str, **more: Any) -> dict[str, Any]:
    """A message that anybody may have said. Some servers know it by its type alone."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "content": content, **more}


def test_an_answer_with_reasoning_returns_to_its_origin_as_it_came() -> None:
    message = answered(*CHAIN, stem="5")
    sent = wire(message, results(message, Text(text="ok")))
    expected = items(*CHAIN, stem="5")
    for item in expected:
        if item["type"] == "function_call":
            del item["status"]
    assert sent[:-2] == expected
    assert [one["type"] for one in sent[-2:]] == ["function_call_output"] * 2


def test_elsewhere_the_answer_goes_without_reasoning_and_without_ids() -> None:
    for origin in (OTHER, None):
        message = answered(*CHAIN, origin=origin)
        sent = wire(message, results(message))
        assert sent[0] == plain("I look.")
        assert [one.get("type") for one in sent[1:]] == [
            *("function_call", "function_call"),
            *("function_call_output", "function_call_output"),
        ]
        assert "id" not in str([list(one) for one in sent]).replace("call_id", "")


def test_what_was_damaged_goes_without_reasoning_and_without_ids() -> None:
    message = answered(thought("hm"), said("x", phase="final_answer"), stem="5")
    lost: Any = message.content[0]
    damaged = [
        replace(message, content=message.content[1:]),
        replace(message, content=(Reasoning(text="hm"), *message.content[1:])),
        replace(message, content=(lost, replace(message.content[1], opaque=PHASE))),  # type: ignore[type-var]
        replace(message, content=(*message.content, Reasoning(text="late"))),
        replace(message, content=(*message.content, lost)),
        replace(message, content=(replace(lost, opaque={"id": "rs_5_0"}), *message.content[1:])),
    ]
    for one in damaged:
        assert wire(one) == [plain("x", **PHASE)]


PHASE = {"phase": "final_answer"}


def test_the_phase_of_a_message_returns_also_without_reasoning() -> None:
    assert wire(answered(said("x", phase="final_answer"))) == [plain("x", **PHASE)]
    assert wire(answered(said("x", phase="final_answer"), origin=OTHER)) == [plain("x")]


def test_parts_of_one_message_return_as_one_message() -> None:
    message = answered(thought("hm"), said("x"), stem="5")
    text: Any = message.content[1]
    parts = replace(message, content=(*message.content, replace(text, text="y")))
    sent = wire(parts)
    assert [one["type"] for one in sent] == ["reasoning", "message"]
    assert [part["text"] for part in sent[1]["content"]] == ["x", "y"]


def test_a_call_that_was_not_sound_keeps_its_place_with_empty_arguments() -> None:
    message = answered(thought("hm"), called("a", "f", "{cut"), stem="5")
    [_, call, _] = wire(message, results(message))
    assert (call["arguments"], call["id"]) == ("{}", "fc_5_1r0")
    faulty = ToolCall(id="a", name="f", arguments={"x": 1}, fault="truncated_call")
    [call, _] = wire(Message(role="assistant", content=(faulty,)), result())
    assert call["arguments"] == "{}"


# -- content --------------------------------------------------------------------------------------

CALLED = Message(role="assistant", content=(ToolCall(id="a", name="f", arguments={}),))


def result(*content: Content, error: Any = None) -> Message:
    return Message(role="tool", content=(ToolResult(call_id="a", content=content, error=error),))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (result(), "(no output)"),
        (result(Text(text="a"), Text(text="b")), "a\nb"),
        (result(Text(text="no"), error="timeout"), "Error (timeout): no"),
        (result(SOUND), "[audio audio/wav: not shown, this model cannot take it]"),
    ],
)
def test_a_result_of_text_is_a_string(sent: Message, expected: str) -> None:
    assert wire(CALLED, sent)[1:] == [
        {"type": "function_call_output", "call_id": "a", "output": expected}
    ]


def test_pictures_and_files_stand_in_the_result_where_they_may() -> None:
    [_, output] = wire(CALLED, result(Text(text="see"), PICTURE, PDF, error="timeout"))
    assert output["output"] == [
        {"type": "input_text", "text": "Error (timeout):"},
        {"type": "input_text", "text": "see"},
        {
            "type": "input_image",
            "detail": "auto",
            "image_url": "data:image/png;base64,iVBORw0KGgo=",
        },
        {
            "type": "input_file",
            "filename": "b.pdf",
            "file_data": "data:application/pdf;base64,JVBERi0=",
        },
    ]


def test_elsewhere_they_stand_in_a_user_message_behind_the_batch() -> None:
    calls = tuple(ToolCall(id=one, name="f", arguments={}) for one in "ab")
    both = [
        Message(role="tool", content=(ToolResult(call_id=one, content=(PICTURE, PDF)),))
        for one in "ab"
    ]
    sent = wire(
        Message(role="assistant", content=calls),
        *both,
        user("go on"),
        profile=replace(PLAIN, files=True),
    )
    kinds = [one.get("type", one.get("role")) for one in sent]
    assert kinds == [*["function_call"] * 2, *["function_call_output"] * 2, "user", "user"]
    assert sent[2]["output"].startswith("[image image/png] (shown in the next user message)")
    assert [part["type"] for part in sent[4]["content"]] == [
        *("input_text", "input_image", "input_file"),
    ] * 2
    assert sent[5] == {"role": "user", "content": "go on"}


def test_a_user_may_show_pictures_and_files() -> None:
    [sent] = wire(Message(role="user", content=(Text(text="see"), PICTURE, PDF, SOUND)))
    assert [part["type"] for part in sent["content"]] == [
        *("input_text", "input_image", "input_file", "input_text"),
    ]
    [sent] = wire(Message(role="user", content=(PICTURE, PDF)), profile=Profile(images=False))
    assert sent["content"] == (
        "[image image/png: not shown, this model cannot take it]\n"
        "[resource file:///a/b.pdf application/pdf: not shown, this model cannot take it]"
    )


@pytest.mark.parametrize("role", ["developer", "user"])
def test_a_system_prompt_that_is_an_item_is_the_first(role: Any) -> None:
    profile = replace(OPENAI, system_role=role)
    [first, _] = wire(user("hi"), profile=profile, system="be brief")
    assert first == {"role": role, "content": "be brief"}


def test_ids_and_names_are_legal_and_match() -> None:
    call = ToolCall(id="x" * 90 + "|é", name="bad name!", arguments={})
    [sent, output] = wire(
        Message(role="assistant", content=(call,)),
        Message(role="tool", content=(ToolResult(call_id=call.id, content=()),)),
    )
    assert sent["call_id"] == output["call_id"]
    assert sent["name"] == "bad_name_"


def test_calls_of_the_past_use_the_names_that_the_model_is_shown_now() -> None:
    schema = {"type": "object", "properties": {"Straße nr": {"type": "string"}}}
    table = tool_table((tool("f", schema),), "anthropic")
    [shown] = table.offered[0].compiled.schema["properties"]
    call = ToolCall(id="a", name="f", arguments={"Straße nr": "5"})
    history = [Message(role="assistant", content=(call,))]
    encoder = ItemEncoder(OWN, PLAIN)
    for one, key in ((None, "Straße nr"), (table, shown), (tool_table((), "plain"), "Straße nr")):
        sent, _ = encoder.items("", history, one)
        assert json.loads(json.loads(sent)[0]["arguments"]) == {key: "5"}


# -- growing --------------------------------------------------------------------------------------


def growing(count: int) -> list[Message]:
    history: list[Message] = []
    for turn in range(count):
        message = answered(thought("hm"), called(f"c{turn}", "s__t", "{}"), stem=f"{turn}")
        history += [user(f"u{turn}"), message, results(message, PICTURE)]
    return history


def test_a_growing_conversation_only_adds_to_its_bytes() -> None:
    encoder = ItemEncoder(OWN, OPENAI)
    history = growing(4)
    last = b""
    for length in range(1, len(history) + 1):
        sent, _ = encoder.items("", tuple(history[:length]))
        assert sent.startswith(last)
        assert sent == ItemEncoder(OWN, OPENAI).items("", tuple(history[:length]))[0]
        last = sent[:-1]
