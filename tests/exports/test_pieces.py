"""Documents that are made in pieces: the same as if they were made as a whole, in little memory."""

import json
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core import events as e
from agent_host.core.handoff import legal
from agent_host.core.types import (
    Image,
    Message,
    Origin,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from agent_host.exports.story import Answer, Note, Said, tell
from agent_host.host.exporting_messages import AT_LEAST, document
from agent_host.models.anthropic_messages import TurnEncoder
from agent_host.models.chat_messages import ChatEncoder
from agent_host.profiles.table import built_in
from bench.large import measure, write
from tests.records.samples import ORIGIN, READ, START, finished, records, requested, responded, user

MEGABYTES = 24

NOWHERE = Origin(provider="", model="", adapter="")
CHAT = built_in().of("openai", "", "openai-chat")
TURNS = built_in().of("anthropic", "", "anthropic")
WORDS = Text(text="words é\n```")
PICTURE = Image(data="aGk=", media_type="image/png")


def said(role: str, *content: object) -> Message:
    return Message(role=role, content=content, origin=ORIGIN if role == "assistant" else None)


def called(number: int, *content: object) -> tuple[Message, Message]:
    call_id = f"c{number}"
    result = ToolResult(call_id=call_id, content=content)
    call = ToolCall(id=call_id, name="orders__find", arguments={"n": number})
    return said("assistant", call), said("tool", result)


def steps(kind: str, number: int) -> tuple[Message, ...]:
    match kind:
        case "words":
            return said("user", WORDS), said("assistant", WORDS)
        case "unanswered":
            return (said("user", Text(text=f"{number}")),)
        case "nothing":
            return said("user", WORDS), said("assistant", Reasoning(text="hm", opaque={"a": 1}))
        case "blank":
            return said("user", Text(text="")), said("assistant", Text(text=" "))
        case "call":
            return (said("user", WORDS), *called(number, WORDS), said("assistant", WORDS))
        case "picture":
            return (said("user", PICTURE), *called(number, PICTURE), said("assistant", WORDS))
        case _:  # a call after which the user speaks
            return (said("user", WORDS), *called(number, PICTURE))


KINDS = ["words", "words", "unanswered", "nothing", "blank", "call", "picture", "interrupted"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(KINDS), max_size=3 * AT_LEAST), st.sampled_from(["", "Be brief."]))
def test_messages_in_parts_are_the_messages_of_one_request(kinds: list[str], system: str) -> None:
    messages = tuple(chain.from_iterable(steps(kind, n) for n, kind in enumerate(kinds)))

    def chat(part: tuple[Message, ...], first: bool) -> bytes:
        return ChatEncoder(NOWHERE, CHAT).messages(system if first else "", part)[0]

    def turns(part: tuple[Message, ...], _first: bool) -> bytes:
        return TurnEncoder(NOWHERE, TURNS).messages(part)[0]

    for encoded in (chat, turns):
        whole = {"model": "m", "messages": json.loads(encoded(legal(messages), True))}
        text = "".join(document({"model": "m"}, messages, encoded))
        assert text == json.dumps(whole, indent=1) + "\n"


def test_a_long_conversation_is_encoded_in_parts() -> None:
    messages = tuple(chain.from_iterable(steps("call", n) for n in range(100)))
    sizes = []

    def encoded(part: tuple[Message, ...], first: bool) -> bytes:
        sizes.append(len(part))
        return ChatEncoder(NOWHERE, CHAT).messages("", part)[0]

    assert len(json.loads("".join(document({}, messages, encoded)))["messages"]) == 400
    assert max(sizes) == AT_LEAST + 1


def asked(call_id: str) -> e.Event:
    return e.SamplingRequested(
        sampling_id=f"s-{call_id}", server="orders", params={}, call_id=call_id
    )


def test_what_comes_after_the_result_of_a_call_stands_with_the_call() -> None:
    answer = e.SamplingFinished(sampling_id="s-c1", outcome="failed", by="ana", error="too late")
    call = replace(READ, id="c1")
    events = [START, user("One"), requested("a"), responded("a", call, stop="tool_use")]
    events += [asked("c1"), finished("c1", "found"), user("Two"), answer, user("Three")]
    story = tell(records(*events))
    for _ in range(2):
        _, one, turn, two, three = story.parts
        assert [type(part) for part in (one, two, three)] == [Said, Said, Said]
        assert isinstance(turn, Answer)
        assert [step.title for step in turn.calls[0].steps][-1].startswith("The model for")


def test_an_id_that_is_used_again_means_the_newer_call() -> None:
    call = replace(READ, id="c1")
    once = [user("One"), requested("a"), responded("a", call, stop="tool_use")]
    events = [START, *once, finished("c1", "first"), *once, finished("c1", "second", "denied")]
    story = tell(records(*events))
    results = [c.result for part in story.parts if isinstance(part, Answer) for c in part.calls]
    assert [one.content[0].text for one in results] == ["first", "second"]
    assert [turn.failed for turn in story.facts.turns] == [False, True]
    assert not any(isinstance(part, Note) and "c1" in part.step.title for part in story.parts)


def test_a_turn_is_told_as_soon_as_it_is_over() -> None:
    seen = []

    class Records:
        def __iter__(self):
            for number in range(50):
                call = replace(READ, id=f"c{number}")
                yield from records(user("x"), responded("a", call), finished(call.id, "found"))
                seen.append(number)

    story = tell(Records())
    seen.clear()
    for number, part in enumerate(part for part in story.parts if isinstance(part, Answer)):
        assert part.calls[0].result is not None
        assert len(seen) == number


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    write(folder, MEGABYTES)
    return folder


@pytest.mark.parametrize("form", ["md", "html", "json", "openai", "anthropic"])
def test_a_large_run_is_exported_in_less_memory_than_it_has(large: Path, form: str) -> None:
    nothing = measure(large, "transcripts", "--help").megabytes
    out = large / f"out.{form}"
    done = measure(large, "transcripts", "export", "last", "--format", form, "-o", str(out))
    assert done.status == 0, done.said
    assert out.stat().st_size > MEGABYTES * 900_000
    assert done.megabytes < nothing + 24 + MEGABYTES / 2


@pytest.mark.parametrize("option", ["--full", "--json", "--raw"])
def test_a_large_run_is_shown_in_less_memory_than_it_has(large: Path, option: str) -> None:
    nothing = measure(large, "transcripts", "--help").megabytes
    done = measure(large, "transcripts", "show", "last", option)
    assert done.status == 0, done.said
    assert done.megabytes < nothing + 24 + MEGABYTES / 2
