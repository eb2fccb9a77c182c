"""The file and its tables.

Theory of operation: every process opens the file for itself and makes the tables that are missing
(`CREATE TABLE IF NOT EXISTS`), so there is no order between processes. Transactions wait for each
other, a few seconds at most. What is said to be written is on disk (`synchronous = FULL`).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.state.folders import private_folder

FILE = "state.db"
BUSY_SECONDS = 5.0


def connect(path: Path, tables: str) -> sqlite3.Connection:
    """Open state.db, make it (0600, in a folder of 0700) and `tables` (SQL) if they are missing.

    The connection is in autocommit mode; several writes are one with `transaction`. It may be used
    from any thread, by one at a time. Raises RecordError.
    """
    try:
        private_folder(path.parent)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        os.close(os.open(path, flags, 0o600))
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        raise _cannot(path, error) from None
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(tables)
    except sqlite3.Error as error:
        connection.close()
        raise _cannot(path, error) from None
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write: nobody else writes meanwhile, and all of it happens or nothing. Raises
    sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _cannot(path: Path, error: Exception) -> RecordError:
    said = getattr(error, "strerror", None) or str(error)
    return RecordError(
        f"{clean_line(str(path), 500)}: cannot be used: {clean_line(said, 200)}; check the folder, "
        "or move the file away (running totals and waiting approvals are then forgotten)"
    )
