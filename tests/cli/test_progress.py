"""What is shown on stderr while a command takes its time."""

import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.fakes.ptys import Terminal

SLOW = """
from agent_host.cli.progress import progress

with progress("connecting to \\x1b[31mred") as say:
    print("begun", flush=True)
    open("first").read()
    say("connecting to blue")
    print("said meanwhile", flush=True)
    with progress("an inner one"):
        open("second").read()
print("over", flush=True)
"""


def terminal(folder: Path, **environ: str) -> Terminal:
    (folder / "slow.py").write_text(SLOW)
    for gate in ("first", "second"):
        os.mkfifo(folder / gate)
    root = str(Path(__file__).resolve().parents[2])
    return Terminal(
        cwd=folder,
        environ={"PYTHONPATH": root, **environ},
        program=(sys.executable, str(folder / "slow.py")),
    )


def test_what_is_going_on_is_one_line_that_is_gone_afterwards(tmp_path: Path) -> None:
    with terminal(tmp_path) as screen:
        screen.wait("connecting to \\u{1b}[31mred ... 0 s")
        screen.wait("connecting to \\u{1b}[31mred ... 1 s")
        (tmp_path / "first").write_text("")
        screen.wait("connecting to blue ...")
        (tmp_path / "second").write_text("")
        text = screen.wait("over")
        assert screen.exit_status() == 0
    assert "connecting" not in text
    assert "inner" not in screen.raw.decode()
    lines = [line for line in text.split("\n") if line]
    assert lines == ["begun", "said meanwhile", "over"]


@pytest.mark.parametrize("quiet", ["dumb", "spinner"])
def test_without_movement_it_is_a_plain_line_each_change(quiet: str, tmp_path: Path) -> None:
    environ = {"TERM": "dumb"} if quiet == "dumb" else {}
    if quiet == "spinner":
        (tmp_path / "config" / "agent-host").mkdir(parents=True)
        (tmp_path / "config" / "agent-host" / "terminal.toml").write_text("spinner = false\n")
    with terminal(tmp_path, **environ) as screen:
        screen.wait("connecting to \\u{1b}[31mred ...\n")
        (tmp_path / "first").write_text("")
        screen.wait("connecting to blue ...\n")
        (tmp_path / "second").write_text("")
        screen.wait("over")
    assert b"\x1b" not in screen.raw
    assert screen.raw.count(b"31mred") == 1


def test_where_no_terminal_is_there_is_nothing(cli: Run, project: Path) -> None:
    (project / "servers.toml").write_text(
        '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
    )
    assert cli("servers", "list").stderr == ""


def test_connecting_to_a_slow_server_says_which(tmp_path: Path) -> None:
    (tmp_path / "servers.toml").write_text(
        '[servers.sleepy]\ncommand = "sleep"\nargs = ["60"]\nconnect_timeout = 2\n'
    )
    with Terminal("servers", "list", "--trust", cwd=tmp_path) as screen:
        screen.wait("connecting to sleepy ...")
        assert "connecting to" not in screen.wait("tells what to do")
