import asyncio
import io
import os
import pty
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from prompt_toolkit.data_structures import Size

from agent_host.surfaces.steady import SteadyOutput, TerminalWriter


@contextmanager
def terminal() -> Iterator[tuple[TextIO, int]]:
    controller, ours = pty.openpty()
    tty.setraw(ours)
    stream = io.TextIOWrapper(os.fdopen(ours, "wb", buffering=0), "utf-8", write_through=True)
    try:
        yield stream, controller
    finally:
        os.close(controller)
        stream.close()


def test_a_terminal_that_does_not_read_holds_nobody_up_and_gets_everything_later() -> None:
    async def run() -> None:
        with terminal() as (stream, controller):
            writer = TerminalWriter(stream)
            drained: list[bool] = []
            writer.drained = lambda: drained.append(True)
            text = "0123456789" * 50_000
            writer.write(text)
            assert writer.behind, drained
            got = b""
            waiting = asyncio.get_running_loop().run_in_executor
            while len(got) < len(text):
                got += await waiting(None, os.read, controller, 65536)
            await writer.drain()
            assert (got.decode(), drained) == (text, [True])
            writer.close()

    asyncio.run(run())


def test_a_terminal_that_never_reads_does_not_keep_the_program_for_long() -> None:
    with terminal() as (stream, _):
        writer = TerminalWriter(stream)
        writer.write("x" * 500_000)
        writer.close(seconds=0.01)
        assert not writer.behind


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    controller, ours = pty.openpty()
    stream = io.TextIOWrapper(os.fdopen(ours, "wb", buffering=0), "utf-8", write_through=True)
    writer = TerminalWriter(stream)
    os.close(controller)
    writer.write("hello")
    assert writer.broken
    writer.write("again")
    writer.close()
    stream.close()


def test_what_is_no_terminal_is_simply_written() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8")
    writer = TerminalWriter(stream)
    writer.write("hello \ud800")
    assert stream.buffer.getvalue() == b"hello \\ud800"


def test_a_picture_is_one_write_between_its_marks_with_what_it_is_made_of() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8")
    written: list[str] = []

    class Kept(TerminalWriter):
        def write(self, text: str) -> None:
            written.append(text)

    output = SteadyOutput(Kept(stream), stream, lambda: Size(rows=24, columns=80))
    output.begin()
    output.write_raw("one")
    output.flush()
    output.begin()
    output.write_raw("two")
    output.end()
    assert written == []
    output.end()
    assert written == ["\x1b[?2026honetwo\x1b[?2026l"]
    output.begin()
    output.end()
    assert len(written) == 1
