"""The whole records at the start of a file, and what follows them.

Theory of operation: a transcript is whole lines, and perhaps a torn end, left by a crash or a
full disk. The scan takes lines as long as they are records; once one is not, everything from
there on is the torn end, unless a record follows after all: then the file is damaged in its
middle, which is an error that names the first bad line. A sound record that is out of sequence,
of another run, or not what a transcript begins with is always an error. Used for reading and
for taking a file over, so that both agree on what a file holds.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.records.codec import KEEP_A_COPY, MAX_LINE, parse

BUFFER = 128 * 1024
"""Bytes to read at once: a transcript is read from one end to the other."""

_LARGE = 16_000_000
"""Bytes to read that are worth the import of a faster decoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What a scan found: `count` records, up to byte `end`, then `torn` bytes of something else."""

    count: int = 0
    end: int = 0
    torn: int = 0
    run_id: str = ""


class Scan:
    """The whole records of an open file, in order, each as envelope and line number (from 1).

    `start`: what an earlier scan found, to go on behind it. The record that came last is in the
    bytes from `place` up to `end`. `whole` says at any time what was found so far; its `torn` is
    known once the iteration has ended by itself. Iterating raises RecordError, naming the file
    `name` and the line, if a record is damaged, missing or of a newer schema, or if there is none
    at all. At most one line is held in memory.
    """

    def __init__(self, file: BinaryIO, name: str, start: Whole | None = None) -> None:
        start = start or Whole()
        self.file = file
        self.place = self.end = start.end
        self._name = name
        self._count, self._torn = start.count, 0
        self._run_id = start.run_id

    @property
    def whole(self) -> Whole:
        """What was found so far."""
        return Whole(count=self._count, end=self.end, torn=self._torn, run_id=self._run_id)

    def __iter__(self) -> Iterator[tuple[JsonObject, int]]:
        name = self._name
        self.file.seek(self.end)
        if os.fstat(self.file.fileno()).st_size - self.end > _LARGE:
            importlib.import_module("pydantic_core")  # see `codec`
        size, number = self.end, self._count
        torn: RecordError | None = None
        while line := self.file.readline(MAX_LINE + 1):
            number += 1
            size += len(line)
            try:
                data = _whole_line(line, name, number)
            except RecordError as error:
                torn = torn or error
                continue
            if torn:
                raise torn
            run_id = self._run_id or data["run_id"]
            _check_order(data, self._count, run_id, name, number)
            self.place, self.end = self.end, size
            self._count, self._run_id = self._count + 1, run_id
            yield data, number
        if not self._count:
            raise torn or RecordError(
                f"{clean_line(name, 500)}: empty: the run ended before its first record; delete it"
            )
        self._torn = size - self.end


def scan(file: BinaryIO, name: str, take: Callable[[JsonObject, int], None]) -> Whole:
    """Give each whole record's envelope and line number to `take`, in order; see `Scan`."""
    found = Scan(file, name)
    for data, number in found:
        take(data, number)
    return found.whole


def _whole_line(line: bytes, name: str, number: int) -> JsonObject:
    if not line.endswith(b"\n"):
        where = f"{clean_line(name, 500)}:{number}"
        if len(line) > MAX_LINE:
            raise RecordError(f"{where}: too long record; {KEEP_A_COPY}")
        if number == 1:
            raise RecordError(
                f"{where}: cut off record: the run ended before its first one was whole; delete it"
            )
        raise RecordError(f"{where}: cut off record; {KEEP_A_COPY}")
    return parse(line, name, number)


def _check_order(data: JsonObject, expected: int, run_id: str, name: str, number: int) -> None:
    if expected == 0 and data["event"].get("type") != "run_started":
        what = "a transcript begins with run_started; this is not its first line"
    elif data["seq"] != expected:
        what = (
            f"record {data['seq']} stands where record {expected} belongs: lines were removed, "
            "repeated or reordered"
        )
    elif data["run_id"] != run_id:
        what = f"a record of another run, {clean_line(data['run_id'], 60)}"
    else:
        return
    raise RecordError(f"{clean_line(name, 500)}:{number}: {what}")
