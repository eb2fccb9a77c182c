"""A pool whose config changes while it runs."""

import asyncio
import sys

import psutil
import pytest

from agent_host.servers.spec import StdioSpec
from tests.fakes.hosting import call, hostile, make_pool, running, until

BEGINS = """
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m:
        continue
    r = {"jsonrpc": "2.0", "id": m["id"]}
    if m["method"] == "initialize":
        r["result"] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "s", "version": "1"}}
    elif m["method"] == "tools/list":
        r["result"] = {"tools": [{"name": "begin", "inputSchema": {"type": "object"}}]}
    elif m["method"] == "tools/call":
        token = m["params"]["_meta"]["progressToken"]
        r = {"jsonrpc": "2.0", "method": "notifications/progress",
             "params": {"progressToken": token, "progress": 1}}
    else:
        r["error"] = {"code": -32601, "message": "no"}
    print(json.dumps(r), flush=True)
"""
"""A server whose tool says that it began, and never ends."""


def pid_of(pool, name):
    return next(h.pid for h in pool.health() if h.name == name)


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_what_is_gone_is_ended_what_is_new_started_and_the_rest_left_alone():
    async def scene():
        a, b, c = hostile(name="a"), hostile(name="b"), hostile(name="c")
        async with running(a, b) as pool:
            kept, ended = pid_of(pool, "a"), pid_of(pool, "b")
            replaced = await pool.replace([hostile(name="a"), c])
            assert (replaced.added, replaced.removed, replaced.changed) == (("c",), ("b",), ())
            await pool.ready()
            assert [h.name for h in pool.health()] == ["a", "c"]
            assert pid_of(pool, "a") == kept
            await until(lambda: not alive(ended))
            assert not any(name.startswith("b__") for name in pool.tools())
            assert (await call(pool, "c__echo", text="hi")).error is None
            assert (await call(pool, "a__echo", text="hi")).error is None

    asyncio.run(scene())


def test_a_changed_server_is_started_anew_as_it_is_configured_now():
    async def scene():
        async with running(hostile(name="a")) as pool:
            before = pid_of(pool, "a")
            replaced = await pool.replace([hostile(name="a", exclude=("echo",))])
            assert replaced.changed == ("a",)
            await pool.ready()
            assert pid_of(pool, "a") != before
            assert "a__echo" not in pool.tools()

    asyncio.run(scene())


def test_a_call_to_a_server_that_is_taken_away_may_or_may_not_have_happened():
    async def scene():
        command = {"command": sys.executable, "args": ("-I", "-S", "-c", BEGINS)}
        async with running(StdioSpec(name="a", **command)) as pool:
            async with asyncio.TaskGroup() as group:
                begun = asyncio.Event()

                def progress(*_):
                    begun.set()

                pending = group.create_task(call(pool, "a__begin", progress))
                await begun.wait()
                await pool.replace([])
            assert pool.tools() == {}
            return pending.result()

    result = asyncio.run(scene())
    assert result.error == "outcome_unknown"
    assert "the host ended the connection" in result.content[0].text


def test_a_pool_that_is_not_entered_cannot_be_changed():
    with pytest.raises(RuntimeError):
        asyncio.run(make_pool(hostile(name="a")).replace([]))
