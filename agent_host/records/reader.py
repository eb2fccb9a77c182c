"""Finding, reading and listing transcripts, without changing or locking anything.

Theory of operation: a transcript is read while its run may still be writing it, so a torn end is
left where it is and only reported. A run is found by its id, by an unambiguous beginning of it in
any case, or as `last`. The list folds each conversation, so that what it says of a run is what
the engine would see on resume; a transcript that cannot be read is listed with the reason. No
path is ever made of what was typed without checking that it is an id, and nothing but a regular
file is ever opened for reading (a pipe in the folder would wait for ever).
"""

import contextlib
import difflib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Self

from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import ExitStatus, RecordError, UsageError
from agent_host.core.events import ModelResponded, Record, RunStarted, UserSaid
from agent_host.core.log import Log
from agent_host.core.replacing import replace
from agent_host.core.text import clean_line
from agent_host.core.titles import titled
from agent_host.core.types import JsonObject, Message, Text, ToolCall, Usage
from agent_host.records.codec import MAX_LINE, encode, encode_value, members
from agent_host.records.lines import BUFFER, Scan, Whole, scan
from agent_host.records.tally import OUTCOMES

LAST = "last"
"""What stands for the id of the newest run."""


class UnknownRunError(RecordError):
    """No run, or more than one, is what was asked for."""

    exit_status = ExitStatus.USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A transcript's records, and for people what is wrong with its end (`torn`: no whole record)
    or with the line after these records (`damaged`)."""

    records: tuple[Record, ...]
    torn: str = ""
    damaged: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One line of a list. `started_at`, `last_at` (of its last record): as in Record; `outcome` is
    the reason of the run's end, or what it waits for; `broken` says why the transcript cannot be
    read; all else is then empty, or what the records before the damage say."""

    run_id: str
    path: Path
    started_at: str = ""
    last_at: str = ""
    user: str = ""
    parent: str = ""
    model: str = ""
    simulated: bool = False
    words: str = ""
    turns: int = 0
    calls: int = 0
    usage: Usage = Usage()
    cost: float = 0.0
    outcome: str = ""
    broken: str = ""


def read(path: Path) -> list[Record]:
    """Return the whole records of a transcript; a torn end is left out. RecordError names the
    line if the file is damaged before its end, or the schema if that is newer."""
    return list(inspect(path).records)


def inspect(path: Path) -> Reading:
    """As `read`, and say of a torn end that it is there."""
    reading = salvage(path)
    if reading.damaged:
        raise RecordError(reading.damaged)
    return reading


def salvage(path: Path) -> Reading:
    """As `inspect`, but of a damaged transcript return the sound records before the damage.
    RecordError if there is not even one."""
    # Late: what lists and searches does without it, and it loads pydantic.
    typed: Callable[[JsonObject, str, int], Record]
    typed = import_module("agent_host.records.decode").typed
    name = str(path)
    records: list[Record] = []

    def take(data: JsonObject, number: int) -> None:
        records.append(typed(data, name, number))

    with opened(path) as file:
        try:
            torn = torn_end(name, scan(file, name, take))
        except RecordError as error:
            if not records:
                raise
            return Reading(records=tuple(records), damaged=str(error))
    return Reading(records=tuple(records), torn=torn)


def conversation(path: Path) -> Conversation:
    """Return the conversation that a transcript makes, to go on with it. RecordError, naming the
    line, if the file is damaged or its events are no legal run."""
    fold = import_module("agent_host.records.fold").Fold(path)  # late, as in `salvage`
    with opened(path) as file:
        fold.walk(Scan(file, str(path)))
    state: Conversation = fold.state
    return state


def _applied(state: Conversation, record: Record, path: Path, number: int) -> Conversation:
    try:
        return apply(state, record.event)
    except UsageError as error:
        raise RecordError(
            f"{clean_line(str(path), 500)}:{number}: no legal conversation: "
            f"{clean_line(str(error))}; the run can be shown, but not resumed"
        ) from None


def as_json(found: Summary, records: Iterable[Record], torn: str, path: str) -> Iterator[str]:
    """Yield the lines of one JSON document, without line ends: what a list says of a run, and all
    its records. `torn`: as in Reading; `path`: what it says of its place."""
    head = encode_value({**members(found), "path": path, "torn": torn}).decode()
    yield f'{head[:-1]},"records":['
    line = ""
    for record in records:
        if line:
            yield f"{line},"
        line = encode(record).decode()
    if line:
        yield line
    yield "]}"


def raw_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a transcript as they are, whatever they are, without line ends; what is
    no UTF-8 is shown as an escape. RecordError if the file cannot be read."""
    with opened(path) as file:
        while line := file.readline(MAX_LINE):
            yield line.decode("utf-8", "backslashreplace").removesuffix("\n")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a transcript for reading. RecordError if it is none, or cannot be read."""
    name = clean_line(str(path), 500)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(fd, "rb", BUFFER) as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise RecordError(f"{name}: not a regular file; move it away")
            yield file
    except FileNotFoundError:
        raise UnknownRunError(
            f"{name}: there is no such run; `agent-host transcripts list` shows them"
        ) from None
    except OSError as error:
        raise RecordError(
            f"{name}: the transcript cannot be read: {error.strerror}; check its owner and "
            "permissions"
        ) from None


def torn_end(name: str, whole: Whole) -> str:
    """Return for people what follows the whole records of a file; empty: nothing."""
    if not whole.torn:
        return ""
    return (
        f"{clean_line(name, 500)}:{whole.count + 1}: the last {whole.torn:,} bytes are no whole "
        "record (a crash, or a run that is writing); resuming the run sets them aside"
    )


def run_ids(folder: Path) -> list[str]:
    """Return the ids of the runs in a folder, oldest first; none if there is no such folder.
    RecordError if it cannot be read."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  # paths take longer than names
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordError(
            f"{clean_line(str(folder), 500)}: the transcripts cannot be listed: {error.strerror}; "
            "check the folder, or name another one as `transcripts` in servers.toml"
        ) from None
    suffix = ".jsonl"
    return sorted(n.removesuffix(suffix) for n in names if n.endswith(suffix) and n != suffix)


def find(folder: Path, run_id_or_prefix: str) -> Path:
    """Return the transcript of a run named by its id, an unambiguous beginning of it, or `last`.

    UnknownRunError, with what comes nearest, if there is no such run or more than one.
    """
    known = run_ids(folder)
    shown = clean_line(run_id_or_prefix, 60)
    where = clean_line(str(folder), 500)
    if not known:
        raise UnknownRunError(f"{where}: no run {shown!r}: there are no transcripts here yet")
    if run_id_or_prefix in known:
        return folder / f"{run_id_or_prefix}.jsonl"
    if run_id_or_prefix == LAST:
        return folder / f"{known[-1]}.jsonl"
    wanted = run_id_or_prefix.casefold()
    found = [name for name in known if name.casefold().startswith(wanted)] if wanted else []
    if len(found) == 1:
        return folder / f"{found[0]}.jsonl"
    if found:
        examples = ", ".join(clean_line(name, 60) for name in found[-3:])
        raise UnknownRunError(
            f"{where}: {len(found)} runs begin with {shown!r}, the newest {examples}; write "
            "more of the id"
        )
    nearest = difflib.get_close_matches(run_id_or_prefix.upper()[:100], known, n=1)
    hint = f"did you mean {clean_line(nearest[0], 60)}?" if nearest else "`last` is the newest"
    raise UnknownRunError(
        f"{where}: no run {shown!r}; {hint} (`agent-host transcripts list` shows them all)"
    )


def summaries(folder: Path, newest: int | None = None) -> list[Summary]:
    """Return what a list says of each run, the newest first; at most `newest` of them."""
    names = run_ids(folder)[::-1]
    return [summary(folder / f"{name}.jsonl") for name in names[:newest]]


def summary(path: Path, reading: Reading | None = None) -> Summary:
    """Return what a list says of one run, which may have been read already. Never raises: a
    transcript that cannot be read, or makes no legal conversation, says so in `broken`."""
    try:
        if reading is not None:
            return _summarize(path, reading)
        walk = import_module("agent_host.records.walk").Walk(path)  # late, as in `salvage`
        found: Summary = walk.finish()
    except RecordError as error:
        run_id = path.name.removesuffix(".jsonl")
        return Summary(run_id=run_id, path=path, broken=str(error))
    return found


def _summarize(path: Path, reading: Reading) -> Summary:
    counting = Counting(path)
    for number, record in enumerate(reading.records, start=1):
        counting.take(record, number)
    return counting.summary(reading.damaged)


class Counting:
    """What a list says of a run, counted record by record, of whose words nothing is held. `state`:
    its conversation, of whose messages there are only the roles."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.state = Conversation(messages=_Roles())
        self._started: RunStarted | None = None
        self._first = self._last = self._words = ""
        self._turns = self._calls = 0

    def take(self, record: Record, number: int) -> None:
        """Count one record; `number`: of its line. RecordError if it is not legal there."""
        self.state = state = _applied(self.state, record, self._path, number)
        if not isinstance(state.messages, _Roles):  # somebody went back
            self.state = replace(state, messages=_Roles(state.messages))
        self._first, self._last = self._first or record.at, record.at
        match record.event:
            case RunStarted() as event:
                self._started = event
            case UserSaid() as event:
                self._words = titled(self._words, _first_words(event))
            case ModelResponded() as event:
                self._turns += 1
                self._calls += sum(isinstance(block, ToolCall) for block in event.message.content)
            case _:
                pass

    def summary(self, damaged: str = "") -> Summary:
        """Return what was counted so far; `damaged`: as in Reading."""
        run, state = self._started, self.state
        if run is None:
            raise AssertionError("unreachable")  # the first record of all files
        return Summary(
            run_id=self._path.name.removesuffix(".jsonl"),
            path=self._path,
            started_at=self._first,
            last_at=self._last,
            user=run.principal.id,
            parent=run.parent or "",
            model=f"{run.provider}:{run.model}",
            simulated=run.simulated,
            words=self._words,
            turns=self._turns,
            calls=self._calls,
            usage=state.usage,
            cost=state.cost,
            outcome=outcome(state),
            broken=damaged,
        )


class _Roles(Log):
    """Messages of which nothing is held but whose they are: enough for what may follow."""

    def then(self, message: Message) -> Self:
        return super().then(_ROLES[message.role])


_ROLES = {
    message.role: message
    for message in (
        Message(role="user", content=()),
        Message(role="assistant", content=()),
        Message(role="tool", content=()),
    )
}


def outcome(state: Conversation) -> str:
    """Return how a run ended, or what it waits for, in a few words."""
    if state.ended is not None:
        return state.ended.reason
    return OUTCOMES.get(state.awaiting, state.awaiting)


def _first_words(said: UserSaid) -> str:
    text = next((b.text for b in said.message.content if isinstance(b, Text)), "")
    return clean_line(text, 200)
