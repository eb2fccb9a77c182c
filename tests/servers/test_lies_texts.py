"""No text of a server reaches a screen or a pipe in a form that could steer either: each place that
a server can write to, and each command that shows it."""

import sys
from pathlib import Path

import pytest

from tests.fakes.hostile_lies import UNSAFE
from tests.fakes.hosting import HOSTILE
from tests.fakes.programs import agent_host
from tests.fakes.ptys import Terminal

MODES = {
    "offers": "modern,offers,every:nasty,tools:nasty,init_nasty,read_nasty,get_nasty,stderr_nasty",
    "answers": "ansi_everywhere,init_nasty,stderr_nasty",
    "errors": "modern,offers,ansi_error,read_error,get_error,every:list_dies,stderr_nasty",
    "dies": "die,stderr_nasty",
}
COMMANDS = [
    ("offers", "servers list --json"),
    ("offers", "servers test offers"),
    ("offers", "tools list"),
    ("offers", "tools show offers__nasty"),
    ("offers", "resources list"),
    ("offers", "resources list --json"),
    ("offers", "prompts list"),
    ("offers", "prompts get offers nasty"),
    ("answers", "tools call answers__echo text=hi --json"),
    ("errors", "tools call errors__echo text=hi"),
    ("errors", "resources list"),
    ("errors", "resources read errors x://one"),
    ("errors", "prompts get errors one"),
    ("dies", "servers list"),
]


@pytest.fixture
def folder(tmp_path):
    tables = []
    for name, mode in MODES.items():
        args = f'["-I", "-S", "{HOSTILE}", "--mode", "{mode}"]'
        tables.append(f'[servers.{name}]\ncommand = "{sys.executable}"\nargs = {args}\n')
    (tmp_path / "servers.toml").write_text('model = "offline"\n' + "".join(tables))
    return tmp_path


def only(folder: Path, name: str) -> None:
    """Leave one server in the config."""
    file = folder / "servers.toml"
    head, *tables = file.read_text().split("[servers.")
    file.write_text(head + "".join(f"[servers.{t}" for t in tables if t.startswith(f"{name}]")))


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=lambda value: value)
def test_what_a_command_prints_holds_nothing_that_steers_a_terminal(name, command, folder):
    only(folder, name)
    done = agent_host(*command.split(), "--trust", folder=folder)
    assert done.status in (0, 1, 2, 5), done.err
    assert done.out + done.err
    assert "Traceback" not in done.err
    for shown in (done.out, done.err):
        assert not any(mark in shown for mark in UNSAFE), repr(shown)[:2000]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("answers", "tools call answers__echo text=hi"),
        ("offers", "resources read offers x://nasty"),
        ("offers", "servers test offers"),
    ],
)
def test_a_terminal_gets_no_sequence_but_the_hosts_own(name, command, folder):
    only(folder, name)
    with Terminal(*command.split(), "--trust", cwd=folder) as terminal:
        terminal.exit_status()
        raw = bytes(terminal.raw)
    assert b"evil.example" in raw or b"1b" in raw
    for sequence in (b"\x1b]", b"\x1bP", b"\x1b[2J", b"\xc2\x9b", b"\x07", b"\xe2\x80\xae"):
        assert sequence not in raw, raw[-2000:]
