"""Old files are removed, and what remains says so.

Theory of operation: only whole files go, the oldest first, never the one that is written, and only
if their last entry is older than what is kept. Before a file is removed, its last number and hash
are written to `retired.jsonl`, signed like a checkpoint, and noted in an entry: so `verify` can
tell a beginning that retention made from one that somebody cut off. What a collector has not taken
yet stays.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent_host.audit.canonical import canonical
from agent_host.audit.chain import Fields, Link
from agent_host.audit.files import files, first_seq, read_tail
from agent_host.audit.keys import KeyProblemError, Signer, statement
from agent_host.audit.log import AuditLog

STUB = "retired.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """Files that retention removed: up to entry `last`, whose hash was `hash`."""

    last: int
    hash: str
    time: str
    before: str
    signature: str = ""
    key: str = ""


def retire(
    log: AuditLog, signer: Signer, *, before: str, now: Callable[[], str], kept: int | None = None
) -> list[str]:
    """Remove the files whose last entry is from before that time (RFC 3339, UTC); return their
    names. `kept`: no file that holds an entry after that number. Raises RecordError."""
    with log.alone():
        old = _old(log.folder, before, kept)
        for path, last in old:
            try:
                signature, key = signer.sign(statement(last.seq, last.hash))
            except KeyProblemError:
                signature = key = ""
            stub = Retired(
                last=last.seq,
                hash=last.hash,
                time=now(),
                before=before,
                signature=signature,
                key=key,
            )
            _note(log.folder, stub)
            entry: Fields = {"type": "file_retired", "time": now(), "file": path.name}
            entry |= {"last": last.seq, "last_hash": last.hash, "before": before}
            log.append([entry])
            log.sync()
            path.unlink(missing_ok=True)
    return [path.name for path, _ in old]


def _old(folder: Path, before: str, kept: int | None) -> list[tuple[Path, Link]]:
    found: list[tuple[Path, Link]] = []
    for path in files(folder)[:-1]:
        last = _last(path)
        if last is None or last.time >= before or (kept is not None and last.seq > kept):
            break
        found.append((path, last))
    return found


def _last(path: Path) -> Link | None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return read_tail(fd, os.fstat(fd).st_size).link
    finally:
        os.close(fd)


def _note(folder: Path, stub: Retired) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    fd = os.open(folder / STUB, flags, 0o600)
    try:
        os.write(fd, canonical(stub).encode("ascii") + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def retired(folder: Path) -> list[Retired]:
    """Return what retention says it has removed. Raises OSError."""
    found: list[Retired] = []
    try:
        text = (folder / STUB).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return found
    for line in text.splitlines():
        try:
            found.append(Retired(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def begins_at(folder: Path) -> int:
    """Return the number of the first entry that is still there; 0 if there is none."""
    there = files(folder)
    return first_seq(there[0]) if there else 0
