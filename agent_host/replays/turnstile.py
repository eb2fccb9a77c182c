"""When a piece of the engine's work may begin: once what it records first is due.

Theory of operation: `Session` names its tasks after their actions. Which of two that were decided
on shortly after each other came first was left to chance when the run was recorded; here each
waits at its beginning until the cursor stands at an event about its call. Work that would record
nothing at first (a question that was put before) begins at once.
"""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

from agent_host.core.events import (
    ApprovalExpired,
    ApprovalRequested,
    Event,
    InputRequested,
    SamplingRequested,
)
from agent_host.replays.cursor import Cursor
from agent_host.replays.recording import call_of

_NAME = re.compile(r"(?P<kind>approval|answers|tool)\d*:\d+:(?P<call>.*)", re.DOTALL)


class Turnstile:
    """See the module. It stands before every task of the cursor's loop."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._waiting: dict[asyncio.Future[None], tuple[str, str]] = {}

    async def behind(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do the work of the present task, as soon as it is its turn."""
        task = asyncio.current_task()
        found = _NAME.fullmatch("" if task is None else task.get_name())
        if found is not None and self._is_held(found["kind"], found["call"]):
            future: asyncio.Future[None] = self._cursor.loop.create_future()
            self._waiting[future] = found["kind"], found["call"]
            try:
                await future
            finally:
                del self._waiting[future]
        return await work

    def turn(self) -> bool:
        """Let begin what records the event that is due; False if nothing waits for that."""
        event = self._cursor.event
        if event is None:
            return False
        for future, (kind, call) in self._waiting.items():
            if not future.done() and _begins(kind, call, event):
                future.set_result(None)
                return True
        return False

    def _is_held(self, kind: str, call: str) -> bool:
        """Whether what the work records first is still to come from its process."""
        event, recording, place = self._cursor.event, self._cursor.recording, self._cursor.place
        if event is None or _begins(kind, call, event):
            return False
        asks = kind == "answers"
        places = recording.next_asked(place, call) if asks else recording.next_of_call(place, call)
        end = recording.segment(place).stop
        if any(p < end and _begins(kind, call, recording.events[p]) for p in places):
            return True
        # Its process ended before it came to that, or there is nothing to record first.
        return not self._asked(kind, call, place)

    def _asked(self, kind: str, call: str, place: int) -> bool:
        """Whether a question about the call was recorded before."""
        if kind == "tool":
            return False
        recording = self._cursor.recording
        before = recording.asked_before if kind == "answers" else recording.before_of_call
        return any(_begins(kind, call, recording.events[p]) for p in before(place, call))


def _begins(kind: str, call: str, event: Event) -> bool:
    """Whether such work about that call may record that event first."""
    if kind == "tool":
        return call_of(event) == call
    if kind == "approval":
        return isinstance(event, ApprovalRequested | ApprovalExpired) and event.call_id == call
    return isinstance(event, InputRequested | SamplingRequested) and event.call_id == call
