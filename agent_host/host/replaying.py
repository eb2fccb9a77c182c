"""Recorded runs, replayed from their files.

Theory of operation: a run is read as it is, whole or up to its torn end, and run again with the
engine that resumes it; see `replays.rerun`. Every event has to be the recorded one, byte for byte;
what an older program did not write yet is left out of the comparison, and named. Nothing is
started, asked or written.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from agent_host.core.errors import RecordError
from agent_host.core.events import Event, Record
from agent_host.core.types import JsonObject
from agent_host.records.codec import encode, encode_value
from agent_host.records.reader import inspect, raw_lines
from agent_host.replays.difference import Divergence
from agent_host.replays.recording import Recording
from agent_host.replays.rerun import rerun


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A transcript that was read. `torn`: what is wrong with its end, for people."""

    path: Path
    run_id: str
    records: tuple[Record, ...]
    lines: tuple[str, ...]
    torn: str = ""

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened."""
        return tuple(record.event for record in self.records)

    @property
    def recording(self) -> Recording:
        """The same, for a replay."""
        raw: list[JsonObject] = [json.loads(line)["event"] for line in self.lines]
        return Recording(self.events, raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a replay. `same`: how many events, from the first on, were as recorded, of
    `whole`; `identical`: every line that was compared would be written with the same bytes;
    `unrecorded`: fields that an older program had not written, which were not compared."""

    path: Path
    run_id: str
    same: int
    whole: int
    divergence: Divergence | None
    identical: bool
    unrecorded: tuple[str, ...] = ()
    torn: str = ""


def read_run(path: Path) -> Recorded:
    """Read a transcript. Raises RecordError, which names the line, if it is damaged."""
    reading = inspect(path)
    lines = tuple(islice(raw_lines(path), len(reading.records)))
    if len(lines) < len(reading.records):
        raise RecordError(f"{path}: the transcript was cut while it was read; try it again")
    return Recorded(
        path=path,
        run_id=reading.records[0].run_id,
        records=reading.records,
        lines=lines,
        torn=reading.torn,
    )


def replay(path: Path) -> Replayed:
    """Replay one run from its record. Blocking, and not to be called in an event loop. Raises
    RecordError if the transcript cannot be read."""
    run = read_run(path)
    found = rerun(run.recording, encode_value)
    return Replayed(
        path=path,
        run_id=run.run_id,
        same=len(found.events),
        whole=len(run.records),
        divergence=found.divergence,
        identical=all(_identical(run, found.events)),
        unrecorded=found.unrecorded,
        torn=run.torn,
    )


def _identical(run: Recorded, events: Sequence[Event]) -> Iterator[bool]:
    """Whether each line would be written again as it stands there."""
    for record, line, event in zip(run.records, run.lines, events, strict=False):
        again = Record(seq=record.seq, at=record.at, run_id=record.run_id, event=event)
        yield encode(again).decode("ascii") == line
