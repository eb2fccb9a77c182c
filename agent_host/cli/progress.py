"""What is going on, on stderr, while a command takes its time.

Theory of operation: one line that is written only after a moment, at most four times a second, and
erased when the work is over, so that nothing stays of it. Whatever else is written meanwhile
erases it first. Where stderr is no terminal there is nothing at all. Where a line cannot be
rewritten, or should not be (TERM=dumb, `spinner = false` in terminal.toml, for screen readers), a
plain line is written when what is going on changes, and no more than one in two seconds. Work
inside of work says nothing of its own.
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TextIO, cast

from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line, clip

_WISHES = "agent_host.config.terminal_file"
"""Loads pydantic, so only at a terminal."""
_SOON = 0.4
"""Seconds that go by without a word."""
_TICK = 0.25
_BETWEEN = 2.0
"""Seconds between two plain lines."""
_ERASE = "\r\x1b[2K"

Say = Callable[[str], None]
"""Takes what is going on now, in a few words."""

_under_way = threading.Lock()


@contextmanager
def progress(words: str) -> Iterator[Say]:
    """Show what is going on while the block runs; yields what changes the words."""
    if not sys.stderr.isatty() or not _under_way.acquire(blocking=False):
        yield lambda _: None
        return
    streams = sys.stdout, sys.stderr
    line = _Line(sys.stderr, words, moves=_moves())
    thread = threading.Thread(target=line.run, daemon=True)
    sys.stdout, sys.stderr = (cast(TextIO, _Beside(stream, line)) for stream in streams)
    thread.start()
    try:
        yield line.say
    finally:
        line.over.set()
        thread.join()
        sys.stdout, sys.stderr = streams
        _under_way.release()


def _moves() -> bool:
    if os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        file: Any = import_module(_WISHES)
        said: dict[str, Any] = file.read_terminal(file.user_terminal_file())
        return said.get("spinner") is not False
    except ConfigError:  # whoever uses the file says so
        return True


class _Line:
    """The line. Its lock is held by whoever writes."""

    def __init__(self, stream: TextIO, words: str, *, moves: bool) -> None:
        self.over = threading.Event()
        self.lock = threading.RLock()
        self._stream = stream
        self._words = words
        self._moves = moves
        self._shown = ""

    def say(self, words: str) -> None:
        self._words = words

    def run(self) -> None:
        began = time.monotonic()
        if self.over.wait(_SOON):
            return
        while True:
            with self.lock:
                self._draw(time.monotonic() - began)
            if self.over.wait(_TICK if self._moves else _BETWEEN):
                break
        with self.lock:
            self.erase()

    def _draw(self, seconds: float) -> None:
        said = clean_line(self._words, 300)
        if not self._moves:
            if said != self._shown:
                self._write(f"{said} ...\n")
                self._shown = said
            return
        columns = shutil.get_terminal_size().columns - 1
        line = clip(f"{said} ... {seconds:.0f} s", max(columns, 10))
        if line != self._shown:
            self._write(f"{_ERASE}{line}")
            self._shown = line

    def erase(self) -> None:
        """Take the line away; whoever calls holds the lock."""
        if self._moves and self._shown:
            self._write(_ERASE)
            self._shown = ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # nobody is there any more
            self.over.set()


class _Beside:
    """A stream whose writes erase the line first."""

    def __init__(self, stream: TextIO, line: _Line) -> None:
        self._stream = stream
        self._line = line

    def write(self, text: str) -> int:
        with self._line.lock:
            self._line.erase()
            return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
