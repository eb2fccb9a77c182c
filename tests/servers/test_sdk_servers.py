"""Servers made with the official SDK: both eras, both transports, all that they offer."""

import asyncio
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_host.core.types import Message, Resource, Text
from agent_host.ports import Answers
from agent_host.servers.offers import PromptInfo
from agent_host.servers.spec import HttpSpec, StdioSpec
from tests.fakes.asked import Person, called, pooled
from tests.fakes.hosting import said, until

PROGRAM = str(Path(__file__).parent.parent / "fakes" / "sdk_server.py")


@contextmanager
def sdk(transport, protocol):
    common = {"name": "a", "connect_timeout": 15, "call_timeout": 0.6, "protocol": protocol}
    if transport == "stdio":
        yield StdioSpec(command=sys.executable, args=(PROGRAM,), **common)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, PROGRAM, "--port", str(port)])
    try:
        yield HttpSpec(url=f"http://127.0.0.1:{port}/mcp", **common)
    finally:
        process.kill()
        process.wait()


def run(scenario, transport, protocol, person=None):
    async def inside():
        with sdk(transport, protocol) as spec:
            async with pooled(spec, person) as pool:
                async with asyncio.timeout(15):
                    while pool.health()[0].state != "connected":
                        await pool._servers["a"].connected()
                return await scenario(pool)

    return asyncio.run(inside())


EVERY = pytest.mark.parametrize(
    ("transport", "protocol", "spoken"),
    [
        ("stdio", "auto", "2026-07-28"),
        ("stdio", "legacy", "2025-11-25"),
        ("http", "auto", "2026-07-28"),
        ("http", "legacy", "2025-11-25"),
        ("stdio", "2024-11-05", "2024-11-05"),
    ],
)


@EVERY
def test_all_that_such_a_server_offers_can_be_used(transport, protocol, spoken):
    async def scenario(pool):
        heard = []
        health = pool.health()[0]
        assert (health.protocol, health.version) == (spoken, "3.2.1")
        assert said(await called(pool, "add", {"a": 1, "b": 2})) == "3"
        slow = await called(pool, "steps", progress=lambda *args: heard.append(args[2]))
        assert (slow.error, said(slow)) == (None, "there")
        assert heard[0] == "step 0"
        late = await called(pool, "hang")
        assert late.error == "timeout"
        assert said(await called(pool, "add", {"a": 1, "b": 2})) == "3"
        found, problems = await pool.resources()
        assert [(i.uri, i.template) for i in found] == [
            ("note://one", False),
            ("note://{name}/page", True),
        ]
        assert problems == ()
        read = await pool.read_resource("a", "note://x/page")
        assert read == (Resource(uri="note://x/page", media_type="text/plain", text="page of x"),)
        (prompt,), _ = await pool.prompts()
        assert prompt.arguments[0].required
        message = Message(role="user", content=(Text(text="Greet Ada."),))
        assert await pool.get_prompt("a", "greet", {"who": "Ada"}) == (message,)
        ref = PromptInfo(server="a", name="greet")
        assert await pool.complete(ref, "who", "Ad") == ("Ad!",)

    run(scenario, transport, protocol)


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_tools_of_the_old_style_ask_over_the_old_protocol_and_are_explained_over_the_new(transport):
    def ask(pool):
        return called(pool, "old_ask")

    person = Person()
    assert said(run(ask, transport, "legacy", person)) == "accept Ada"
    refused = run(ask, transport, "auto", person)
    assert refused.error == "tool_error"
    assert 'works with `protocol = "legacy"`' in said(refused)


ADA = {"action": "accept", "content": {"name": "Ada"}}


def gone_on(greeting):
    """What becomes of a call that paused in one process and goes on in another one of the same
    server, which made a new key and so does not know the state that the first one sealed."""

    async def first(pool):
        return await called(pool, "new_ask", {"greeting": "Hello"})

    paused = run(first, "stdio", "auto", Person())
    (asked,) = paused.requests
    answers = Answers(state=paused.state, requests=paused.requests, given={asked.key: ADA})

    async def second(pool):
        return await called(pool, "new_ask", {"greeting": greeting}, answers=answers)

    return run(second, "stdio", "auto", Person())


def test_answers_outlive_the_process_that_asked_although_it_sealed_its_state():
    assert said(gone_on("Hello")) == "Hello, Ada"


def test_another_question_is_asked_and_not_answered_with_what_was_said_to_the_first():
    paused = gone_on("Good night")
    assert [r.params["message"] for r in paused.requests] == ["Good night! Who are you?"]


def test_a_server_that_asks_the_same_again_gets_a_new_answer():
    async def scenario(pool):
        first = await called(pool, "insist")
        answers = Answers(state=first.state, requests=first.requests, given={"sure": ADA})
        second = await called(pool, "insist", answers=answers)
        assert (second.requests, second.state != first.state) == (first.requests, True)
        answers = Answers(state=second.state, requests=second.requests, given={"sure": ADA})
        assert said(await called(pool, "insist", answers=answers)) == "enough"

    run(scenario, "stdio", "auto", Person())


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize("protocol", ["auto", "legacy"])
def test_new_tools_are_heard_of(transport, protocol):
    async def scenario(pool):
        await called(pool, "grow")
        await until(lambda: "a__grown" in pool.tools())
        assert said(await called(pool, "grown")) == "new"

    run(scenario, transport, protocol)
