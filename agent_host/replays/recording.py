"""A recorded run, indexed for those who give its answers again.

Theory of operation: the events stay a plain sequence; what a replay asks of it (which tools there
were at a place, how a request or a call went on, which limits held) is looked up in tables that are
made once, so that each step costs the same however long the run is. A record of an older program
lacks fields that events have now; `raw` says which, and those are not compared.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    Event,
    InputRequested,
    Interrupted,
    LimitReached,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PolicyDecided,
    RunResumed,
    RunStarted,
    SamplingFinished,
    SamplingRequested,
    SummaryRequested,
    ToolFinished,
    ToolPaused,
    ToolStarted,
    UserSaid,
)
from agent_host.core.types import JsonObject, ToolCall
from agent_host.replays.difference import Step

CallEvent = (
    PolicyDecided
    | ApprovalRequested
    | ApprovalGiven
    | ApprovalExpired
    | ToolStarted
    | ToolPaused
    | ToolFinished
)

Path = tuple[str | int, ...]
"""Where in a JSON document a value stands."""


def call_of(event: Event) -> str:
    """Return the id of the call that an event is about, or nothing."""
    if isinstance(event, ToolFinished):
        return event.result.call_id
    return event.call_id if isinstance(event, CallEvent) else ""


class Recording:
    """See the module. `events` are a whole run, from its RunStarted; `raw`, the same as JSON of the
    file, if they come from one."""

    def __init__(self, events: Sequence[Event], raw: Sequence[JsonObject] | None = None) -> None:
        self.events = tuple(events)
        self.raw = raw
        self.calls: list[ToolCall | None] = []
        """For each event about a call: the call."""
        self.numbers: list[int | None] = []
        """For each event about a call: how many were asked for before it since the user's words."""
        self._outcomes: dict[str, list[int]] = defaultdict(list)
        self._turns: list[int] = []
        self._answered: list[int] = []
        self._of_call: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._asked: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._openings: list[int] = []
        self._index()

    def _index(self) -> None:
        turn, answers = 0, 0
        names: dict[str, ToolCall] = {}
        numbering = _Numbering()
        for place, event in enumerate(self.events):
            self._answered.append(answers)
            if isinstance(event, ModelRequested):
                turn = answers + 1
            elif isinstance(event, ModelResponded):
                answers += 1
                names = {b.id: b for b in event.message.content if isinstance(b, ToolCall)}
            elif isinstance(event, RunStarted | RunResumed):
                self._openings.append(place)
            if isinstance(event, ModelResponded | ModelFailed):
                self._outcomes[event.request_id].append(place)
            elif isinstance(event, SamplingFinished):
                self._outcomes[event.sampling_id].append(place)
            self._turns.append(turn)
            if isinstance(event, InputRequested | SamplingRequested):
                self._asked[answers, event.call_id].append(place)
            call = names.get(call_of(event))
            self.calls.append(call)
            self.numbers.append(numbering.of(event))
            if call is not None:
                self._of_call[answers, call.id].append(place)

    def step(self, place: int) -> Step:
        """Return where in the run an event stands; after the last one, where that does."""
        if not self.events:
            return Step(turn=0)
        place = min(place, len(self.events) - 1)
        call = self.calls[place]
        turn = self._turns[place]
        if call is None:
            return Step(turn=turn)
        return Step(turn=turn, call=call.id, tool=call.name)

    def outcome(self, place: int, request_id: str) -> int | None:
        """Return the first place from `place` on of what came of a request for the model."""
        places = self._outcomes.get(request_id, ())
        return next(iter(places[bisect_left(places, place) :]), None)

    def stopped(self, place: int) -> bool:
        """Whether a stop came before what is recorded at `place` of a request or a call."""
        for before in range(place - 1, -1, -1):
            event = self.events[before]
            if isinstance(event, Interrupted | LimitReached):
                return True
            if isinstance(event, UserSaid | RunStarted | RunResumed):
                break
        return False

    def next_of_call(self, place: int, call_id: str) -> Sequence[int]:
        """Return the places from `place` on of what happened to a call of the turn open there."""
        return self._split(self._of_call, place, call_id)[1]

    def before_of_call(self, place: int, call_id: str) -> Sequence[int]:
        """Return the places before `place` of the same."""
        return self._split(self._of_call, place, call_id)[0]

    def next_asked(self, place: int, call_id: str) -> Sequence[int]:
        """Return the places from `place` on of what was asked for by a call of the turn there."""
        return self._split(self._asked, place, call_id)[1]

    def asked_before(self, place: int, call_id: str) -> Sequence[int]:
        """Return the places before `place` of the same."""
        return self._split(self._asked, place, call_id)[0]

    def _split(
        self, table: Mapping[tuple[int, str], list[int]], place: int, call_id: str
    ) -> tuple[Sequence[int], Sequence[int]]:
        answers = self._answered[place] if place < len(self.events) else 0
        places = table.get((answers, call_id), [])
        middle = bisect_left(places, place)
        return places[:middle], places[middle:]

    def of_call(self, place: int) -> Sequence[int]:
        """Return the places of all that happened to the call that the event at `place` is about."""
        call = self.calls[place]
        return () if call is None else self._of_call[self._answered[place], call.id]

    def groups(self) -> Iterator[tuple[ToolCall, Sequence[int]]]:
        """Yield each call with the places of what happened to it."""
        for places in self._of_call.values():
            call = self.calls[places[0]]
            assert call is not None  # only events about calls are among them
            yield call, places

    def segment(self, place: int) -> range:
        """Return the places of what one process recorded, the one that recorded `place`."""
        number = bisect_left(self._openings, place + 1)
        start = self._openings[number - 1] if number else 0
        last = self._openings[number] if number < len(self._openings) else len(self.events)
        return range(start, last)

    def ids(self, segment: range) -> list[str]:
        """Return the ids that requests got in a segment, in the record's order."""
        return [name for p in segment if (name := _id_of(self.events[p]))]

    def missing(self, place: int, whole: JsonObject) -> list[Path]:
        """Return the paths of what an older program did not record of an event, which is `whole`
        as this one reads it."""
        return [] if self.raw is None else list(_missing(whole, self.raw[place]))


class _Numbering:
    """Counts the calls that a limit counts: those since the user's words, and for whoever takes a
    run over, from the calls of the turn that is open."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._open: set[str] = set()
        self._asked = 0

    def of(self, event: Event) -> int | None:
        """Take the next event, and return the number of the call that it is about."""
        match event:
            case ModelResponded():
                names = [b.id for b in event.message.content if isinstance(b, ToolCall)]
                self._numbers = {name: self._asked + n for n, name in enumerate(names)}
                self._asked += len(names)
                self._open = set(names)
            case UserSaid():
                self._asked = 0
            case RunResumed():
                names = list(self._numbers) if self._open else []
                self._numbers = {name: number for number, name in enumerate(names)}
                self._asked = len(names)
            case ToolFinished():
                self._open.discard(event.result.call_id)
        return self._numbers.get(call_of(event))


def _id_of(event: Event) -> str:
    match event:
        case ModelRequested() | SummaryRequested():
            return event.request_id
        case InputRequested():
            return event.input_id.removeprefix("input:")
        case SamplingRequested():
            return event.sampling_id.removeprefix("sampling:")
        case _:
            return ""


def _missing(
    whole: Any, raw: Any, at: tuple[str | int, ...] = ()
) -> Iterator[tuple[str | int, ...]]:
    if isinstance(whole, Mapping) and isinstance(raw, Mapping):
        for key, value in whole.items():
            if key in raw:
                yield from _missing(value, raw[key], (*at, key))
            else:
                yield (*at, key)
    elif isinstance(whole, list) and isinstance(raw, list):
        for number, (inner, was) in enumerate(zip(whole, raw, strict=False)):
            yield from _missing(inner, was, (*at, number))


def without(value: Any, paths: Sequence[Path]) -> Any:
    """Return JSON, changed in place, without what stands at these paths."""
    for path in paths:
        inner = value
        for key in path[:-1]:
            try:
                inner = inner[key]
            except (KeyError, IndexError, TypeError):
                break
        else:
            if isinstance(inner, dict):
                inner.pop(path[-1], None)
    return value
