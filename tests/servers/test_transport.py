"""The streams between a session and a server process, without a session."""

import asyncio
import os
import sys

import anyio
import pytest

from agent_host.servers.frames import Gate
from agent_host.servers.spec import Hooks, StdioSpec
from agent_host.servers.transports.process import ServerProcess, start
from agent_host.servers.transports.stdio import MAX_QUEUE, StdioTransport, to_message

CANCELLED = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}'
MANY = 20_000
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def running(code: str) -> ServerProcess:
    spec = StdioSpec(name="s", command=sys.executable, args=("-I", "-S", "-c", code))
    process = start(spec, os.environ)
    assert isinstance(process, ServerProcess)
    return process


def transport(process: ServerProcess) -> StdioTransport:
    return StdioTransport(process, Gate(Hooks(tools_changed=list, log=lambda *_: None)))


def test_a_server_that_sends_more_than_is_taken_is_read_no_further_and_nothing_is_lost():
    async def scene() -> tuple[int, int]:
        process = running(f"print(({CANCELLED!r} + chr(10)) * {MANY}, end='')")
        async with transport(process) as (inbox, _):
            while len(inbox) <= MAX_QUEUE:
                await asyncio.sleep(0)
            taken = most = 0
            async for _message in inbox:
                taken += 1
                most = max(most, len(inbox))
                await asyncio.sleep(0)
            return taken, most

    taken, most = asyncio.run(scene())
    assert taken == MANY
    assert most < MANY // 2


@pytest.mark.parametrize("watched", [True, False])
def test_the_exit_of_a_server_is_told_also_where_no_descriptor_tells_it(watched):
    async def scene() -> tuple[str, bool]:
        process = running("raise SystemExit(3)")
        if not watched and process.exit_fd is not None:
            os.close(process.exit_fd)
            process.exit_fd = None
        streams = transport(process)
        async with streams:
            return await streams.lost(), streams.ended

    assert asyncio.run(scene()) == ("exit code 3", True)


def test_nothing_can_be_sent_to_a_server_that_is_gone():
    async def scene() -> None:
        streams = transport(running("pass"))
        async with streams as (_, outbox):

            async def send_on() -> None:
                while True:
                    await outbox.send(to_message(PING))

            await streams.lost()
            with pytest.raises((anyio.ClosedResourceError, anyio.BrokenResourceError)):
                await send_on()

    asyncio.run(scene())


def test_a_server_that_goes_in_the_moment_it_is_let_go_makes_no_noise():
    async def scene():
        faults = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: faults.append(what))
        process = running("import time; time.sleep(60)")
        stream = transport(process)
        _, outbox = await stream.__aenter__()
        outbox._pipe.abort()  # what asyncio does when it sees that nobody reads any more
        stream._release()
        for _ in range(3):
            await asyncio.sleep(0)
        process.kill()
        process.wait(8)
        return faults

    assert asyncio.run(scene()) == []


def test_a_server_that_takes_no_more_requests_is_over_although_it_runs():
    async def scene():
        streams = transport(running("import os, time; os.close(0); time.sleep(60)"))
        async with streams, asyncio.timeout(8):
            return await streams.lost(), streams.ended

    assert asyncio.run(scene()) == ("it closed its input", True)
