"""A terminal that is written without waiting for it, and whole pictures at a time.

Theory of operation: a terminal that reads slowly (a bad line, Ctrl-S) blocks whoever writes to it,
and here that would be the engine. So what is written goes out through a description of the terminal
of our own that never blocks (the standard streams are shared with the shell and stay as they are);
what it does not take now is kept, and written when the event loop says that it can be. Who draws
asks `behind` first, and draws nothing new while an old picture is under way: what is kept is then
one picture at most. A picture goes out in one write, between the marks of a synchronized update
(DEC private mode 2026), so that a terminal that knows them shows it at once; others pass them over.
"""

import asyncio
import os
import select
import time
from collections.abc import Callable
from typing import TextIO

from prompt_toolkit.data_structures import Size
from prompt_toolkit.output.vt100 import Vt100_Output

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_CHUNK = 16384


def size_of(stream: TextIO) -> Callable[[], Size]:
    """Return what measures the terminal of a stream: 80 by 24 where there is none."""

    def size() -> Size:
        try:
            columns, rows = os.get_terminal_size(stream.fileno())
        except (OSError, ValueError):
            columns, rows = 0, 0
        return Size(rows=rows or 24, columns=columns or 80)

    return size


class TerminalWriter:
    """The writing end of a terminal. `broken`: it is gone, and writes do nothing; `drained` is
    called when everything was taken."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoding = stream.encoding or "utf-8"
        self._fd = _own(stream)
        self._kept = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self.broken = False
        self.drained: Callable[[], None] = lambda: None

    @property
    def behind(self) -> bool:
        """Whether the terminal has not taken everything yet."""
        return bool(self._kept)

    def write(self, text: str) -> None:
        """Write what the terminal takes now; the rest follows."""
        if self.broken:
            return
        self._kept += text.encode(self._encoding, "backslashreplace")
        if self._loop is None:
            self._pump()

    async def drain(self) -> None:
        """Return once the terminal has taken everything; can be cancelled."""
        if self._kept and not self.broken:
            done = asyncio.get_running_loop().create_future()
            self._waiting.append(done)
            await done

    def close(self, seconds: float = 2.0) -> None:
        """Write what is kept, for so long at most, and let the terminal go."""
        self._watch(on=False)
        until = time.monotonic() + seconds
        while self._kept and not self.broken and self._fd >= 0:
            left = until - time.monotonic()
            if left <= 0 or not select.select([], [self._fd], [], left)[1]:
                break
            self._write_chunks()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._kept.clear()

    def _pump(self) -> None:
        self._write_chunks()
        self._watch(on=bool(self._kept))
        if not self._kept:
            waiting, self._waiting = self._waiting, []
            for done in waiting:
                if not done.done():
                    done.set_result(None)

    def _write_chunks(self) -> None:
        try:
            while self._kept:
                if self._fd < 0:
                    self._stream.buffer.write(self._kept)
                    self._stream.flush()
                    self._kept.clear()
                    return
                written = os.write(self._fd, memoryview(bytes(self._kept[:_CHUNK])))
                del self._kept[:written]
        except BlockingIOError:
            return
        except (OSError, ValueError):
            # A terminal that is gone (EIO) must not end a run.
            self.broken = True
            self._kept.clear()

    def _watch(self, *, on: bool) -> None:
        if on and self._loop is None and self._fd >= 0:
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._loop.add_writer(self._fd, self._writable)
        elif not on and self._loop is not None:
            self._loop.remove_writer(self._fd)
            self._loop = None

    def _writable(self) -> None:
        self._pump()
        if not self._kept:
            self.drained()


def _own(stream: TextIO) -> int:
    """Return a description of the stream's terminal that never blocks; -1 where there is none."""
    try:
        stream.flush()
        flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(os.ttyname(stream.fileno()), flags)
    except (OSError, ValueError):
        return -1


class SteadyOutput(Vt100_Output):
    """What prompt-toolkit draws on: pictures between `begin` and `end` are one write."""

    def __init__(self, writer: TerminalWriter, stream: TextIO, size: Callable[[], Size]) -> None:
        # Where the cursor is is never asked: the answer would come in among the keys.
        super().__init__(stream, size, term=os.environ.get("TERM"), enable_cpr=False)  # noqa: TID251 - as prompt-toolkit's own
        self._writer = writer
        self._open = 0

    def begin(self) -> None:
        """A picture begins; or a part of one that was begun."""
        self._open += 1

    def end(self) -> None:
        """It is whole, once everything that was begun has ended."""
        self._open -= 1
        if self._buffer and not self._open:
            self._buffer.insert(0, _BEGIN)
            self._buffer.append(_END)
            self.flush()

    def erase_down(self) -> None:
        """Erase from the cursor, at the start of a line, to the end of the screen; in two steps, as
        tmux keeps a copy of a screen that is erased at one go (scroll-on-clear)."""
        self.write_raw("\x1b[K\x1b7\x1b[B\x1b[J\x1b8")

    def flush(self) -> None:
        """Hand over what was drawn, unless a picture is not whole yet."""
        if self._buffer and not self._open:
            data = "".join(self._buffer)
            self._buffer.clear()
            self._writer.write(data)
