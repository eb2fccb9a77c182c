"""A server says that its tools changed, and what becomes of the list that follows."""

import asyncio

from agent_host.core.events import ServerConnected, ServerLog, ServerLost
from agent_host.servers import changes
from tests.fakes.hosting import call, hostile, running, said, until


def test_a_call_that_brings_new_tools_about_ends_when_they_are_there():
    async def scenario():
        async with running(hostile("changing")) as pool:
            await until(lambda: pool.health()[0].state == "connected")
            await call(pool, text="enable")
            return "h__extra" in pool.tools()

    assert asyncio.run(scenario())


def test_a_call_that_changes_nothing_waits_for_no_list(monkeypatch):
    monkeypatch.setattr(changes, "CATCH_UP", 60)

    async def scenario():
        async with running(hostile()) as pool, asyncio.timeout(20):
            return said(await call(pool, text="hi"))

    assert asyncio.run(scenario()) == '{"text": "hi"}'


def test_a_list_that_fails_costs_no_call_under_way_and_is_asked_for_again():
    async def scenario():
        events = []
        async with running(hostile("changing,relist_error"), observe=events.append) as pool:
            await until(lambda: pool.health()[0].state == "connected")
            slow = asyncio.ensure_future(call(pool, "h__slow", seconds=1.5))
            await call(pool, text="hi")
            await until(lambda: "h__extra" in pool.tools())
            return await slow, events

    result, events = asyncio.run(scenario())
    assert (result.error, said(result)) == (None, "late")
    assert len([e for e in events if isinstance(e, ServerConnected)]) == 1
    (told,) = [e.text for e in events if isinstance(e, ServerLog)]
    assert told.startswith("tools/list failed: no list")
    assert told.endswith("its tools stay as they were until it answers that again")


def test_a_server_that_lists_no_more_is_given_up_only_when_no_call_runs(monkeypatch):
    monkeypatch.setattr(changes, "RELIST_PAUSE", 0.01)
    monkeypatch.setattr(changes, "RELIST_MOST", 0.02)

    async def scenario():
        events = []
        async with running(hostile("changing,relist_never"), observe=events.append) as pool:
            await until(lambda: pool.health()[0].state == "connected")
            slow = asyncio.ensure_future(call(pool, "h__slow", seconds=1))
            await call(pool, text="hi")
            result = await slow
            lost = [e.reason for e in events if isinstance(e, ServerLost)]
            await until(lambda: any(isinstance(e, ServerLost) for e in events))
            return result, lost

    result, lost = asyncio.run(scenario())
    assert (result.error, said(result)) == (None, "late")
    assert lost == []
