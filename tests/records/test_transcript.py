import contextlib
import errno
import itertools
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent_host.core import events as e
from agent_host.core.errors import RecordError
from agent_host.records import transcript as module
from agent_host.records.codec import encode
from agent_host.records.reader import inspect, read, run_ids
from agent_host.records.redact import Redactor
from agent_host.records.transcript import Transcript
from agent_host.state.disk import Disk
from tests.records.samples import LEGAL, RUN, records

ALL = records(*LEGAL)
LINES = [encode(record) + b"\n" for record in ALL]


def written(folder: Path, items=ALL, **options) -> Path:
    with Transcript.create(folder, RUN, **options) as transcript:
        for item in items:
            transcript.append(item)
        transcript.sync()
        return transcript.path


def refused(action, *parts: str) -> str:
    with pytest.raises(RecordError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
    return text


def test_records_come_back_in_order(tmp_path):
    path = written(tmp_path / "runs")
    assert read(path) == ALL
    assert path.read_bytes() == b"".join(LINES)


def test_the_file_is_private_and_so_is_the_folder_made_for_it(tmp_path):
    old = os.umask(0)
    try:
        path = written(tmp_path / "a" / "runs")
        with Transcript.open(path.parent, RUN) as transcript:
            kept = path.parent / transcript.keep("x.txt", b"data")
    finally:
        os.umask(old)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path, kept.parent, kept)]
    assert modes == [0o700, 0o600, 0o700, 0o600]


def test_a_killed_process_loses_nothing_that_was_appended(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from agent_host.records.transcript import Transcript\n"
        "from tests.records.samples import LEGAL, RUN, records\n"
        "t = Transcript.create(Path(sys.argv[1]), RUN)\n"
        "for r in records(*LEGAL): t.append(r)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert read(tmp_path / f"{RUN}.jsonl") == ALL


def test_a_run_has_one_file_for_ever(tmp_path):
    written(tmp_path)
    refused(lambda: Transcript.create(tmp_path, RUN), f"{RUN}.jsonl", "already")


def test_a_second_process_is_refused_and_told_who_has_the_file(tmp_path):
    path = written(tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from agent_host.records.transcript import Transcript\n"
        "t = Transcript.open(Path(sys.argv[1]), sys.argv[2])\n"
        "print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        before = path.read_bytes()
        text = refused(lambda: Transcript.open(tmp_path, RUN), path.name, "in use by")
        assert re.search(rf"process {holder.pid}\b|another process", text)
        assert path.read_bytes() == before
        assert read(path) == ALL  # looking is always allowed
        holder.kill()
    Transcript.open(tmp_path, RUN).close()


def test_a_running_transcript_cannot_be_opened_twice_in_one_process(tmp_path):
    with Transcript.create(tmp_path, RUN) as transcript:
        transcript.append(ALL[0])
        refused(lambda: Transcript.open(tmp_path, RUN), "in use by")


def test_a_resumed_transcript_goes_on_where_it_ended(tmp_path):
    path = written(tmp_path, ALL[:5])
    with Transcript.open(tmp_path, RUN) as transcript:
        assert transcript.seq == 5
        assert transcript.recovered is None
        for record in ALL[5:]:
            transcript.append(record)
    assert read(path) == ALL


def test_wherever_a_crash_cuts_the_file_only_the_torn_record_is_lost(tmp_path):
    whole = b"".join(LINES)
    ends = list(itertools.accumulate(map(len, LINES)))
    path = tmp_path / f"{RUN}.jsonl"
    corrupt = tmp_path / f"{RUN}.corrupt"
    for cut in range(ends[-4], len(whole)):
        path.write_bytes(whole[:cut])
        corrupt.unlink(missing_ok=True)
        survivors = sum(end <= cut for end in ends)
        torn = whole[ends[survivors - 1] : cut]
        assert inspect(path).records == tuple(ALL[:survivors])
        assert bool(inspect(path).torn) == bool(torn)
        with Transcript.open(tmp_path, RUN) as transcript:
            assert transcript.seq == survivors
            if torn:
                assert f"{len(torn)} bytes" in transcript.recovered
                assert corrupt.name in transcript.recovered
                assert corrupt.read_bytes() == torn
                assert stat.S_IMODE(corrupt.stat().st_mode) == 0o600
            else:
                assert transcript.recovered is None
                assert not corrupt.exists()
            transcript.append(ALL[survivors])
        assert read(path) == ALL[: survivors + 1]


@pytest.mark.parametrize(
    "tail", [b"\0" * 4096, b"\n\n\n", b"garbage\n{}\n[]\nmore", b"\xff\xfe\x00\n" * 3]
)
def test_a_garbage_tail_is_moved_aside_whole(tmp_path, tail):
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(tail)
    for _ in range(2):
        with Transcript.open(tmp_path, RUN) as transcript:
            assert transcript.seq == len(ALL)
        assert read(path) == ALL
        assert (tmp_path / f"{RUN}.corrupt").read_bytes() == tail


def test_a_flipped_bit_is_never_a_crash_and_if_found_names_its_line(tmp_path):
    path = tmp_path / f"{RUN}.jsonl"
    few = LINES[:1] + [encode(r) + b"\n" for r in records(*LEGAL[:1], *LEGAL[24:27])[1:]]
    whole = b"".join(few)
    found = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        line = whole[:place].count(b"\n") + 1
        problem = ""
        try:
            assert len(inspect(path).records) >= line - 1
        except RecordError as error:
            problem = str(error)
        if problem:
            found += 1
            assert re.search(rf"\.jsonl:({line}|{line + 1}): ", problem), problem
    assert found > len(whole) // 4


def test_damage_in_the_middle_stops_a_resume_and_changes_nothing(tmp_path):
    path = written(tmp_path)
    damaged = path.read_bytes().replace(b'"type":"user_said"', b'"type":"user_said', 1)
    path.write_bytes(damaged)
    refused(lambda: Transcript.open(tmp_path, RUN), f"{path}:4: ", "keep a copy")
    assert path.read_bytes() == damaged
    assert not (tmp_path / f"{RUN}.corrupt").exists()


def test_the_first_of_several_damaged_lines_is_named(tmp_path):
    path = tmp_path / f"{RUN}.jsonl"
    path.write_bytes(b"".join([*LINES[:2], b"bad\n", b"worse\n", *LINES[4:]]))
    refused(lambda: read(path), f"{path}:3: damaged")
    refused(lambda: Transcript.open(tmp_path, RUN), f"{path}:3: damaged")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (LINES[:3] + LINES[4:], "record 4 stands where record 3 belongs"),
        (LINES[:3] + LINES[2:], "record 2 stands where record 3 belongs"),
        (LINES[1:], "begins with run_started"),
        ([*LINES[:2], LINES[2].replace(RUN.encode(), b"other")], "another run"),
        ([], "empty"),
        ([LINES[0][:-9]], "cut off"),
        ([LINES[0].replace(b'"schema":1', b'"schema":2'), *LINES[1:]], "use a newer agent-host"),
    ],
    ids=["removed", "repeated", "headless", "another run", "empty", "only torn", "newer schema"],
)
def test_what_is_no_sound_transcript_is_refused_before_anything_is_changed(tmp_path, lines, says):
    path = tmp_path / f"{RUN}.jsonl"
    path.write_bytes(b"".join(lines))
    refused(lambda: Transcript.open(tmp_path, RUN), path.name, says)
    refused(lambda: read(path), path.name, says)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"".join(lines)


def test_a_renamed_transcript_is_readable_but_not_resumed_under_the_wrong_name(tmp_path):
    path = written(tmp_path).rename(tmp_path / "mine.jsonl")
    assert read(path) == ALL
    refused(lambda: Transcript.open(tmp_path, "mine"), "rename it back", RUN)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/x", "a\0b", "-x", "a" * 200])
def test_a_run_id_is_never_a_path(tmp_path, name):
    refused(lambda: Transcript.create(tmp_path, name), "no run id")
    refused(lambda: Transcript.open(tmp_path, name), "no run id")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "dir.jsonl").mkdir()
    target = written(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(target)
    refused(lambda: Transcript.open(tmp_path, "pipe"), "not a regular file")
    refused(lambda: Transcript.open(tmp_path, "dir"), "cannot be opened")
    refused(lambda: Transcript.open(tmp_path, "link"), "symbolic link")
    refused(lambda: Transcript.open(tmp_path, "none"), "no such run", "transcripts list")
    refused(lambda: read(tmp_path / "pipe.jsonl"), "not a regular file")
    refused(lambda: read(tmp_path / "dir.jsonl"), "dir.jsonl")


def test_a_folder_that_cannot_be_made_is_an_error_that_says_where_and_what_to_do(tmp_path):
    (tmp_path / "file").write_text("x")
    text = refused(lambda: Transcript.create(tmp_path / "file" / "runs", RUN))
    assert str(tmp_path / "file") in text
    assert "servers.toml" in text


@contextlib.contextmanager
def without_privileges():
    """Root may write everywhere: for a moment, be somebody else."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_may_not_be_used_is_an_error_before_anything_runs(tmp_path):
    path = written(tmp_path)
    tmp_path.chmod(0o000)
    try:
        with without_privileges():
            for use in (Transcript.create, Transcript.open):
                refused(lambda use=use: use(tmp_path, RUN), "Permission denied", "servers.toml")
            refused(lambda: read(path), "Permission denied", "permissions")
            refused(lambda: run_ids(tmp_path), "cannot be listed: Permission denied")
    finally:
        tmp_path.chmod(0o700)


class Failing:
    """The real disk, until the n-th call of one kind."""

    def __init__(self, kind: str, nth: int, error: int | None) -> None:
        self.kind, self.left, self.error, self.calls = kind, nth, error, 0

    def disk(self) -> Disk:
        real = Disk()
        return Disk(
            write=lambda fd, data: self._do("write", real.write, fd, data),
            sync=lambda fd: self._do("sync", real.sync, fd),
            truncate=lambda fd, size: self._do("truncate", real.truncate, fd, size),
        )

    def _do(self, kind, call, fd, *rest):
        if kind != self.kind:
            return call(fd, *rest)
        self.calls += 1
        self.left -= 1
        if self.left:
            return call(fd, *rest)
        if self.error is None:  # a short write
            return call(fd, bytes(rest[0])[: len(rest[0]) // 2])
        raise OSError(self.error, os.strerror(self.error))


@pytest.mark.parametrize("error", [None, errno.ENOSPC, errno.EIO], ids=["short", "full", "broken"])
def test_a_write_that_fails_at_any_record_leaves_whole_records_and_stops_the_run(tmp_path, error):
    for nth in range(1, len(ALL) + 1):
        folder = tmp_path / str(nth)
        with Transcript.create(folder, RUN, disk=Failing("write", nth, error).disk()) as transcript:
            for record in ALL[: nth - 1]:
                transcript.append(record)
            text = refused(lambda r=ALL[nth - 1]: transcript.append(r), f"{RUN}.jsonl")
            assert ("No space left" in text and "free space" in text) or error == errno.EIO
            assert transcript.path.read_bytes() == b"".join(LINES[: nth - 1])
            if nth < len(ALL):  # nothing may follow a hole
                refused(lambda r=ALL[nth]: transcript.append(r), "cannot follow")
                transcript.append(ALL[nth - 1])  # but it may be tried again
                assert read(transcript.path) == ALL[:nth]


def test_a_run_whose_first_record_fails_leaves_no_file(tmp_path):
    failing = Failing("write", 1, errno.ENOSPC)
    with Transcript.create(tmp_path, RUN, disk=failing.disk()) as transcript:
        refused(lambda: transcript.append(ALL[0]), "No space left")
    assert list(tmp_path.iterdir()) == []


def test_a_torn_record_that_cannot_be_taken_back_ends_the_use_of_the_file(tmp_path):
    path = written(tmp_path, ALL[:3])
    failing = Failing("write", 1, None)
    real = failing.disk()
    broken = Failing("truncate", 1, errno.EIO).disk()
    disk = Disk(write=real.write, truncate=broken.truncate)
    with Transcript.open(tmp_path, RUN, disk=disk) as transcript:
        refused(lambda: transcript.append(ALL[3]), "written in part")
        refused(lambda: transcript.append(ALL[3]), "written in part")
        refused(transcript.sync, "written in part")
    assert read(path) == ALL[:3]
    with Transcript.open(tmp_path, RUN) as transcript:
        assert transcript.recovered


def test_after_a_failed_sync_the_file_is_lost_and_no_sync_is_tried_again(tmp_path):
    failing = Failing("sync", 2, errno.EIO)
    with Transcript.create(tmp_path, RUN, disk=failing.disk()) as transcript:
        transcript.append(ALL[0])
        transcript.sync()
        transcript.append(ALL[1])
        refused(transcript.sync, "the disk failed", f"{RUN}.jsonl")
        refused(transcript.sync, "the disk failed")
        refused(lambda: transcript.append(ALL[2]), "the disk failed")
        refused(lambda: transcript.keep("x", b""), "the disk failed")
    assert failing.calls == 2


def test_one_sync_serves_all_who_wait_for_the_same_records(tmp_path):
    failing = Failing("sync", 10_000, errno.EIO)
    with Transcript.create(tmp_path, RUN, disk=failing.disk()) as transcript:
        transcript.append(ALL[0])
        threads = [threading.Thread(target=transcript.sync) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failing.calls == 1
        transcript.append(ALL[1])
        transcript.sync()
        transcript.keep("x", b"an artifact, too")
        transcript.sync()
        assert failing.calls == 4


def test_closing_waits_for_a_sync_under_way(tmp_path):
    began, go_on = threading.Event(), threading.Event()

    def slow(fd: int) -> None:
        began.set()
        assert go_on.wait(10)
        os.fsync(fd)

    transcript = Transcript.create(tmp_path, RUN, disk=Disk(sync=slow))
    transcript.append(ALL[0])
    with ThreadPoolExecutor(2) as threads:
        syncing = threads.submit(transcript.sync)
        assert began.wait(10)
        closing = threads.submit(transcript.close)
        assert not closing.done()
        go_on.set()
        assert syncing.result(10) is None
        assert closing.result(10) is None
    refused(transcript.sync, "closed")


def test_an_artifact_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / f"{RUN}.artifacts").write_text("a file")
    with Transcript.create(tmp_path, RUN) as transcript:
        refused(lambda: transcript.keep("x", b""), "no artifact can be made here", "servers.toml")


def test_a_disk_that_takes_nothing_keeps_no_half_artifact(tmp_path):
    stuck = Disk(write=lambda _fd, _data: 0)
    with Transcript.create(tmp_path, RUN, disk=stuck) as transcript:
        refused(lambda: transcript.keep("x", b"data"), "No space left")
        assert list((tmp_path / f"{RUN}.artifacts").iterdir()) == []


def test_a_torn_end_that_cannot_be_moved_stays_where_it_is(tmp_path):
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(b"torn")
    before = path.read_bytes()
    for kind in ("write", "sync", "truncate"):
        disk = Failing(kind, 1, errno.ENOSPC).disk()
        refused(lambda disk=disk: Transcript.open(tmp_path, RUN, disk=disk), "cannot be moved")
        assert path.read_bytes() == before
    Transcript.open(tmp_path, RUN).close()  # the lock was let go each time


def test_a_file_size_limit_of_the_real_system_is_met_like_a_full_disk(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from agent_host.core.errors import RecordError\n"
        "from agent_host.records.transcript import Transcript\n"
        "from tests.records.samples import LEGAL, RUN, records\n"
        "t = Transcript.create(Path(sys.argv[1]), RUN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "try:\n"
        "    for r in records(*LEGAL): t.append(r)\n"
        "except RecordError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert f"{RUN}.jsonl: the record cannot be written" in done.stdout
    kept = inspect(tmp_path / f"{RUN}.jsonl")
    assert kept.torn == ""
    assert list(kept.records) == ALL[: len(kept.records)]
    assert kept.records


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_the_run_and_freeing_space_lets_it_go_on(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 40_000)
    big = e.Interrupted(by="x" * 3000)
    items = records(LEGAL[0], *[big] * 30)
    with Transcript.create(small_disk, RUN) as transcript:

        def fill():
            for item in items:
                transcript.append(item)

        refused(fill, "No space left", "free space", f"{RUN}.jsonl")
        assert 1 < transcript.seq < len(items)
        assert read(transcript.path) == items[: transcript.seq]
        refused(lambda: transcript.keep("big", b"x" * 60_000), "No space left")
        assert list((small_disk / f"{RUN}.artifacts").iterdir()) == []
        ballast.unlink()
        transcript.append(items[transcript.seq])
        assert inspect(transcript.path).torn == ""


def test_a_disk_that_is_full_from_the_start_leaves_nothing_behind(small_disk):
    (small_disk / "ballast").write_bytes(b"x" * 65536)
    with Transcript.create(small_disk, RUN) as transcript:
        refused(lambda: transcript.append(ALL[0]), "No space left")
    assert [p.name for p in small_disk.iterdir()] == ["ballast"]


def test_a_read_only_disk_is_an_error_before_anything_runs(small_disk):
    written(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused(lambda: Transcript.create(small_disk, "new"), "Read-only file system", "servers.toml")
    refused(lambda: Transcript.open(small_disk, RUN), "Read-only file system")
    assert read(small_disk / f"{RUN}.jsonl") == ALL


def test_artifacts_have_safe_unique_names_and_come_back_whole(tmp_path):
    names = ["call-1.txt", "call-1.txt", "../../etc/passwd", "", "..", "a/b\0c", "x" * 500, "é\n"]
    with Transcript.create(tmp_path, RUN) as transcript:
        transcript.append(ALL[0])
        kept = [transcript.keep(name, str(n).encode()) for n, name in enumerate(names)]
        transcript.sync()
    assert len(set(kept)) == len(names)
    assert kept[0] == f"{RUN}.artifacts/call-1.txt"
    assert kept[1].startswith(f"{RUN}.artifacts/call-1-")
    assert kept[1].endswith(".txt")
    for n, name in enumerate(kept):
        path = tmp_path / name
        assert path.parent == tmp_path / f"{RUN}.artifacts"
        assert path.read_bytes() == str(n).encode()
    with Transcript.open(tmp_path, RUN) as transcript:
        assert transcript.keep("call-1.txt", b"later") not in kept


def test_an_artifact_is_bounded_and_says_what_was_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_ARTIFACT", 10)
    monkeypatch.setattr(module, "MAX_ARTIFACTS", 2)
    with Transcript.create(tmp_path, RUN) as transcript:
        transcript.append(ALL[0])
        name = transcript.keep("x", b"0123456789abcde")
        assert (tmp_path / name).read_bytes() == b"0123456789\n[5 more bytes were not kept]\n"
        transcript.keep("y", b"")
        refused(lambda: transcript.keep("z", b""), "2 artifacts")


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_many_artifacts_do_not_hold_many_files_open(tmp_path):
    with Transcript.create(tmp_path, RUN) as transcript:
        transcript.append(ALL[0])
        before = open_files()
        for n in range(200):
            transcript.keep("x", str(n).encode())
        assert open_files() - before < 64
    assert open_files() < before


def test_a_record_that_no_reader_would_take_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE", 1000)
    with Transcript.create(tmp_path, RUN) as transcript:
        transcript.append(ALL[0])
        long = records(LEGAL[0], e.Interrupted(by="x" * 1000))[1]
        refused(lambda: transcript.append(long), "too long")
        assert read(transcript.path) == ALL[:1]


def test_a_closed_transcript_says_so(tmp_path):
    transcript = Transcript.create(tmp_path, RUN)
    transcript.append(ALL[0])
    transcript.close()
    transcript.close()
    refused(lambda: transcript.append(ALL[1]), "closed")


def test_no_secret_reaches_the_disk(tmp_path):
    secret = 'hunter2-"quoted"\\é\U0001f600'
    with Transcript.create(tmp_path, RUN, Redactor({"CRM_TOKEN": secret})) as transcript:
        for record in records(LEGAL[0], e.Interrupted(by=f"x {secret} y")):
            transcript.append(record)
        name = transcript.keep("a", f"token={secret};".encode())
    last = read(transcript.path)[-1]
    assert last.event == e.Interrupted(by="x [secret:CRM_TOKEN] y")
    assert (tmp_path / name).read_text() == "token=[secret:CRM_TOKEN];"
    everything = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"hunter2" not in everything


def test_a_run_that_never_began_leaves_no_folder_that_was_made_for_it(tmp_path):
    Transcript.create(tmp_path / "new" / "below", RUN).close()
    assert [path.name for path in (tmp_path / "new").iterdir()] == []
    used = Transcript.create(tmp_path / "new" / "below", RUN)
    (tmp_path / "new" / "below" / "other").write_text("")
    used.close()
    assert [path.name for path in (tmp_path / "new" / "below").iterdir()] == ["other"]


def test_a_file_where_the_folder_should_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    refused(lambda: Transcript.create(tmp_path / "file", RUN), "Not a directory")


def watched(folder: Path, **options) -> tuple[Transcript, list[str]]:
    transcript, said = Transcript.create(folder, RUN, **options), []
    transcript.tell = said.append
    return transcript, said


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_is_removed_while_it_is_written_is_written_anew_whole(tmp_path, what):
    folder = tmp_path / "runs"
    transcript, said = watched(folder)
    with transcript:
        for record in ALL[:4]:
            transcript.append(record)
        transcript.sync()
        transcript.path.unlink()
        if what == "folder":
            folder.rmdir()
        transcript.append(ALL[4])
        assert read(transcript.path) == ALL[:5]
        assert stat.S_IMODE(transcript.path.stat().st_mode) == 0o600
        refused(lambda: Transcript.open(folder, RUN), "in use by")
        for record in ALL[5:]:
            transcript.append(record)
        transcript.path.unlink()
        transcript.finish()
    assert read(transcript.path) == ALL
    assert [text.split(": ", 1)[1][:26] for text in said] == ["the transcript was removed"] * 2


def test_an_artifact_finds_its_folder_although_the_folder_of_runs_was_removed(tmp_path):
    transcript, said = watched(tmp_path / "runs")
    with transcript:
        transcript.append(ALL[0])
        transcript.path.unlink()
        (tmp_path / "runs").rmdir()
        assert (tmp_path / "runs" / transcript.keep("x.txt", b"data")).read_bytes() == b"data"
    assert len(said) == 1


def test_a_file_that_is_moved_while_it_is_written_is_written_on_there_and_that_is_said_once(
    tmp_path,
):
    transcript, said = watched(tmp_path / "runs")
    with transcript:
        transcript.append(ALL[0])
        (tmp_path / "runs").rename(tmp_path / "elsewhere")
        for record in ALL[1:]:
            transcript.append(record)
        transcript.finish()
    assert read(tmp_path / "elsewhere" / transcript.path.name) == ALL
    [text] = said
    assert "move it back" in text


@pytest.mark.parametrize("at", ["folder", "name", "disk"])
def test_a_removed_file_that_cannot_be_written_anew_stops_the_run(tmp_path, at):
    failing = Failing("sync", 2 if at == "disk" else 1000, errno.EIO)
    transcript, said = watched(tmp_path / "runs", disk=failing.disk())
    with transcript:
        transcript.append(ALL[0])
        transcript.sync()
        transcript.path.unlink()
        if at == "folder":
            (tmp_path / "runs").rmdir()
            (tmp_path / "runs").write_text("a file")
        elif at == "name":
            transcript.path.write_text("another's")
        refused(lambda: transcript.append(ALL[1]), transcript.path.name, "removed while the run")
    assert said == []
    assert at != "name" or transcript.path.read_text() == "another's"
