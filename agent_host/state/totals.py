"""What the calls of all runs add up to: running totals, in state.db.

Theory of operation: one row for a call and total that it counts in: how much (whole micro-units, so
that sums are exact), for which key, when. What is read and written about one call happens in one
immediate transaction (`Book`), so two processes never count on the same rest. A row is on disk
before the call may run and stays if the process dies: what may have happened counts. Rows of one
call are replaced as a whole, never added twice. A clock that was set back leaves rows in the
future; they are dated now when they are first seen, so they count for one window from there. Rows
are deleted long after their window, so that a clock that was ahead for a while loses nothing.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.state.database import connect, transaction

UNIT = 1_000_000
"""Micro-units in 1."""

MOST = 10**12
"""The largest value that is counted."""

_KEPT = 31 * 86400.0
_PRUNE_EVERY = 500
_TABLES = """
CREATE TABLE IF NOT EXISTS totals (
    run TEXT NOT NULL, call TEXT NOT NULL, total TEXT NOT NULL, key TEXT NOT NULL,
    units INTEGER NOT NULL CHECK (units >= 0), at REAL NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (run, call, total)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS totals_by_key ON totals (total, key, at);
CREATE INDEX IF NOT EXISTS totals_by_end ON totals (until);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a call adds to one total: `units` micro-units, for `key`, for `window` seconds."""

    total: str
    key: str
    units: int
    window: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call, in all runs."""

    run: str
    call: str


class Totals:
    """The totals in one state.db, which is opened when it is first needed. Every method raises
    RecordError when the file cannot be used, and leaves it to the next call to try again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._written = 0

    @contextmanager
    def book(self) -> Iterator["Book"]:
        """Everything about one call, in one transaction; nobody else writes meanwhile. An
        exception takes back what was written."""
        connection = self._open()
        try:
            with transaction(connection):
                yield Book(connection)
        except sqlite3.Error as error:
            self.close()
            raise self._unusable(error) from None
        self._written += 1

    def sums(self, wanted: Iterable[Share], *, now: float) -> Mapping[str, int]:
        """Return what is counted now, by total, in micro-units; nothing is written, and no file
        is made."""
        if not self._path.exists():
            return {share.total: 0 for share in wanted}
        connection = self._open()
        try:
            return {one.total: _sum(connection, one, now, Call(run="", call="")) for one in wanted}
        except sqlite3.Error as error:
            self.close()
            raise self._unusable(error) from None

    def remove(self, call: Call) -> None:
        """Let a call count no more."""
        if not self._path.exists():
            return
        connection = self._open()
        place = (call.run, call.call)
        try:
            there = connection.execute(
                "SELECT 1 FROM totals WHERE run = ? AND call = ? LIMIT 1", place
            ).fetchone()
            if there:
                connection.execute("DELETE FROM totals WHERE run = ? AND call = ?", place)
        except sqlite3.Error as error:
            self.close()
            raise self._unusable(error) from None

    def prune(self, now: float) -> None:
        """Delete what has not counted for a month, now and then."""
        if self._written % _PRUNE_EVERY != 1:
            return
        with suppress(sqlite3.Error):  # it has time until the next time
            self._open().execute("DELETE FROM totals WHERE until < ?", (now - _KEPT,))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._identity() != self._file:
            self.close()  # another file is in its place: what others count is in that one
        if self._connection is None:
            self._connection = connect(self._path, _TABLES)
            self._file = self._identity()
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _unusable(self, error: Exception) -> RecordError:
        name = clean_line(str(self._path), 300)
        return RecordError(f"{name}: running totals cannot be kept: {clean_line(str(error), 100)}")


class Book:
    """The totals while nobody else writes. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def sums(self, wanted: Iterable[Share], *, now: float, apart: Call) -> Mapping[str, int]:
        """Return what is counted, by total, in micro-units, without what one call counts."""
        found = {}
        for one in wanted:
            self._connection.execute(
                "UPDATE totals SET until = until - at + :now, at = :now "
                "WHERE total = :total AND key = :key AND at > :now",
                {"now": now, "total": one.total, "key": one.key},
            )
            found[one.total] = _sum(self._connection, one, now, apart)
        return found

    def put(self, call: Call, shares: Iterable[Share], *, now: float) -> None:
        """Count a call with these shares, and with nothing else."""
        self._connection.execute(
            "DELETE FROM totals WHERE run = ? AND call = ?", (call.run, call.call)
        )
        self._connection.executemany(
            "INSERT INTO totals (run, call, total, key, units, at, until) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (call.run, call.call, one.total, one.key, one.units, now, now + one.window)
                for one in shares
            ],
        )


def _sum(connection: sqlite3.Connection, share: Share, now: float, apart: Call) -> int:
    row = connection.execute(
        "SELECT COALESCE(SUM(units), 0) FROM totals "
        "WHERE total = ? AND key = ? AND at > ? AND NOT (run = ? AND call = ?)",
        (share.total, share.key, now - share.window, apart.run, apart.call),
    ).fetchone()
    return int(row[0])
