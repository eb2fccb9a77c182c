"""The whole records at the start of a file, and what follows them.

Theory of operation: a transcript is whole lines, and perhaps a torn end, left by a crash or a
full disk. The scan takes lines as long as they are records; once one is not, everything from
there on is the torn end, unless a record follows after all: then the file is damaged in its
middle, which is an error that names the first bad line. A sound record that is out of sequence,
of another run, or not what a transcript begins with is always an error. Used for reading and
for taking a file over, so that both agree on what a file holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.records.codec import KEEP_A_COPY, MAX_LINE, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What a scan found: `count` records, up to byte `end`, then `torn` bytes of something else."""

    count: int = 0
    end: int = 0
    torn: int = 0
    run_id: str = ""


def scan(file: BinaryIO, name: str, take: Callable[[JsonObject, int], None]) -> Whole:
    """Give each whole record's envelope and line number (from 1) to `take`, in order.

    RecordError, naming the file `name` and the line, if a record is damaged, missing or of a
    newer schema, or if there is none at all.
    """
    count = end = size = 0
    run_id = ""
    torn: RecordError | None = None
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        size += len(line)
        try:
            data = _whole_line(line, name, number)
        except RecordError as error:
            torn = torn or error
            continue
        if torn:
            raise torn
        run_id = run_id or data["run_id"]
        _check_order(data, count, run_id, f"{clean_line(name, 500)}:{number}")
        take(data, number)
        count += 1
        end = size
    if not count:
        raise torn or RecordError(
            f"{clean_line(name, 500)}: empty: the run ended before its first record; delete it"
        )
    return Whole(count=count, end=end, torn=size - end, run_id=run_id)


def _whole_line(line: bytes, name: str, number: int) -> JsonObject:
    if not line.endswith(b"\n"):
        what = "too long" if len(line) > MAX_LINE else "cut off"
        raise RecordError(f"{clean_line(name, 500)}:{number}: {what} record; {KEEP_A_COPY}")
    return parse(line, name, number)


def _check_order(data: JsonObject, expected: int, run_id: str, where: str) -> None:
    if expected == 0 and data["event"].get("type") != "run_started":
        raise RecordError(
            f"{where}: a transcript begins with run_started; this is not its first line"
        )
    if data["seq"] != expected:
        raise RecordError(
            f"{where}: record {data['seq']} stands where record {expected} belongs: lines were "
            "removed, repeated or reordered"
        )
    if data["run_id"] != run_id:
        raise RecordError(f"{where}: a record of another run, {clean_line(data['run_id'], 60)}")
