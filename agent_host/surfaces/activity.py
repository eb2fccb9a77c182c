"""What a session does now, told to the picture of what is under way.

Theory of operation: facts and deltas move a `Live`; nothing is written here. Where nothing may move
on the screen, the few changes that are worth a line are returned instead: who is asked, and a
call's progress by quarters, so that a flood of it is four lines at most.
"""

import math

from agent_host.core.events import (
    Interrupted,
    LimitReached,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Record,
    RunEnded,
    SummaryFinished,
    SummaryRequested,
    ToolArgumentsDelta,
    ToolFinished,
    ToolPaused,
    ToolProgress,
    ToolStarted,
)
from agent_host.core.text import clean_line
from agent_host.surfaces.brief import brief_arguments, title
from agent_host.surfaces.live import Live

_QUARTERS = 4


class Activity:
    """Keeps `live` in step with a session."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._names: dict[str, str] = {}
        self._quarters: dict[str, int] = {}
        self._written: dict[int, int] = {}

    def follow(self, record: Record, now: float) -> str:
        """Take a fact; return what to say of it where nothing moves, or nothing."""
        event = record.event
        match event:
            case ModelRequested():
                self._written.clear()
                asked = f"asking {clean_line(event.model or event.provider, 60)}"
                self._live.work(asked, now)
                return asked
            case SummaryRequested():
                self._live.work("asking for a summary of what was said", now)
            case ToolStarted():
                name = self._names[event.call_id] = title(event.server, event.tool)
                self._live.rest()
                self._live.start(event.call_id, name, brief_arguments(event.arguments), now)
            case ToolPaused():
                count = len(event.requests)
                waits = f"waits for {count} answer{'' if count == 1 else 's'}"
                self._live.pause(event.call_id, waits)
            case ToolFinished():
                self._names.pop(event.result.call_id, None)
                self._quarters.pop(event.result.call_id, None)
                self._live.finish(event.result.call_id)
            case ModelResponded() | ModelFailed() | SummaryFinished():
                self._live.rest()
            case Interrupted() | LimitReached() | RunEnded():
                self._live.rest()
            case _:
                pass
        return ""

    def prepare(self, delta: ToolArgumentsDelta, now: float) -> None:
        """The model writes the arguments of a call."""
        size = self._written[delta.index] = self._written.get(delta.index, 0) + len(delta.text)
        name = clean_line(delta.name, 60) or "a call"
        self._live.work(f"writing {name}", now, note=f"{size:,} characters")

    def progress(self, item: ToolProgress) -> str:
        """A call says how far it is; return a line when another quarter is done."""
        self._live.progress(item.call_id, item.progress, item.total, item.message)
        name = self._names.get(item.call_id)
        if name is None or not item.total or not math.isfinite(item.progress / item.total):
            return ""
        quarter = min(int(_QUARTERS * item.progress / item.total), _QUARTERS - 1)
        if quarter <= self._quarters.get(item.call_id, 0):
            return ""
        self._quarters[item.call_id] = quarter
        said = f"{name}  {100 * quarter // _QUARTERS} % done"
        message = clean_line(item.message, 120)
        return f"{said}  {message}" if message else said
