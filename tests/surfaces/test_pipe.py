import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator

import pytest

from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.pipe import Pipe, pipe_of

MUCH = b"0123456789abcdef" * 50_000


@pytest.fixture
def ends() -> Iterator[list[int]]:
    fds = list(os.pipe())
    yield fds
    for fd in fds:
        os.close(fd)


def read_all(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(fd, 65536)
    return data


def test_a_reader_that_does_not_read_holds_nobody_up(ends: list[int]) -> None:
    reader, writer = ends
    pipe = Pipe(writer)

    async def write() -> bytes:
        pipe.write(MUCH)
        pipe.write(b"end")
        os.set_blocking(reader, False)
        received = b""
        while not received.endswith(b"end"):
            await asyncio.sleep(0)
            with contextlib.suppress(BlockingIOError):
                received += os.read(reader, 65536)
        return received

    assert asyncio.run(write()) == MUCH + b"end"


def test_what_is_left_can_be_waited_for(ends: list[int]) -> None:
    reader, writer = ends
    pipe = Pipe(writer)

    async def write() -> bytes:
        pipe.write(MUCH)
        async with asyncio.TaskGroup() as group:
            received = group.create_task(asyncio.to_thread(read_all, reader, len(MUCH)))
            await pipe.drain()
        return received.result()

    assert asyncio.run(write()) == MUCH
    asyncio.run(pipe.drain())


def test_waiting_for_a_reader_can_be_cancelled(ends: list[int]) -> None:
    pipe = Pipe(ends[1])

    async def write() -> None:
        pipe.write(MUCH)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(pipe.drain())
            await asyncio.sleep(0)
            task.cancel()

    asyncio.run(write())
    assert not pipe.broken


def test_at_the_end_everything_is_written(ends: list[int]) -> None:
    reader, writer = ends
    pipe = Pipe(writer)

    async def write() -> bytes:
        pipe.write(MUCH)
        received = asyncio.get_running_loop().run_in_executor(None, read_all, reader, len(MUCH))
        pipe.finish()
        return await received

    assert asyncio.run(write()) == MUCH


def test_a_reader_that_left_breaks_the_pipe_and_nothing_else() -> None:
    reader, writer = os.pipe()
    pipe = Pipe(writer)
    pipe.write(b"x" * 200_000)
    os.close(reader)
    pipe.finish()
    pipe.write(b"y")
    assert pipe.broken
    os.close(writer)


def test_only_pipes_are_pipes(ends: list[int]) -> None:
    assert pipe_of(ends[1]) is not None
    with tempfile.TemporaryFile() as file:
        assert pipe_of(file.fileno()) is None


def test_an_outlet_on_a_pipe_writes_in_order_and_whole(ends: list[int]) -> None:
    reader, writer = ends
    with os.fdopen(os.dup(writer), "w", encoding="utf-8") as stream:
        out = Outlet(stream, {})

        async def write() -> bytes:
            out.write("ü" * 100_000)
            out.write("\n")
            received = asyncio.get_running_loop().run_in_executor(None, read_all, reader, 200_001)
            await out.drain()
            out.finish()
            return await received

        assert asyncio.run(write()).decode() == "ü" * 100_000 + "\n"
