"""The program is killed, or its disk fails, at every call that reaches the disk, one after another.

Each test goes through the calls of one run until the run ends clean, and takes the run up again
after each: what was shown is kept, nothing is paid twice, and the run comes to its end.
"""

import errno
import os
import shutil
import signal

import pytest

from tests.faults.stage import Stage, told

FULL = os.strerror(errno.ENOSPC)
BROKEN = os.strerror(errno.EIO)


def points(tmp_path, nursery, *, at_least=15, **fault):
    """Yield a stage and how its run ended, for each call at which the fault can happen."""
    for nth in range(1, 1000):
        stage = Stage(tmp_path / str(nth), nursery)
        ended = stage.run(fault={**fault, "nth": nth})
        if not stage.fired:
            assert ended.status == 0
            assert nth > at_least
            return
        yield stage, ended
        shutil.rmtree(stage.folder)
    raise AssertionError("there is no end of it")


@pytest.mark.parametrize("kind", ["kill-after", "kill-torn"])
def test_a_run_that_is_killed_at_any_call_to_the_disk_is_taken_up_again(tmp_path, nursery, kind):
    unknown = 0
    for stage, ended in points(tmp_path, nursery, kind=kind):
        assert ended.status == -signal.SIGKILL
        stage.check_kept(ended)
        again = stage.check_taken_up()
        unknown += any(r.get("error") == "outcome_unknown" for r in again.results)
        torn = kind == "kill-torn" and list(stage.transcripts.glob("*.corrupt"))
        assert ("were moved to" in stage.heard) == bool(torn)
    assert unknown  # some were killed between an effect and its record


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [("short", 0, FULL), ("error", errno.EIO, BROKEN)],
    ids=["full", "broken"],
)
def test_a_write_that_fails_at_any_record_ends_the_run_in_one_line(
    tmp_path, nursery, kind, error, says
):
    fault = {"kind": kind, "call": "write", "error": error, "of": "/transcripts/"}
    for stage, ended in points(tmp_path, nursery, **fault):
        told(ended, "transcripts/", ".jsonl", says, "resume the run")
        stage.check_kept(ended)
        stage.check_taken_up()


def test_a_write_to_the_audit_log_that_fails_ends_the_run_in_one_line(tmp_path, nursery):
    fault = {"kind": "short", "call": "write", "of": "/audit/"}
    for stage, ended in points(tmp_path, nursery, at_least=10, **fault):
        if ended.status == 0:  # all that is missing is the checkpoint at the end
            assert ended.reason == "done"
            assert "the audit log has no checkpoint of this run: " in ended.err
            assert FULL in ended.err
        else:
            told(ended, "/audit/", FULL)
        stage.check_kept(ended)
        stage.check_taken_up()


@pytest.mark.parametrize("of", ["/transcripts/", "/audit/"])
def test_a_disk_that_fails_when_it_is_waited_for_ends_the_run_and_is_not_asked_again(
    tmp_path, nursery, of
):
    fault = {"kind": "error", "call": "sync", "error": errno.EIO, "of": of}
    for stage, ended in points(tmp_path, nursery, at_least=2, **fault):
        told(ended, of, BROKEN)
        stage.check_kept(ended)
        stage.check_taken_up()
