"""Taking a run away, and which runs are old enough for it.

Theory of operation: a run is deleted under the lock that its process would hold, so one that goes
on is never taken away from under it. Its artifacts and what was set aside go first and the
transcript last: whoever is ended in between finds the run still there, and deletes it again.
Nothing but what belongs to the run is touched, and a link is removed, not what it names. The age of
a run is that of its last record, or of its file if that is younger, so a wrong clock or a damaged
file makes no run older than it is.
"""

import fcntl
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.records.reader import Summary
from agent_host.state.locks import holder_of


def delete(path: Path) -> None:
    """Delete a transcript with its artifacts. RecordError if its run is under way, or a file cannot
    be removed."""
    name = clean_line(str(path), 500)
    try:
        fd = _held(path)
    except FileNotFoundError:
        raise RecordError(f"{name}: it is gone already") from None
    except OSError as error:
        raise RecordError(
            f"{name}: it cannot be deleted: {error.strerror}; check its owner and permissions"
        ) from None
    try:
        _remove(path)
    except OSError as error:
        where = clean_line(str(error.filename or path), 500)
        raise RecordError(
            f"{where}: it cannot be removed: {error.strerror}; check the folder's owner and "
            "permissions, then delete the run again"
        ) from None
    finally:
        if fd is not None:
            os.close(fd)


def _held(path: Path) -> int | None:
    """Lock the file of a run; a link or something else that is no file has no lock."""
    if path.is_symlink() or not path.is_file():
        path.lstat()
        return None
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = holder_of(fd)
        os.close(fd)
        raise RecordError(
            f"{clean_line(str(path), 500)}: the run is under way in {who}; end that first"
        ) from None
    return fd


def _remove(path: Path) -> None:
    run_id = path.name.removesuffix(".jsonl")
    artifacts = path.with_name(f"{run_id}.artifacts")
    if artifacts.is_symlink():
        artifacts.unlink()
    elif artifacts.is_dir():
        shutil.rmtree(artifacts)
    path.with_name(f"{run_id}.corrupt").unlink(missing_ok=True)
    path.unlink()


def outdated(
    runs: Sequence[Summary], now: datetime, keep: float | None, keep_runs: int | None
) -> list[Summary]:
    """Return those of `runs` (all of a folder, the newest first) that are older than `keep` seconds
    or more than `keep_runs`, the oldest first."""
    found = []
    for number, run in enumerate(runs):
        too_many = keep_runs is not None and number >= keep_runs
        if too_many or (keep is not None and _last(run) < now - timedelta(seconds=keep)):
            found.append(run)
    return found[::-1]


def _last(run: Summary) -> datetime:
    """When something was last written to a run."""
    try:
        changed = datetime.fromtimestamp(run.path.lstat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError):
        return datetime.max.replace(tzinfo=UTC)
    try:
        recorded = datetime.fromisoformat(run.last_at)
    except ValueError:
        return changed
    recorded = recorded if recorded.tzinfo else recorded.replace(tzinfo=UTC)
    return max(changed, recorded)
