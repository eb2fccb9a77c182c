"""Over HTTP every fault costs one call and never the connection."""

import asyncio
import resource
import time

import pytest

from agent_host.core.events import ServerConnected, ServerLost
from agent_host.servers.spec import HttpSpec
from tests.fakes.hostile_http import free_port, serving
from tests.fakes.hosting import call, running, said, until


def spec_for(url, **more):
    return HttpSpec(name="h", url=url, **{"connect_timeout": 3, "call_timeout": 3, **more})


def test_tools_are_listed_and_called_and_the_session_is_ended():
    async def scenario(server):
        async with running(spec_for(server.url, headers={"X-Key": "k"})) as pool:
            assert len(pool.tools()) == 5
            return await call(pool, text="hi")

    with serving("session") as server:
        result = asyncio.run(scenario(server))
        assert server.deleted == ["s1"]
    assert (result.error, said(result)) == (None, '{"text": "hi"}')
    headers = server.seen[-1][1]
    assert headers["X-Key"] == "k"
    assert headers["Accept-Encoding"] == "identity"


def test_answers_as_an_event_stream_are_the_same():
    async def scenario(server):
        heard = []
        async with running(spec_for(server.url)) as pool:
            result = await call(pool, "h__progress", progress=lambda *p: heard.append(p))
        return result, heard

    with serving("sse") as server:
        result, heard = asyncio.run(scenario(server))
    assert result.error is None
    assert heard[0][:2] == (1.0, 4.0)


@pytest.mark.parametrize(
    ("mode", "error", "part"),
    [
        ("429", "tool_error", "HTTP 429 Too Many Requests, retry after 7"),
        ("500", "tool_error", "HTTP 500 Internal Server Error"),
        ("rpc_400", "tool_error", "bad arguments"),
        ("drop", "outcome_unknown", "unknown"),
        ("cut", "outcome_unknown", "unknown"),
        ("bomb", "outcome_unknown", "compressed (gzip)"),
        ("huge", "tool_error", "larger than the host accepts"),
        ("garbage", "tool_error", "Failed to parse"),
        ("page", "tool_error", "text/html"),
    ],
)
def test_a_fault_fails_one_call_and_the_next_one_works(mode, error, part):
    async def scenario(server):
        events = []
        async with running(spec_for(server.url), observe=events.append) as pool:
            failed = await call(pool, text="hi")
            server.modes.discard(mode)
            after = await call(pool, text="again")
        return failed, after, events

    with serving(mode) as server:
        failed, after, events = asyncio.run(scenario(server))
    assert (failed.error, part in said(failed)) == (error, True), said(failed)
    assert (after.error, said(after)) == (None, '{"text": "again"}')
    assert [type(event) for event in events] == [ServerConnected]


def test_an_event_stream_that_breaks_off_leaves_the_outcome_unknown():
    async def scenario(server):
        async with running(spec_for(server.url)) as pool:
            failed = await call(pool, text="hi")
            server.modes.discard("cut")
            return failed.error, (await call(pool, text="hi")).error

    with serving("cut,sse") as server:
        assert asyncio.run(scenario(server)) == ("outcome_unknown", None)


def test_a_compressed_answer_is_never_unpacked():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    test_a_fault_fails_one_call_and_the_next_one_works("bomb", "outcome_unknown", "gzip")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 120_000  # KiB; the bomb itself is made in this process


def test_a_server_that_never_answers_costs_the_call_timeout():
    async def scenario(server):
        async with running(spec_for(server.url, call_timeout=0.3)) as pool:
            began = time.monotonic()
            result = await call(pool, text="hi")
            return result, time.monotonic() - began

    with serving("slow") as server:
        result, took = asyncio.run(scenario(server))
    assert result.error == "timeout"
    assert took < 2


def test_a_server_that_does_not_let_the_session_end_is_left_in_time():
    async def scenario(server):
        async with running(spec_for(server.url)) as pool:
            assert (await call(pool, text="hi")).error is None
            began = time.monotonic()
        return time.monotonic() - began

    with serving("session,hang_delete") as server:
        assert asyncio.run(scenario(server)) < 2


def test_a_flood_of_events_costs_the_call_timeout():
    async def scenario(server):
        async with running(spec_for(server.url, call_timeout=0.5)) as pool:
            flooded = await call(pool, text="hi")
            server.modes.discard("flood")
            # The stream of the call that timed out is closed: the server can write no more.
            assert await asyncio.to_thread(server.flooded.wait, 10)
            return flooded.error, (await call(pool, text="hi")).error

    with serving("flood") as server:
        assert asyncio.run(scenario(server)) == ("timeout", None)


def test_a_forgotten_session_is_opened_again_and_the_call_is_made_once():
    async def scenario(server):
        events = []
        async with running(spec_for(server.url), observe=events.append) as pool:
            server.forget = True
            result = await call(pool, text="hi")
        return result, events

    with serving("session") as server:
        result, events = asyncio.run(scenario(server))
    assert (result.error, said(result)) == (None, '{"text": "hi"}')
    assert [type(e) for e in events] == [ServerConnected, ServerLost, ServerConnected]
    assert server.mcp.calls == 1


def test_a_url_that_refuses_says_so():
    async def scenario():
        async with running(spec_for(f"{origin}/mcp?key=hunter2")) as pool:
            return pool.health()[0]

    origin = f"http://127.0.0.1:{free_port()}"
    health = asyncio.run(scenario())
    assert health.state == "failed"
    assert f"cannot connect to {origin}: " in health.error
    assert "hunter2" not in health.error


def test_missing_rights_are_told_without_the_servers_text():
    async def scenario(server):
        async with running(spec_for(server.url)) as pool:
            return pool.health()[0]

    with serving("401") as server:
        health = asyncio.run(scenario(server))
    assert "HTTP 401" in health.error
    assert "\x1b" not in health.error


def test_a_server_that_went_away_and_came_back_is_used_again():
    port = free_port()

    async def scenario():
        with serving(port=port) as server:
            pool_of = running(spec_for(server.url))
            pool = await pool_of.__aenter__()
            assert (await call(pool, text="hi")).error is None
        gone = await call(pool, text="hi")
        with serving(port=port):
            back = await call(pool, text="hi")
            await pool_of.__aexit__(None, None, None)
        return gone, back

    gone, back = asyncio.run(scenario())
    assert gone.error in ("server_unavailable", "outcome_unknown")
    assert back.error is None


def test_secrets_of_a_spec_are_not_in_its_repr():
    spec = HttpSpec(name="h", url="https://u:hunter2@x/", headers={"K": "hunter2"})
    assert "hunter2" not in repr(spec)


def test_the_first_connect_of_a_slow_start_is_retried_until_it_is_there():
    port = free_port()

    async def scenario():
        async with running(spec_for(f"http://127.0.0.1:{port}/mcp")) as pool:
            assert pool.health()[0].state == "failed"
            with serving(port=port):
                await until(lambda: pool.health()[0].state == "connected")
                return await call(pool, text="hi")

    assert asyncio.run(scenario()).error is None
