"""The pool: start, restart, memory, budgets, and what becomes of calls."""

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import replace

import psutil
import pytest

from agent_host.core.events import ServerConnected, ServerLog, ServerLost, ToolsChanged
from agent_host.servers import breaker
from agent_host.servers import pool as pool_module
from agent_host.servers.lock import Lock
from agent_host.servers.spec import StdioSpec
from tests.fakes.hosting import DEADLINE, call, context, hostile, make_pool, running, said, until


def test_servers_start_at_the_same_time():
    async def scenario():
        specs = [hostile("", "--delay", 0.5, name=f"s{i}") for i in range(6)]
        began = time.monotonic()
        async with running(*specs) as pool:
            assert len(pool.tools()) == 30
        return time.monotonic() - began

    asyncio.run(scenario())  # imports of the first use
    assert asyncio.run(scenario()) < 2.5


def test_tools_stand_in_one_order_whoever_names_them(tmp_path):
    """Live and from the lock alike: another order would cost a provider's prompt cache."""

    async def scenario(lock):
        async with running(hostile(), lock=lock) as pool:
            names = list(pool.tools())
            await pool.settled()
            return names, list(pool.tools())

    path = tmp_path / "servers.lock"
    cold = asyncio.run(scenario(Lock.read(path)))
    warm = asyncio.run(scenario(Lock.read(path)))
    assert cold[0] == cold[1] == warm[0] == warm[1] == sorted(cold[0])


def test_a_slow_server_does_not_hold_up_calls_to_another():
    async def scenario():
        pool = make_pool(hostile(name="fast"), hostile("hang_initialize", name="slow"))
        pool.spawn()
        async with pool:
            await until(lambda: "fast__echo" in pool.tools())
            assert (await call(pool, "fast__echo", text="x")).error is None
            assert pool.health()[1].state == "starting"

    asyncio.run(scenario())


def test_a_server_that_never_answers_does_not_hold_up_those_that_did(monkeypatch):
    monkeypatch.setattr(pool_module, "PATIENCE", 0.5)

    async def scenario():
        events = []
        slow = hostile("hang_initialize", name="slow", connect_timeout=60)
        async with running(hostile(name="fast"), slow, observe=events.append) as pool:
            assert "fast__echo" in pool.tools()
            assert pool.health()[1].state == "starting"
        return [(e.server, e.text) for e in events if isinstance(e, ServerLog)]

    told = dict(asyncio.run(scenario()))
    assert told["slow"] == (
        "has not answered yet; the run goes on, its tools are offered when it answers"
    )


def test_where_there_is_nobody_else_a_slow_server_is_waited_for_and_that_is_told(monkeypatch):
    monkeypatch.setattr(pool_module, "PATIENCE", 0.2)

    async def scenario():
        events = []
        slow = hostile("hang_initialize", name="slow", connect_timeout=1.5)
        async with running(slow, observe=events.append) as pool:
            assert pool.health()[0].state == "failed"
        return [(e.server, e.text) for e in events if isinstance(e, ServerLog)]

    assert asyncio.run(scenario()) == [
        ("slow", "has not answered yet; it is waited for, 1.5 s (connect_timeout) at most")
    ]


def test_a_server_that_crashed_is_started_again_and_the_call_is_told_to_be_in_doubt(tmp_path):
    async def scenario():
        events = []
        async with running(hostile(), observe=events.append) as pool:
            dead = await call(pool, "h__die")
            assert dead.error == "outcome_unknown"
            assert "exit code 7" in said(dead)
            assert (await call(pool, text="again")).error is None
            return pool.health()[0], events

    health, events = asyncio.run(scenario())
    assert health.restarts == 1
    assert [type(e) for e in events] == [ServerConnected, ServerLost, ServerConnected]
    assert events[1].will_restart


def test_a_crash_during_a_repeatable_call_is_only_unavailability():
    async def scenario():
        hints = {"trust_annotations": True}
        async with running(hostile("idempotent", **hints)) as pool:
            return await call(pool, "h__die")

    assert asyncio.run(scenario()).error == "server_unavailable"


def test_an_idle_server_that_is_killed_comes_back():
    async def scenario():
        events = []
        async with running(hostile(), observe=events.append) as pool:
            (server,) = psutil.Process(pool.health()[0].pid).children()
            server.send_signal(signal.SIGKILL)
            await until(lambda: any(isinstance(e, ServerLost) for e in events))
            await until(lambda: pool.health()[0].state == "connected")
            assert (await call(pool, text="x")).error is None

    asyncio.run(scenario())


def test_a_crash_loop_fails_calls_at_once_until_its_rest_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(breaker, "FIRST_REST", 1.5)
    monkeypatch.setattr(breaker, "MOST_REST", 1.5)
    count = tmp_path / "count"

    async def scenario():
        spec = hostile("", "--count", count, "--die-until", 5)
        lock = Lock.read(tmp_path / "servers.lock")
        async with running(hostile(), lock=lock):
            pass
        lock.remember(spec, "1", "2025-06-18", _tools(lock))
        async with running(spec, lock=lock) as pool:
            tool = pool.tools()["h__echo"]
            await until(lambda: _number(count) >= 4 and pool.health()[0].state == "failed")
            starts = _number(count)
            await asyncio.sleep(0.6)
            assert _number(count) == starts
            result = await pool.call(tool, {}, context())
            assert result.error == "server_unavailable"
            assert "exit code 9" in said(result)
            assert "no license\\u{1b}" in said(result)
            assert _number(count) == starts
            health = pool.health()[0]
            assert (health.breaker, health.retry_seconds > 0) == ("open", True)
            async with asyncio.timeout(DEADLINE):
                while (await pool.call(tool, {}, context())).error is not None:
                    await asyncio.sleep(0.05)
            assert pool.health()[0].breaker == "closed"
            assert _number(count) == 6

    asyncio.run(scenario())


def _number(path):
    return int(path.read_text() or 0) if path.exists() else 0


def _tools(lock):
    return lock.recall(hostile()).tools


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("no-such-program-anywhere", "was not found on PATH"),
        ("./missing", "does not exist"),
        ("/etc/passwd", "is not executable"),
        ("/etc", "does not exist"),
        ("", "is empty"),
    ],
)
def test_a_command_that_cannot_run_is_explained_and_not_tried_again(command, part):
    async def scenario():
        events = []
        async with running(StdioSpec(name="h", command=command), observe=events.append) as pool:
            return pool.health()[0], events

    health, events = asyncio.run(scenario())
    assert part in health.error
    assert [e.will_restart for e in events] == [False]


def test_a_server_sees_a_minimal_environment_and_what_the_config_names():
    async def scenario():
        environ = {**os.environ, "OPENAI_API_KEY": "secret", "LC_ALL": "C", "X": "() { :; }"}
        async with running(hostile(env={"TOKEN": "t"}), environ=environ) as pool:
            return json.loads(said(await call(pool, "h__env")))

    seen = asyncio.run(scenario())
    allowed = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LANG", "TZ", "TMPDIR"}
    assert seen.pop("TOKEN") == "t"
    assert seen.pop("LC_ALL") == "C"
    assert {key for key in seen if not key.startswith("LC_")} <= allowed


def test_secrets_of_a_spec_are_not_in_its_repr():
    spec = StdioSpec(name="h", command="x", args=("--key=hunter2",), env={"K": "hunter2"})
    assert "hunter2" not in repr(spec)


def test_calls_overlap_unless_the_config_says_otherwise():
    async def scenario(parallel):
        async with running(hostile(parallel=parallel)) as pool:
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(call(pool, "h__slow", seconds=0.3))
            return time.monotonic() - began

    assert asyncio.run(scenario(True)) < 0.8
    assert asyncio.run(scenario(False)) >= 0.9


def test_only_the_tools_that_the_config_includes_are_offered():
    async def scenario():
        spec = hostile(include=("e*", "slow"), exclude=("env",), trust_annotations=True)
        async with running(spec) as pool:
            return dict(pool.tools())

    tools = asyncio.run(scenario())
    assert list(tools) == ["h__echo", "h__slow"]
    assert all(tool.trusted for tool in tools.values())


def test_with_a_warm_lock_the_tools_are_known_before_the_server_is_up(tmp_path):
    path = tmp_path / "servers.lock"

    async def first():
        async with running(hostile(), lock=Lock.read(path)) as pool:
            return dict(pool.tools())

    async def second():
        events = []
        slow = hostile(env={"DELAY": "x"})
        pool = make_pool(hostile(), lock=Lock.read(path), observe=events.append)
        assert dict(pool.tools()) == cold
        pool.spawn()
        async with pool:
            before = pool.tools()
            await pool.ready()
            assert pool.health()[0].state == "starting"
            result = await call(pool, text="waits for the server")
            assert result.error is None
            assert pool.tools() is before
        assert [type(e) for e in events] == [ServerConnected]
        return slow

    cold = {name: replace(tool, is_new=False) for name, tool in asyncio.run(first()).items()}
    stamp = path.stat().st_mtime_ns
    asyncio.run(second())
    assert path.stat().st_mtime_ns == stamp


def test_what_the_live_server_says_replaces_the_lock(tmp_path):
    path = tmp_path / "servers.lock"

    async def scenario():
        events = []
        spec = hostile("changing")
        lock = Lock.read(path)
        async with running(spec, lock=lock) as pool:
            (tool,) = (t for t in pool.tools().values() if t.tool == "slow")
        lock.remember(spec, "1", "2025-06-18", [tool])
        pool = make_pool(spec, lock=lock, observe=events.append)
        assert list(pool.tools()) == ["h__slow"]
        pool.spawn()
        async with pool:
            await pool.settled()
            assert "h__echo" in pool.tools()
        return events

    events = asyncio.run(scenario())
    added = next(e for e in events if isinstance(e, ToolsChanged)).added
    assert set(added) == {"echo", "die", "env", "progress"}


def test_leaving_while_a_server_hangs_does_not_wait_for_it():
    async def scenario():
        pool = make_pool(hostile("hang_initialize", connect_timeout=30))
        pool.spawn()
        async with pool:
            await until(lambda: pool.health()[0].pid is not None)
            began = time.monotonic()
        return time.monotonic() - began

    assert asyncio.run(scenario()) < 2.5


def test_a_pool_that_is_never_entered_leaves_nothing():
    before = set(psutil.Process().children())
    pool = make_pool(hostile("ignore_eof"))
    pool.spawn()
    children = [child for child in psutil.Process().children() if child not in before]
    assert children
    pool.discard()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


def test_an_error_in_the_body_still_closes_every_server():
    class BodyError(Exception):
        pass

    async def scenario():
        async with running(hostile("ignore_eof,ignore_term")) as pool:
            processes.append(psutil.Process(pool.health()[0].pid))
            raise BodyError

    processes = []
    with pytest.raises(BodyError):
        asyncio.run(scenario())
    assert not processes[0].is_running()


def test_arguments_are_checked_against_the_schema():
    async def scenario():
        async with running(hostile()) as pool:
            tool = pool.tools()["h__echo"]
            assert pool.validate(tool, {"text": "x"}) is None
            return pool.validate(tool, {"text": 5})

    assert "text: 5 is not of type" in asyncio.run(scenario())


def test_a_hundred_calls_cost_little(tmp_path):
    async def scenario():
        async with running(hostile()) as pool:
            await call(pool, text="warm")
            began = time.process_time()
            for _ in range(100):
                await call(pool, text="x")
            return time.process_time() - began

    assert asyncio.run(scenario()) < 0.3


def test_arguments_that_json_cannot_say_are_refused():
    async def scenario():
        async with running(hostile()) as pool:
            return pool.validate(pool.tools()["h__echo"], {"n": [float("nan")]})

    assert "NaN" in asyncio.run(scenario())


def test_lone_surrogates_in_arguments_arrive():
    async def scenario():
        async with running(hostile()) as pool:
            return await call(pool, text="a\ud800")

    assert json.loads(said(asyncio.run(scenario()))) == {"text": "a\ud800"}


def test_a_server_that_does_not_read_costs_the_call_timeout():
    async def scenario():
        async with running(hostile("stop_reading", call_timeout=0.5)) as pool:
            first = await call(pool, "h__slow", seconds=60)
            second = await call(pool, text="x" * (3 << 20))
            return first.error, second.error

    assert asyncio.run(scenario()) == ("timeout", "timeout")


def test_a_tool_of_a_server_that_is_not_there_is_unknown():
    async def scenario():
        async with running(hostile()) as pool:
            tool = replace(pool.tools()["h__echo"], server="other")
            return await pool.call(tool, {}, context())

    assert asyncio.run(scenario()).error == "unknown_tool"


def test_a_lock_that_cannot_be_written_is_told_and_does_no_harm(tmp_path):
    async def scenario():
        events = []
        lock = Lock.read(tmp_path / "no" / "servers.lock")
        async with running(hostile(), lock=lock, observe=events.append) as pool:
            assert (await call(pool, text="x")).error is None
        return [getattr(e, "text", "") for e in events]

    assert any("cannot be written" in text for text in asyncio.run(scenario()))


def test_importing_the_pool_does_not_import_the_sdk():
    import subprocess

    code = (
        "import sys, agent_host.servers.pool;"
        "print([m for m in ('mcp', 'mcp_types', 'pydantic', 'anyio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_launcher_imports_no_event_loop():
    import subprocess

    code = "import sys, agent_host.servers.transports.process; print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
