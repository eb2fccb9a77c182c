"""The file of a run: `<folder>/<run_id>.jsonl`, one record a line, held by one process.

Theory of operation: the file is made once (O_EXCL, mode 0600, in a folder of mode 0700) and is
locked (`flock`) as long as a Transcript has it open, so a second process is refused, and a
process that died holds nothing. `append` hands a record to the operating system in one write;
if less than the whole arrives (a full disk shows as a short write first), the file is cut back
to its last whole record and RecordError says so. `sync` is the only thing that waits for the
disk; after an error there nobody knows what the disk holds, so the file counts as lost and
nothing is ever appended or synced again. `seq` has no holes: a record that could not be appended
must be appended before any later one. A file that is removed while the run goes on is still open
here, so it is written anew at its place; one that was moved is written on where it is now; both
are told (`tell`). `open` continues the file of an earlier process: what
follows its last whole record (a torn line, garbage) is moved to `<run_id>.corrupt` and reported
in `recovered`. Artifacts lie in `<run_id>.artifacts/`. POSIX only (fcntl); a port replaces `_hold`.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from agent_host.core.errors import RecordError
from agent_host.core.events import Record
from agent_host.core.text import clean_line
from agent_host.records.codec import MAX_LINE, encode
from agent_host.records.lines import BUFFER, Scan, Whole
from agent_host.state.disk import DISK, Disk
from agent_host.state.folders import private_folder
from agent_host.state.locks import holder_of

MAX_ARTIFACT = 64 * 1024 * 1024
"""Bytes of an artifact that are kept; a longer one ends in a line that says how much was cut."""

MAX_ARTIFACTS = 10_000
"""How many artifacts one run may keep."""

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class Transcript:
    """One run's file, open for appending; implements `ports.Journal`. Made by `create` or `open`.

    `recovered` says what `open` had to set aside, for people, or is None. `seq` is the sequence
    number that the next record must have. Not for several threads, except that `sync` may run in
    others. `tell` is called with what people should know of the file while the run goes on.
    """

    def __init__(
        self, path: Path, fd: int, whole: Whole, redact: "Redact | None", disk: Disk
    ) -> None:
        self.path = path
        self.run_id = path.name.removesuffix(".jsonl")
        self.recovered: str | None = None
        self.seq = whole.count
        self._size = whole.end
        self._fd = fd
        self._disk = disk
        self._encode: Callable[[Record], bytes] = redact.encode if redact else encode
        self._redact = redact
        self._lost = ""
        self._unsynced: deque[int] = deque()
        self._synced = 0
        self._syncing = threading.Lock()
        self._artifacts = 0
        self._made_folder = False
        self._place = os.fstat(fd)
        self._moved = False
        self.tell: Callable[[str], None] = lambda _text: None

    @classmethod
    def create(
        cls, folder: Path, run_id: str, redact: "Redact | None" = None, disk: Disk = DISK
    ) -> "Transcript":
        """Make the file of a new run, and its folder if there is none. RecordError if the folder
        cannot be made or written, or the run has a file already."""
        path = _path(folder, run_id)
        is_new = not os.path.lexists(folder)
        try:
            private_folder(folder)
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if not folder.is_dir():
                error = OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                raise _cannot("no transcript can be made here", path, error) from None
            raise RecordError(
                f"{_shown(path)}: this run has a transcript already; resume it, or move it away"
            ) from None
        except OSError as error:
            raise _cannot("no transcript can be made here", path, error) from None
        transcript = cls(path, _hold(fd, path), Whole(), redact, disk)
        transcript._made_folder = is_new
        return transcript

    @classmethod
    def open(
        cls,
        folder: Path,
        run_id: str,
        redact: "Redact | None" = None,
        disk: Disk = DISK,
        walk: Callable[[Scan], None] | None = None,
    ) -> "Transcript":
        """Take over the file of an earlier process, to append to it. `walk` iterates its records,
        all of them, see `fold.Fold`; what it raises goes on.

        A torn last line is moved to `<run_id>.corrupt`. RecordError if there is no such file,
        another process holds it, it is damaged before its end, or has a newer schema.
        """
        path = _path(folder, run_id)
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
            fd = os.open(path, flags)
        except FileNotFoundError:
            raise RecordError(
                f"{_shown(path)}: there is no such run; `agent-host transcripts list` shows them"
            ) from None
        except OSError as error:
            raise _cannot("the transcript cannot be opened for writing", path, error) from None
        _hold(fd, path)
        try:
            whole = _check(path, fd, run_id, walk or _to_the_end)
            transcript = cls(path, fd, whole, redact, disk)
            if whole.torn:
                transcript.recovered = transcript._set_aside(whole)
        except BaseException:
            os.close(fd)
            raise
        return transcript

    def append(self, record: Record) -> None:
        """Hand the record to the operating system, whole or not at all. RecordError if the disk
        is full or fails, or if a record before this one is missing."""
        self._usable()
        self._keep_in_place()
        if record.seq != self.seq:
            raise RecordError(
                f"{_shown(self.path)}: record {record.seq} cannot follow record {self.seq - 1}; "
                "the run has to stop here"
            )
        line = self._encode(record) + b"\n"
        if len(line) > MAX_LINE:
            raise RecordError(
                f"{_shown(self.path)}: a record of {len(line):,} bytes is too long to be kept "
                f"(at most {MAX_LINE:,}); the run has to stop here"
            )
        try:
            written = self._disk.write(self._fd, line)
        except OSError as error:
            self._cut_back()
            raise self._failed(error) from None
        if written != len(line):
            why = self._disk.why_short(self._fd)
            self._cut_back()
            raise self._failed(why)
        self._size += written
        self.seq += 1

    def sync(self) -> None:
        """Return once all that was appended and kept is on disk. RecordError if the disk fails:
        the file then counts as lost. Several threads may wait; one sync serves them all."""
        wanted = self.seq
        with self._syncing:
            self._usable()
            if self._synced >= wanted and not self._unsynced:
                return
            began = self.seq
            folder = -1 if self._synced else self._open_folder()  # for the file's name
            kept: list[int] = []
            while self._unsynced:
                kept.append(self._unsynced.popleft())
            try:
                for fd in (*kept, self._fd):
                    self._disk.sync(fd)
                if folder >= 0:
                    os.fsync(folder)
            except OSError as error:
                self._lost = (
                    f"{_shown(self.path)}: the disk failed ({error.strerror}); what it holds of "
                    "this run is not certain, so the run has to stop; check the disk, then look "
                    "at the file with `agent-host transcripts show`"
                )
                raise RecordError(self._lost) from None
            finally:
                for fd in kept:
                    os.close(fd)
                if folder >= 0:
                    os.close(folder)
            self._synced = began

    def finish(self) -> None:
        """Return once the whole run is on disk, at its place. RecordError as `sync`."""
        self._usable()
        if self._size:
            self._keep_in_place()
            self.sync()

    def keep(self, name: str, data: bytes) -> str:
        """Store an artifact and return its path below the transcripts' folder, as
        `<run_id>.artifacts/<name>`; the name is made safe and unique. RecordError."""
        self._usable()
        self._keep_in_place()
        if self._redact:
            data = self._redact.bytes(data)
        if len(data) > MAX_ARTIFACT:
            cut = len(data) - MAX_ARTIFACT
            data = data[:MAX_ARTIFACT] + f"\n[{cut:,} more bytes were not kept]\n".encode()
        folder = self.artifacts
        path, fd = self._new_artifact(folder, _UNSAFE_IN_NAME.sub("_", name).strip("._-")[:80])
        try:
            self._write_all(fd, data)
        except OSError as error:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise _cannot("the artifact cannot be written", path, error) from None
        self._unsynced.append(fd)
        if len(self._unsynced) >= 64:  # never more open files than this
            self.sync()
        return f"{folder.name}/{path.name}"

    @property
    def artifacts(self) -> Path:
        """The folder of the run's artifacts; made with the first."""
        return self.path.with_name(f"{self.run_id}.artifacts")

    def close(self) -> None:
        """Let go of the file; one that never got a record is removed, with the folder if that was
        made for it. May be called twice."""
        with self._syncing:  # a sync whose caller was cancelled may still run
            if self._fd < 0:
                return
            if self._size == 0:
                self.path.unlink(missing_ok=True)
                if self._made_folder:
                    with contextlib.suppress(OSError):  # others may have put theirs there
                        self.path.parent.rmdir()
            for fd in (*self._unsynced, self._fd):
                os.close(fd)
            self._unsynced.clear()
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _usable(self) -> None:
        if self._lost:
            raise RecordError(self._lost)
        if self._fd < 0:
            raise RecordError(f"{_shown(self.path)}: the transcript is closed")

    def _keep_in_place(self) -> None:
        """See that the file has its name; write it anew if it was removed. RecordError."""
        try:
            if os.path.samestat(self.path.lstat(), self._place):
                return
        except OSError:  # no such file, or its folder is gone
            pass
        if os.fstat(self._fd).st_nlink:
            self._say_moved()
        else:
            self._write_anew()

    def _say_moved(self) -> None:
        if not self._moved:
            self._moved = True
            self.tell(
                f"{_shown(self.path)}: the transcript was moved away while the run writes it; it "
                "is written on where it is now; move it back before you resume the run"
            )

    def _write_anew(self) -> None:
        what = "the transcript was removed while the run wrote it, and cannot be written anew"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            private_folder(self.path.parent)
            fd = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise _cannot(what, self.path, error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._copy(fd, 0)
            self._disk.sync(fd)
            with self._syncing:
                os.dup2(fd, self._fd, inheritable=False)
                self._synced = 0  # its new name has to be on disk, too
        except OSError as error:
            self.path.unlink(missing_ok=True)
            raise _cannot(what, self.path, error) from None
        finally:
            os.close(fd)
        self._place = os.fstat(self._fd)
        self.tell(
            f"{_shown(self.path)}: the transcript was removed while the run wrote it; it was "
            "written anew, whole; artifacts that were beside it are gone"
        )

    def _copy(self, target: int, offset: int) -> None:
        """Copy the file from a place on to its end."""
        while chunk := os.pread(self._fd, 1 << 20, offset):
            self._write_all(target, chunk)
            offset += len(chunk)

    def _cut_back(self) -> None:
        try:
            self._disk.truncate(self._fd, self._size)
        except OSError as error:
            self._lost = (
                f"{_shown(self.path)}: a record was written in part and could not be taken back "
                f"({error.strerror}); the run has to stop; resuming it sets the torn record aside"
            )

    def _failed(self, error: OSError) -> RecordError:
        if self._lost:
            return RecordError(self._lost)
        return _cannot("the record cannot be written", self.path, error)

    def _open_folder(self) -> int:
        """The folder, or -1 if it was moved: whoever moves a folder sees to its place."""
        try:
            return os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return -1
        except OSError as error:
            raise _cannot("the record cannot be put on disk", self.path, error) from None

    def _new_artifact(self, folder: Path, name: str) -> tuple[Path, int]:
        stem, dot, suffix = (name or "artifact").partition(".")
        path = folder / f"{stem}{dot}{suffix}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            while self._artifacts < MAX_ARTIFACTS:
                self._artifacts += 1
                try:
                    return path, os.open(path, flags, 0o600)
                except FileExistsError:
                    path = folder / f"{stem}-{self._artifacts + 1}{dot}{suffix}"
        except OSError as error:
            raise _cannot("no artifact can be made here", folder, error) from None
        raise RecordError(
            f"{_shown(folder)}: the run has {MAX_ARTIFACTS:,} artifacts, which is all it may keep"
        )

    def _write_all(self, fd: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = self._disk.write(fd, rest)
            if written <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            rest = rest[written:]

    def _set_aside(self, whole: Whole) -> str:
        """Move what follows the last whole record to `<run_id>.corrupt`: copied and on disk
        before it is cut off, so a crash in between loses nothing."""
        aside = self.path.with_name(f"{self.run_id}.corrupt")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            target = os.open(aside, flags, 0o600)
            try:
                self._copy(target, whole.end)
                self._disk.sync(target)
            finally:
                os.close(target)
            self._disk.truncate(self._fd, whole.end)
            self._disk.sync(self._fd)
        except OSError as error:
            raise _cannot("the torn end of the transcript cannot be moved", aside, error) from None
        return (
            f"{_shown(self.path)}: the last {whole.torn:,} bytes, from line {whole.count + 1}, "
            f"were no whole record; they were moved to {_shown(aside)}"
        )


class Redact(Protocol):
    """What keeps secrets out of lines and artifacts; see `records.redact.Redactor`."""

    def encode(self, record: Record) -> bytes:
        """Return the record's line."""

    def bytes(self, data: bytes) -> bytes:
        """Return the artifact's bytes."""


def _path(folder: Path, run_id: str) -> Path:
    if not _RUN_ID.fullmatch(run_id):
        raise RecordError(
            f"{clean_line(run_id, 60)!r} is no run id; `agent-host transcripts list` shows them"
        )
    return folder / f"{run_id}.jsonl"


def _to_the_end(scan: Scan) -> None:
    for _ in scan:
        pass


def _check(path: Path, fd: int, run_id: str, walk: Callable[[Scan], None]) -> Whole:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise RecordError(f"{_shown(path)}: not a regular file; move it away")
    with os.fdopen(fd, "rb", BUFFER, closefd=False) as file:
        scan = Scan(file, str(path))
        walk(scan)
    whole = scan.whole
    if whole.run_id != run_id:
        raise RecordError(
            f"{_shown(path)}: holds the run {clean_line(whole.run_id, 60)}; rename it back to "
            f"{clean_line(whole.run_id, 60)}.jsonl to resume that run"
        )
    return whole


def _hold(fd: int, path: Path) -> int:
    """Lock the open file for this process, or close it and say who has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = holder_of(fd)
        os.close(fd)
        raise RecordError(
            f"{_shown(path)}: in use by {holder}; end that one first, or start a new run"
        ) from None
    except OSError as error:
        os.close(fd)
        raise _cannot("the transcript cannot be locked", path, error) from None
    return fd


def _cannot(what: str, path: Path, error: OSError) -> RecordError:
    return RecordError(
        f"{_shown(path)}: {what}: {error.strerror}; {_ADVICE.get(error.errno or 0, _CHECK)}"
    )


_CHECK = "check the folder, or name another one as `transcripts` in servers.toml"
_ADVICE = {
    errno.EIO: "check the disk, then resume the run",
    errno.EROFS: "the disk is read-only; name another folder as `transcripts` in servers.toml",
    errno.EMFILE: "raise the limit on open files (ulimit -n), then resume the run",
    errno.ENFILE: "the system has too many open files; end something, then resume the run",
    errno.ENOSPC: "free space there, then resume the run",
    errno.EDQUOT: "free space there (quota), then resume the run",
    errno.EFBIG: "raise the limit on file sizes, then resume the run",
    errno.ELOOP: "it is a symbolic link; put the file itself there",
}


def _shown(path: Path) -> str:
    return clean_line(str(path), 500)
