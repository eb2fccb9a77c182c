"""Whatever a legal conversation of ours holds, the provider takes it."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.types import (
    Audio,
    Content,
    Image,
    Message,
    Origin,
    Reasoning,
    Resource,
    Text,
    ToolCall,
    ToolResult,
)
from agent_host.models.chat_messages import ChatEncoder
from agent_host.models.schemas import tool_table
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import built_in
from tests.fakes.asking import tool
from tests.fakes.chat_server import judge, signed

PLAIN = Profile()
OWN = Origin(provider="p", model="m", adapter="openai-chat")
ORIGINS = [None, OWN, Origin(provider="q", model="m", adapter="anthropic")]
PROVIDERS = ["openai", "mistral", "deepseek", "gemini", "plain"]
TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(["\ud800", "é", "", "\x00\x1b[2J"])
MEDIA = st.sampled_from(["image/png", "image/svg+xml", "audio/wav", "audio/ogg", "", "x;\n"])
DATA = st.sampled_from(["iVBORw0KGgo=", "", "no base64!", "AAA"])
OPAQUE = st.none() | st.just(signed())
CONTENT = st.one_of(
    st.builds(Text, text=TEXTS, opaque=OPAQUE),
    st.builds(Image, data=DATA, media_type=MEDIA),
    st.builds(Audio, data=DATA, media_type=MEDIA),
    st.builds(
        Resource,
        uri=TEXTS,
        name=TEXTS,
        media_type=MEDIA,
        text=st.none() | TEXTS,
        data=st.none() | DATA,
    ),
)
CALL = st.builds(
    ToolCall,
    id=TEXTS | st.just("x" * 200),
    name=TEXTS | st.sampled_from(["orders__get", "a" * 100]),
    arguments=st.dictionaries(TEXTS, TEXTS, max_size=2),
    fault=st.sampled_from([None, None, "malformed_call", "truncated_call"]),
    opaque=OPAQUE,
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Turns as the engine makes them: each call has one result, ids are unique."""
    messages: list[Message] = []
    used: set[str] = set()
    for _ in range(draw(st.integers(1, 4))):
        said = tuple(draw(st.lists(CONTENT, max_size=3)))
        messages.append(Message(role="user", content=said))
        thought = [Reasoning(text=text) for text in draw(st.lists(TEXTS, max_size=1))]
        texts = [Text(text=text) for text in draw(st.lists(TEXTS, max_size=1))]
        calls = [call for call in draw(st.lists(CALL, max_size=3)) if call.id not in used]
        calls = list({call.id: call for call in calls}.values())
        used.update(call.id for call in calls)
        messages.append(
            Message(
                role="assistant",
                content=(*thought, *texts, *calls),
                origin=draw(st.sampled_from(ORIGINS)),
            )
        )
        if calls:
            results = tuple(
                ToolResult(
                    call_id=call.id,
                    content=tuple(draw(st.lists(CONTENT, max_size=2))),
                    error=draw(st.sampled_from([None, "timeout", "denied"])),
                )
                for call in calls
            )
            messages.append(Message(role="tool", content=results))
    return messages


def unsigned(message: Message) -> Message:
    """The message of a provider that signs nothing."""
    return replace(
        message,
        content=tuple(
            replace(block, opaque=None) if isinstance(block, Text | ToolCall) else block
            for block in message.content
        ),
    )


@settings(deadline=None, max_examples=150)
@given(conversations(), st.sampled_from(PROVIDERS), TEXTS)
def test_any_conversation_is_legal_for_any_provider(
    messages: list[Message], provider: str, system: str
) -> None:
    if provider != "gemini":
        messages = [unsigned(message) for message in messages]
    messages.append(Message(role="user", content=(Text(text="z"),)))
    encoder = ChatEncoder(OWN, built_in().of(provider, "m", "openai-chat"))
    sent, known = encoder.messages(system, messages)
    again, _ = encoder.messages(system, messages)
    assert sent == again
    body = json.loads(sent.decode("utf-8"))
    assert judge({"model": "m", "messages": body}, provider) is None
    assert known == {
        block.id for m in messages for block in m.content if isinstance(block, ToolCall)
    }


def wire(*messages: Message, profile: Profile = PLAIN, system: str = "") -> Any:
    sent, _ = ChatEncoder(OWN, profile).messages(system, messages)
    return json.loads(sent)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ((), "(no output)"),
        ((Text(text="a"), Text(text="b")), "a\nb"),
        ((Resource(uri="file:///a", name="A", text="x"),), "[resource A file:///a]\nx"),
        ((Resource(uri="u", media_type="text/html"),), "[resource u text/html]"),
        (
            (Audio(data="AAAA", media_type="audio/odd"),),
            "[audio audio/odd: not shown, this model cannot take it]",
        ),
        (
            (Image(data="?", media_type="image/png"),),
            "[image image/png: not shown, this model cannot take it]",
        ),
    ],
)
def test_a_result_is_text(content: tuple[Content, ...], text: str) -> None:
    [sent] = wire(Message(role="tool", content=(ToolResult(call_id="a", content=content),)))
    assert sent == {"role": "tool", "tool_call_id": "a", "content": text}


def test_an_assistant_that_said_nothing_is_left_out() -> None:
    assert wire(Message(role="assistant", content=(Reasoning(text="hm"),))) == []


def test_a_sound_call_keeps_its_arguments_and_a_faulty_one_has_none() -> None:
    [sent] = wire(
        Message(
            role="assistant",
            content=(
                ToolCall(id="a", name="f", arguments={"x": "é"}),
                ToolCall(id="b", name="g", arguments={}, fault="malformed_call", raw="{"),
            ),
        )
    )
    assert [call["function"]["arguments"] for call in sent["tool_calls"]] == ['{"x":"é"}', "{}"]


def _growing(count: int) -> list[Message]:
    history: list[Message] = []
    for turn in range(count):
        call = ToolCall(id=f"c{turn}", name="s__t", arguments={"n": turn})
        picture = Image(data="AA==", media_type="image/png")
        result = ToolResult(call_id=f"c{turn}", content=(Text(text=f"r{turn}"), picture))
        history += [
            Message(role="user", content=(Text(text=f"u{turn}"),)),
            Message(role="assistant", content=(call,), origin=OWN),
            Message(role="tool", content=(result,)),
        ]
    return history


def test_a_growing_conversation_reads_the_same_as_one_seen_for_the_first_time() -> None:
    encoder = ChatEncoder(OWN, Profile())
    history = _growing(4)
    for length in range(1, len(history) + 1):
        seen = encoder.messages("be kind", tuple(history[:length]))
        fresh = ChatEncoder(OWN, Profile()).messages("be kind", tuple(history[:length]))
        assert seen == fresh


def test_a_forked_or_shortened_conversation_is_not_mistaken_for_its_other_branch() -> None:
    encoder = ChatEncoder(OWN, Profile())
    history = _growing(3)
    other = Message(role="user", content=(Text(text="elsewhere"),))
    for branch in (history, [*history[:3], other], history[:2], history):
        seen = encoder.messages("", tuple(branch))
        assert seen == ChatEncoder(OWN, Profile()).messages("", tuple(branch))
    assert encoder.messages("s", tuple(history)) != encoder.messages("", tuple(history))


def test_conversations_beyond_the_limit_are_forgotten_and_still_right() -> None:
    encoder = ChatEncoder(OWN, Profile(), limit=100)
    first, second = _growing(2), _growing(3)
    for branch in (first, second, first, second):
        seen = encoder.messages("", tuple(branch))
        assert seen == ChatEncoder(OWN, Profile()).messages("", tuple(branch))


PICTURE = Image(data="iVBORw0KGgo=", media_type="image/png")
PDF = Resource(uri="file:///a/b.pdf", media_type="application/pdf", data="JVBERi0=")
CALLED = Message(role="assistant", content=(ToolCall(id="a", name="f", arguments={}),))
SEEN = Message(role="tool", content=(ToolResult(call_id="a", content=(PICTURE,)),))
ASKED = Message(role="user", content=(Text(text="q"),))
SAID = Message(role="assistant", content=(Text(text="s"),))


def roles(sent: Any) -> list[str]:
    return [message["role"] for message in sent]


def test_where_a_user_may_not_follow_a_result_the_assistant_speaks_between() -> None:
    strict = Profile(after_tools="assistant")
    plain = Message(role="tool", content=(ToolResult(call_id="a", content=()),))
    assert roles(wire(ASKED, CALLED, plain, profile=strict)) == ["user", "assistant", "tool"]
    sent = wire(ASKED, CALLED, plain, ASKED, profile=strict)
    assert roles(sent) == ["user", "assistant", "tool", "assistant", "user"]
    sent = wire(ASKED, CALLED, SEEN, profile=strict)
    assert roles(sent) == ["user", "assistant", "tool", "assistant", "user"]
    assert sent[-1]["content"][1]["type"] == "image_url"


def test_where_roles_must_alternate_they_do() -> None:
    strict = Profile(merge_users=True)
    for history in (
        (ASKED, ASKED),
        (SAID, SAID),
        (ASKED, SAID, SAID, ASKED, ASKED),
        (ASKED, CALLED, SEEN, ASKED, SAID),
    ):
        sent = [one for one in roles(wire(*history, profile=strict)) if one != "tool"]
        assert all(left != right for left, right in pairwise(sent))
        assert sent[-1] == history[-1].role


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_the_system_prompt_is_said_by_whom_the_provider_wants(role: Any) -> None:
    [first, _] = wire(ASKED, profile=Profile(system_role=role), system="be brief")
    assert first == {"role": role, "content": "be brief"}


def test_a_picture_of_a_result_stands_in_a_user_message_behind_the_whole_batch() -> None:
    calls = tuple(ToolCall(id=one, name="f", arguments={}) for one in "ab")
    both = tuple(ToolResult(call_id=one, content=(PICTURE,)) for one in "ab")
    sent = wire(
        Message(role="assistant", content=calls),
        Message(role="tool", content=both[:1]),
        Message(role="tool", content=both[1:]),
        SAID,
    )
    assert roles(sent) == ["assistant", "tool", "tool", "user", "assistant"]
    assert [part["type"] for part in sent[3]["content"]] == ["text", "image_url"] * 2


def test_what_a_model_cannot_see_is_said_in_words() -> None:
    [sent] = wire(Message(role="user", content=(PICTURE, PDF)), profile=Profile(images=False))
    assert sent["content"] == (
        "[image image/png: not shown, this model cannot take it]\n"
        "[resource file:///a/b.pdf application/pdf: not shown, this model cannot take it]"
    )


def test_a_file_is_sent_where_the_provider_takes_files() -> None:
    asked = Message(role="user", content=(Text(text="read"), PDF))
    [sent] = wire(asked, profile=Profile(files=True))
    data = "data:application/pdf;base64,JVBERi0="
    assert sent["content"][1] == {"type": "file", "file": {"filename": "b.pdf", "file_data": data}}


def test_arguments_go_out_as_an_object_where_the_template_wants_one() -> None:
    call = Message(role="assistant", content=(ToolCall(id="a", name="f", arguments={"x": 1}),))
    [sent] = wire(call, profile=Profile(arguments_as_object=True))
    assert sent["tool_calls"][0]["function"]["arguments"] == {"x": 1}


def test_calls_of_the_past_use_the_names_that_the_model_is_shown_now() -> None:
    schema = {"type": "object", "properties": {"Straße nr": {"type": "string"}}}
    table = tool_table((tool("f", schema),), "anthropic")
    [shown] = table.offered[0].compiled.schema["properties"]
    call = Message(
        role="assistant", content=(ToolCall(id="a", name="f", arguments={"Straße nr": "5"}),)
    )
    history = [call]
    encoder = ChatEncoder(OWN, PLAIN)
    for one, key in ((None, "Straße nr"), (table, shown), (tool_table((), "plain"), "Straße nr")):
        sent, _ = encoder.messages("", history, one)
        arguments = json.loads(sent)[0]["tool_calls"][0]["function"]["arguments"]
        assert json.loads(arguments) == {key: "5"}


def test_a_name_begins_with_a_letter_where_it_must() -> None:
    call = Message(role="assistant", content=(ToolCall(id="a", name="1-x!", arguments={}),))
    for profile, name in ((PLAIN, "1-x_"), (Profile(schema="gemini"), "_1-x_")):
        [sent] = wire(call, profile=profile)
        assert sent["tool_calls"][0]["function"]["name"] == name
