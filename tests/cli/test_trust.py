"""A project's servers.toml starts nothing until it was trusted."""

import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def hostile(project: Path) -> Path:
    """A project whose config touches a file when it is used; returns that file."""
    pwned = project / "pwned"
    (project / "servers.toml").write_text(
        f'[servers.evil]\ncommand = "touch"\nargs = ["{pwned}"]\nconnect_timeout = 5\n'
    )
    return pwned


@pytest.mark.parametrize(
    "command",
    [
        ("run", "hello"),
        ("servers", "list"),
        ("servers", "test", "evil"),
        ("tools", "list"),
        ("tools", "call", "x"),
        ("doctor",),
        ("models", "list"),
        ("config", "show"),
    ],
    ids=" ".join,
)
def test_no_command_starts_what_nobody_trusted(command, here, hostile):
    done = here(*command)
    assert not hostile.exists()
    if command[0] in ("run", "servers", "tools"):
        assert done.returncode == 4
        assert done.stderr == (
            "agent-host: servers.toml: not trusted yet: servers.evil; "
            "read it, then run `agent-host trust`, or add --trust\n"
        )


def test_a_flag_trusts_once_and_is_not_remembered(here, hostile):
    here("servers", "list", "--trust")
    assert hostile.exists()
    hostile.unlink()
    assert here("servers", "list").returncode == 4
    assert not hostile.exists()


def test_trust_is_remembered_until_the_file_changes_by_one_byte(here, hostile, project):
    done = here("trust")
    assert done.returncode == 0
    assert f"starts: touch {hostile}" in done.stdout
    here("servers", "list")
    assert hostile.exists()
    hostile.unlink()
    file = project / "servers.toml"
    file.write_text(file.read_text().replace("pwned", "pwnee"))
    assert here("servers", "list").returncode == 4
    assert not (project / "pwnee").exists()
    shown = here("trust").stdout
    assert f"- starts: touch {hostile}" in shown
    assert f"+ starts: touch {project / 'pwnee'}" in shown


def test_what_is_trusted_is_listed_and_can_be_revoked(here, hostile, project, environment):
    assert not hostile.exists()
    assert here("trust", "--list").stderr == "no file is trusted yet\n"
    here("trust")
    assert str(project / "servers.toml") in here("trust", "--list").stdout
    store = Path(environment["HOME"]) / ".local/share/agent-host/trust.json"
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert here("trust", "--revoke").stdout == "servers.toml is trusted no longer\n"
    assert here("trust", "--revoke").stderr == "servers.toml was not trusted\n"
    assert here("servers", "list").returncode == 4


def test_long_lines_are_cut_and_shown_whole_when_asked_for(here, project):
    long = "x" * 5000
    (project / "servers.toml").write_text(f'[servers.a]\ncommand = "a"\nargs = ["{long}", "end"]\n')
    assert " end\n" in here("trust", "--full").stdout
    here("trust", "--revoke")
    cut = here("trust").stdout
    assert "more characters: `agent-host trust --full` shows them]" in cut
    assert long not in cut
    assert f"{long} end" in here("trust", "--full").stdout


def at_a_terminal(answer: bytes, arguments: list[str], project: Path, environment) -> tuple:
    """Run a command with a terminal as stdin and stderr; return its status and what it showed."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "agent_host", *arguments],
        cwd=project,
        env=environment,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"[y/N] " not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, answer)
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:
            pass  # the other side is closed
        os.close(ours)
        return process.wait(timeout=30), shown.decode()


def test_at_a_terminal_it_is_asked_and_yes_is_remembered(hostile, project, environment, cli):
    _, shown = at_a_terminal(b"y\n", ["servers", "list"], project, environment)
    assert f"starts: touch {hostile}" in shown
    assert hostile.exists()
    assert cli("trust").stdout == "servers.toml is trusted already, as it is\n"


@pytest.mark.parametrize("answer", [b"\n", b"\x04"])
def test_at_a_terminal_anything_but_yes_starts_nothing(answer, hostile, project, environment):
    status, shown = at_a_terminal(answer, ["servers", "list"], project, environment)
    assert status == 4
    assert "not trusted, so nothing was started" in shown
    assert not hostile.exists()


def test_who_is_shown_what_is_asked_may_say_no(hostile, project, environment, cli):
    status, shown = at_a_terminal(b"n\n", ["trust"], project, environment)
    assert status == 4
    assert shown.rstrip().endswith("not trusted")
    assert cli("servers", "list").returncode == 4
    assert not hostile.exists()


@pytest.mark.parametrize("command", ["servers list", "trust"])
def test_a_closed_input_is_no_terminal(command, hostile, project, environment):
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m agent_host {command} <&-', sys.executable],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (4 if command == "servers list" else 0)
    assert "bug" not in done.stderr
    assert not hostile.exists()


def test_a_disabled_server_is_not_started_by_naming_it(here, hostile, project):
    file = project / "servers.toml"
    file.write_text(file.read_text() + "enabled = false\n")
    for command in (("run", "hello"), ("servers", "test"), ("tools", "list")):
        named = "evil" if command[1] == "test" else "--server=evil"
        assert here(*command, named).returncode in (2, 4)
    assert not hostile.exists()


def test_a_project_with_a_folder_of_our_name_runs_none_of_it(here, project):
    (project / "agent_host").mkdir()
    for name in ("__init__.py", "__main__.py"):
        (project / "agent_host" / name).write_text(f"open({str(project / 'pwned')!r}, 'w')")
    (project / "servers.toml").write_text(
        '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
    )
    done = here("servers", "list")
    assert not (project / "pwned").exists()
    assert done.returncode == 0
