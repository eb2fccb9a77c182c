"""Where a surface writes: a text stream with what a writer has to know about it.

Theory of operation: the only file that touches a stream. It knows whether colours and cursor
movements are welcome (NO_COLOR, TERM=dumb, a pipe), how wide the screen is now, replaces what the
encoding cannot carry, notices a reader that went away, and holds back everything while a question
to a human is open, so that nothing is drawn over it.
"""

import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol, TextIO
from unicodedata import east_asian_width

from agent_host.surfaces.pipe import Pipe, pipe_of

Style = str
"""A name of `_SGR`."""

_SGR = {
    "dim": "2",
    "bold": "1",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "alert": "1;33",
}
_NARROWEST = 20
_ERASE = "\r\x1b[K"
_PAINT = re.compile(r"\x1b\[[0-9;]*m")


class Writer(Protocol):
    """What writes a terminal without waiting for it (see `steady.TerminalWriter`)."""

    @property
    def broken(self) -> bool:
        """Whether it is gone."""

    def write(self, text: str) -> None:
        """Write what it takes now; the rest follows."""

    async def drain(self) -> None:
        """Return once it has taken everything; can be cancelled."""


class Outlet:
    """A stream to write to. `tty`: people read it; `styled`: colours are welcome; `movable`: the
    line that the cursor is on can be erased. `broken`: its reader is gone, writes do nothing.
    `failure`: why, if it was no reader's choice (a file on a full disk). `above`: takes what is
    written while an input line stands at the bottom of the same screen, and shows it above.
    `foot`: what to show below whatever is written, as `show_transient` takes it. `writer`: what
    writes to the stream in this object's place."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self.tty = stream.isatty()
        self.movable = self.tty and environ.get("TERM", "") not in {"", "dumb", "unknown"}
        self.styled = self.movable and not environ.get("NO_COLOR")
        self.broken = False
        self.failure = ""
        self.above: Callable[[str], None] | None = None
        self.at_line_start = True
        self._holds = 0
        self._held: list[str] = []
        self._held_on_new_line = False
        self._transient: list[int] = []
        self._foot_width = 0
        self._reflows = not environ.get("XTERM_VERSION") and not environ.get("STY")
        self.foot: Callable[[], str] | None = None
        self.writer: Writer | None = None
        self._pipe = _pipe_behind(stream)

    async def drain(self) -> None:
        """Return once a pipe, or a terminal that is not waited for, has taken everything; can be
        cancelled. At once for all else."""
        if self.writer is not None:
            await self.writer.drain()
        elif self._pipe is not None:
            await self._pipe.drain()

    def finish(self) -> None:
        """Write everything that a pipe has not taken yet, however long its reader takes."""
        if self._pipe is not None:
            self._pipe.finish()

    @property
    def width(self) -> int:
        """Columns of the screen as it is now; 80 where there is none."""
        return max(self._size()[0], _NARROWEST)

    @property
    def height(self) -> int:
        """Lines of the screen as it is now; 24 where there is none."""
        return max(self._size()[1], 4)

    def _size(self) -> tuple[int, int]:
        try:
            columns, lines = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return columns or 80, lines or 24

    def paint(self, text: str, style: Style | None) -> str:
        """Return `text` in a style, or as it is where colours are not welcome."""
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style and text and self.styled else text

    def write(self, text: str) -> None:
        """Write text that is safe to show, at once; or later, if a question is open."""
        if self._holds:
            self._held.append(text)
        else:
            self.write_now(text)

    def write_now(self, text: str) -> None:
        """Write even while everything else is held back."""
        if not text or self.broken:
            return
        erase = self._erasing()
        self.at_line_start = text.endswith("\n")
        if self.above is not None:
            self.above(text)
            return
        below = self.foot() if self.foot is not None and self._footed() else ""
        self._put(erase + text + (self._drawn(below) if below else ""))

    def show_transient(self, text: str) -> None:
        """Show `text` until something else is written: a few lines, each narrower than the
        screen. What is shown already is drawn over, so that nothing flickers."""
        if not self._footed():
            return
        if self._transient and self.width != self._foot_width:
            self._put(self._erasing())
        rows = len(self._transient)
        up = _up(rows - 1)
        drawn = self._drawn(text)
        left = max(rows - len(self._transient), 0)
        self._put(up + drawn + "\x1b[B\x1b[2K" * left + _up(left))

    def clear_transient(self) -> None:
        """Take the transient lines away."""
        if self._transient:
            self._put(self._erasing())

    def signal(self, sequence: str) -> None:
        """Send a control sequence of ours that moves nothing and shows nothing (a title, a bell);
        also while a question is open."""
        if self.movable and not self.broken:
            self._put(sequence)

    def _footed(self) -> bool:
        """Whether lines can stand below what was written, and be taken away again."""
        return self.movable and not self._holds and self.at_line_start and self.above is None

    def _drawn(self, text: str) -> str:
        lines = text.split("\n")
        self._transient = [_cells(line) for line in lines]
        self._foot_width = self.width
        if len(lines) == 1:
            return f"{_ERASE}{text}"
        return "\r" + "\n".join(f"{line}\x1b[K" for line in lines)

    def _erasing(self) -> str:
        """Return how to take the transient lines away; they are forgotten. A screen that became
        narrower has broken them anew, if it is one that does so. Line by line: some terminals keep
        a copy of what is erased at one go (tmux's scroll-on-clear)."""
        if not self._transient:
            return ""
        width, rows = self.width, len(self._transient)
        if self._reflows and width < self._foot_width:
            rows = sum(max(-(-cells // width), 1) for cells in self._transient)
        self._transient = []
        return _ERASE + "\x1b[A\x1b[2K" * (rows - 1)

    def end_line(self) -> None:
        """Start a new line unless the cursor is at the start of one."""
        if self._holds:
            if not self._held:
                self._held.append("")
                self._held_on_new_line = True
            elif self._held[-1] and not self._held[-1].endswith("\n"):
                self._held.append("\n")
        elif not self.at_line_start:
            self.write_now("\n")

    def _put(self, text: str) -> None:
        if self.writer is not None:
            self.writer.write(text)
            self.broken = self.writer.broken
            return
        if self._pipe is not None:
            self._pipe.write(text.encode(self._stream.encoding or "utf-8", "backslashreplace"))
            self.broken = self._pipe.broken
            return
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding or "ascii"
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError) as error:
            # A reader that left (EPIPE, EIO of a closed terminal) must not end a run.
            self.broken = True
            if isinstance(error, OSError) and error.errno not in {errno.EPIPE, errno.EIO}:
                self.failure = error.strerror or "it failed"

    @contextmanager
    def held(self) -> Iterator[None]:
        """While inside, `write` is held back; afterwards what was held is written."""
        self.clear_transient()
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if not self._holds and self._held:
                text = "".join(self._held)
                # Whether the cursor stands in a line is known only now: who answered ended it.
                if self._held_on_new_line and not self.at_line_start:
                    text = f"\n{text}"
                self._held.clear()
                self._held_on_new_line = False
                self.write_now(text)


def _up(rows: int) -> str:
    return f"\x1b[{rows}A" if rows > 0 else ""


def _cells(line: str) -> int:
    """Return how wide a painted line is, at most two cells a character."""
    text = _PAINT.sub("", line)
    return (
        len(text) if text.isascii() else sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
    )


def _pipe_behind(stream: TextIO) -> Pipe | None:
    try:
        stream.flush()
        return pipe_of(stream.fileno())
    except (OSError, ValueError):
        return None


@contextmanager
def held(outlets: Sequence[Outlet]) -> Iterator[None]:
    """Hold back several outlets, as they may be the same screen."""
    with ExitStack() as stack:
        for outlet in outlets:
            stack.enter_context(outlet.held())
        yield
