"""A real terminal with our program in it: keys in, a screen and the raw bytes out, deadlines.

The program comes from a nursery, at once, where that makes no difference: see `starts`."""

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte
from pyte.screens import Char

from tests.fakes import starts
from tests.fakes.programs import environment

_SHIM = (
    "import fcntl, os, sys, termios; fcntl.ioctl(2, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
_DEADLINE = 20.0
PROGRAM = (sys.executable, "-m", "agent_host")


class _Screen(pyte.HistoryScreen):
    """pyte knows no faint text: `blink`, which nothing of ours is, stands for it."""

    def select_graphic_rendition(self, *attributes: int) -> None:
        super().select_graphic_rendition(*attributes)
        for code in attributes:
            if code in (0, 2, 22):
                self.cursor.attrs = self.cursor.attrs._replace(blink=code == 2)


class Terminal:
    """Runs `python -m agent_host ...` with a controlling terminal of its own.

    `stdin` and `stdout` may be other files than the terminal. `program`: started instead, such as
    `PROGRAM`, ours by a start of Python.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        environ: Mapping[str, str] | None = None,
        columns: int = 80,
        lines: int = 24,
        stdin: int | None = None,
        stdout: int | None = None,
        program: Sequence[str] | None = None,
    ) -> None:
        self.raw = bytearray()
        self._screen = _Screen(columns, lines, history=5000, ratio=0.5)
        self._screen.write_process_input = self.keys  # answers "where is the cursor"
        self._stream = pyte.ByteStream(self._screen)
        self._fd, child = os.openpty()
        self.resize(columns, lines, child)
        home = str(cwd)
        env = {
            **environment(cwd),
            "XDG_DATA_HOME": f"{home}/data",
            "XDG_CONFIG_HOME": f"{home}/config",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            **(environ or {}),
        }
        streams = (child if stdin is None else stdin, child if stdout is None else stdout, child)
        self._process: starts.Program | subprocess.Popen[bytes]
        if program is None and starts.can_start(env):
            self._process = starts.Program(
                arguments, cwd=cwd, env=env, streams=streams, terminal=True
            )
        else:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", "-c", _SHIM, *(program or PROGRAM), *arguments],
                stdin=streams[0],
                stdout=streams[1],
                stderr=child,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
        os.close(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._fd >= 0:
            os.close(self._fd)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        """The screen, and what has scrolled off it."""
        above = ["".join(row[x].data for x in sorted(row)) for row in self._screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self._screen.display])

    @property
    def rows(self) -> list[list[Char]]:
        """The cells that are on the screen now, with their colours."""
        shown = range(self._screen.columns)
        return [[self._screen.buffer[y][x] for x in shown] for y in range(self._screen.lines)]

    def resize(self, columns: int, lines: int, fd: int | None = None) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._fd if fd is None else fd, termios.TIOCSWINSZ, size)
        if fd is None:
            self._screen.resize(lines, columns)
            os.kill(self.pid, signal.SIGWINCH)

    def keys(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait(self, wanted: str | Callable[[str], bool], *, times: int = 1) -> str:
        """Read until `wanted` is on the screen (`times` times) and return all the text."""
        deadline = time.monotonic() + _DEADLINE
        while True:
            text = self.text
            if wanted(text) if callable(wanted) else text.count(wanted) >= times:
                return text
            if not self._read(deadline):
                raise AssertionError(f"waited for {wanted!r} in vain; the screen:\n{self.text}")

    def repeat(self, keys: str, wanted: str) -> str:
        """Type `keys` again and again, as somebody does who waits for something to be there, until
        `wanted` is on the screen; return all the text."""
        deadline = time.monotonic() + _DEADLINE
        while time.monotonic() < deadline:
            self.keys(keys)
            while self._read(min(deadline, time.monotonic() + 0.5)):
                if wanted in self.text:
                    return self.text
        raise AssertionError(f"waited for {wanted!r} in vain; the screen:\n{self.text}")

    def exit_status(self) -> int:
        """Read to the end and return the exit status."""
        deadline = time.monotonic() + _DEADLINE
        while self._read(deadline):
            pass
        try:
            return self._process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end; the screen:\n{self.text}") from None

    def hang_up(self) -> int:
        """Close the terminal, as a window that is closed, and return the exit status."""
        os.close(self._fd)
        self._fd = -1
        return self._process.wait(_DEADLINE)

    def _read(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._fd], [], [], left)[0]:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)
