"""What tests of the servers room share: pools over hostile servers, and what they observed."""

import asyncio
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

from agent_host.core.types import Principal
from agent_host.ports import CallContext
from agent_host.servers.pool import Pool
from agent_host.servers.spec import StdioSpec

HOSTILE = str(Path(__file__).with_name("hostile_server.py"))
DEADLINE = 20


def _ignore(*anything):
    del anything


async def load_connector():
    from agent_host.servers.connection import connect

    return connect


def hostile(mode="", *extra, name="h", **spec):
    spec.setdefault("connect_timeout", 5)
    spec.setdefault("call_timeout", 5)
    args = ("-I", "-S", HOSTILE, "--mode", mode, *map(str, extra))
    return StdioSpec(name=name, command=sys.executable, args=args, **spec)


def make_pool(*specs, lock=None, observe=None, environ=None, **more):
    return Pool(
        specs,
        lock=lock,
        observe=observe or (_ignore),
        connector=load_connector,
        monotonic=time.monotonic,
        environ=os.environ if environ is None else environ,
        chance=lambda: 0.0,
        **more,
    )


def context(progress=None):
    return CallContext(
        call_id="call-1",
        principal=Principal(id="tester"),
        progress=progress or (_ignore),
    )


@asynccontextmanager
async def running(*specs, **more):
    """A pool over `specs` that is ready."""
    pool = make_pool(*specs, **more)
    pool.spawn()
    async with pool:
        async with asyncio.timeout(DEADLINE):
            await pool.ready()
        yield pool


async def call(pool, name="h__echo", progress=None, **arguments):
    """Call a tool by its exposed name."""
    async with asyncio.timeout(DEADLINE):
        return await pool.call(pool.tools()[name], arguments, context(progress))


async def until(condition):
    """Wait for what another task or process will do; the deadline makes it a failure."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.005)


def said(result):
    """The text of a result."""
    return "\n".join(getattr(block, "text", "") or "" for block in result.content)
