"""Lines from the controlling terminal, without a screen library.

Theory of operation: `/dev/tty` is read in the terminal's own line mode through the event loop, so
that a question costs no thread and can be withdrawn at any time, and so that a human can be asked
although stdin is a pipe. The only file of this room that knows POSIX terminals; where there is none
`open_terminal` returns None, and the caller refuses what it cannot ask.
"""

import asyncio
import os
import select
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from agent_host.core.text import clean
from agent_host.surfaces.arguments import parse_edited
from agent_host.surfaces.outlet import Outlet, held
from agent_host.surfaces.question import wrap

_CHUNK = 65536
_LONGEST = 1 << 20


class TerminalLines:
    """Reads lines from a terminal. `fd` is open for reading and is owned by this object."""

    def __init__(self, fd: int, screen: Outlet) -> None:
        self._fd = fd
        self._screen = screen
        self._typed = b""

    def close(self) -> None:
        """Close the terminal. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def fileno(self) -> int:
        """Return the terminal's file descriptor."""
        return self._fd

    def discard_typed_ahead(self) -> None:
        """Forget what was typed before the question was shown: it cannot answer it."""
        self._typed = b""
        try:
            termios.tcflush(self._fd, termios.TCIFLUSH)
        except termios.error:
            return  # the terminal is gone; the next read says so

    async def ask(self, prompt: str) -> str | None:
        """Show `prompt` and return the next line, or None at the end of input."""
        self._screen.write_now(prompt)
        while b"\n" not in self._typed:
            piece = await self._read()
            if not piece or len(self._typed) > _LONGEST:
                self._screen.write_now("\n")
                return None
            self._typed += piece
        # The terminal has echoed the line's end.
        self._screen.at_line_start = True
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode("utf-8", "replace")

    async def type_in(self, prompt: str, *, text: str = "", hidden: bool = False) -> str | None:
        """As `ask`; Enter alone keeps `text`. `hidden`: what is typed is not shown."""
        if text:
            for row in wrap(f"now: {clean(text)} (Enter keeps it)", self._screen.width - 4):
                self._screen.write_now(f"  {row}\n")
        if not hidden:
            line = await self.ask(prompt)
            return text if line == "" else line
        with self._unseen():
            line = await self.ask(prompt)
        if line is not None:
            self._screen.write_now("\n")
        return line

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        """While inside, the terminal does not show what is typed."""
        try:
            before = termios.tcgetattr(self._fd)
        except termios.error:
            yield  # the terminal is gone; the next read says so
            return
        quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        termios.tcsetattr(self._fd, termios.TCSANOW, quiet)
        try:
            yield
        finally:
            with suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSANOW, before)

    async def edit(self, text: str) -> str | None:
        """Show `text` (JSON) and return what is typed in its place, or None for nothing.

        Reads until the lines are a JSON object, or an empty line."""
        self._screen.write_now(f"{text}\n")
        typed = ""
        prompt = "new arguments as JSON, an empty line ends them: "
        while True:
            line = await self.ask(prompt)
            if line is None or not line.strip():
                return typed or None
            typed += f"{line}\n"
            if not isinstance(parse_edited(typed), str):
                return typed
            prompt = "… "

    async def _read(self) -> bytes:
        """What is typed; empty at the end. A terminal throws away what it has announced already
        when Ctrl-C is pressed: then it is waited for again."""
        loop = asyncio.get_running_loop()
        while True:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_reader(self._fd, _wake, ready)
            try:
                await ready
                if select.select([self._fd], [], [], 0)[0]:
                    return os.read(self._fd, _CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                return b""
            finally:
                loop.remove_reader(self._fd)


class LineMessages:
    """The chat's messages where the screen cannot be drawn on (TERM=dumb): a line each, or more
    with a backslash before Enter. `hold` are the outlets that wait while a line is open."""

    def __init__(self, lines: TerminalLines, *, hold: Sequence[Outlet]) -> None:
        self._lines = lines
        self._hold = tuple(hold)

    async def read(self) -> str | None:
        """Return the next message, or None at the end of input."""
        for outlet in self._hold:
            outlet.end_line()
        with held(self._hold):
            try:
                return await self._read()
            except asyncio.CancelledError:
                for outlet in self._hold:
                    outlet.write_now("\n")
                raise

    async def _read(self) -> str | None:
        text = await self._lines.ask("> ")
        while text is not None and text.endswith("\\"):
            more = await self._lines.ask(". ")
            text = None if more is None else f"{text[:-1]}\n{more}"
        return text


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def open_terminal(screen: Outlet) -> TerminalLines | None:
    """Return the controlling terminal, if `screen` is one and there is one to read from."""
    if not screen.tty:
        return None
    try:
        fd = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    return TerminalLines(fd, screen)
