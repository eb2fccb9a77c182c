"""Standard streams that are closed, full or gone, signals, and a terminal that is too small."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from agent_host.records.reader import conversation, read
from tests.fakes.programs import command, environment
from tests.fakes.ptys import Terminal
from tests.faults.test_two import Held, started

TEXT = ("run", "--trust", "--approve", "all", "Pay both.")


def run_with(stage, *arguments, **streams):
    """Run the program to its end with these streams; `preexec_fn` closes some."""
    return subprocess.run(
        command(*arguments),
        cwd=stage.folder,
        env=environment(stage.folder),
        check=False,
        timeout=60,
        **{"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **streams},
    )


def check_whole(stage):
    """The run came to its end, in the transcript and in the world."""
    assert read(stage.file())[-1].event.type == "run_ended"
    assert stage.paid() == ["5", "7"]


@pytest.mark.parametrize("output", ["text", "json", "stream-json"])
def test_a_full_output_fails_the_command_and_says_where_the_answer_is(stage, output):
    with Path("/dev/full").open("wb") as full:
        done = run_with(stage, *TEXT, "--output", output, stdout=full)
    err = done.stderr.decode()
    assert done.returncode == 1
    assert "Traceback" not in err
    assert "No space left on device" in err
    assert "agent-host transcripts show" in err
    check_whole(stage)


@pytest.mark.parametrize("output", ["text", "json", "stream-json"])
def test_a_reader_that_leaves_wants_no_more_and_the_run_comes_to_its_end(stage, output):
    reader, writer = os.pipe()
    os.close(reader)
    done = run_with(stage, *TEXT, "--output", output, stdout=writer)
    os.close(writer)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    check_whole(stage)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_are_nobodys(stage, closed):
    def close():
        for number in closed:
            os.close(number)

    done = run_with(stage, *TEXT, stdout=subprocess.PIPE, preexec_fn=close)
    assert done.returncode == 0
    check_whole(stage)
    assert stage.file().read_bytes().startswith(b'{"seq":0')


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_a_call_leaves_a_run_that_can_be_taken_up(stage, number):
    with Held(stage) as held:
        held.process.send_signal(number)
        _, err = held.process.communicate(timeout=30)
    assert held.process.returncode == 130
    assert b"Traceback" not in err
    state = conversation(stage.file())
    ended = stage.run("--resume", "last", "What happened?")
    assert ended.status == 0, ended.err
    assert stage.paid() == ["5"]
    unknown = [r for r in ended.results if r["error"] == "outcome_unknown"]
    assert bool(unknown) == bool(state.calls)


def test_a_host_that_was_stopped_and_goes_on_finds_its_run_as_it_was(stage):
    with Held(stage) as held:
        held.process.send_signal(signal.SIGSTOP)
        refused = stage.run("--resume", "last")
        assert refused.status == 1
        assert "in use by" in refused.err
        held.process.send_signal(signal.SIGCONT)
        held.process.send_signal(signal.SIGINT)
        held.process.communicate(timeout=30)
    assert held.process.returncode == 130


def test_without_a_terminal_nothing_is_approved(stage):
    ended = stage.host("run", "--trust", "Pay both.")
    assert ended.status == 4
    assert stage.paid() == []


def test_a_terminal_of_twenty_columns_shows_the_question_and_takes_the_answer(stage):
    with Terminal("run", "--trust", "Pay both.", cwd=stage.folder, columns=20, lines=6) as terminal:
        terminal.wait("approve?")
        assert stage.paid() == []
        terminal.keys("n\n")
        terminal.wait("approve?", times=2)
        terminal.keys("no\n")  # the same key at once would be one that is held down
        assert terminal.exit_status() == 4
    assert stage.paid() == []


def test_a_terminal_that_is_closed_in_a_question_approves_nothing(stage):
    with Terminal("run", "--trust", "Pay both.", cwd=stage.folder) as terminal:
        terminal.wait("approve?")
        terminal.hang_up()
    assert stage.paid() == []
    assert stage.run("--resume", "last").status == 0
    assert stage.paid() == ["5", "7"]


def test_several_signals_to_end_end_it_at_once(stage):
    process = started(stage, "Pay both.")
    process.stdout.readline()
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode in {130, 0}
    assert b"Traceback" not in err
