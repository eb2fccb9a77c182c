"""Single keys that answer a question, without a screen library.

Theory of operation: while a question waits, the terminal hands over each key at once (not "raw":
Ctrl-C is still a signal) and echoes nothing; afterwards, and whatever happens, it is as it was
before. A new question hears nothing, and shows no prompt, until it has stood there for a moment in
which nobody typed: who writes something else, or holds a key down, answers nothing. What comes in
one piece is one press: a single character answers, an Enter behind it is part of it, and so is an
Enter that comes a moment later, by habit. Several characters at once are a word (`all`), or a
paste, which is never taken for the key that it begins or ends with: it is read until nothing more
comes, and hardly any of it is kept. Keys of the terminal (arrows) are told apart from Esc by what
follows at once. Nothing is waited for in a read: a terminal throws away what was typed when Ctrl-C
is pressed, also what it has announced already.
"""

import asyncio
import os
import re
import select
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, runtime_checkable

ESC = "\x1b"
"""What Esc is, as a key and as a line of nothing else: it gives up exactly what is asked."""
RESIZED = "\x00resized"
"""What `press` returns when the screen has another size, or somebody else had it meanwhile (Ctrl-Z,
and back again), and nothing was typed."""

_CHUNK = 4096
_ESC_SECONDS = 0.05
"""How long the rest of a key of the terminal may take after its first byte."""
_PASTE_SECONDS = 2.0
"""How long the rest of a paste that has begun may take, on a bad line."""
_LOOK_SECONDS = 0.25
"""How often it is looked whether the screen has another size."""
_HABIT_SECONDS = 0.4
_UNHEARD_SECONDS = 0.4
"""How long a new question stands, without a key, before it hears one."""
_GLANCE_SECONDS = 0.05
_KEYS = {"[C": ">", "OC": ">", "[D": "<", "OD": "<", "[6~": "m", "[B": "m", "OB": "m"}
"""Arrows and Page Down, by what follows the Esc."""
_REPEATED = frozenset("m ?")
"""Keys that may come twice in one piece and mean no answer."""
_MOVES = frozenset("<>")
"""Keys that go to another question: whoever pressed one may press the next at once."""
_PASTE = re.compile("\x1b\\[20[01]~")
_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
_KEPT = 64
"""Bytes of either end of what came in many pieces."""
_PASTES_ON, _PASTES_OFF = "\x1b[?2004h", "\x1b[?2004l"


@runtime_checkable
class KeyReader(Protocol):
    """A reader of lines that can also take a single key."""

    async def press(self, prompt: str) -> str | None:
        """Return a key (or a word that came in one piece), ESC, RESIZED, or None at the end of
        input. Enter alone is the empty text."""


class Lines(Protocol):
    """Where lines are typed (see `approval.LineReader` and `form.FieldReader`)."""

    def discard_typed_ahead(self) -> None:
        """Forget what was typed so far."""

    async def ask(self, prompt: str) -> str | None:
        """Return one line, or None at the end of input."""

    async def edit(self, text: str) -> str | None:
        """Let a human change `text`; None: they gave up."""

    async def type_in(self, prompt: str, *, text: str = "", hidden: bool = False) -> str | None:
        """As `ask`, with `text` there already; `hidden`: what is typed is not shown."""


@runtime_checkable
class OfTerminal(Protocol):
    """Whatever reads a terminal, and says which."""

    def fileno(self) -> int:
        """Return the file descriptor of the terminal."""


class _Asked(Protocol):
    async def ask(self, prompt: str) -> str | None: ...


async def choose(reader: _Asked, prompt: str) -> str | None:
    """Return what a person chooses: by a key where the reader can, else by a line."""
    if isinstance(reader, KeyReader):
        return await reader.press(prompt)
    return await reader.ask(prompt)


class Keys:
    """Reads keys from the terminal open as `fd`; `write` puts text on its screen, `size` says how
    large that is, `now` is a clock that never goes back (seconds)."""

    def __init__(
        self,
        fd: Callable[[], int],
        *,
        write: Callable[[str], None],
        size: Callable[[], object] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fd = fd
        self._write = write
        self._size = size
        self._now = now
        self._pressed_at = float("-inf")
        self._kept = ""
        self._last: str | None = None
        self._unheard = False

    def forget(self) -> None:
        """Forget what was typed before a question was shown, and what is typed before anybody can
        have read it: it is a new one."""
        self._kept = ""
        self._unheard = True
        with suppress(termios.error, OSError, ValueError):
            termios.tcflush(self._fd(), termios.TCIFLUSH)

    async def press(self, prompt: str) -> str | None:
        """See `KeyReader`."""
        shown_at = self._size()
        with self._at_once():
            said = await self._settle()
            self._write(prompt)
            if said is None:
                said = await self._next(shown_at)
                while said == "" and self.habit():
                    said = await self._next(shown_at)
        self._write("\n" if said in {None, RESIZED} else f"{_name(said or '')}\n")
        if said != RESIZED:
            self._pressed_at, self._last = self._now(), said
        return said

    async def settled(self) -> None:
        """Return once a new question hears what is typed; see the module."""
        if self._unheard:
            with self._at_once():
                await self._settle()

    async def _settle(self) -> str | None:
        """Let go of what is typed until nothing comes for a while; return a move to another
        question behind such a move, which ends it at once."""
        until = self._now() + _UNHEARD_SECONDS
        while self._unheard and (left := until - self._now()) > 0:
            piece = await self._read(min(left, _GLANCE_SECONDS))
            if piece is None:
                continue
            if not piece:
                break  # the end; whoever reads next is told so as well
            text = (await self._rest_of(piece)).decode("utf-8", "replace")
            move = _KEYS.get(text[1:], "") if text[0] == ESC else text
            if move in _MOVES and self._last in _MOVES:
                self._unheard = False
                return move
            until = self._now() + _UNHEARD_SECONDS
        self._unheard = False
        return None

    def habit(self) -> bool:
        """Whether an Enter now only belongs to the key before it."""
        return self._now() - self._pressed_at < _HABIT_SECONDS

    async def _next(self, shown_at: object) -> str | None:
        if self._kept:
            said, self._kept = self._kept[0], self._kept[1:]
            return "m" if said == " " else said
        text = await self._typed(shown_at)
        if text is None or text == RESIZED:
            return text
        if text.startswith("\x04"):
            return None
        if text[0] == ESC and len(text) > 1 and not _PASTE.search(text):
            return _KEYS.get(text[1:], f"\x1b{text[1:]}")
        if _PASTE.search(text):
            return "a paste"
        line = text.rstrip("\r\n")
        if len(line) > 1 and set(line) <= _REPEATED:
            self._kept = line[1:]
            line = line[0]
        return "m" if line == " " else line

    async def _typed(self, shown_at: object) -> str | None:
        """The next piece that is typed; RESIZED; None at the end."""
        piece = await self._read(_LOOK_SECONDS)
        changed: object = None
        while piece is None:
            size = self._size()
            # Once a window that is being dragged has come to rest.
            if size != shown_at and size == changed:
                return RESIZED
            changed = size
            if self._lost():
                return RESIZED
            piece = await self._read(_LOOK_SECONDS)
        return (await self._rest_of(piece)).decode("utf-8", "replace") if piece else None

    async def _rest_of(self, piece: bytes) -> bytes:
        """A piece with what belongs to it and comes a little later."""
        while seconds := _more_in(piece):
            more = await self._read(seconds)
            if not more:
                break
            piece = _ends_of(piece + more)
        return piece

    async def _read(self, seconds: float) -> bytes | None:
        """What is there to read; empty at the end; None if nothing came in time."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[bool] = loop.create_future()
        fd = self._fd()
        loop.add_reader(fd, _wake, ready, True)
        timer = loop.call_later(seconds, _wake, ready, False)
        try:
            return _taken(fd) if await ready else None
        finally:
            timer.cancel()
            loop.remove_reader(fd)

    def _lost(self) -> bool:
        """Whether somebody else has set the terminal to hand over lines, as a shell does."""
        try:
            return bool(termios.tcgetattr(self._fd())[3] & termios.ICANON)
        except (termios.error, OSError, ValueError):
            return False

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """While inside, the terminal hands over each key, and echoes none."""
        fd = self._fd()
        try:
            before = termios.tcgetattr(fd)
        except (termios.error, OSError, ValueError):
            yield  # no terminal, or it is gone; the next read says so
            return
        quiet = [*before[:3], before[3] & ~(termios.ECHO | termios.ICANON), *before[4:]]
        quiet[0] &= ~termios.IXON  # Ctrl-S stops nothing
        quiet[3] |= termios.ISIG
        quiet[6] = list(before[6])
        quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 0, 0
        termios.tcsetattr(fd, termios.TCSANOW, quiet)
        self._write(_PASTES_ON)
        try:
            yield
        finally:
            self._write(_PASTES_OFF)
            with suppress(termios.error, OSError):
                termios.tcsetattr(fd, termios.TCSANOW, before)


class KeyedLines:
    """A reader of lines at a terminal that hands over single keys as well."""

    def __init__(self, lines: Lines, keys: Keys) -> None:
        self._lines = lines
        self._keys = keys

    def discard_typed_ahead(self) -> None:
        """Forget what was typed so far, by the terminal and by whoever reads lines."""
        self._lines.discard_typed_ahead()
        self._keys.forget()

    async def press(self, prompt: str) -> str | None:
        """See `KeyReader`."""
        return await self._keys.press(prompt)

    async def ask(self, prompt: str) -> str | None:
        """Return one line; an Enter that belongs to the key before is none."""
        await self._keys.settled()
        line = await self._lines.ask(prompt)
        while line == "" and self._keys.habit():
            line = await self._lines.ask(prompt)
        return line

    async def edit(self, text: str) -> str | None:
        """Let a human change `text`; None: they gave up."""
        return await self._lines.edit(text)

    async def type_in(self, prompt: str, *, text: str = "", hidden: bool = False) -> str | None:
        """See `Lines`; an Enter that belongs to the key before is none."""
        await self._keys.settled()
        line = await self._lines.type_in(prompt, text=text, hidden=hidden)
        while line == text and self._keys.habit():
            line = await self._lines.type_in(prompt, text=text, hidden=hidden)
        return line


def _taken(fd: int) -> bytes | None:
    """What is there to read; empty at the end; None if it is gone again."""
    try:
        if not select.select([fd], [], [], 0)[0]:
            return None
        data = os.read(fd, _CHUNK)
        if data:
            return data
        look = select.poll()
        look.register(fd, 0)
        return b"" if look.poll(0) else None
    except BlockingIOError:
        return None
    except (OSError, ValueError):
        return b""


def _more_in(piece: bytes) -> float:
    """Return how many seconds the rest of a piece may take; 0 if there can be none."""
    if _PASTE_ENDS not in piece[piece.rfind(_PASTE_BEGINS) :] and _PASTE_BEGINS in piece:
        return _PASTE_SECONDS
    try:
        alone = len(piece.decode()) == 1 and piece != b"\x1b"
    except UnicodeDecodeError:
        alone = False
    return 0.0 if alone else _ESC_SECONDS


def _ends_of(piece: bytes) -> bytes:
    """Return a piece, or as much of a long one as tells that it is no key."""
    if len(piece) <= 2 * _KEPT:
        return piece
    begins = _PASTE_BEGINS if _PASTE_BEGINS in piece else piece[:_KEPT]
    return begins + piece[-_KEPT:]


def _name(said: str) -> str:
    """What stands behind the prompt for a key: the key itself, if it is an ordinary one."""
    return "Esc" if said == ESC else said if len(said) == 1 and said.isprintable() else ""


def _wake(ready: asyncio.Future[bool], value: bool) -> None:
    if not ready.done():
        ready.set_result(value)
