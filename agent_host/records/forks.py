"""A new run that begins with what another one holds.

Theory of operation: the records up to a place are copied under the new run's id, and its first one
names the run it came of (`RunStarted.parent`). Every copied record keeps its time, so the new
transcript tells what happened and when, and folds into the same conversation: what was said, read,
allowed and paid up to there, and nothing of what came after. The artifacts that its results name
are the same files under a second name where the disk allows it, so that deleting one run takes
nothing from the other. The source is only read, twice and with one record in memory, and may be in
use.
"""

import os
import re
import shutil
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

from agent_host.core.errors import RecordError, UsageError
from agent_host.core.events import ModelResponded, Record, RunStarted, ToolFinished
from agent_host.core.text import clean_line
from agent_host.core.types import Text, ToolResult
from agent_host.records.ids import new_run_id
from agent_host.records.reader import Counting, run_ids
from agent_host.records.transcript import Transcript
from agent_host.records.walk import Walk

_NEAREST = 10
"""Places that are named to who asked for another one."""


def fork(path: Path, messages: int | None = None, *, turn: int | None = None) -> str:
    """Make a run of the first `messages` messages of the conversation of a transcript, or of what
    there was after the model's answer number `turn` (from 1; 0: before the first), or of all of it,
    and return its id. The user must be awaited at that place, or the run be over: going
    on with the fork opens it again, as it does with any run.

    RecordError if the one cannot be read or the other not be made; UsageError for a run that waits
    for anybody but the user there, or has fewer messages.
    """
    walk = Walk(path)
    places = _Places(path)
    for number, record in enumerate(walk, start=1):
        places.take(record, number)
    if walk.damaged:
        raise RecordError(walk.damaged)
    end = places.until(messages) if turn is None else places.after(turn)
    folder, source = path.parent, path.name.removesuffix(".jsonl")
    run_id = new_run_id(time.time_ns() // 1_000_000, os.urandom(10), run_ids(folder))
    with Transcript.create(folder, run_id) as made:
        _share(path.with_name(f"{source}.artifacts"), made.artifacts, places.named(end))
        for record in islice(walk, end):
            made.append(_renamed(record, source, run_id))
        if made.seq != end:
            where = clean_line(str(path), 500)
            raise RecordError(f"{where}: changed by somebody while it was read; do it again")
        made.finish()
    return run_id


class _Places:
    """Where a run can be forked, and which artifacts it then needs; numbers of records, from 1."""

    def __init__(self, path: Path) -> None:
        self._counting = Counting(path)
        self._ends: dict[int | None, tuple[int, str]] = {}
        self._turns, self._over = 0, dict[int, int]()
        source = re.escape(f"{path.name.removesuffix('.jsonl')}.artifacts/")
        self._name = re.compile(source + r"([A-Za-z0-9][A-Za-z0-9._-]*)")
        self._artifacts: dict[str, int] = {}

    def take(self, record: Record, number: int) -> None:
        """Look at the next record. RecordError if it makes no legal run."""
        self._counting.take(record, number)
        state = self._counting.state
        for count in (len(state.messages), None):
            self._ends[count] = number, state.awaiting
        self._turns += isinstance(record.event, ModelResponded)
        over = state.ended is not None or not state.messages or state.messages[-1].role != "user"
        if state.awaiting in {"user", "nothing"} and over:
            self._over.setdefault(self._turns, number)
        if isinstance(record.event, ToolFinished):
            self._look(record.event.result, number)

    def _look(self, result: ToolResult, number: int) -> None:
        """Results name artifacts: a long text as such, pictures and files only in the text."""
        texts = (block.text for block in result.content if isinstance(block, Text))
        for text in (result.artifact or "", *texts):
            for one in self._name.findall(text):
                self._artifacts.setdefault(one.rstrip("._-"), number)

    def until(self, messages: int | None) -> int:
        """The records that make the conversation up to that message. After the last one that leaves
        so many messages the conversation only grew, so they are those which it still has."""
        if messages not in self._ends:
            count = len(self._counting.state.messages)
            raise UsageError(f"the conversation has {count} messages, not {messages}")
        end, awaits = self._ends[messages]
        if awaits not in {"user", "nothing"}:
            raise UsageError(f"the run waits ({awaits}) there; fork it where the user is awaited")
        return end

    def after(self, turn: int) -> int:
        """The records up to where that turn is over and the user has said nothing more."""
        ends = self._over
        if turn not in ends:
            near = sorted(sorted(ends, key=lambda end: abs(end - turn))[:_NEAREST])
            known = ", ".join(map(str, near)) + (", …" if len(near) < len(ends) else "")
            raise UsageError(
                f"no place to fork after turn {turn}; the user is awaited after: {known}"
            )
        return ends[turn]

    def named(self, end: int) -> frozenset[str]:
        """The artifacts that the first `end` records name."""
        return frozenset(name for name, first in self._artifacts.items() if first <= end)


def _renamed(record: Record, source: str, run_id: str) -> Record:
    event = record.event
    if isinstance(event, RunStarted):
        event = replace(event, run_id=run_id, parent=source)
    elif isinstance(event, ToolFinished) and event.result.artifact:
        event = replace(event, result=_result(event.result, source, run_id))
    return replace(record, run_id=run_id, event=event)


def _result(result: ToolResult, source: str, run_id: str) -> ToolResult:
    """The artifact is named also in the text, from which the model knows it."""
    was, now = f"{source}.artifacts/", f"{run_id}.artifacts/"
    content = tuple(
        replace(block, text=block.text.replace(was, now)) if isinstance(block, Text) else block
        for block in result.content
    )
    artifact = (result.artifact or "").replace(was, now)
    return replace(result, content=content, artifact=artifact)


def _share(source: Path, target: Path, names: frozenset[str]) -> None:
    """Give those files of a folder of artifacts a second name. RecordError if that fails."""
    if not names or not source.is_dir() or source.is_symlink():
        return
    try:
        target.mkdir(mode=0o700)
        for entry in os.scandir(source):
            if entry.name not in names or not entry.is_file(follow_symlinks=False):
                continue
            try:
                os.link(entry.path, target / entry.name, follow_symlinks=False)
            except OSError:  # a disk without hard links
                shutil.copy2(entry.path, target / entry.name, follow_symlinks=False)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise RecordError(
            f"{clean_line(str(target), 500)}: the artifacts cannot be copied: {error.strerror}; "
            "free space there, or check the folder"
        ) from None
