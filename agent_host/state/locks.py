"""Who holds the lock (flock(2)) on a file, from the table of the kernel (proc(5))."""

import os
import re
from pathlib import Path

TABLE = Path("/proc/locks")


def holder_of(fd: int) -> str:
    """Return who holds the lock on an open file, for people: `process 4711`, or `another process`
    where that cannot be known."""
    number = _writer(fd, _table())
    return f"process {number}" if number else "another process"


def known_holder(fd: int) -> tuple[bool, str | None]:
    """Return whether this system tells who holds locks, and who holds that one, if anybody."""
    table = _table()
    number = _writer(fd, table)
    return bool(table), f"process {number}" if number else None


def _writer(fd: int, table: str) -> str:
    inode = os.fstat(fd).st_ino
    found = re.search(rf"FLOCK\s+\S+\s+WRITE\s+([1-9]\d*)\s+\S+:{inode}\s", table)
    return found[1] if found else ""


def _table() -> str:
    try:
        return TABLE.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
