"""What happens to the folder of transcripts before, while and after a run writes there."""

import errno
import os
import shutil

import pytest

from agent_host.records.reader import read
from tests.fakes.programs import agent_host, bound_by_permissions
from tests.faults.stage import Stage, begun, told
from tests.faults.test_points import points

NOBODY = 65534


@pytest.mark.parametrize("kind", ["remove-file", "remove-folder"])
def test_what_is_removed_while_a_run_writes_it_is_written_anew_whole(tmp_path, nursery, kind):
    fault = {"kind": kind, "call": "write", "of": "/transcripts/"}
    for stage, ended in points(tmp_path, nursery, **fault):
        assert ended.status == 0, ended.err
        assert ended.reason == "done"
        assert "was removed while the run wrote it; it was written anew" in ended.err
        assert len(read(stage.file())) == len([i for i in ended.items if "seq" in i])
        stage.check_kept(ended)
        assert stage.paid() == ["5", "7"]
        assert stage.host("transcripts", "show", "last").status == 0


def test_a_folder_that_is_moved_while_a_run_writes_there_keeps_the_whole_run(tmp_path, nursery):
    fault = {"kind": "move-folder", "call": "write", "of": "/transcripts/"}
    said = []
    for stage, ended in points(tmp_path, nursery, **fault):
        assert ended.status == 0, ended.err
        [file] = (stage.folder / "moved").iterdir()
        assert len(read(file)) == len([i for i in ended.items if "seq" in i])
        said.append(ended.err.count("move it back before you resume the run"))
    assert set(said[:-1]) == {1}  # the last write is the last word


@pytest.mark.parametrize("arguments", [("Pay both.",), ("--resume", "last")])
def test_a_folder_that_may_not_be_written_is_said_before_anything_is_done(stage, arguments):
    assert stage.run().status == 0
    stage.ledger.unlink()
    before = stage.file().read_bytes()
    stage.transcripts.chmod(0o500)
    stage.file().chmod(0o400)
    try:
        ended = bound(stage, "run", "--trust", "--approve", "all", *arguments)
    finally:
        stage.transcripts.chmod(0o700)
    told(ended, str(stage.transcripts), "Permission denied", "servers.toml")
    assert stage.paid() == []
    assert stage.file().read_bytes() == before


def bound(stage, *arguments):
    """Run the program so that permissions bind it, although it may be root's."""
    return agent_host(*arguments, folder=stage.folder, before=bound_by_permissions())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_transcript_of_somebody_else_is_neither_read_nor_written(stage):
    assert stage.run().status == 0
    os.chown(stage.file(), NOBODY, NOBODY)
    told(bound(stage, "run", "--trust", "--resume", "last"), ".jsonl", "Permission denied", "check")
    told(bound(stage, "transcripts", "show", "last"), ".jsonl", "Permission denied", "owner")
    listed = bound(stage, "transcripts", "list")
    assert listed.status == 0
    assert "Permission denied" in listed.out


@pytest.mark.parametrize("target", ["elsewhere.jsonl", "gone.jsonl", "/dev/zero"])
def test_a_link_in_the_place_of_a_transcript_is_not_written_through(stage, target):
    assert stage.run().status == 0
    file = stage.file()
    there = file.rename(stage.folder / "elsewhere.jsonl")
    before = there.read_bytes()
    file.symlink_to(stage.folder / target)
    told(stage.run("--resume", "last"), file.name, "symbolic link", "put the file itself there")
    assert there.read_bytes() == before


def test_a_folder_of_transcripts_that_is_a_link_is_used(stage):
    (stage.folder / "elsewhere").mkdir()
    stage.transcripts.symlink_to(stage.folder / "elsewhere")
    assert stage.run().status == 0
    assert stage.run("--resume", "last", "Once more.").status in {0, 1, 6}
    assert begun(stage.file())


def test_a_file_in_the_place_of_the_folder_is_named(stage):
    stage.transcripts.write_text("notes")
    told(stage.run(), str(stage.transcripts), "Not a directory", "servers.toml")
    assert stage.transcripts.read_text() == "notes"
    assert stage.paid() == []


def test_a_disk_that_became_read_only_is_said_with_what_to_do(tmp_path, nursery):
    fault = {"kind": "error", "call": "write", "error": errno.EROFS, "of": "/transcripts/"}
    stage = Stage(tmp_path / "work", nursery)
    told(stage.run(fault={**fault, "nth": 9}), os.strerror(errno.EROFS), "name another folder")
    stage.check_taken_up()


def test_a_folder_that_is_gone_between_two_runs_is_made_again(stage):
    assert stage.run().status == 0
    shutil.rmtree(stage.transcripts)
    told(stage.run("--resume", "last"), "there are no transcripts here yet", status=2)
    stage.ledger.unlink()
    assert stage.run().status == 0
    assert stage.paid() == ["5", "7"]
