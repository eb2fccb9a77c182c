"""The transport before streamable HTTP: the same promises as over every other."""

import asyncio
import time

import pytest

from agent_host.core.events import ServerConnected, ServerLost
from agent_host.servers.spec import HttpSpec
from tests.fakes.hosting import call, running, said
from tests.fakes.sse_server import serving_sse


def spec_for(url, **more):
    defaults = {"connect_timeout": 3, "call_timeout": 3, "sse": True}
    return HttpSpec(name="h", url=url, **{**defaults, **more})


def after_a_fault(mode, events=None, **more):
    """What became of a call while the server misbehaves, and of the next one when it does not."""

    async def scenario(server):
        observe = events.append if events is not None else None
        async with running(spec_for(server.url, **more), observe=observe) as pool:
            failed = await call(pool, text="hi")
            server.modes.discard(mode)
            return failed, await call(pool, text="again")

    with serving_sse(mode) as server:
        return asyncio.run(scenario(server))


def test_tools_are_listed_and_called_and_headers_are_sent_with_everything():
    async def scenario(server):
        async with running(spec_for(server.url, headers={"X-Key": "k"})) as pool:
            heard = []
            result = await call(pool, "h__progress", progress=lambda *p: heard.append(p))
            return pool.health()[0], result, heard

    with serving_sse() as server:
        health, result, heard = asyncio.run(scenario(server))
    assert (health.state, health.transport, result.error) == ("connected", "sse", None)
    assert heard[0][:2] == (1.0, 4.0)
    assert all(headers["X-Key"] == "k" for _, headers in server.seen)
    # It is older than the probe for a modern server.
    assert server.seen[0][0] == "initialize"


@pytest.mark.parametrize(
    ("mode", "error", "part"),
    [
        ("post_500", "tool_error", "HTTP 500 Internal Server Error"),
        ("post_drop", "outcome_unknown", "unknown"),
        ("garbage", "tool_error", "could not be read"),
    ],
)
def test_a_post_that_fails_fails_one_call(mode, error, part):
    events = []
    failed, after = after_a_fault(mode, events)
    assert (failed.error, part in said(failed)) == (error, True), said(failed)
    assert after.error is None
    assert ServerLost not in [type(event) for event in events]


@pytest.mark.parametrize("mode", ["post_hang", "silent"])
def test_a_server_that_never_answers_costs_the_call_timeout(mode):
    began = time.monotonic()
    failed, after = after_a_fault(mode, call_timeout=0.3)
    assert (failed.error, after.error) == ("timeout", None)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("mode", ["cut", "huge"])
def test_a_stream_that_ends_leaves_the_outcome_unknown_and_is_opened_again(mode):
    events = []
    failed, after = after_a_fault(mode, events)
    assert (failed.error, after.error) == ("outcome_unknown", None), said(failed)
    assert [type(e) for e in events] == [ServerConnected, ServerLost, ServerConnected]
    assert "event stream" in events[1].reason


def test_a_forgotten_session_is_opened_again_and_the_call_is_made_once():
    async def scenario(server):
        async with running(spec_for(server.url)) as pool:
            server.modes.add("forget")
            return await call(pool, text="hi")

    with serving_sse() as server:
        assert asyncio.run(scenario(server)).error is None
    assert (server.mcp.calls, server.opened) == (1, 2)


@pytest.mark.parametrize(
    ("mode", "said_"),
    [
        ("other_origin", "(http://127.0.0.1:9/message) is of another origin; nothing is sent"),
        ("userinfo", "is of another origin"),
        ("no_url", "the endpoint that it names is no URL"),
        ("no_endpoint", "no endpoint within 1 s"),
        ("no_endpoint,dead", "it ended its event stream"),
        ("no_stream", "HTTP 405 Method Not Allowed; if it speaks streamable HTTP, remove sse"),
    ],
)
def test_what_is_no_such_server_is_told(mode, said_):
    async def scenario(server):
        async with running(spec_for(server.url, connect_timeout=1)) as pool:
            return pool.health()[0]

    with serving_sse(mode) as server:
        health = asyncio.run(scenario(server))
    assert health.state == "failed"
    assert said_ in health.error
    assert server.seen == []


def test_closing_does_not_wait_for_the_server():
    async def scenario(server):
        async with running(spec_for(server.url)) as pool:
            assert (await call(pool, text="hi")).error is None
            began = time.monotonic()
        return time.monotonic() - began

    with serving_sse() as server:
        assert asyncio.run(scenario(server)) < 1


@pytest.mark.parametrize("refusal", [400, 404, 405])
def test_a_url_that_takes_no_post_is_tried_as_one_of_the_older_transport(refusal):
    """MCP 2025-11-25 basic/transports, backwards compatibility."""

    async def scenario(server):
        async with running(spec_for(server.url, sse=False)) as pool:
            result = await call(pool, text="hi")
            return pool.health()[0], result

    with serving_sse(refusal=refusal) as server:
        health, result = asyncio.run(scenario(server))
    assert (health.state, health.transport, result.error) == ("connected", "sse", None)


def test_where_neither_transport_is_spoken_the_first_answer_is_told():
    async def scenario(server):
        async with running(spec_for(server.url, sse=False)) as pool:
            return pool.health()[0]

    with serving_sse("no_stream", refusal=404) as server:
        health = asyncio.run(scenario(server))
    assert "HTTP 404 Not Found" in health.error
