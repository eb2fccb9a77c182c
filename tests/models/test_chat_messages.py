"""Whatever a legal conversation of ours holds, the provider takes it."""

import json
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
from agent_host.models.profiles import Profile, find
from tests.fakes.chat_server import judge

OWN = Origin(provider="p", model="m", adapter="openai-chat")
ORIGINS = [None, OWN, Origin(provider="q", model="m", adapter="anthropic")]
URLS = [
    "https://api.openai.com/v1",
    "https://api.mistral.ai/v1",
    "https://api.deepseek.com",
    "https://generativelanguage.googleapis.com/v1beta/openai",
]
TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(["\ud800", "é", "", "\x00\x1b[2J"])
MEDIA = st.sampled_from(["image/png", "image/svg+xml", "audio/wav", "audio/ogg", "", "x;\n"])
DATA = st.sampled_from(["iVBORw0KGgo=", "", "no base64!", "AAA"])
OPAQUE = st.none() | st.just({"extra_content": {"google": {"thought_signature": "c2ln"}}})
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


@settings(deadline=None, max_examples=80)
@given(conversations(), st.sampled_from(URLS), TEXTS)
def test_any_conversation_is_legal_for_any_provider(
    messages: list[Message], url: str, system: str
) -> None:
    encoder = ChatEncoder(OWN, find(url, "m"))
    sent, known = encoder.messages(system, messages)
    again, _ = encoder.messages(system, messages)
    assert sent == again
    body = json.loads(sent.decode("utf-8"))
    lengths_aside = [
        {k: v for k, v in m.items() if k not in ("reasoning_content", "extra_content")}
        for m in body
    ]
    assert judge({"model": "m", "messages": lengths_aside}) is None
    assert known == {
        block.id for m in messages for block in m.content if isinstance(block, ToolCall)
    }


def wire(*messages: Message) -> Any:
    sent, _ = ChatEncoder(OWN, Profile()).messages("", messages)
    return json.loads(sent)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ((), "(no output)"),
        ((Text(text="a"), Text(text="b")), "a\nb"),
        ((Resource(uri="file:///a", name="A", text="x"),), "[resource A file:///a]\nx"),
        ((Resource(uri="u", media_type="text/html"),), "[resource u text/html]"),
        ((Audio(data="AAAA", media_type="audio/odd"),), "[audio audio/odd]"),
        ((Image(data="?", media_type="image/png"),), "[image image/png]"),
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
