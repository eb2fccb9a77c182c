"""`agent-host run` at a real terminal: who is asked, what goes where, how it ends."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes.ptys import Terminal
from tests.fakes.screens import HOSTILE
from tests.journeys.stage import call, stage

REFUND = {"say": "I refund it.", "call": call("refund", order="12345", amount=250)}
ASKED = "approve? [y/n/r/e/a/t]"

Run = Callable[..., Terminal]


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    """Starts a run with a script of turns."""

    def start(
        *turns: dict[str, Any], arguments: tuple[str, ...] = ("Go on.",), **more: Any
    ) -> Terminal:
        stage(tmp_path, *turns)
        terminal = Terminal("run", "--trust", *arguments, cwd=tmp_path, **more)
        request.addfinalizer(lambda: terminal.__exit__(None, None, None))
        return terminal

    return start


def test_a_human_is_asked_at_the_terminal_and_yes_runs_the_call(run: Run) -> None:
    terminal = run(REFUND, {"say": "Done."})
    question = terminal.wait(ASKED)
    assert re.search(r"── approval [0-9a-f]{4} ─", question)
    assert "│ amount  250" in question
    terminal.keys("\n")
    terminal.wait("Enter alone is no answer")
    terminal.keys("y\n")
    assert terminal.exit_status() == 0
    text = terminal.text
    assert text.index("I refund it.") < text.index("✓ shop · refund") < text.index("Done.")


def test_an_edit_on_plain_lines_runs_as_edited(run: Run) -> None:
    terminal = run(REFUND, {"expect": '"amount": 25}', "say": "Done."})
    terminal.wait(ASKED)
    terminal.keys("e\n")
    terminal.wait("new arguments as JSON")
    terminal.keys('{"order": "12345", "amount": 25}\n')
    assert "+ amount  25" in terminal.wait(ASKED, times=2)
    terminal.keys("y\n")
    assert terminal.exit_status() == 0
    assert "amount=25" in terminal.text


def test_a_refusal_ends_with_its_own_status(run: Run) -> None:
    terminal = run(REFUND, {"expect": "not today", "say": "As you like."})
    terminal.wait(ASKED)
    terminal.keys("r not today\n")
    assert terminal.exit_status() == 4
    assert "✗ shop · refund  refused by" in terminal.text
    assert "✓ shop · refund" not in terminal.text


def test_the_end_of_input_is_a_refusal(run: Run) -> None:
    terminal = run(REFUND, {"say": "As you like."})
    terminal.wait(ASKED)
    terminal.keys("\x04")
    assert terminal.exit_status() == 4
    assert "the input has ended" in terminal.text


def test_a_yes_typed_before_the_question_does_not_answer_it(run: Run) -> None:
    terminal = run(REFUND, {"say": "As you like."})
    terminal.keys("y\ny\ny\n")
    terminal.wait(ASKED)
    terminal.keys("n\n")
    assert terminal.exit_status() == 4
    assert "✓ shop · refund" not in terminal.text


def test_a_human_is_asked_although_stdin_is_a_pipe(run: Run) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"y\ny\ny\n")
    os.close(writer)
    terminal = run(REFUND, {"say": "Done."}, stdin=reader)
    os.close(reader)
    terminal.wait(ASKED)
    terminal.keys("n\n")
    assert terminal.exit_status() == 4


def test_a_pipe_gets_the_answer_alone_while_the_terminal_is_asked(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "answer").open("wb") as out:
        terminal = run(REFUND, {"say": "Refunded ⚠️ *now*."}, stdout=out.fileno())
        terminal.wait(ASKED)
        terminal.keys("y\n")
        assert terminal.exit_status() == 0
    assert (tmp_path / "answer").read_text() == "Refunded ⚠️ *now*.\n"
    assert "I refund it." in terminal.text


def test_control_c_in_a_question_stops_the_run_and_leaves_no_server(run: Run) -> None:
    terminal = run(REFUND, {"say": "Done."})
    terminal.wait(ASKED)
    running = psutil.Process(terminal.pid).children(recursive=True)
    terminal.keys("\x03")
    assert terminal.exit_status() == 130
    assert "no longer asked" in terminal.text
    assert running
    assert not psutil.wait_procs(running, timeout=10)[1]


def test_a_closed_window_leaves_no_server(run: Run) -> None:
    terminal = run({"call": call("wait")})
    terminal.wait("shop · wait")
    running = psutil.Process(terminal.pid).children(recursive=True)
    terminal.hang_up()
    assert running
    assert not psutil.wait_procs(running, timeout=10)[1]


def test_a_question_that_was_open_when_the_host_was_killed_is_asked_again(run: Run) -> None:
    terminal = run(REFUND, {"say": "Done."})
    terminal.wait(ASKED)
    psutil.Process(terminal.pid).send_signal(signal.SIGKILL)
    assert terminal.exit_status() == -signal.SIGKILL
    again = run(REFUND, {"say": "Done."}, arguments=("--resume", "last"))
    assert "│ amount  250" in again.wait(ASKED)
    again.keys("y\n")
    assert again.exit_status() == 0
    assert again.text.count("✓ shop · refund") == 1


def test_hostile_text_reaches_neither_terminal_nor_pipe(run: Run, tmp_path: Path) -> None:
    words = "\n\n".join(text.encode("utf-8", "replace").decode() for text in HOSTILE)
    turns = (
        {"say": words, "call": [call("rude"), call("look", k=words)]},
        {"call": call("refund", order=words)},
        {"say": words},
    )
    raw = b""
    for output, piped in (("text", False), ("text", True), ("stream-json", False)):
        with (tmp_path / "out").open("wb") as out:
            more = {"stdout": out.fileno()} if piped else {}
            terminal = run(
                *turns, arguments=("Go on.", "--approve", "all", "--output", output), **more
            )
            assert terminal.exit_status() == 0
        raw += terminal.raw + (tmp_path / "out").read_bytes()
    # Ours: colours, and how the foot of the screen is drawn over.
    ours = rb"\x1b\[(?:[0-9;]*m|2?K|B|[1-7]?A)"
    raw = re.sub(ours, b"", raw.replace(b"\x1b[31mred", b"!caught!"))
    assert b"!caught!" not in raw
    for payload in (
        "\x1b",
        "\x9b",
        "\x9d",
        "\x90",
        "\x07",
        "\x7f",
        "\u202e",
        "\u200b",
        "\U000e0041",
    ):
        assert payload.encode() not in raw
