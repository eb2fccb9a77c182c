"""What a collector has taken, and what waits for it.

Theory of operation: the log itself is the spool; `sent-<id>.json` beside it says how far a
collector has taken it (a cursor: file, offset, number and hash of the last entry acknowledged),
why it takes no more, and when to try again. A cursor moves only behind what was acknowledged, so
nothing is lost, and what was sent without an acknowledgement is sent again: `seq` and `hash` tell.
One process sends at a time (flock). A cursor that does not fit the log (it was removed, or begun
anew) is set back to its beginning. `project`: only the entries of that config are sent, and the
log's own; a collector that a project names must not get what other projects did.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent_host.audit.canonical import canonical
from agent_host.audit.chain import ZERO, Fields, Link, unseal
from agent_host.audit.files import files, first_seq, lines, read_tail
from agent_host.audit.reading import parsed
from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line

_HASH = re.compile("[0-9a-f]{64}")
MAX_ENTRIES = 256
MAX_BYTES = 1024 * 1024
LOG_ITSELF = frozenset(
    {"checkpoint", "file_begun", "file_ended", "file_retired", "torn_end", "entries_missing"}
)
"""Entries of no run and no project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The place behind the last entry that was acknowledged."""

    file: str = ""
    offset: int = 0
    seq: int = 0
    hash: str = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a collector stands. `to`: its URL, for people. `problem`: why it took nothing the last
    time; `failures` in a row; `not_before`: seconds since the epoch. `refused`: entries that it
    would not have, while it took others; `lost`: entries that were gone before they were sent."""

    to: str = ""
    project: str = ""
    cursor: Cursor = field(default_factory=Cursor)
    sent: int = 0
    problem: str = ""
    problem_since: str = ""
    failures: int = 0
    not_before: float = 0.0
    refused: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries to send next, and where the cursor is once they were acknowledged. `lost`: how many
    entries are gone that were not sent. `more`: there may be more behind."""

    entries: list[Fields]
    cursor: Cursor
    lost: int
    more: bool


class Spool:
    """What waits in a log's folder for the collector at `url`."""

    def __init__(self, folder: Path, url: str, project: str = "") -> None:
        self.folder = folder
        self.project = project
        self.to = shown_url(url)
        named = hashlib.sha256(f"{url}\0{project}".encode()).hexdigest()[:12]
        self._path = folder / f"sent-{named}.json"
        self._lock = folder / f"sent-{named}.lock"
        self._refused = folder / f"refused-{named}.jsonl"

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether this process may send now; no other does until it is done. Raises RecordError."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            fd = os.open(self._lock, flags, 0o600)
        except OSError as error:
            raise self._cannot(error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(fd)

    def state(self) -> State:
        """Return how the collector stands; a new one has taken nothing."""
        found = read_state(self._path)
        return found or State(to=self.to, project=self.project)

    def save(self, state: State) -> None:
        """Keep how the collector stands, on disk. Raises RecordError."""
        made = self._path.with_suffix(".new")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            fd = os.open(made, flags, 0o600)
            try:
                os.write(fd, json.dumps(asdict(state)).encode("ascii"))
                os.fsync(fd)
            finally:
                os.close(fd)
            made.replace(self._path)
        except OSError as error:
            raise self._cannot(error) from None

    def refuse(self, entry: Fields, why: str) -> None:
        """Set an entry aside that the collector will never have. Raises RecordError."""
        line = canonical({"seq": entry["seq"], "hash": entry["hash"], "why": why})
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            fd = os.open(self._refused, flags, 0o600)
            try:
                os.write(fd, line.encode("ascii") + b"\n")
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._cannot(error) from None

    def batch(self, cursor: Cursor) -> Batch:
        """Return what comes next behind a cursor. Raises RecordError."""
        try:
            return self._batch(cursor)
        except OSError as error:
            raise self._cannot(error) from None

    def waiting(self, state: State) -> int:
        """Return how many entries of the log the collector has not acknowledged (of a project:
        at most)."""
        with contextlib.suppress(OSError):
            there = files(self.folder)
            if there:
                last = _end(there[-1])
                fits = _fits(self.folder, state.cursor)
                return max(last - state.cursor.seq, 0) if fits else last
        return 0

    def _batch(self, cursor: Cursor) -> Batch:
        there = files(self.folder)
        if cursor.file and not _fits(self.folder, cursor):
            cursor = _again(there, cursor)
        entries: list[Fields] = []
        size = lost = 0
        for path in there:
            if path.name < cursor.file:
                continue
            offset = cursor.offset if path.name == cursor.file else 0
            for line in lines(path, offset):
                if not line.endswith(b"\n"):
                    break
                offset += len(line)
                link = unseal(line)
                if isinstance(link, Link):
                    lost += max(link.seq - cursor.seq - 1, 0)
                    cursor = Cursor(file=path.name, offset=offset, seq=link.seq, hash=link.hash)
                    entry = parsed(line)
                    if entry is not None and self._is_meant(entry):
                        entries.append(entry)
                        size += len(line)
                if len(entries) >= MAX_ENTRIES or size >= MAX_BYTES:
                    return Batch(entries, cursor, lost, more=True)
        return Batch(entries, cursor, lost, more=False)

    def _is_meant(self, entry: Fields) -> bool:
        if not self.project:
            return True
        return entry.get("project") == self.project or entry["type"] in LOG_ITSELF

    def _cannot(self, error: OSError) -> RecordError:
        name = clean_line(str(self._path), 500)
        return RecordError(
            f"{name}: what was sent cannot be kept: {error.strerror}; check the folder"
        )


def read_state(path: Path) -> State | None:
    """Return what a file says of a collector; None if there is none, or none that can be read."""
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
        cursor = Cursor(**data.pop("cursor"))
        state = replace(State(**data), cursor=cursor)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return state if _is_sound(state) else None


def _is_sound(state: State) -> bool:
    """Whether a state is one that `save` wrote, as far as its values tell."""
    cursor = state.cursor
    texts = (state.to, state.project, state.problem, state.problem_since, cursor.file, cursor.hash)
    counts = (state.sent, state.failures, state.refused, state.lost, cursor.offset, cursor.seq)
    return (
        all(isinstance(text, str) for text in texts)
        and all(type(count) is int and 0 <= count < 2**63 for count in counts)
        and type(state.not_before) in (int, float)
        and (not cursor.file or first_seq(Path(cursor.file)) > 0)
        and _HASH.fullmatch(cursor.hash) is not None
    )


def states(folder: Path) -> list[State]:
    """Return how each collector stands that a log was ever sent to."""
    with contextlib.suppress(OSError):
        found = (read_state(path) for path in sorted(folder.glob("sent-*.json")))
        return [state for state in found if state is not None]
    return []


def shown_url(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return clean_line(f"{parts.scheme}://{host}{parts.path}", 200)


def _fits(folder: Path, cursor: Cursor) -> bool:
    """Whether the entry of a cursor stands where it says."""
    if not cursor.file:
        return True
    end = f'"hash":"{cursor.hash}"}}\n'.encode("ascii")
    try:
        with (folder / Path(cursor.file).name).open("rb") as file:
            file.seek(max(cursor.offset - len(end), 0))
            return file.read(len(end)) == end
    except OSError:
        return False


def _again(there: list[Path], cursor: Cursor) -> Cursor:
    """Where to go on if the cursor's entry is gone: with what came after, else from the start."""
    later = [path for path in there if first_seq(path) > cursor.seq]
    if later:
        return replace(cursor, file=later[0].name, offset=0)
    return Cursor()


def _end(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        link = read_tail(fd, os.fstat(fd).st_size).link
        return link.seq if link else 0
    finally:
        os.close(fd)
