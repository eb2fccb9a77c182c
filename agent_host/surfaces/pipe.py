"""A pipe that is written without ever waiting for its reader.

Theory of operation: a pipe that poll(2) calls writable takes PIPE_BUF bytes without blocking
(POSIX, pipe(7)). What it does not take now is kept, and written when the event loop says that it
can be. A reader that stops reading therefore stops neither the run nor Ctrl-C. What is kept is
bounded by what the run produces. `finish` waits, at the end, when there is nothing else to do.
"""

import asyncio
import os
import select
import stat

_CHUNK = select.PIPE_BUF
_COMPACT = 1 << 20


class Pipe:
    """The writing end of a pipe. `broken`: its reader is gone, and writes do nothing."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._kept = bytearray()
        self._written = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self.broken = False

    def write(self, data: bytes) -> None:
        """Write what the pipe takes now; the rest follows, or is written by `finish`."""
        if not self.broken:
            self._kept += data
            if self._loop is None:
                self._pump()

    def finish(self) -> None:
        """Write everything, however long the reader takes."""
        while self._pending() and not self.broken:
            self._write_chunk()
        self._stop_waiting()

    async def drain(self) -> None:
        """Return once everything is written; other work goes on, and it can be cancelled."""
        while self._pending() and not self.broken:
            self._stop_waiting()
            await _writable(self._fd)
            self._write_chunk()

    def _pending(self) -> bool:
        return len(self._kept) > self._written

    def _pump(self) -> None:
        while self._pending() and not self.broken and self._poll.poll(0):
            self._write_chunk()
        if self._pending() and not self.broken:
            self._wait()
        else:
            self._stop_waiting()

    def _write_chunk(self) -> None:
        try:
            self._written += os.write(self._fd, self._kept[self._written : self._written + _CHUNK])
        except OSError:
            self.broken = True
            self._written = len(self._kept)
        if self._written == len(self._kept) or self._written > _COMPACT:
            del self._kept[: self._written]
            self._written = 0

    def _wait(self) -> None:
        if self._loop is None:
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._loop.add_writer(self._fd, self._pump)

    def _stop_waiting(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_writer(self._fd)


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)


def pipe_of(fd: int) -> Pipe | None:
    """Return a Pipe if `fd` is one (or a socket), else None."""
    mode = os.fstat(fd).st_mode
    return Pipe(fd) if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
