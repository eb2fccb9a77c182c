"""A chat at a terminal whose disk is full, whose folder is removed, or that is killed."""

import shutil
import signal
import sys

import psutil

from agent_host.records.reader import read
from tests.fakes.ptys import Terminal

READY = "/help"
# -B: Python would keep what it compiled in files that are cut off at the limit.
LIMITED = ("/bin/sh", "-c", 'ulimit -f 8; exec "$0" "$@"', sys.executable, "-B", "-m", "agent_host")
CHAT = ("chat", "--trust", "--approve", "all")


def test_a_chat_whose_disk_is_full_ends_in_one_line_and_is_gone_on_with_later(stage):
    with Terminal(*CHAT, cwd=stage.folder, program=LIMITED) as terminal:
        terminal.wait(READY)
        terminal.keys("Pay both.\r")
        assert terminal.exit_status() == 1
        text = " ".join(terminal.text.split())
    assert "Traceback" not in text
    assert "File too large" in text
    assert "raise the limit on file sizes" in text
    stage.check_taken_up()


def test_a_chat_whose_folder_is_removed_says_so_and_keeps_the_whole_run(stage):
    with Terminal(*CHAT, cwd=stage.folder) as terminal:
        terminal.wait(READY)
        shutil.rmtree(stage.transcripts)
        terminal.keys("Pay both.\r")
        terminal.wait("All done.")
        terminal.keys("/quit\r")
        assert terminal.exit_status() == 0
        assert "was removed" in " ".join(terminal.text.split())
    assert read(stage.file())[0].event.type == "run_started"
    assert stage.paid() == ["5", "7"]


def test_a_chat_that_is_killed_is_gone_on_with(stage):
    with Terminal(*CHAT, cwd=stage.folder) as terminal:
        terminal.wait(READY)
        terminal.keys("Pay both.\r")
        terminal.wait("All done.")
        psutil.Process(terminal.pid).send_signal(signal.SIGKILL)
        assert terminal.exit_status() == -signal.SIGKILL
    with Terminal(*CHAT, "--resume", "last", cwd=stage.folder) as terminal:
        terminal.wait("the run goes on")
        terminal.keys("/quit\r")
        assert terminal.exit_status() == 0
    assert stage.paid() == ["5", "7"]
