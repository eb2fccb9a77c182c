"""The log as it is written: by one at a time, whatever number of processes share it.

Theory of operation: whoever appends holds `lock` (flock(2)) from the look at the log's end to the
write, so the entries of several processes stand in one chain. The end is known from the last look
as long as the file has the same size and name; else it is read again, which costs one entry. A
torn end is set aside (`<file>.torn`) and noted in an entry; anything else that is wrong is left
for `verify` to find. An entry is written in one write, whole or not at all: a short write is cut
back. `sync` waits for the disk, without the lock; after an error there the log counts as lost for
this process. A file that is full ends with `file_ended`, and the next begins with `file_begun`,
which continues the chain. Every CHECKPOINT-th entry is a signed checkpoint.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agent_host.audit.chain import ZERO, Fields, seal
from agent_host.audit.files import Tail, files, first_seq, name_of, read_tail
from agent_host.audit.keys import KeyProblemError, Signer, statement
from agent_host.core.errors import RecordError
from agent_host.core.text import clean_line
from agent_host.state.disk import DISK, Disk
from agent_host.state.folders import private_folder
from agent_host.state.locks import holder_of

CHECKPOINT = 256
MAX_FILE = 32 * 1024 * 1024
WAIT = 5.0
"""Seconds to wait for another process that is writing; it needs microseconds."""

LOCK_FILE = "lock"
_SEEN = 80
_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK


class AuditLog:
    """A log, open for appending. `clock`: the time as entries have it. `signer`: who signs its
    checkpoints; without one they say that nobody did. `last`: number and hash of the last entry
    that was seen. Several threads may use it.

    Raises RecordError if the folder cannot be made or written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], str],
        signer: Signer | None = None,
        max_file: int = MAX_FILE,
        disk: Disk = DISK,
        wait: float = WAIT,
    ) -> None:
        self.folder = folder
        self.last = (0, ZERO)
        self._clock = clock
        self._signer = signer
        self._max_file = max_file
        self._disk = disk
        self._wait = wait
        self._mutex = threading.RLock()
        self._syncing = threading.Lock()
        self._depth = 0
        self._lock_fd = self._fd = -1
        self._path = folder
        self._size = 0
        self._seen = b""
        self._last_type = ""
        self._unsynced: list[int] = []
        self._dirty = self._new_name = False
        self._lost = ""
        with self.alone():
            pass

    def append(self, entries: Sequence[Fields]) -> None:
        """Hand entries to the operating system, all of them or none. RecordError if the disk is
        full or fails, or if somebody else holds the log for too long."""
        with self.alone():
            if self._size >= self._max_file:
                self._rotate()
            self._put(entries)

    def checkpoint(self) -> None:
        """Append a checkpoint, unless the last entry is one. Raises RecordError."""
        with self.alone():
            if self.last[0] and self._last_type != "checkpoint":
                self._put([self._checkpoint(*self.last)])

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all others from writing, and see the log as it is. Raises RecordError."""
        with self._mutex:
            if self._lost:
                raise RecordError(self._lost)
            self._depth += 1
            try:
                if self._depth == 1:
                    self._hold()
                    self._look()
                yield
            except OSError as error:
                raise self._cannot("cannot be written", error) from None
            finally:
                self._depth -= 1
                if self._depth == 0 and self._lock_fd >= 0:
                    fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    def sync(self) -> None:
        """Return once all that was appended here is on disk. RecordError if the disk fails."""
        with self._syncing:
            with self._mutex:
                if self._lost:
                    raise RecordError(self._lost)
                if not self._dirty:
                    return
                try:
                    fds = [*self._unsynced, os.dup(self._fd)]
                except OSError as error:
                    raise self._cannot("cannot be put on disk", error) from None
                self._unsynced = []
                new_name, self._dirty, self._new_name = self._new_name, False, False
            try:
                for fd in fds:
                    self._disk.sync(fd)
                if new_name:
                    self._sync_folder()
            except OSError as error:
                self._lost = (
                    f"{self._shown()}: the disk failed ({error.strerror}); what the audit log "
                    "holds is not certain, so the run has to stop; check the disk, then look at "
                    "the log with `agent-host audit verify`"
                )
                raise RecordError(self._lost) from None
            finally:
                for fd in fds:
                    os.close(fd)

    def close(self) -> None:
        """Let go of the files. May be called twice."""
        with self._syncing, self._mutex:
            for fd in (*self._unsynced, self._fd, self._lock_fd):
                if fd >= 0:
                    os.close(fd)
            self._unsynced.clear()
            self._fd = self._lock_fd = -1
            self._lost = self._lost or f"{self._shown()}: the audit log is closed"

    # -- one at a time -----------------------------------------------------------------------

    def _hold(self) -> None:
        until = time.monotonic() + self._wait
        while True:
            if self._lock_fd < 0:
                private_folder(self.folder)
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                self._lock_fd = os.open(self.folder / LOCK_FILE, flags, 0o600)
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise RecordError(
                        f"{self._shown()}: {holder_of(self._lock_fd)} has held the audit log for "
                        f"more than {self._wait:g} seconds; end it if it hangs, then resume the run"
                    ) from None
                time.sleep(0.0005)
                continue
            if os.fstat(self._lock_fd).st_nlink:
                return
            os.close(self._lock_fd)  # the folder was removed
            self._lock_fd = -1

    # -- where the log ends ------------------------------------------------------------------

    def _look(self) -> None:
        """Make sure that the newest file is open and its end is known, and note it if what this
        process saw before is not there any more."""
        if self._is_unchanged():
            return
        before, there = self.last, self._is_there()
        self._open_end()
        if before[0] and (not there or self.last[0] < before[0]):
            note: Fields = {"type": "entries_missing", "time": self._clock()}
            self._put([{**note, "expected_seq": before[0], "expected_hash": before[1]}])

    def _is_unchanged(self) -> bool:
        if self._fd < 0:
            return False
        facts = os.fstat(self._fd)
        return facts.st_size == self._size and facts.st_nlink > 0 and self._is_there()

    def _is_there(self) -> bool:
        """Whether the last entry that was seen stands where it stood. A file that is gone may have
        been too old to be kept."""
        if self._fd < 0 or not os.fstat(self._fd).st_nlink:
            return True
        return self._end() == self._seen

    def _end(self) -> bytes:
        """The last bytes, which hold the last entry's hash."""
        return os.pread(self._fd, min(_SEEN, self._size), max(self._size - _SEEN, 0))

    def _open_end(self) -> None:
        if self._fd >= 0 and os.fstat(self._fd).st_nlink and self._read_end() != "file_ended":
            return
        there = files(self.folder)
        if not there:
            self._begin(1, ZERO, "")
            return
        self._let_go()
        self._path = there[-1]
        self._fd = os.open(self._path, _APPEND)
        if os.fstat(self._fd).st_size == 0:
            self._continue_empty(there[-2] if len(there) > 1 else None)
        elif self._read_end() == "file_ended":
            self._begin(self.last[0] + 1, self.last[1], self._path.name)

    def _continue_empty(self, before: Path | None) -> None:
        """A process died after it had made the newest file, before the file's first entry."""
        self.last, self._size = (first_seq(self._path) - 1, ZERO), 0
        if before is not None:
            fd = os.open(before, _APPEND)
            try:
                link = read_tail(fd, os.fstat(fd).st_size).link
            finally:
                os.close(fd)
            self.last = (link.seq, link.hash) if link else self.last
        self._put([self._begun(before.name if before else "")])

    def _read_end(self) -> str:
        """Read the end of the open file, set aside what is torn, return the last entry's type."""
        tail = read_tail(self._fd, os.fstat(self._fd).st_size)
        self._size = tail.whole
        self._seen = self._end()
        if tail.link is None:
            self.last = first_seq(self._path) - 1 + tail.damaged, ZERO
            self._last_type = ""
        else:
            self.last = tail.link.seq + tail.damaged, tail.link.hash
            self._last_type = tail.link.type
        if tail.whole < tail.size:
            self._put([self._set_aside(tail)])
        return self._last_type

    def _set_aside(self, tail: Tail) -> Fields:
        """Move a torn end to `<file>.torn`; on disk there before it is cut off here."""
        aside = self._path.with_name(f"{self._path.name}.torn")
        torn = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(aside, flags, 0o600)
        try:
            place = tail.whole
            while data := os.pread(self._fd, 1 << 20, place):
                place += len(data)
                torn.update(data)
                rest = memoryview(data)
                while rest:
                    rest = rest[self._disk.write(fd, rest) :]
            self._disk.sync(fd)
        finally:
            os.close(fd)
        self._disk.truncate(self._fd, tail.whole)
        return {
            "type": "torn_end",
            "time": self._clock(),
            "size": tail.size - tail.whole,
            "sha256": torn.hexdigest(),
            "kept": aside.name,
        }

    # -- files -------------------------------------------------------------------------------

    def _rotate(self) -> None:
        self._put([{"type": "file_ended", "time": self._clock()}])
        self._begin(self.last[0] + 1, self.last[1], self._path.name)

    def _begin(self, seq: int, digest: str, before: str) -> None:
        path = self.folder / name_of(seq)
        fd = os.open(path, _APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        self._let_go()
        self._fd, self._path, self._size = fd, path, 0
        self.last, self._new_name = (seq - 1, digest), True
        self._put([self._begun(before)])

    def _begun(self, before: str) -> Fields:
        begun: Fields = {"type": "file_begun", "time": self._clock(), "format": 1}
        return {**begun, "after": before} if before else begun

    def _let_go(self) -> None:
        if self._fd < 0:
            return
        if self._dirty:
            self._unsynced.append(self._fd)
        else:
            os.close(self._fd)
        self._fd = -1

    # -- entries -----------------------------------------------------------------------------

    def _put(self, entries: Sequence[Fields]) -> None:
        """Seal entries and write them in one write."""
        seq, prev = self.last
        written: list[bytes] = []
        kind = self._last_type
        for fields in entries:
            while True:
                due = (seq + 1) % CHECKPOINT == 0 and fields["type"] != "checkpoint"
                entry = self._checkpoint(seq, prev) if due else fields
                line, prev = seal(entry, seq + 1, prev)
                seq, kind = seq + 1, entry["type"]
                written.append(line)
                if not due:
                    break
        self._write(b"".join(written))
        self.last, self._last_type = (seq, prev), kind

    def _checkpoint(self, seq: int, digest: str) -> Fields:
        fields: Fields = {"type": "checkpoint", "time": self._clock(), "of": seq}
        if self._signer is None:
            return {**fields, "problem": "nobody was asked to sign"}
        try:
            signature, key = self._signer.sign(statement(seq, digest))
        except KeyProblemError as problem:
            return {**fields, "problem": clean_line(str(problem), 300)}
        return {**fields, "signature": signature, "key": key}

    def _write(self, data: bytes) -> None:
        problem: OSError | None = None
        try:
            if self._disk.write(self._fd, data) != len(data):
                problem = self._disk.why_short(self._fd)
        except OSError as error:
            problem = error
        if problem is not None:
            self._cut_back()
            if not self._lost:
                raise self._cannot("the entry cannot be written", problem)
            raise RecordError(self._lost)
        self._size += len(data)
        self._seen = data[-_SEEN:]
        self._dirty = True

    def _cut_back(self) -> None:
        try:
            self._disk.truncate(self._fd, self._size)
        except OSError as error:
            self._lost = (
                f"{self._shown()}: an entry was written in part and could not be taken back "
                f"({error.strerror}); the run has to stop; whoever writes next sets it aside"
            )

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _cannot(self, what: str, error: OSError) -> RecordError:
        advice = _ADVICE.get(error.errno or 0, _CHECK)
        return RecordError(f"{self._shown()}: audit log: {what}: {error.strerror}; {advice}")

    def _shown(self) -> str:
        return clean_line(str(self._path), 500)


_CHECK = "check the folder, or name another one as `folder` in [audit]"
_ADVICE = {
    errno.EMFILE: "raise the limit on open files (ulimit -n), then resume the run",
    errno.ENFILE: "the system has too many open files; end something, then resume the run",
    errno.ENOSPC: "free space there, then resume the run",
    errno.EDQUOT: "free space there (quota), then resume the run",
    errno.EFBIG: "raise the limit on file sizes, then resume the run",
    errno.ELOOP: "it is a symbolic link; put the folder or file itself there",
}
