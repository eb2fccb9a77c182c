"""How servers are kept: health, hanging servers, logins that are missing, and the end of all."""

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager

import psutil
import pytest

from agent_host.core.events import ServerConnected, ServerLost
from agent_host.servers import breaker, supervisor
from agent_host.servers.spec import HttpSpec
from tests.fakes import hosting
from tests.fakes.hostile_http import serving
from tests.fakes.hosting import DEADLINE, call, hostile, running, said, until


def http(url, **more):
    return HttpSpec(name="h", url=url, **{"connect_timeout": 3, "call_timeout": 3, **more})


async def until_answered(pool, name="h__echo"):
    """Call until the server takes it: after a rest, as a person would."""
    async with asyncio.timeout(DEADLINE):
        while (result := await call(pool, name, text="hi")).error is not None:
            await asyncio.sleep(0.02)
    return result


def test_health_counts_calls_and_failures_and_how_long_they_took():
    async def scenario(server):
        async with running(http(server.url)) as pool:
            for _ in range(3):
                await call(pool, text="hi")
            server.modes.add("500")
            await call(pool, text="hi")
            return pool.health()[0]

    with serving() as server:
        health = asyncio.run(scenario(server))
    assert (health.calls, health.errors, health.state) == (4, 1, "connected")
    assert 0 < health.call_seconds <= health.slowest_seconds < 3
    assert health.list_seconds > 0
    assert (health.transport, health.breaker, health.retry_seconds) == ("http", "closed", None)


def test_without_a_login_calls_fail_at_once_with_what_to_do_until_there_is_one(monkeypatch):
    monkeypatch.setattr(breaker, "FIRST_REST", 0.3)

    async def scenario(server):
        events = []
        async with running(http(server.url), observe=events.append) as pool:
            (tool,) = [t for t in pool.tools().values() if t.tool == "echo"]
            server.modes.add("401")
            server.hang_up()
            lost = await call(pool, text="hi")
            asked = len(server.seen)
            began = time.monotonic()
            at_once = await call(pool, text="hi")
            took = time.monotonic() - began
            state = pool.health()[0].state
            assert len(server.seen) == asked, "no request while it is known that a login is missing"
            server.modes.discard("401")
            await until_answered(pool)
            return lost, at_once, took, state, events, tool

    with serving() as server:
        lost, at_once, took, state, events, _ = asyncio.run(scenario(server))
    assert (lost.error, at_once.error) == ("server_unavailable", "server_unavailable")
    assert said(at_once).endswith(": h needs a login; run `agent-host servers login h`")
    assert took < 0.2
    assert state == "needs_login"
    (reason,) = {e.reason for e in events if isinstance(e, ServerLost)}
    assert "`agent-host servers login h`" in reason
    assert isinstance(events[-1], ServerConnected)


def test_a_server_without_a_login_from_the_start_is_said_so_once_and_left_alone():
    async def scenario(server):
        events = []
        async with running(http(server.url), observe=events.append) as pool:
            await asyncio.sleep(0.8)  # longer than the pauses after other failures
            return pool.health()[0], events, len(server.seen)

    with serving("401") as server:
        health, events, asked = asyncio.run(scenario(server))
    assert (health.state, health.breaker) == ("needs_login", "open")
    assert [e.will_restart for e in events] == [False]
    assert asked <= 2


def test_a_server_that_is_up_but_lets_calls_time_out_gets_none_for_a_while(monkeypatch):
    monkeypatch.setattr(breaker, "CALL_REST", 0.5)

    async def scenario(server):
        async with running(http(server.url, call_timeout=0.15), hostile(name="other")) as pool:
            for _ in range(3):
                assert (await call(pool, text="hi")).error == "timeout"
            began = time.monotonic()
            refused = await call(pool, text="hi")
            took = time.monotonic() - began
            health = pool.health()[0]
            assert (await call(pool, "other__echo", text="hi")).error is None
            server.modes.discard("slow")
            await until_answered(pool)
            return refused, took, health, pool.health()[0]

    with serving("slow") as server:
        refused, took, health, after = asyncio.run(scenario(server))
    assert refused.error == "server_unavailable"
    assert "the last 3 calls got no answer in time; it is tried again in" in said(refused)
    assert took < 0.1
    assert (health.state, health.breaker) == ("connected", "open")
    assert (after.breaker, after.restarts) == ("closed", 0)


def test_a_server_that_was_stopped_is_started_anew_once_it_answers_nothing(monkeypatch):
    monkeypatch.setattr(supervisor, "STALL_SECONDS", 0.3)

    async def scenario():
        events = []
        async with running(hostile(call_timeout=0.2), observe=events.append) as pool:
            (server,) = psutil.Process(pool.health()[0].pid).children()
            os.kill(server.pid, signal.SIGSTOP)
            for _ in range(3):
                assert (await call(pool, text="hi")).error == "timeout"
            await until(lambda: pool.health()[0].restarts == 1)
            await until_answered(pool)
            assert not server.is_running()
            return events

    events = asyncio.run(scenario())
    assert [type(e) for e in events] == [ServerConnected, ServerLost, ServerConnected]
    assert "it does not answer any more: 3 calls timed out, and a ping did" in events[1].reason


def test_retry_after_of_a_server_that_is_busy_is_waited_for_and_shown():
    async def scenario(server):
        async with running(http(server.url)) as pool:
            asked = server.busy
            refused = await pool._servers["h"].connected()
            await asyncio.sleep(0.8)  # longer than the pause after other failures
            return pool.health()[0], refused, server.busy - asked

    with serving("busy") as server:
        health, connected, more = asyncio.run(scenario(server))
    assert "HTTP 503 Service Unavailable, retry after 7" in health.error
    assert 5 < health.retry_seconds <= 7
    assert (connected, more) == (False, 0)


def test_ten_servers_that_ignore_every_hint_are_gone_in_about_the_time_of_one():
    async def close(count):
        specs = [
            hostile("ignore_eof,ignore_term", name=f"s{i}", connect_timeout=15)
            for i in range(count)
        ]
        before = set(psutil.Process().children())
        async with running(*specs) as pool:
            await pool.settled()
            assert [h.state for h in pool.health()] == ["connected"] * count
            below = [p for p in psutil.Process().children() if p not in before]
            assert len(below) == count
            began = time.monotonic()
        took = time.monotonic() - began
        return took, [p for p in below if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    async def scenario():
        return await close(1), await close(10)

    (one, _), (ten, left) = asyncio.run(scenario())
    assert left == []
    assert ten < 5 * one  # one after another it would be ten times


@pytest.mark.parametrize("count", [300])
def test_calls_over_http_leave_nothing_behind(count):
    async def scenario(server):
        async with running(http(server.url)) as pool:
            for _ in range(20):
                await call(pool, text="hi")
            before = psutil.Process().num_fds(), len(asyncio.all_tasks())
            for _ in range(count):
                await call(pool, text="hi")
            await asyncio.sleep(0.05)
            return before, (psutil.Process().num_fds(), len(asyncio.all_tasks()))

    with serving("session") as server:
        before, after = asyncio.run(scenario(server))
    assert after[0] <= before[0] + 2
    assert after[1] <= before[1] + 1


def test_leaving_ends_a_server_also_when_its_closing_swallows_the_cancellation():
    """As the cancellation of a task can get lost among those by which streams are closed."""
    closing = asyncio.Event()

    @asynccontextmanager
    async def swallowing(spec, process, hooks):
        from agent_host.servers.connection import connect

        async with connect(spec, process, hooks) as connection:
            yield connection
        closing.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()

    async def load():
        return swallowing

    async def scenario(monkeypatch):
        monkeypatch.setattr(hosting, "load_connector", load)
        async with asyncio.timeout(DEADLINE), running(hostile()) as pool:
            await call(pool, "h__die")
            await closing.wait()
        return pool.health()[0].state

    with pytest.MonkeyPatch.context() as monkeypatch:
        assert asyncio.run(scenario(monkeypatch)) == "stopped"


def test_what_only_a_person_can_mend_is_not_said_to_be_tried_again():
    async def scenario():
        async with running(hostile(unusable="set K")) as pool:
            await until(lambda: pool.health()[0].state == "failed")
            return pool._servers["h"].reason()

    assert asyncio.run(scenario()) == "set K"
