"""Old and new servers are recognized, and what they spoke is remembered."""

import asyncio
import time

import pytest

from agent_host.core.events import ToolsChanged
from agent_host.servers.lock import Lock
from tests.fakes.asked import asking, called, methods, over, pooled, seen
from tests.fakes.hosting import call, context, hostile, running, said, until


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


def test_a_pinned_version_that_the_host_does_not_speak_is_an_error_that_names_those_it_does():
    health, result, _ = connect("", protocol="2099-01-01")
    assert (health.state, result) == ("failed", None)
    assert "2099-01-01" in health.error
    assert "2024-11-05" in health.error
    assert "2026-07-28" in health.error


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


def test_a_lock_that_is_damaged_is_told_offers_nothing_and_is_left_alone(tmp_path):
    path = tmp_path / "servers.lock"
    path.write_text("{")

    async def scenario():
        events = []
        async with running(hostile(), lock=Lock.read(path), observe=events.append) as pool:
            await pool.settled()
            assert dict(pool.tools()) == {}
        return [getattr(e, "text", "") for e in events]

    assert any("is not JSON, so it is not known" in text for text in asyncio.run(scenario()))
    assert path.read_text() == "{"


def test_headers_that_the_server_no_longer_takes_are_looked_up_and_sent_once_more():
    async def scenario():
        with over("http", VERSIONS[-1]) as spec:
            async with pooled(spec) as pool:
                tool = pool.tools()["a__headed"]
                return await pool.call(tool, {"r": "eu\u00e9"}, context())

    assert said(asyncio.run(scenario())) == "=?base64?ZXXDqQ==?="


# -- what is remembered, and what happens when it is wrong


def again(tmp_path, speaks, mode="", **more):
    """Start a server that is configured as the same one each time; return its health, what it
    offers, and the methods that it saw."""
    log = tmp_path / "seen"
    log.unlink(missing_ok=True)
    flags = {"seen": log, **more.pop("flags", {})}
    spec = asking(speaks, mode, identity="the same", flags=flags, **more)
    events = []

    async def scenario():
        lock = Lock.read(tmp_path / "servers.lock")
        async with pooled(spec, lock=lock, observe=events.append) as pool:
            await until(lambda: pool.health()[0].state == "connected")
            result = await called(pool, "echo")
            return pool.health()[0], result, await pool.resources()

    health, result, offers = asyncio.run(scenario())
    assert result.error is None
    return health, offers[0], methods(log)


VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_every_version_is_spoken(transport, version):
    async def scenario():
        speaks = version if version == VERSIONS[-1] else f"={version}"
        with over(transport, speaks) as spec:
            async with pooled(spec) as pool:
                return pool.health()[0], await called(pool, "echo"), await pool.prompts()

    health, result, (prompts, _) = asyncio.run(scenario())
    assert (health.protocol, result.error, len(prompts)) == (version, None, 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_in_the_config_is_asked_for_exactly(tmp_path, version):
    health, _, asked = again(tmp_path, "both", protocol=version)
    assert health.protocol == version
    assert asked.count("server/discover") == (version == VERSIONS[-1])
    hello = [m for m in seen(tmp_path / "seen") if m.get("method") == "initialize"]
    assert [m["params"]["protocolVersion"] for m in hello] == [version] * len(hello)


def test_a_server_that_answers_with_another_version_than_the_config_says_is_told():
    async def scenario():
        events = []
        spec = asking("=2025-03-26", "offers", protocol="2024-11-05")
        async with pooled(spec, observe=events.append) as pool:
            return pool.health()[0].protocol, [getattr(e, "text", "") for e in events]

    protocol, told = asyncio.run(scenario())
    assert protocol == "2025-03-26"
    assert "was asked for protocol 2024-11-05 and answered with 2025-03-26" in told


@pytest.mark.parametrize("speaks", ["2025-06-18", "2026-07-28", "both"])
def test_the_second_start_asks_nothing_that_the_first_one_learned(tmp_path, speaks):
    first, _, asked = again(tmp_path, speaks)
    assert asked[0] == "server/discover"
    second, _, asked = again(tmp_path, speaks)
    assert second.protocol == first.protocol
    assert "server/discover" not in asked
    assert asked[0] == ("initialize" if speaks == "2025-06-18" else "tools/list")


@pytest.mark.parametrize(
    ("before", "after"), [("2025-06-18", "2026-07-28"), ("2026-07-28", "2025-06-18")]
)
@pytest.mark.parametrize("mode", ["", "strict", "exits"])
def test_a_server_that_became_another_one_is_found_out(tmp_path, before, after, mode):
    mode = mode if after < "2026" else ""
    again(tmp_path, before)
    health, offers, _ = again(tmp_path, after, mode)
    assert health.protocol == after
    assert offers
    health, _, asked = again(tmp_path, after, mode)
    assert health.protocol == after
    assert "server/discover" not in asked


def test_a_server_of_another_version_may_speak_something_new(tmp_path):
    """One that is initialized would never show that it learned the newer protocol."""
    again(tmp_path, "2025-06-18", flags={"version": "1"})
    assert again(tmp_path, "both", flags={"version": "2"})[0].protocol == "2025-11-25"
    assert again(tmp_path, "both", flags={"version": "2"})[0].protocol == "2026-07-28"


def test_what_a_server_did_not_have_last_time_is_asked_for_once_more(tmp_path):
    _, offers, _ = again(tmp_path, "2026-07-28", "no_resources")
    assert offers == ()
    _, offers, asked = again(tmp_path, "2026-07-28")
    assert offers
    assert asked.count("server/discover") == 1
    _, offers, asked = again(tmp_path, "2026-07-28")
    assert offers
    assert "server/discover" not in asked


def test_a_server_that_falls_silent_at_the_first_question_is_started_again_without_it(tmp_path):
    health, _, _ = again(tmp_path, "2025-06-18", "silent_probe", connect_timeout=1.5)
    assert (health.protocol, health.restarts) == ("2025-06-18", 1)


def test_a_server_that_leaves_at_the_first_question_is_started_again_without_it(tmp_path):
    health, _, _ = again(tmp_path, "2025-06-18", "exits")
    assert (health.protocol, health.restarts) == ("2025-06-18", 0)
