"""Limits of the system, one step after another, until the run ends clean."""

import resource

from tests.faults.stage import RUN, Stage, told


def with_limit(tmp_path, nursery, name, steps, *arguments):
    """Yield a stage and how its run ended, under each limit that stopped it."""
    for most in steps:
        stage = Stage(tmp_path / str(most), nursery)
        ended = stage.host(*(arguments or (*RUN, "Pay both.")), limits={name: most})
        if ended.status == 0:
            return
        yield stage, ended
    raise AssertionError(f"RLIMIT_{name} = {most} is not enough")


def test_however_few_files_may_be_open_it_is_said_and_nothing_is_lost(tmp_path, nursery):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 60
    without_server = 0
    for stage, ended in with_limit(tmp_path, nursery, "NOFILE", range(4, 60)):
        if ended.status == 5:  # the run went on without the server, and the model was told
            without_server += 1
            assert "server bank: cannot start" in ended.err
            assert "Too many open files" in ended.err
            assert stage.paid() == []
            continue
        told(ended, "oo many open files", status=ended.status)
        assert ended.status in {1, 2}
        stage.check_kept(ended)
        stage.check_taken_up()
    assert without_server


def test_however_small_files_may_be_the_run_ends_in_one_line_and_goes_on_later(tmp_path, nursery):
    arguments = ("run", "--trust", "--approve", "all", "Pay both.")
    steps = range(1000, 20_000, 700)
    for stage, ended in with_limit(tmp_path, nursery, "FSIZE", steps, *arguments):
        said = told(ended, ".jsonl", "File too large")
        assert "raise the limit on file sizes, then resume the run" in said
        stage.check_taken_up()
