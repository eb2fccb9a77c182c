"""The place in the record that a replay has come to, and who waits for it.

Theory of operation: whatever the engine records has to be the event at the cursor, which then moves
on. Whoever gives a recorded answer waits until the cursor stands at it, and is then woken before
anything else happens: so answers land in the order in which they were recorded, also those of calls
that ran at the same time. What neither the engine nor one of those can bring about comes from
outside (words of a user, facts about servers); `outside` is told that it is due.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from agent_host.core.errors import RecordError
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    Event,
    InputGiven,
    ModelFailed,
    ModelResponded,
    Record,
    RunResumed,
    SamplingFinished,
    SamplingRequested,
    ToolFinished,
    ToolPaused,
)
from agent_host.replays.difference import Divergence
from agent_host.replays.oversized import restored
from agent_host.replays.recording import Recording, without
from agent_host.replays.timeless import TimelessLoop

Key = tuple[str, str]
_LINGER = 1000
"""How many events may come between a stop and the end of what it stopped."""

Encode = Callable[[object], bytes]
"""Writes a value as one line of JSON (`records.codec.encode_value`)."""


class DivergedError(RecordError):
    """The engine did what is not recorded; `Cursor.divergence` says what."""


def cause(event: Event) -> Key | None:
    """Return whose answer an event records, or None if it records nobody's."""
    match event:
        case ModelResponded() | ModelFailed():
            return "model", event.request_id
        case ToolFinished():
            return "call", event.result.call_id
        case ToolPaused():
            return "call", event.call_id
        case ApprovalGiven() | ApprovalExpired():
            return "approval", event.call_id
        case InputGiven():
            return "input", event.input_id
        case SamplingRequested() | SamplingFinished():
            return "sampling", event.sampling_id
        case _:
            return None


class Cursor:
    """See the module. `against`: what the events are compared with, if not with the recording that
    gives the answers."""

    def __init__(
        self,
        recording: Recording,
        encode: Encode,
        loop: TimelessLoop,
        against: Recording | None = None,
    ) -> None:
        self.recording = recording
        self.against = against or recording
        self.loop = loop
        self.place = 0
        self.events: list[Event] = []
        self.divergence: Divergence | None = None
        self.unrecorded: set[str] = set()
        self.mark = ""
        """What padding stands for in the result that is taken next; see `oversized`."""
        self.outside: Callable[[], None] = lambda: None
        self.begin: Callable[[], bool] = lambda: False
        self.hurry: Callable[[], bool] = lambda: True
        self._encode = encode
        self._waiting: dict[Key, asyncio.Future[bool]] = {}

    @property
    def event(self) -> Event | None:
        """The event that is due, None at the end."""
        events = self.recording.events
        return events[self.place] if self.place < len(events) else None

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.divergence is not None or self.event is None

    def take(self, event: Event) -> None:
        """Compare what the engine recorded with the record, and go on. Raises DivergedError."""
        if self.divergence is not None:
            raise DivergedError("the replay has left the record")
        if self.mark and isinstance(event, ToolFinished):
            event = replace(event, result=restored(event.result, self.mark))
            self.mark = ""
        if not self._same(event):
            raise DivergedError("the replay left the record")
        self.events.append(event)
        self.place += 1
        self._arrive()

    def stop(self, reason: str, came: Event | None = None) -> None:
        """Say that nothing leads to the event that is due."""
        if self.divergence is None:
            self._diverge(came, reason)

    async def reach(self, key: Key) -> bool:
        """Return once the answer with this key is due: True, or False if nobody is to answer."""
        future: asyncio.Future[bool] = self.loop.create_future()
        self._waiting[key] = future
        if self._awaited() is future:  # it was due before anybody waited
            self._soon()
        try:
            answered: bool = await future
        finally:
            if self._waiting.get(key) is future:
                del self._waiting[key]
        return answered

    async def linger(self, key: Key) -> None:
        """Return once the end is due of work that was cancelled; if none is recorded, once the
        engine has heard of the stop. A call or a request that has no end had none before its
        process died, and has none here."""
        start = self.place
        end = self.recording.segment(start).stop
        ahead = (cause(self.recording.events[place]) for place in range(start, end))
        if self.over or isinstance(self.event, RunResumed):
            return
        if key in islice(ahead, _LINGER):
            await self.reach(key)
        elif key[0] in {"call", "model"}:
            await self.reach(("nothing", key[1]))
        else:
            await asyncio.sleep(0)

    def defer(self, kinds: tuple[str, ...]) -> bool:
        """Tell those who wait for a person's answer that nobody gives one; False if none waits."""
        found = [key for key in self._waiting if key[0] in kinds]
        for key in found:
            future = self._waiting.pop(key)
            if not future.done():
                future.set_result(False)
        return bool(found)

    def waits(self, key: Key) -> bool:
        """Whether somebody waits for the answer with this key."""
        return key in self._waiting

    def answer(self) -> bool:
        """Give the answer that is due, before anything else happens; False if nobody waits."""
        future = self._awaited()
        if future is None:
            return False
        if not future.done():
            with self.loop.at_the_front():
                future.set_result(True)
        return True

    def _arrive(self) -> None:
        if self._awaited() is not None:
            self._soon()
            return
        with self.loop.at_the_front():
            begun = self.begin()
        if not begun:
            self.outside()

    def _soon(self) -> None:
        """Ask `hurry` once the event before is applied."""
        with self.loop.at_the_front():
            self.loop.call_soon(lambda: self.hurry() and self.answer())

    def _awaited(self) -> asyncio.Future[bool] | None:
        key = None if self.event is None else cause(self.event)
        return None if key is None else self._waiting.get(key)

    # -- comparing -------------------------------------------------------------------------

    def _same(self, event: Event) -> bool:
        events = self.against.events
        expected = events[self.place] if self.place < len(events) else None
        if expected is None:
            self._diverge(event, "the record ends here, and more happened")
            return False
        was, now = self._encode(expected), self._encode(event)
        if was == now:
            return True
        old, new = json.loads(was), json.loads(now)
        paths = self.against.missing(self.place, old)
        if paths and type(event) is type(expected) and without(old, paths) == without(new, paths):
            self.unrecorded.update(str(path[-1]) for path in paths)
            return True
        other = old.get("type") != new.get("type")
        self._diverge(event, "something else happened" if other else "it differs from the record")
        return False

    def _diverge(self, came: Event | None, reason: str) -> None:
        place, events = self.place, self.against.events
        known = place < len(events)
        self.divergence = Divergence(
            record=place if known else None,
            step=self.recording.step(place),
            recorded=json.loads(self._encode(events[place])) if known else None,
            came=None if came is None else json.loads(self._encode(came)),
            reason=reason,
        )


class CursorJournal:
    """The journal of one session of a replay; see `ports.Journal`. Closed once the process that is
    replayed had ended: what a session does while it is torn down is nobody's."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.closed = False

    def append(self, record: Record) -> None:
        """Compare one event. Raises DivergedError."""
        if self.closed:
            return
        self._cursor.take(record.event)
        event = self._cursor.event
        self.closed = event is None or isinstance(event, RunResumed)

    def sync(self) -> None:
        """Nothing is written."""

    def keep(self, name: str, data: bytes) -> str:
        """Return the name that the artifact got when the run was recorded."""
        event = self._cursor.event
        if not isinstance(event, ToolFinished):
            return name
        if event.result.artifact is None:
            raise RecordError("it could not be kept")
        return event.result.artifact
