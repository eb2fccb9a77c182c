"""What is under way, as the few lines at the foot of the screen.

Theory of operation: a pure model. A surface tells it what begins, moves and ends; `lines` gives the
picture for a width and a time, and may be asked for as often as somebody likes: it costs what a few
lines cost, whatever has happened. Nothing that is finished is here: it was printed above. Texts are
cut to what can be seen before anything is done with them, each line fits the width, and what there
is no room for is counted. `changed` is called after each change, for whoever draws.

From top to bottom: the end of the text or the reasoning that is being written, what the model is
doing, a line for each running call, messages that wait. All times are seconds of one clock that
never goes back.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent_host.surfaces.cells import Line, fit, fit_line, plain, rows, width_of

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME_SECONDS = 0.12
HEIGHT = 8
"""Lines that are shown at most."""

_CALLS = 4
_QUEUED = 2
_TAIL = 4
_KEPT = 2000
_LEAST = 6
"""Cells without which a part of a text is not worth having."""
_BAR = 10
_BAR_FROM = 60
_FULL, _EMPTY = "█", "░"


def elapsed(seconds: float) -> str:
    """Return a time for people: nothing below a second, `12 s`, `2 m 05 s`, `1 h 02 m`."""
    whole = int(max(seconds, 0.0))
    if whole < 1:
        return ""
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} m"


@dataclass(slots=True)
class _Call:
    title: str
    arguments: str
    since: float
    waits: str = ""
    progress: float = 0.0
    total: float | None = None
    moved: bool = False
    message: str = ""


class Live:
    """See the module. `still`: nothing is drawn, as for a screen reader."""

    def __init__(self, *, still: bool = False) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._still = still
        self._calls: dict[str, _Call] = {}
        self._activity = ""
        self._since = 0.0
        self._note = ""
        self._tail: Callable[[], str] | None = None
        self._tail_style = ""
        self._queued: tuple[str, ...] = ()

    @property
    def busy(self) -> bool:
        """Whether anything is under way, so that time alone changes the picture."""
        return bool(self._activity or self._calls)

    @property
    def calls(self) -> int:
        """How many calls are running."""
        return len(self._calls)

    def work(self, activity: str, now: float, *, note: str = "") -> None:
        """The one thing that is done besides calls: asking a model, thinking, compacting. The
        clock beside it starts when the words change; `note` comes after it."""
        if activity != self._activity:
            self._activity, self._since = activity, now
        self._note = note
        self.changed()

    def rest(self) -> None:
        """That is done; calls may still run."""
        if self._activity or self._tail:
            self._activity = self._note = ""
            self._tail = None
            self.changed()

    def show_tail(self, text: Callable[[], str] | None, style: str = "") -> None:
        """Show the end of a text that is not finished, in a style; None: there is none any more.
        `text` is asked for when there is something to draw."""
        self._tail, self._tail_style = text, style
        self.changed()

    def start(self, call_id: str, title: str, arguments: str, now: float) -> None:
        """A call runs from now on, or goes on."""
        self._calls[call_id] = _Call(title, arguments, now)
        self.changed()

    def pause(self, call_id: str, waits: str) -> None:
        """A call waits, for what `waits` says."""
        if call_id in self._calls:
            self._calls[call_id].waits = waits
            self.changed()

    def progress(self, call_id: str, done: float, total: float | None, message: str) -> None:
        """A call says how far it is; unknown calls are passed over."""
        call = self._calls.get(call_id)
        if call is None:
            return
        call.moved = math.isfinite(done)
        call.progress = done
        known = total is not None and math.isfinite(total) and total > 0
        call.total = total if known else None
        call.message = message[:_KEPT]
        self.changed()

    def finish(self, call_id: str) -> None:
        """A call is over."""
        if self._calls.pop(call_id, None) is not None:
            self.changed()

    def queue(self, messages: Sequence[str]) -> None:
        """These messages wait for the end of the step, in this order."""
        self._queued = tuple(messages)
        self.changed()

    def clear(self) -> None:
        """Nothing is under way any more; what waits stays."""
        self._calls.clear()
        self._activity = self._note = ""
        self._tail = None
        self.changed()

    def lines(self, width: int, now: float, height: int = HEIGHT) -> list[Line]:
        """Return the picture: at most `height` lines, none wider than `width` cells."""
        if self._still or height < 1:
            return []
        frame = FRAMES[int(now / FRAME_SECONDS) % len(FRAMES)]
        foot = self._queued_lines(width)
        calls = self._call_lines(frame, width, now, min(_CALLS, max(height - len(foot) - 1, 1)))
        below = [*self._activity_lines(frame, width, now), *calls, *foot]
        room = min(_TAIL, height - len(below))
        return [*self._tail_lines(width, room), *below][-height:]

    def _tail_lines(self, width: int, room: int) -> list[Line]:
        if room <= 0 or self._tail is None:
            return []
        # Rows that cannot be seen are not made, whatever the text is.
        text = self._tail()[-(room + 1) * width * 2 :]
        shown = [row for row in rows(text, width) if row.strip()]
        return [[(self._tail_style, row)] for row in shown[-room:]]

    def _activity_lines(self, frame: str, width: int, now: float) -> list[Line]:
        if not self._activity:
            return []
        words = [self._activity, elapsed(now - self._since), self._note]
        return [fit_line([("cyan", frame), ("dim", " " + "  ".join(filter(None, words)))], width)]

    def _call_lines(self, frame: str, width: int, now: float, most: int) -> list[Line]:
        shown = list(self._calls.values())
        hidden = 0
        if len(shown) > most:
            hidden = len(shown) - max(most - 1, 1)
            shown = shown[: max(most - 1, 1)]
        lines = [_call_line(call, frame, width, now) for call in shown]
        if hidden:
            lines.append([("dim", fit(f"  … and {hidden} more running", width))])
        return lines

    def _queued_lines(self, width: int) -> list[Line]:
        lines: list[Line] = [
            fit_line([("yellow", "queued "), ("", text[:_KEPT].strip())], width)
            for text in self._queued[:_QUEUED]
        ]
        more = len(self._queued) - _QUEUED
        if more > 0:
            lines.append([("dim", fit(f"… and {more} more queued", width))])
        return lines


def _call_line(call: _Call, frame: str, width: int, now: float) -> Line:
    """Spinner, name, arguments, time, share and message. Of a narrow screen the name has half; the
    arguments give way first, then the message."""
    mark = ("yellow", "?") if call.waits else ("cyan", frame)
    title = plain(call.title)
    room = width - 2 - min(width_of(title), max(width // 2, 8))
    end = ""
    says = [call.waits] if call.waits else [_share(call, width), plain(call.message).strip()]
    for place, part in enumerate((elapsed(now - call.since), *says)):
        free = room - width_of(end) - 2
        is_text = place == len(says)
        if part and (width_of(part) <= free or (is_text and free >= _LEAST)):
            end += f"  {fit(part, free)}"
    name = fit(title, max(width - 2 - width_of(end), 1))
    line: Line = [mark, ("", f" {name}")]
    room = width - 2 - width_of(name) - width_of(end)
    if call.arguments and room >= _LEAST:
        line.append(("dim", "  " + fit(call.arguments, room - 2)))
    return fit_line([*line, ("dim", end)], width)


def _share(call: _Call, width: int) -> str:
    if not call.moved:
        return ""
    if call.total is None:
        return f"{call.progress:g}"
    share = min(max(call.progress / call.total, 0.0), 1.0)
    percent = f"{share * 100:.0f} %"
    if width < _BAR_FROM:
        return percent
    full = round(share * _BAR)
    return f"{_FULL * full}{_EMPTY * (_BAR - full)} {percent}"
