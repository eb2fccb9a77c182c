"""A newcomer in an empty folder who does only what the program itself says.

What each step must tell is asserted, so that none of them becomes a dead end; how it looks is kept
in docs/first-ten-minutes.md.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.ptys import Terminal

ROOT = Path(__file__).parents[2]
Run = Callable[..., Terminal]


@pytest.fixture
def newcomer(tmp_path: Path) -> Run:
    """A program that is found under the name that is told to people, and no keys at all."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "agent-host"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT!s} exec {sys.executable} -m agent_host "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / "notes"
    folder.mkdir()

    def run(*arguments: str) -> Terminal:
        home = {
            "HOME": str(tmp_path),
            "XDG_DATA_HOME": str(tmp_path / "data"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "PATH": f"{programs}:/usr/bin:/bin",
        }
        return Terminal(*arguments, cwd=folder, environ=home, lines=50)

    return run


def _seen(terminal: Terminal, *wanted: str) -> None:
    for words in wanted:
        _until(terminal, "".join(words.split()))


def _until(terminal: Terminal, flat: str) -> None:
    terminal.wait(lambda text: flat in "".join(text.split()))


def _made_config(newcomer: Run) -> None:
    with newcomer() as terminal:
        _seen(terminal, "Nothing is configured yet", "agent-host config init", "Make one now?")
        terminal.keys("y\r")
        questions = ("Where?", "Which model answers?", "Which servers", "without a question?")
        for number, question in enumerate(questions, 1):
            _seen(terminal, question)
            terminal.wait("Enter for 1:", times=number)
            terminal.keys("\r")
        _seen(terminal, "Write it?")
        terminal.keys("\r")
        _seen(terminal, "wrote servers.toml", "next:", "agent-host chat", "agent-host doctor")
        assert terminal.exit_status() == 0


def test_a_newcomer_gets_from_nothing_to_a_kept_conversation(newcomer: Run) -> None:
    _made_config(newcomer)
    with newcomer("chat") as chat:
        _seen(chat, "set a provider's API key", "servers: orders", "/help")
        chat.keys("/help\r")
        _seen(chat, "/help COMMAND tells all about one", "Ctrl-R searches", "Ctrl-D leaves")
        chat.keys("What is the status of order 12345?\r")
        _seen(chat, "Tracking number: DE4839201")
        chat.keys("orders__refund_order order_id=12345 amount=25 reason=scratched\r")
        _seen(chat, "no rule matches, so policy.default answers", "approve? [y/n/r/e/a/t]")
        chat.repeat("e", "edit (Enter ends")
        chat.wait("\n}")
        chat.keys("\x1b[A\x1b[A\x05\x7f\x7f\x7f20,\r")
        _seen(chat, "changed:", "- amount  25", "+ amount  20")
        chat.repeat("y", "refund_order (edited)")
        _seen(chat, "Refundable: 180")
        chat.keys("/undo\r")
        _seen(chat, "these ran:", 'refund_order  order_id="12345" amount=20')
        chat.keys("\x03\x04")
        _seen(chat, "to go on: agent-host chat --resume")
        assert chat.exit_status() == 0
    with newcomer("transcripts", "list") as listed:
        _seen(listed, "What is the status")
        assert listed.exit_status() == 0
    with newcomer("transcripts", "search", "scratched") as found:
        _seen(found, "scratched")
        assert found.exit_status() == 0


def test_doctor_tells_a_newcomer_what_would_make_it_better(newcomer: Run) -> None:
    _made_config(newcomer)
    with newcomer("doctor") as doctor:
        _seen(doctor, "no provider's key is in the environment", "no problems")
        assert doctor.exit_status() == 0
