"""What is left out of a conversation can be found again."""

import asyncio
import re
from pathlib import Path

import pytest

from agent_host.builtin.recalling import MAX_PAGE, read, search
from agent_host.builtin.source import WithHostTools
from agent_host.core.conversation import Conversation
from agent_host.core.types import (
    Image,
    Message,
    Reasoning,
    Resource,
    Text,
    ToolCall,
    ToolResult,
)
from agent_host.ports import CallContext
from tests.fakes.rooms import TESTER, World, said


def spoke(*blocks: object, role: str = "assistant") -> Message:
    return Message(role=role, content=blocks)


RESULT = ToolResult(
    call_id="a",
    content=(
        Text(text="The code is ZANZIBAR-42, valid until May."),
        Resource(uri="file:///x.txt", text="inside the file"),
        Resource(uri="file:///link"),
        Image(data="AAAA", media_type="image/png"),
    ),
    error="tool_error",
    artifact="r.artifacts/a.txt",
)
TALK = (
    said("Which code opens the door?"),
    spoke(Reasoning(text="secret thought"), ToolCall(id="a", name="w__read", arguments={"n": "ü"})),
    spoke(RESULT, role="tool"),
    spoke(Text(text="It is in the file.")),
)


def test_a_message_that_holds_every_word_is_found_with_its_number_and_what_is_around():
    found = search(TALK, "zanzibar-42 May")
    assert "- message 3: " in found
    assert "The code is ZANZIBAR-42, valid until May." in found
    assert "host__read_conversation" in found
    assert "message 1" in search(TALK, '"opens the door"')
    assert search(TALK, '"opens door"').startswith("No message of 4 holds all of")
    assert "message 2" in search(TALK, "w__read ü")
    assert search(TALK, " ") == "The query has no words."


def test_thoughts_are_not_found():
    assert search(TALK, "thought").startswith("No message")


def test_a_search_is_bounded_and_says_where_to_go_on():
    many = tuple(said(f"apple number {n} " + "x" * 300) for n in range(1000))
    some = search(many, "apple", limit=3)
    assert some.count("- message") == 3
    assert "search on with first = 4" in some
    assert "- message 4:" in search(many, "apple", limit=3, first=4)
    assert len(search(many, "apple", limit=100)) < MAX_PAGE + 200
    assert len(search(tuple(said("a" * 10_000) for _ in range(1000)), "a" * 400)) < MAX_PAGE + 600


def test_a_message_is_read_as_it_was():
    text = read(TALK, first=2, last=3)
    assert "[message 2 of 4, assistant]" in text
    assert 'called w__read with {"n": "ü"}' in text
    assert "result (tool_error):\nThe code is ZANZIBAR-42" in text
    assert "resource file:///x.txt\ninside the file\nresource file:///link" in text
    assert "[image, image/png]" in text
    assert "the whole is kept as r.artifacts/a.txt" in text
    assert "result:" in read((spoke(ToolResult(call_id="b", content=()), role="tool"),), first=1)


def test_what_is_long_is_read_in_pages_that_join_to_the_whole():
    long = tuple(said(f"{n}:" + "y" * 15_000 + f":{n}") for n in range(3))
    whole = ""
    at, pages = {"first": 1, "last": 3}, 0
    while at:
        page = read(long, **at)
        pages += 1
        assert len(page) <= MAX_PAGE + 100
        text, _, more = page.partition("\n[go on with ")
        whole += text
        at = {name: int(number) for name, number in re.findall(r"(\w+) = (\d+)", more)}
    assert pages == 3
    assert whole.count("y") == 45_000
    assert "2:yyy" in whole
    assert "[go on with first = 1, offset = 20000]" in read((said("z" * 50_000),), first=1)
    assert read(TALK, first=1, offset=10_000).startswith("[nothing there: these messages have")


@pytest.mark.parametrize(("first", "last"), [(5, None), (3, 2)])
def test_a_message_that_is_not_there_is_an_answer(first, last):
    with pytest.raises(ValueError, match="There are messages 1 to 4"):
        read(TALK, first=first, last=last)


def called(source: WithHostTools, name: str, **arguments: object) -> ToolResult:
    context = CallContext(call_id="x", principal=TESTER, progress=lambda *_: None)
    return asyncio.run(source.call(source.tools()[name], arguments, context))


def test_the_tools_look_into_the_conversation_as_it_stands():
    source = WithHostTools(World(), Path("nowhere"))
    assert "There are messages 1 to 0" in str(called(source, "host__read_conversation", first=1))
    talk = Conversation(messages=TALK)
    source.follow(lambda: talk)
    assert "ZANZIBAR" in str(called(source, "host__search_conversation", query="code valid"))
    assert "ZANZIBAR" in str(called(source, "host__read_conversation", first=3))
    talk = Conversation(messages=TALK[:1])
    assert "No message" in str(called(source, "host__search_conversation", query="code valid"))
    assert called(source, "host__read_conversation", first=3).error == "tool_error"
