"""What a terminal tells its user besides text: a title, a bell, a notification.

Theory of operation: our own fixed words and the name of the folder go out, and nothing of a server
or a model ever does, so that no content can use a title or a notification to say something. The
title is put on the terminal's stack at the start and taken from it at the end (XTWINOPS 22 and 23;
a terminal without a stack gets an empty title). A bell or notification comes when it is the user's
turn: at once for a question, after an answer only if the work took so long that the user may have
looked away. Sources: xterm's control sequences (OSC 2, CSI 22/23 t), iTerm2 and WezTerm (OSC 9),
rxvt-unicode and foot (OSC 777).
"""

from collections.abc import Callable, Mapping
from typing import Literal

from agent_host.core.text import clean_line

State = Literal["working", "waiting", "asking"]

_WORDS: Mapping[State, str] = {
    "working": "working",
    "waiting": "waiting for you",
    "asking": "asks you",
}
_LONG = 10.0
"""Seconds of work after which the user may have looked away."""
_PUSH, _POP = "\x1b[22;2t", "\x1b[23;2t"
_BELL = "\a"
_NO_TERMINAL = frozenset({"", "dumb", "unknown"})
_LEGACY = ("linux", "vt", "ansi", "cons")
"""Terminals that show the text of a title instead of taking it."""
_OSC_9 = frozenset({"iTerm.app", "WezTerm", "ghostty", "WarpTerminal"})
_OSC_777 = ("rxvt-unicode", "foot")


class Signals:
    """Tells the terminal's user whose turn it is. `write` takes bytes for the terminal that move
    nothing (an `Outlet.signal`); `now` is in seconds and never goes back; `folder` is a path."""

    def __init__(
        self,
        write: Callable[[str], None],
        environ: Mapping[str, str],
        *,
        now: Callable[[], float],
        folder: str,
        tty: bool,
        bell: bool = True,
        title: bool = True,
        notify: bool = False,
    ) -> None:
        term = environ.get("TERM", "")
        able = tty and term not in _NO_TERMINAL
        self._write = write
        self._now = now
        self._titled = able and title and not term.startswith(_LEGACY)
        self._bell = able and bell
        self._notice = _notice(environ) if able and notify else ""
        name = folder.rstrip("/").rpartition("/")[2] or "/"
        self._folder = clean_line(name, 40)
        self._state: State | None = None
        self._since = 0.0
        self._opened = False

    def open(self) -> None:
        """Keep the title that was there, and show ours."""
        if self._titled and not self._opened:
            self._opened = True
            self._write(_PUSH)
        self.set("waiting", quiet=True)

    def set(self, state: State, *, quiet: bool = False) -> None:
        """It is now the program's turn (`working`), the user's (`waiting`), or a question is open
        (`asking`). `quiet`: no bell, as the user has just been here."""
        if state == self._state:
            return
        before, self._state = self._state, state
        if self._opened:
            self._write(f"\x1b]2;agent-host: {self._folder} - {_WORDS[state]}\a")
        if state == "working":
            # Also after a question: whoever answered it was here a moment ago.
            self._since = self._now()
        elif not quiet and (state == "asking" or self._was_long(before)):
            self._call(state)

    def close(self) -> None:
        """Give the terminal its title back."""
        if self._opened:
            self._opened = False
            self._write(f"\x1b]2;\a{_POP}")
        self._state = None

    def _was_long(self, before: State | None) -> bool:
        return before == "working" and self._now() - self._since >= _LONG

    def _call(self, state: State) -> None:
        if self._notice:
            self._write(self._notice.format(f"agent-host: {_WORDS[state]}"))
        elif self._bell:
            self._write(_BELL)


def _notice(environ: Mapping[str, str]) -> str:
    """Return the notification that this terminal is known to have, or nothing."""
    if environ.get("TMUX") or environ.get("STY"):
        return ""
    if environ.get("TERM_PROGRAM", "") in _OSC_9 or environ.get("TERM") == "xterm-kitty":
        return "\x1b]9;{}\a"
    if environ.get("TERM", "").startswith(_OSC_777):
        return "\x1b]777;notify;agent-host;{}\a"
    return ""
