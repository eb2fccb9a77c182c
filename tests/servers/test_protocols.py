"""Old and new servers are recognized, and what they spoke is remembered."""

import asyncio
import time

import pytest

from agent_host.core.events import ToolsChanged
from agent_host.servers.lock import Lock
from tests.fakes.hosting import call, hostile, running, said, until


def connect(mode, **spec):
    async def scenario():
        events = []
        async with running(hostile(mode, **spec), observe=events.append) as pool:
            result = await call(pool, text="hi") if pool.tools() else None
            return pool.health()[0], result, events

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("mode", "protocol"),
    [
        ("", "2025-06-18"),
        ("modern", "2026-07-28"),
        ("modern,picky", "2026-07-28"),
        ("modern,alien", "2025-06-18"),
        ("modern,no_listen", "2026-07-28"),
        ("die_first_unknown", "2025-06-18"),
        ("ignore_probe", "2025-06-18"),
    ],
)
def test_by_itself_the_host_finds_out_what_a_server_speaks(mode, protocol):
    health, result, _ = connect(mode, connect_timeout=3)
    assert health.protocol == protocol
    assert (result.error, said(result)) == (None, '{"text": "hi"}')
    assert not any(mark in health.version for mark in ("\x1b", "\u202e"))


@pytest.mark.parametrize(
    ("mode", "wanted", "protocol"),
    [
        ("modern", "legacy", "2025-06-18"),
        ("modern", "2026-07-28", "2026-07-28"),
        ("modern", "2025-06-18", "2025-06-18"),
        ("", "legacy", "2025-06-18"),
    ],
)
def test_the_config_can_say_what_a_server_speaks(mode, wanted, protocol):
    health, result, _ = connect(mode, protocol=wanted)
    assert health.protocol == protocol
    assert result.error is None


def test_a_pinned_version_that_the_server_does_not_speak_is_an_error_that_says_so():
    health, result, _ = connect("", protocol="2026-07-28")
    assert health.state == "failed"
    assert "handshake failed" in health.error
    assert result is None


def test_changes_are_heard_over_a_subscription():
    async def scenario():
        events = []
        async with running(hostile("modern,changing"), observe=events.append) as pool:
            assert (await call(pool, text="hi")).error is None
            await until(lambda: any(isinstance(e, ToolsChanged) for e in events))
            assert "h__extra" in pool.tools()

    asyncio.run(scenario())


def test_what_a_server_spoke_last_time_saves_the_probe(tmp_path):
    path = tmp_path / "servers.lock"

    async def scenario():
        began = time.monotonic()
        async with running(
            hostile("ignore_probe", connect_timeout=4), lock=Lock.read(path)
        ) as pool:
            await pool.settled()
            assert pool.health()[0].state == "connected"
            return time.monotonic() - began

    first, second = asyncio.run(scenario()), asyncio.run(scenario())
    assert first > 1.5
    assert second < first


def test_a_lock_that_is_damaged_is_told(tmp_path):
    path = tmp_path / "servers.lock"
    path.write_text("{")

    async def scenario():
        events = []
        async with running(hostile(), lock=Lock.read(path), observe=events.append) as pool:
            assert (await call(pool, text="hi")).error is None
        return [getattr(e, "text", "") for e in events]

    assert any("will be rewritten" in text for text in asyncio.run(scenario()))
    assert Lock.read(path).problem == ""
