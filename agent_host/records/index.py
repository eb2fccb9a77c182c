"""An index of a folder of transcripts: what each run is, and the words that were said in it.

Theory of operation: the files are the truth and the index is a copy that may be lost: one that is
missing, damaged, of another version or of another folder is made anew, and one that cannot be kept
(a full disk, a folder that is not ours) is made in memory for this once. `refresh` compares each
file with what was noted of it (inode, size, times) and reads only what is new: of one that grew,
and still has the same bytes before the place where reading stopped, what follows there. A file that
is gone leaves the index with its words. What is damaged is noted with the reason, and hides nothing
else. One process writes at a time (flock), in short transactions; readers wait for nobody (WAL).
The file is its owner's alone (0600), as transcripts are, and holds no more than they do.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.core.types import Usage
from agent_host.records.lines import Scan, Whole
from agent_host.records.reader import Summary, opened, run_ids
from agent_host.records.said import said
from agent_host.records.tally import Tally
from agent_host.state.folders import private_folder
from agent_host.state.locks import holder_of

VERSION = 6
"""Of the tables and of how files are read into them; another one is made anew."""

SHIFT = 24
"""The rowid of a text is its run's id, shifted, and the number of its line."""

Tell = Callable[[int, int], None]
"""Is told how many bytes of how many are read."""

_OFTEN = 0.02
_TAIL = 4096
_TEXTS = 100
_PARTS = 4
_PIECE = 0.3
"""Seconds of work in one transaction, so that a process that is ended loses little."""

_TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, mark TEXT NOT NULL, lines INTEGER NOT NULL,
    ended INTEGER NOT NULL, tail TEXT NOT NULL, run_id TEXT NOT NULL, tally TEXT NOT NULL,
    broken TEXT NOT NULL, started_at TEXT NOT NULL, last_at TEXT NOT NULL, cost REAL NOT NULL,
    outcome TEXT NOT NULL);
CREATE INDEX marks ON runs (name, mark, ended);
CREATE TABLE traits (
    run INTEGER NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (kind, value, run)) WITHOUT ROWID;
CREATE INDEX traits_of_run ON traits (run);
CREATE VIRTUAL TABLE said USING fts5(
    text, turn UNINDEXED, kind UNINDEXED, prefix = "2 3",
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co S*' separators '$+<=>^`|~'");
"""


_Known = tuple[str, int, str, int]
"""What the index holds of a file: its name, row, mark, and how many bytes were read."""


@dataclass(slots=True, kw_only=True)
class _State:
    """What is noted of a file: how far it was read, and what was found up to there."""

    name: str
    mark: str
    whole: Whole = field(default_factory=Whole)
    tail: str = ""
    tally: Tally = field(default_factory=Tally)
    broken: str = ""


class Index:
    """The index of the transcripts in `folder`, kept in the file `place` (None: in memory).

    `reason` says, for people, why it is in memory though a place was named. `patience`: seconds
    to wait for a process that is at work on the file, before it is done without. Close it.
    """

    def __init__(self, folder: Path, place: Path | None, patience: float = 10.0) -> None:
        self.folder = folder
        self.reason = ""
        self._patience = patience
        self._forgot = False
        self._place = place
        self.db = self._connected()

    def refresh(self, tell: Tell = lambda _done, _all: None, newest: int | None = None) -> None:
        """Bring the index up to date with the files; with `newest`, of so many newest runs alone.
        RecordError if the folder cannot be listed."""
        for last in (False, True):
            try:
                with self._writing():
                    self._refresh(tell, newest)
            except (sqlite3.DatabaseError, OSError) as error:
                if last and self._place is None:
                    raise
                self._replace(error, in_memory=last or isinstance(error, OSError))
            else:
                return
        self._refresh(tell, newest)

    def renew(self, error: sqlite3.DatabaseError) -> None:
        """Make the index anew, because it failed with this error."""
        self._replace(error, in_memory=False)
        self.refresh()

    def close(self) -> None:
        """Let the file go."""
        self.db.close()

    def _refresh(self, tell: Tell, newest: int | None) -> None:
        names = run_ids(self.folder)
        sql = "SELECT name, id, mark, ended FROM runs INDEXED BY marks"
        known: dict[str, _Known] = {row[0]: row for row in self.db.execute(sql)}
        gone = known.keys() - set(names)
        with _transaction(self.db):
            for name in gone:
                self._forget(known[name][1])
        changed = list(self._changed(names[::-1][:newest], known))
        todo = sum(size for _, _, size in changed)
        done = 0
        while changed:
            until = time.monotonic() + _PIECE
            with _transaction(self.db):
                while changed and time.monotonic() < until:
                    name, found, size = changed.pop()
                    self._read(name, found, partial(_told, tell, done, todo))
                    done += size
            tell(done, todo)
        if self._forgot:  # what a deleted row leaves in the index of words goes only with this
            with _transaction(self.db):
                self.db.execute("INSERT INTO said (said) VALUES ('optimize')")
            self._forgot = False

    def _changed(
        self, names: Sequence[str], known: dict[str, _Known]
    ) -> Iterator[tuple[str, _Known | None, int]]:
        """The files to read, with how many bytes that takes."""
        if not names:
            return
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names:
                found = known.get(name)
                try:
                    status = os.stat(f"{name}.jsonl", dir_fd=folder)
                except OSError:
                    yield name, found, 0
                    continue
                if found is None or found[2] != _mark(status):
                    yield name, found, max(status.st_size - (found[3] if found else 0), 0)
        finally:
            os.close(folder)

    def _read(self, name: str, known: _Known | None, tell: Callable[[int], None]) -> None:
        path = self.folder / f"{name}.jsonl"
        row = known[1] if known else self._new_row()
        try:
            with opened(path) as file:
                state = _State(name=name, mark=_mark(os.fstat(file.fileno())))
                self._earlier(row, file.fileno(), state)
                if not state.whole.count:
                    self._forget(row)
                self._take(row, state, Scan(file, str(path), state.whole), tell)
                state.tail = _tail(file.fileno(), state.whole.end)
        except (RecordError, OSError) as error:  # without a mark it is tried again
            self._forget(row)
            state = _State(name=name, mark="", broken=str(error))
        self._note(row, state)

    def _take(self, row: int, state: _State, scan: Scan, tell: Callable[[int], None]) -> None:
        first, tally = scan.whole.end, state.tally
        texts: list[tuple[int, str, int, str]] = []
        where = clean_line(str(self.folder / f"{state.name}.jsonl"), 500)
        try:
            for data, number in scan:
                turn = tally.turn
                tally.take(data, f"{where}:{number}")
                who, text = said(data["event"])
                if text:
                    texts.append((row << SHIFT | number, text, turn, who))
                if len(texts) >= _TEXTS:
                    self._add(texts)
                if number % _TEXTS == 0:
                    tell(scan.whole.end - first)
        except RecordError as error:
            state.broken = str(error)
        self._add(texts)
        state.whole = scan.whole

    def _add(self, texts: list[tuple[int, str, int, str]]) -> None:
        insert = "INSERT INTO said (rowid, text, turn, kind) VALUES (?, ?, ?, ?)"
        self.db.executemany(insert, texts)
        texts.clear()

    def _earlier(self, row: int, fd: int, state: _State) -> None:
        """Take what is known of a file that only grew, so that reading goes on behind it."""
        sql = "SELECT mark, lines, ended, tail, run_id, tally, broken FROM runs WHERE id = ?"
        found = self.db.execute(sql, (row,)).fetchone()
        if found is None or found[6] or not found[1] or not _grew(found[0], state.mark):
            return
        _, lines, ended, tail, run_id, tally, _ = found
        if _tail(fd, ended) == tail:
            state.whole = Whole(count=lines, end=ended, run_id=run_id)
            state.tally = noted(tally)

    def _note(self, row: int, state: _State) -> None:
        whole, tally = state.whole, state.tally
        values = (
            row,
            state.name,
            state.mark,
            whole.count,
            whole.end,
            state.tail,
            whole.run_id,
            json.dumps(asdict(tally), ensure_ascii=True, separators=(",", ":")),
            clean_line(state.broken, 2000),
            clean_line(tally.started_at, 60),
            clean_line(tally.last_at, 60),
            tally.cost,
            clean_line("broken" if state.broken else tally.outcome, 200),
        )
        holes = ", ".join("?" * len(values))
        self.db.execute(f"INSERT OR REPLACE INTO runs VALUES ({holes})", values)  # noqa: S608
        kinds = {"tool": tally.tools, "model": tally.models, "user": tally.users}
        traits = [(row, kind, value.lower()) for kind, found in kinds.items() for value in found]
        self.db.executemany("INSERT OR IGNORE INTO traits VALUES (?, ?, ?)", traits)

    def _forget(self, row: int) -> None:
        bounds = (row << SHIFT, (row + 1) << SHIFT)
        sql = "DELETE FROM said WHERE rowid >= ? AND rowid < ?"
        self._forgot |= self.db.execute(sql, bounds).rowcount > 0
        self.db.execute("DELETE FROM traits WHERE run = ?", (row,))
        self.db.execute("DELETE FROM runs WHERE id = ?", (row,))

    def _new_row(self) -> int:
        return int(self.db.execute("SELECT coalesce(max(id), 0) + 1 FROM runs").fetchone()[0])

    def _connected(self) -> sqlite3.Connection:
        if self._place is not None:
            try:
                private_folder(self._place.parent)
                with self._writing():
                    return self._open(self._place)
            except (OSError, sqlite3.DatabaseError) as error:
                self._in_memory(error)
        return self._open(None)

    def _open(self, place: Path | None) -> sqlite3.Connection:
        """Open the tables, or make them (anew, if they are of another kind or damaged)."""
        if place is None:
            return _made(sqlite3.connect(":memory:", isolation_level=None))
        for _ in range(2):
            os.close(os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            place.chmod(0o600)
            db = sqlite3.connect(place, isolation_level=None, timeout=60)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                db.execute("PRAGMA secure_delete = ON")
                if db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
                    if _whole(db):
                        return db
                elif not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    return _made(db)
            except sqlite3.OperationalError:
                db.close()
                raise
            except sqlite3.DatabaseError:
                pass
            db.close()
            _remove(place)
        raise sqlite3.DatabaseError("it cannot be made anew")

    def _replace(self, error: Exception, *, in_memory: bool) -> None:
        """Go on with new tables after an error."""
        self.db.close()
        if self._place is None or in_memory or isinstance(error, sqlite3.OperationalError):
            self._in_memory(error)
            self.db = self._open(None)
            return
        try:
            with self._writing():
                _remove(self._place)
        except OSError as failure:
            self._in_memory(failure)
        self.db = self._connected()

    def _in_memory(self, error: Exception) -> None:
        where = clean_line(str(self._place), 500)
        self.reason = f"{where}: no index can be kept: {clean_line(str(error), 200)}"
        self._place = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the only one that changes the file."""
        if self._place is None:
            yield
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        fd = os.open(self._place.with_suffix(".lock"), flags, 0o600)
        try:
            self._wait(fd)
            yield
        finally:
            os.close(fd)

    def _wait(self, fd: int) -> None:
        """Lock the file. TimeoutError if whoever has it keeps it (a stopped process, perhaps)."""
        until = time.monotonic() + self._patience
        while not _locked(fd):
            if time.monotonic() > until:
                raise TimeoutError(f"{holder_of(fd)} is at work on it")
            time.sleep(_OFTEN)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _told(tell: Tell, done: int, todo: int, read: int) -> None:
    tell(done + read, todo)


def noted(tally: str) -> Tally:
    """Return a tally that was written down. DatabaseError if it is none any more."""
    try:
        return Tally(**json.loads(tally))
    except (ValueError, TypeError) as error:
        raise sqlite3.DatabaseError(f"a damaged row: {error}") from None


def summarized(folder: Path, name: str, tally: Tally, broken: str) -> Summary:
    """Return what a list says of a run, from its tally."""
    return Summary(
        run_id=name,
        path=folder / f"{name}.jsonl",
        started_at=tally.started_at,
        last_at=tally.last_at,
        user=tally.user,
        parent=tally.parent,
        model=tally.model,
        simulated=tally.simulated,
        words=tally.words,
        turns=tally.turns,
        calls=tally.tool_calls,
        usage=Usage(
            input_tokens=tally.input_tokens,
            output_tokens=tally.output_tokens,
            cache_read_tokens=tally.cache_read_tokens,
            cache_write_tokens=tally.cache_write_tokens,
        ),
        cost=tally.cost,
        outcome=tally.outcome if tally.started_at else "",
        broken=broken,
    )


def _whole(db: sqlite3.Connection) -> bool:
    sql = "SELECT count(*) FROM sqlite_master WHERE name IN ('runs', 'traits', 'said', 'marks')"
    return bool(db.execute(sql).fetchone()[0] == _PARTS)


def _made(db: sqlite3.Connection) -> sqlite3.Connection:
    db.executescript(f"BEGIN;{_TABLES}PRAGMA user_version = {VERSION};COMMIT;")
    return db


def _remove(place: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        place.with_name(place.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _mark(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return ""
    times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
    return f"{status.st_dev}:{status.st_ino} {status.st_size} {times}"


def _grew(before: str, now: str) -> bool:
    """Whether it is the same file and longer: one that is not was changed somewhere else."""
    (was, size, *_), (is_now, larger, *_) = f"{before} 0".split(" "), f"{now} 0".split(" ")
    return was == is_now and int(larger) > int(size)


def _tail(fd: int, end: int) -> str:
    start = max(end - _TAIL, 0)
    return hashlib.sha256(os.pread(fd, end - start, start)).hexdigest()
