"""The tools of a recorded run: which there were at each place, and what they returned.

Theory of operation: a record has no definitions, only what was decided about calls and what came of
them. From that follows for each name at each place whether there was such a tool, and with which
fingerprint: as the next thing says that is recorded about a call of that name. What a result of
the engine says (no such tool, arguments that are not valid, a definition that changed) is likewise
read back into what led to it; the engine then has to come to the same words by itself.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import pairwise
from typing import TypeGuard

from agent_host.core.events import (
    ApprovalRequested,
    Event,
    PolicyDecided,
    RunResumed,
    ToolFinished,
    ToolPaused,
    ToolStarted,
)
from agent_host.core.types import (
    Annotations,
    JsonObject,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from agent_host.ports import CallContext, CallPaused
from agent_host.replays.cursor import Cursor
from agent_host.replays.oversized import whole
from agent_host.replays.recording import Recording

_EDITED = "not executed: the user's edit of the arguments is not valid: "
_NOT_EXECUTED = "not executed: "
_NOT_REPEATED = "Not repeated: "
_REPLACED = "not executed: the definition of the tool changed after a human approved it"
_NO_TOOL = re.compile(r"not executed: there is no tool [^;]*(?:; there is (?P<near>.+))?")
_HARMLESS = "cancelled; it has changed nothing"
"""Of a call that only reads, or was stopped before it was sent."""


def words_of(result: ToolResult) -> str:
    """Return what a result says."""
    return "".join(block.text for block in result.content if isinstance(block, Text))


def refusal_of(event: Event | None) -> str:
    """Return why a call did not run, in the words of the room that said so, or nothing."""
    if not isinstance(event, ToolFinished):
        return ""
    text = words_of(event.result)
    _, found, rest = text.partition(_NOT_REPEATED)
    text = rest if found else text
    return text.removeprefix(_EDITED).removeprefix(_NOT_EXECUTED)


@dataclass(frozen=True, slots=True)
class _Change:
    """From `place` on there is this tool of that name, or none."""

    place: int
    name: str
    tool: Tool | None


class RecordedTools:
    """Implements `ports.ToolSource` with what is recorded."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._table, self._changes = _tables(cursor.recording)
        self._next = 0

    async def ready(self) -> None:
        """Nothing has to start."""

    def tools(self) -> Mapping[str, Tool]:
        """See `ports.ToolSource`: the tools at the cursor."""
        table: dict[str, Tool] | None = None
        while self._next < len(self._changes):
            change = self._changes[self._next]
            if change.place > self._cursor.place:
                break
            table = dict(self._table) if table is None else table
            if change.tool is None:
                table.pop(change.name, None)
            else:
                table[change.name] = change.tool
            self._next += 1
        if table is not None:
            self._table = table
        return self._table

    def withheld(self, name: str) -> str | None:
        """See `ports.ToolSource`."""
        event = self._cursor.event
        if isinstance(event, ToolFinished) and event.result.error in {"changed", "outcome_unknown"}:
            text = words_of(event.result)
            return text.partition(_NOT_REPEATED)[2] or text
        return None

    def validate(self, tool: Tool, arguments: JsonObject) -> str | None:
        """See `ports.ToolSource`: what is recorded next says whether arguments were valid."""
        event = self._cursor.event
        if isinstance(event, ToolFinished) and _unstarted(self._cursor) and _invalid(event):
            return refusal_of(event)
        return None

    async def call(
        self,
        tool: Tool,
        arguments: JsonObject,
        context: CallContext,
    ) -> ToolResult | CallPaused:
        """Return the recorded result, once it is due."""
        key = "call", context.call_id
        try:
            await self._cursor.reach(key)
        except asyncio.CancelledError:
            await self._cursor.linger(key)
            raise
        event = self._cursor.event
        if isinstance(event, ToolPaused):
            return CallPaused(requests=event.requests, state=event.state)
        assert isinstance(event, ToolFinished)  # what the key stands for
        result, self._cursor.mark = whole(event.result)
        return result


def _invalid(event: ToolFinished) -> bool:
    error = event.result.error
    return error == "invalid_arguments" or (
        error == "outcome_unknown" and _NOT_REPEATED in words_of(event.result)
    )


def _unstarted(cursor: Cursor) -> bool:
    return not _started(cursor.recording, cursor.place)


def _started(recording: Recording, place: int) -> bool:
    """Whether the call that an event is about runs at that place."""
    before = [p for p in recording.of_call(place) if p < place]
    last = before[-1] if before else -1
    same_process = last >= recording.segment(place).start
    return same_process and isinstance(recording.events[last], ToolStarted)


# -- which tools there were ----------------------------------------------------------------


def _tables(recording: Recording) -> tuple[dict[str, Tool], list[_Change]]:
    """Return the tools at the beginning, and how that changes."""
    mentions: dict[str, dict[int, Tool | None]] = {}
    defined: dict[str, Tool] = {}
    unknown: list[tuple[int, str, list[str]]] = []
    told = _told_by_stops(recording)
    for call, places in recording.groups():
        known = _definition(recording, call, places)
        if known is not None:
            defined.setdefault(call.name, known)
    for call, places in recording.groups():
        known = _definition(recording, call, places) or defined.get(call.name)
        known = known or _plain(call.name)
        for place in places:
            near = _nearest(recording, place)
            if near is not None:
                unknown.append((place, call.name, near))
            said = _also(known, told.get((recording.segment(place).start, call.name)))
            tool = None if near is not None else _at(recording, place, said)
            mentions.setdefault(call.name, {})[place] = tool
    for place, name, near in unknown:
        for other in near:
            there = defined.get(other) or _plain(other)
            mentions.setdefault(other, {}).setdefault(place, there)
        for other, found in mentions.items():
            if other not in near and other in get_close_matches(name, [*near, other], n=3):
                found.setdefault(place, None)
    return _changes(recording, mentions)


def _changes(
    recording: Recording,
    mentions: Mapping[str, Mapping[int, Tool | None]],
) -> tuple[dict[str, Tool], list[_Change]]:
    table: dict[str, Tool] = {}
    changes: list[_Change] = []
    for name, found in mentions.items():
        places = sorted(found)
        first = found[places[0]]
        if first is not None:
            table[name] = first
        for before, place in pairwise(places):
            if found[before] != found[place]:
                changes.append(_Change(_decided(recording, before, place), name, found[place]))
    return table, sorted(changes, key=lambda change: change.place)


def _decided(recording: Recording, after: int, place: int) -> int:
    """Where the engine began to decide on what is at `place`: it looks at the tools once for all
    that it does at once."""
    while place - 1 > after and _at_once(recording, place - 1):
        place -= 1
    return place


def _at_once(recording: Recording, place: int) -> bool:
    event = recording.events[place]
    if isinstance(event, ToolFinished):
        return not _started(recording, place)
    return isinstance(event, PolicyDecided)


def _told_by_stops(recording: Recording) -> dict[tuple[int, str], Tool]:
    """What only results that a stop made tell of tools, by process and name: their labels, and that
    they only read. That holds for all calls of the process: they may have run at the same time."""
    found: dict[tuple[int, str], Tool] = {}
    for call, places in recording.groups():
        event = recording.events[places[-1]]
        if not _stopped(event):
            continue
        key = recording.segment(places[-1]).start, call.name
        known = found.get(key) or _plain(call.name)
        # What has labels was sent, and so was what only a trusted tool may do: to be repeated.
        sent = bool(event.result.labels) or _repeated(recording, places)
        reads = known.read_only or (sent and _is_harmless(event))
        found[key] = replace(
            known,
            labels=event.result.labels or known.labels,
            annotations=Annotations(read_only=reads or None),
            trusted=reads,
        )
    return found


def _also(tool: Tool, told: Tool | None) -> Tool:
    """A tool with what stops tell of it."""
    if told is None:
        return tool
    hints = replace(tool.annotations, read_only=told.annotations.read_only)
    trusted = hints != Annotations()
    return replace(tool, labels=told.labels, annotations=hints, trusted=trusted)


def _definition(recording: Recording, call: ToolCall, places: Sequence[int]) -> Tool | None:
    """The tool of a call, as far as its events say what it was."""
    server = own = fingerprint = ""
    for place in places:
        event = recording.events[place]
        if isinstance(event, PolicyDecided | ApprovalRequested | ToolStarted) and event.fingerprint:
            server, own, fingerprint = event.server, event.tool, event.fingerprint
    if not fingerprint:
        return None
    tool = replace(_plain(call.name), server=server, tool=own, fingerprint=fingerprint)
    hints = Annotations(idempotent=_repeated(recording, places) or None)
    return replace(tool, annotations=hints, trusted=hints != Annotations())


def _stopped(event: Event) -> TypeGuard[ToolFinished]:
    """Whether a call ended by a stop, whose result the tool did not make."""
    return isinstance(event, ToolFinished) and event.result.error == "cancelled"


def _is_harmless(event: Event) -> bool:
    return isinstance(event, ToolFinished) and words_of(event.result) == _HARMLESS


def unsent(recording: Recording, place: int, call_id: str) -> bool:
    """Whether a stop came, from `place` on, before a call that had started was sent."""
    for at in recording.next_of_call(place, call_id):
        event = recording.events[at]
        if at >= recording.segment(place).stop or isinstance(event, ToolStarted | ToolPaused):
            break
        if isinstance(event, ToolFinished):
            return _is_harmless(event) and not event.result.labels
    return False


def _repeated(recording: Recording, places: Sequence[int]) -> bool:
    """Whether a call that was in doubt started again without a question."""
    started = doubt = allowed = False
    of_call = set(places)
    for place in range(places[0], places[-1] + 1):
        event = recording.events[place]
        if isinstance(event, RunResumed):
            doubt, started, allowed = doubt or started, False, False
        if place not in of_call:
            continue
        if isinstance(event, ToolStarted):
            if doubt and allowed:
                return True
            started = True
        elif isinstance(event, PolicyDecided):
            allowed = event.decision == "allow"
        elif isinstance(event, ApprovalRequested):
            allowed = False
        elif isinstance(event, ToolPaused):
            started = False
    return False


def _at(recording: Recording, place: int, tool: Tool) -> Tool | None:
    """The tool at one of its events; None if it was not offered any more."""
    event = recording.events[place]
    if isinstance(event, PolicyDecided | ApprovalRequested | ToolStarted):
        if event.fingerprint:
            return replace(
                tool, server=event.server, tool=event.tool, fingerprint=event.fingerprint
            )
        return tool
    if not isinstance(event, ToolFinished) or _started(recording, place):
        return tool
    text = words_of(event.result)
    if text == _REPLACED:
        return replace(tool, fingerprint=f"not {tool.fingerprint}")
    if event.result.error == "changed" and not text.startswith(_NOT_EXECUTED + "the arguments"):
        return None
    return tool


def _nearest(recording: Recording, place: int) -> list[str] | None:
    """The tools that a result names in the place of one that is not there; None if it is none."""
    event = recording.events[place]
    if not isinstance(event, ToolFinished) or event.result.error != "unknown_tool":
        return None
    found = _NO_TOOL.fullmatch(words_of(event.result))
    near = found["near"] if found is not None else None
    return near.split(", ") if near else []


def _plain(name: str) -> Tool:
    server, _, own = name.partition("__")
    return Tool(
        name=name, server=server, tool=own or name, description="", input_schema={"type": "object"}
    )
