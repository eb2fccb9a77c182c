"""When a piece of the engine's work may begin: once what it records first is due.

Theory of operation: `Session` names its tasks after their actions. Which of two that were decided
on shortly after each other came first was left to chance when the run was recorded; here each
waits at its beginning until the cursor stands at an event about its call. Work that would record
nothing at first (a question that was put before) begins at once.
"""

import asyncio
import re
from collections.abc import Coroutine, Iterator
from typing import Any

from agent_host.core.events import (
    ApprovalExpired,
    ApprovalRequested,
    Event,
    InputRequested,
    Interrupted,
    SamplingRequested,
    UserSaid,
)
from agent_host.replays.cursor import Cursor
from agent_host.replays.recording import call_of
from agent_host.replays.tools import unsent

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
            try:
                await self._wait(found["kind"], found["call"])
            except asyncio.CancelledError:
                if found["kind"] != "answers" or not self._had_begun(found["call"]):
                    raise
                await self._wait(found["kind"], found["call"])
                assert task is not None  # it has a name
                self._cursor.loop.urgent.add(task)
                task.cancel()
        return await work

    def _had_begun(self, call: str) -> bool:
        """Whether work that a stop ends before its turn records something all the same."""
        cursor = self._cursor
        stopped = not cursor.over and cursor.recording.stopped(cursor.place)
        return stopped and self._is_to_come("answers", call)

    async def _wait(self, kind: str, call: str) -> None:
        future: asyncio.Future[None] = self._cursor.loop.create_future()
        self._waiting[future] = kind, call
        try:
            if (event := self._cursor.event) is None or not _begins(kind, call, event):
                await future
        finally:
            del self._waiting[future]

    def unsent(self) -> Coroutine[Any, Any, Any] | None:
        """What a call waits for before it is sent, if a stop came before that; else nothing."""
        task = asyncio.current_task()
        found = _NAME.fullmatch("" if task is None else task.get_name())
        cursor = self._cursor
        if found is None or found["kind"] != "tool":
            return None
        stopped = unsent(cursor.recording, cursor.place, found["call"])
        return self._until_stopped(found["call"]) if stopped else None

    async def _until_stopped(self, call: str) -> None:
        try:
            await self._cursor.reach(("nothing", call))
        except asyncio.CancelledError:
            await self._cursor.linger(("call", call))
            raise

    def ready(self, place: int) -> bool:
        """Whether all work has begun that a stop at `place` ends before it records anything: asking
        whether a server may have the model for a call that it paused."""
        waiting = set(self._waiting.values())
        return all(("answers", call) in waiting for call in self._stopped(place))

    def _stopped(self, place: int) -> Iterator[str]:
        recording = self._cursor.recording
        for at in range(place + 1, recording.segment(place).stop):
            event = recording.events[at]
            if isinstance(event, UserSaid):
                break
            if isinstance(event, SamplingRequested) and event.key:
                yield event.call_id

    def turn(self) -> bool:
        """Let begin what records the event that is due; False if nothing waits for that."""
        event = self._cursor.event
        if event is None:
            return False
        stopped = bool(self._cursor.events) and isinstance(self._cursor.events[-1], Interrupted)
        for future, (kind, call) in self._waiting.items():
            if kind == "answers" and stopped:
                continue  # the stop reaches it first
            if not future.done() and _begins(kind, call, event):
                future.set_result(None)
                return True
        return False

    def _is_held(self, kind: str, call: str) -> bool:
        """Whether what the work records first is still to come from its process."""
        event = self._cursor.event
        if event is None or _begins(kind, call, event):
            return False
        if self._is_to_come(kind, call):
            return True
        # Its process ended before it came to that, or there is nothing to record first.
        return not self._asked(kind, call, self._cursor.place)

    def _is_to_come(self, kind: str, call: str) -> bool:
        recording, place = self._cursor.recording, self._cursor.place
        asks = kind == "answers"
        places = recording.next_asked(place, call) if asks else recording.next_of_call(place, call)
        end = recording.segment(place).stop
        return any(p < end and _begins(kind, call, recording.events[p]) for p in places)

    def _asked(self, kind: str, call: str, place: int) -> bool:
        """Whether a question about the call was recorded before, by the same process."""
        if kind == "tool":
            return False
        recording = self._cursor.recording
        before = recording.asked_before if kind == "answers" else recording.before_of_call
        start = recording.segment(place).start
        places = (p for p in before(place, call) if p >= start)
        return any(_begins(kind, call, recording.events[p]) for p in places)


def _begins(kind: str, call: str, event: Event) -> bool:
    """Whether such work about that call may record that event first."""
    if kind == "tool":
        return call_of(event) == call
    if kind == "approval":
        return isinstance(event, ApprovalRequested | ApprovalExpired) and event.call_id == call
    return isinstance(event, InputRequested | SamplingRequested) and event.call_id == call
