"""Over HTTP every fault costs one call and never the connection."""

import asyncio
import resource
import time

import httpx2
import pytest

from agent_host.core.events import ServerConnected, ServerLost
from agent_host.servers.spec import HttpSpec
from agent_host.servers.transports import http_calls
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


def test_what_is_sent_in_vain_with_429_is_sent_again_when_the_server_says_so():
    async def scenario(server):
        async with running(spec_for(server.url)) as pool:
            return await call(pool, text="hi")

    with serving("429 once") as server:
        result = asyncio.run(scenario(server))
    assert (result.error, server.mcp.calls) == (None, 1)
    assert [method for method, _ in server.seen].count("tools/call") == 2


def test_a_redirect_on_the_same_origin_is_followed_with_all_that_was_sent():
    async def scenario(server):
        server.move = (307, "/elsewhere")
        async with running(spec_for(server.url, headers={"X-Key": "k"})) as pool:
            return await call(pool, text="hi")

    with serving() as server:
        assert asyncio.run(scenario(server)).error is None
    assert server.seen[-1][1]["X-Key"] == "k"


@pytest.mark.parametrize(
    ("status", "place", "said_"),
    [
        (307, "http://127.0.0.1:{port}/mcp?key=s3cret", "another origin, where nothing is sent"),
        (308, "http://localhost:{port}/mcp", "another origin"),
        (302, "/other", "in a way that drops what was sent; if that is its endpoint, make it"),
        (307, "http://a:b:c/", "what is no URL"),
        (307, "/mcp", "redirects more than 5 times"),
    ],
)
def test_a_redirect_to_anywhere_else_is_told_and_not_followed(status, place, said_):
    async def scenario(server, other):
        server.move = (status, place.format(port=other.server_port))
        headers = {"Authorization": "Bearer hunter2"}
        async with running(spec_for(server.url, headers=headers)) as pool:
            return pool.health()[0]

    with serving() as other, serving() as server:
        health = asyncio.run(scenario(server, other))
    assert health.state == "failed"
    assert said_ in health.error
    assert "s3cret" not in health.error
    assert other.seen == []
    assert len(server.seen) < 20  # three requests of an attempt, and five places for each


@pytest.mark.parametrize("kind", ["silent", "silent stream"])
def test_the_exchange_of_a_call_that_timed_out_is_ended_also_when_nothing_comes(kind):
    async def scenario(server):
        async with running(spec_for(server.url, call_timeout=0.3)) as pool:
            result = await call(pool, text="hi")
            left = await asyncio.to_thread(server.left.wait, 10)
            return result.error, left

    with serving(f"{kind} tools/call") as server:
        assert asyncio.run(scenario(server)) == ("timeout", True)


@pytest.mark.parametrize("method", ["server/discover", "initialize", "tools/list"])
def test_an_endless_answer_to_anything_ends_with_its_budget(method):
    async def scenario(server):
        async with running(spec_for(server.url, connect_timeout=1)) as pool:
            return pool.health()[0].state, await asyncio.to_thread(server.flooded.wait, 10)

    with serving(f"endless {method}") as server:
        state, ended = asyncio.run(scenario(server))
    assert ended
    assert state == ("connected" if method == "server/discover" else "failed")


def test_an_answer_that_drips_costs_the_call_timeout_however_often_something_comes():
    async def scenario(server):
        async with running(spec_for(server.url, call_timeout=0.4)) as pool:
            began = time.monotonic()
            result = await call(pool, text="hi")
            took = time.monotonic() - began
            return result.error, took, await asyncio.to_thread(server.flooded.wait, 10)

    with serving("drip") as server:
        error, took, ended = asyncio.run(scenario(server))
    assert (error, ended) == ("timeout", True)
    assert took < 2


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("7", "", 7.0),
        ("1.5", "", 1.5),
        ("Wed, 21 Oct 2026 07:28:10 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 10.0),
        ("Wed, 21 Oct 2026 07:27:10 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2026 07:28:10 GMT", "", None),
        ("soon", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-3", "", None),
        ("9" * 4000, "", None),
        ("", "", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_by_the_servers_own_clock(value, date, seconds):
    headers = {"retry-after": value, "date": date}
    assert http_calls.retry_after(httpx2.Response(429, headers=headers)) == seconds


def test_a_note_that_is_never_taken_does_not_hold_up_the_next_call():
    async def scenario(server):
        async with running(spec_for(server.url, call_timeout=0.3)) as pool:
            assert (await call(pool, text="hi")).error == "timeout"
            server.modes.discard("slow")
            return await call(pool, text="again")

    with serving("slow,hang_notes") as server:
        assert asyncio.run(scenario(server)).error is None
    assert "notifications/cancelled" in [method for method, _ in server.seen]


def test_an_answer_whose_stream_ended_is_picked_up_where_it_was():
    async def scenario(server):
        async with running(spec_for(server.url)) as pool:
            return await call(pool, text="hi")

    with serving("session,resume") as server:
        result = asyncio.run(scenario(server))
    assert (result.error, said(result)) == (None, '{"text": "hi"}')
    assert server.gets[-1]["last-event-id"] == "e1"
    assert server.mcp.calls == 1


def test_the_answer_to_a_call_that_was_given_up_is_not_picked_up_again():
    async def scenario(server):
        async with running(spec_for(server.url, call_timeout=0.3)) as pool:
            before = len(asyncio.all_tasks())
            assert (await call(pool, text="hi")).error == "timeout"
            assert await asyncio.to_thread(server.left.wait, 10)
            server.modes.discard("primed")
            assert (await call(pool, text="again")).error is None
            # Nothing waits for the minute after which the server would have it picked up.
            await until(lambda: len(asyncio.all_tasks()) <= before)

    with serving("session,primed") as server:
        asyncio.run(scenario(server))
    assert not any("last-event-id" in headers for headers in server.gets)


def test_the_stream_for_the_servers_own_messages_is_opened_until_it_is_there(monkeypatch):
    monkeypatch.setattr(http_calls, "LISTEN_PAUSE", 0.01)

    async def scenario(server):
        server.faults += ["500", "503", "cut", "429", "cut"]
        async with running(spec_for(server.url)) as pool:
            before = server.mcp.lists
            assert await asyncio.to_thread(server.listening.wait, 15)
            await until(lambda: server.mcp.lists > before)
            return (await call(pool, text="hi")).error

    with serving("session,listen") as server:
        assert asyncio.run(scenario(server)) is None
        assert len(server.gets) == 6


def test_a_session_that_the_stream_finds_gone_is_opened_anew(monkeypatch):
    monkeypatch.setattr(http_calls, "LISTEN_PAUSE", 0.01)

    async def scenario(server):
        server.faults += ["404"]
        async with running(spec_for(server.url)) as pool:
            await until(lambda: pool.health()[0].restarts == 1)
            return (await call(pool, text="hi")).error

    with serving("session,listen") as server:
        assert asyncio.run(scenario(server)) is None
    assert server.sessions == 2


def test_every_call_of_a_forgotten_session_is_made_once_in_the_new_one():
    async def scenario(server):
        async with running(spec_for(server.url)) as pool:
            server.forget = True
            server.modes.add("one session")
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(call(pool, text=str(i))) for i in range(4)]
            return [task.result().error for task in calls]

    with serving("session") as server:
        assert asyncio.run(scenario(server)) == [None] * 4
        assert server.mcp.calls == 4


@pytest.mark.parametrize(
    ("more", "said_"),
    [
        ({"url": "ftp://x/"}, "url: it must be http:// or https://"),
        ({"url": "http://a:b:c/"}, "url: "),
        ({"headers": {"X-Key": "a\nb"}}, "headers.X-Key: only printable ASCII"),
        ({"headers": {"X-Key": "schlüssel"}}, "headers.X-Key: only printable ASCII"),
        ({"proxy": "socks5://127.0.0.1:1"}, "speaks SOCKS: `pip install socksio`"),
        ({"proxy": "http://user:pw@127.0.0.1:1"}, "by the proxy http://127.0.0.1:1: "),
    ],
)
def test_a_config_of_which_no_request_can_be_made_is_told(more, said_):
    async def scenario():
        spec = spec_for(**{"url": "http://127.0.0.1:1/mcp", **more})
        async with running(spec) as pool:
            return pool.health()[0]

    health = asyncio.run(scenario())
    assert health.state == "failed"
    assert said_ in health.error
    assert "pw" not in health.error
