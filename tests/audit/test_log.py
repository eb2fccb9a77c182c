import errno
import itertools
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from agent_host.audit import log as module
from agent_host.audit.files import files
from agent_host.audit.keys import Signer
from agent_host.audit.verify import verify
from agent_host.core.errors import RecordError
from agent_host.state.disk import Disk
from tests.audit.made import (
    ended,
    entries_of,
    entry,
    in_process,
    lines_of,
    log_in,
    types_of,
    written,
)
from tests.fakes.programs import bound_by_permissions


def refused(action, *parts):
    with pytest.raises(RecordError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
    return text


def test_entries_stand_in_one_chain_from_the_first(tmp_path):
    folder = written(tmp_path, 5)
    found = entries_of(folder)
    assert [e["seq"] for e in found] == [1, 2, 3, 4, 5, 6]
    assert found[0]["type"] == "file_begun"
    assert found[0]["prev"] == "0" * 64
    assert all(b["prev"] == a["hash"] for a, b in itertools.pairwise(found))


def test_a_log_is_private(tmp_path):
    old = os.umask(0)
    try:
        written(tmp_path, 300)
    finally:
        os.umask(old)
    audit = tmp_path / "audit"
    modes = {
        p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "audit.key", *audit.iterdir())
    }
    assert stat.S_IMODE(audit.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}


def test_another_process_goes_on_where_the_last_one_ended(tmp_path):
    written(tmp_path, 3)
    folder = written(tmp_path, 3)
    assert verify(folder).entries == 7
    assert verify(folder).finding is None


def test_several_processes_write_one_chain_without_loss(tmp_path):
    # faults 8: four real processes, 500 entries each, interleaved
    code = (
        "log = log_in(Path(sys.argv[1]))\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for n in range(500): log.append([entry(n, who=sys.argv[2])])\n"
        "log.sync(); log.close()\n"
    )
    writers = [in_process(code, str(tmp_path), f"writer-{n}") for n in range(4)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    ended(writers)
    folder = tmp_path / "audit"
    report = verify(folder)
    assert report.finding is None
    calls = [e for e in entries_of(folder) if e["type"] == "call_started"]
    for n in range(4):
        mine = [e["arguments"]["order_id"] for e in calls if e["who"] == f"writer-{n}"]
        assert mine == [str(i) for i in range(500)]


def test_threads_of_one_process_may_share_a_log(tmp_path):
    log = log_in(tmp_path)

    def work():
        for n in range(100):
            log.append([entry(n)])
            if n % 20 == 0:
                log.sync()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert verify(log.folder).finding is None
    assert types_of(log.folder).count("call_started") == 400


def test_a_killed_process_loses_nothing_that_was_appended(tmp_path):
    # faults 1
    code = (
        "import os, signal\n"
        "log = log_in(Path(sys.argv[1]))\n"
        "for n in range(50): log.append([entry(n)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    process = in_process(code, str(tmp_path))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert types_of(tmp_path / "audit").count("call_started") == 50
    written(tmp_path, 1)
    assert verify(tmp_path / "audit").finding is None


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_end_is_set_aside_and_noted_by_the_next_writer(tmp_path, cut):
    # faults 3
    folder = written(tmp_path, 5)
    path = files(folder)[-1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    torn = whole[:-cut].rpartition(b"\n")[2]
    assert verify(folder).finding.kind == "cut_off"
    written(tmp_path, 1)
    note = next(e for e in entries_of(folder) if e["type"] == "torn_end")
    assert note["size"] == len(torn)
    assert (folder / note["kept"]).read_bytes() == torn
    report = verify(folder)
    assert report.finding is None
    assert any("torn line" in text for text in report.notes)


def test_zeros_that_a_power_cut_left_are_set_aside(tmp_path):
    folder = written(tmp_path, 3)
    with files(folder)[-1].open("ab") as file:
        file.write(bytes(500_000))
    written(tmp_path, 1)
    assert verify(folder).finding is None
    assert "torn_end" in types_of(folder)


def test_damage_behind_a_sound_entry_stays_for_verify_to_find(tmp_path):
    # faults 4: nobody gets rid of a changed last entry by writing another one
    folder = written(tmp_path, 5)
    path = files(folder)[-1]
    path.write_bytes(path.read_bytes().replace(b'"order_id":"4"', b'"order_id":"9"'))
    written(tmp_path, 2)
    finding = verify(folder).finding
    assert (finding.kind, finding.seq, finding.line) == ("changed", 6, 6)
    assert [e["seq"] for e in entries_of(folder)] == list(range(1, 9))


def test_a_file_that_is_nothing_but_damage_is_not_written_over(tmp_path):
    folder = written(tmp_path, 2)
    path = files(folder)[-1]
    path.write_bytes(b"x\n" * 10)
    written(tmp_path, 1)
    assert path.read_bytes().startswith(b"x\n" * 10)
    assert verify(folder).finding.seq == 1


def failing(nth: int, error: int | None, short: int = 0):
    calls = iter(range(1, 1_000_000))

    def write(fd, data):
        if next(calls) == nth:
            if error is None:
                return os.write(fd, bytes(data)[:short])
            raise OSError(error, os.strerror(error))
        return os.write(fd, data)

    return Disk(write=write)


@pytest.mark.parametrize("nth", range(2, 6))
@pytest.mark.parametrize(("error", "short"), [(errno.ENOSPC, 0), (None, 0), (None, 100)])
def test_a_full_disk_leaves_whole_entries_and_says_so(tmp_path, nth, error, short):
    # faults 5: a short write comes first, without an error
    log = log_in(tmp_path, disk=failing(nth, error, short))
    done, said = 0, []
    for number in range(6):
        try:
            log.append([entry(number)])
            done += 1
        except RecordError as problem:
            said.append(str(problem))
    log.close()
    assert done == 5
    assert "free space" in "".join(said)
    assert not list(log.folder.glob("*.torn"))  # what was written in part was taken back at once
    assert verify(log.folder).finding is None
    assert types_of(log.folder).count("call_started") == 5


def test_what_cannot_be_taken_back_ends_the_log_for_this_process(tmp_path):
    def truncate(fd, size):
        raise OSError(errno.EIO, "Input/output error")

    write = failing(2, None, 50).write
    log = log_in(tmp_path, disk=Disk(write=write, truncate=truncate))
    refused(lambda: log.append([entry()]), "written in part", "sets it aside")
    refused(lambda: log.append([entry()]), "written in part")
    log.close()
    written(tmp_path, 1)
    assert verify(log.folder).finding is None


def test_after_an_error_of_the_disk_nothing_is_written_or_synced_again(tmp_path):
    # faults 6
    def sync(fd):
        raise OSError(errno.EIO, "Input/output error")

    log = log_in(tmp_path, disk=Disk(sync=sync))
    log.append([entry()])
    refused(log.sync, "the disk failed", "audit verify")
    refused(log.sync, "the disk failed")
    refused(lambda: log.append([entry()]), "the disk failed")


def test_a_sync_reaches_every_file_that_was_written(tmp_path):
    synced: list[int] = []
    log = log_in(
        tmp_path, disk=Disk(sync=lambda fd: synced.append(os.fstat(fd).st_ino)), max_file=4096
    )
    for number in range(30):
        log.append([entry(number)])
    log.sync()
    inodes = [path.stat().st_ino for path in files(log.folder)]
    assert len(inodes) > 2
    assert set(inodes) <= set(synced)
    synced.clear()
    log.sync()
    assert synced == []
    log.close()


def test_a_full_file_is_followed_by_the_next_in_the_same_chain(tmp_path):
    folder = written(tmp_path, 600, max_file=20_000)
    there = files(folder)
    assert len(there) > 10
    report = verify(folder)
    assert report.finding is None
    assert report.files == len(there)
    for before, after in itertools.pairwise(there):
        last = before.read_bytes().splitlines()[-1]
        first = after.read_bytes().splitlines()
        assert b'"type":"file_ended"' in last
        begun = next(line for line in first[:2] if b'"type":"file_begun"' in line)
        assert f'"after":"{before.name}"'.encode() in begun


def test_two_writers_go_to_the_next_file_together(tmp_path):
    one, two = log_in(tmp_path, max_file=4096), log_in(tmp_path, max_file=4096)
    for number in range(60):
        one.append([entry(number)])
        two.append([entry(number)])
    assert verify(one.folder).finding is None
    assert types_of(one.folder).count("call_started") == 120
    one.close()
    two.close()


@pytest.mark.parametrize("at", ["ended", "made"])
def test_a_process_that_dies_between_two_files_leaves_a_whole_chain(tmp_path, at):
    folder = written(tmp_path, 20, max_file=4096)
    last = files(folder)[-1]
    if at == "ended":
        last.unlink()
    else:
        last.write_bytes(b"")
    count = len(entries_of(folder))
    written(tmp_path, 1, max_file=4096)
    report = verify(folder)
    assert report.finding is None
    assert report.entries == count + 2


def test_an_empty_first_file_is_begun(tmp_path):
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "audit-000000000001.jsonl").touch(mode=0o600)
    folder = written(tmp_path, 1)
    assert verify(folder).finding is None


def test_every_256th_entry_and_the_end_of_a_run_is_a_signed_checkpoint(tmp_path):
    log = log_in(tmp_path)
    for number in range(600):
        log.append([entry(number)])
    log.checkpoint()
    log.checkpoint()
    log.close()
    found = entries_of(log.folder)
    signed = [e["seq"] for e in found if e["type"] == "checkpoint"]
    assert signed == [256, 512, len(found)]
    report = verify(log.folder)
    assert (report.finding, report.signed, report.unsigned) == (None, 3, 0)
    assert report.keys == [Signer(tmp_path / "audit.key").public()]


def test_without_a_key_the_log_goes_on_and_says_that_nobody_signed(tmp_path):
    key = tmp_path / "audit.key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o644)
    log = log_in(tmp_path)
    log.append([entry()])
    log.checkpoint()
    log.close()
    assert "can be read by others" in entries_of(log.folder)[-1]["problem"]
    report = verify(log.folder)
    assert (report.finding, report.unsigned) == (None, 1)
    assert written(tmp_path / "other", 300, signer=None)
    assert verify(tmp_path / "other" / "audit").unsigned == 1


@pytest.mark.parametrize("data", [b"short", b"x" * 40])
def test_a_key_that_is_none_is_named(tmp_path, data):
    key = tmp_path / "audit.key"
    key.touch(mode=0o600)
    key.write_bytes(data)
    log = log_in(tmp_path)
    log.checkpoint()
    assert "no key of 32 bytes" in entries_of(log.folder)[-1]["problem"]
    log.close()


def test_processes_that_need_the_first_key_make_one_key(tmp_path):
    code = (
        "from agent_host.audit.keys import Signer\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(Signer(Path(sys.argv[1]) / 'k').sign(b'x')[1])\n"
    )
    signers = [in_process(code, str(tmp_path)) for _ in range(3)]
    for signer in signers:
        signer.stdout.readline()
    for signer in signers:
        signer.stdin.write("go\n")
        signer.stdin.flush()
    keys = {signer.communicate(timeout=60)[0].strip() for signer in signers}
    assert len(keys) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["k"]


def test_a_log_that_is_removed_while_it_is_written_begins_anew_and_says_so(tmp_path):
    log = log_in(tmp_path)
    for number in range(5):
        log.append([entry(number)])
    seq, digest = log.last
    subprocess.run(["rm", "-r", log.folder], check=True)
    log.append([entry(9)])
    log.close()
    found = entries_of(log.folder)
    assert [e["type"] for e in found] == ["file_begun", "entries_missing", "call_started"]
    assert (found[1]["expected_seq"], found[1]["expected_hash"]) == (seq, digest)
    assert verify(log.folder).finding.kind == "cut_off"


@pytest.mark.parametrize("others", [0, 3, 10])
def test_entries_that_are_cut_off_while_a_process_writes_are_noted(tmp_path, others):
    log = log_in(tmp_path)
    for number in range(5):
        log.append([entry(number)])
    path = files(log.folder)[-1]
    path.write_bytes(b"".join(lines_of(log.folder)[:3]))
    written(tmp_path, others)
    log.append([entry(9)])
    log.close()
    assert "entries_missing" in types_of(log.folder)
    assert verify(log.folder).finding.kind == "cut_off"


def test_somebody_who_holds_the_log_for_ever_is_named(tmp_path):
    code = (
        "log = log_in(Path(sys.argv[1]))\n"
        "with log.alone():\n"
        "    print('held', flush=True); sys.stdin.readline()\n"
    )
    holder = in_process(code, str(tmp_path))
    assert holder.stdout.readline() == "held\n"
    text = refused(lambda: log_in(tmp_path, wait=0.01), "has held the audit log")
    assert f"process {holder.pid}" in text or "another process" in text
    ended([holder])
    written(tmp_path, 1)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "audit").write_text("a file")
    refused(lambda: log_in(tmp_path), "audit", "name another one as `folder` in [audit]")


def test_a_read_only_folder_is_refused_before_anything_happens(tmp_path):
    # faults 7
    folder = written(tmp_path, 1)
    before = lines_of(folder)
    folder.chmod(0o500)
    for path in folder.iterdir():
        path.chmod(0o400)
    code = (
        "import sys; from pathlib import Path; from tests.audit.made import *\n"
        "log_in(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [*bound_by_permissions(), sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    folder.chmod(0o700)
    assert "RecordError" in done.stderr
    assert "Permission denied" in done.stderr
    assert lines_of(folder) == before


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path):
    folder = written(tmp_path, 1)
    path = files(folder)[-1]
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    refused(lambda: log_in(tmp_path), "symbolic link")


def test_a_closed_log_says_so(tmp_path):
    log = log_in(tmp_path)
    log.close()
    log.close()
    refused(lambda: log.append([entry()]), "closed")


def test_the_end_of_a_log_is_found_without_reading_the_log(tmp_path, monkeypatch):
    folder = written(tmp_path, 2000)
    read = []
    real = os.pread

    def pread(fd, size, offset):
        read.append(size)
        return real(fd, size, offset)

    monkeypatch.setattr(os, "pread", pread)
    log = log_in(tmp_path)
    log.append([entry()])
    log.append([entry()])
    assert sum(read) <= 16 * 1024
    log.close()
    assert module.CHECKPOINT == 256
    assert folder == log.folder
