"""`agent-host chat` in a real terminal, with a scripted model and a real server."""

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
EDITING = "Enter ends, Alt-Enter: new line"
EDITED = '{"order": "12345", "amount": 25}'

Open = Callable[..., Terminal]


@pytest.fixture
def chat(tmp_path: Path, request: pytest.FixtureRequest) -> Open:
    """Opens a chat with a script of turns and waits for its prompt."""

    def open_chat(*turns: dict[str, Any], arguments: tuple[str, ...] = (), **more: Any) -> Terminal:
        stage(tmp_path, *(turns or ({"say": "Hello."},)))
        terminal = Terminal("chat", "--trust", *arguments, cwd=tmp_path, **more)
        request.addfinalizer(lambda: terminal.__exit__(None, None, None))
        terminal.wait("/help")
        terminal.wait(prompted(1))
        return terminal

    return open_chat


def prompted(times: int) -> Callable[[str], bool]:
    """Whether the chat's prompt is there, empty, after `times` lines that were sent."""
    return lambda text: len(re.findall(r"^>", text, re.MULTILINE)) >= times


def say(terminal: Terminal, text: str) -> None:
    terminal.keys(f"{text}\r")


def servers(terminal: Terminal) -> list[psutil.Process]:
    return psutil.Process(terminal.pid).children(recursive=True)


def assert_gone(processes: list[psutil.Process]) -> None:
    assert processes
    gone, alive = psutil.wait_procs(processes, timeout=10)
    assert len(gone) == len(processes), alive


def test_an_answer_streams_in_with_its_calls_and_leaves_no_server(chat: Open) -> None:
    terminal = chat(
        {"say": "I look it up.", "call": call("look", order="12345")},
        {"say": "It was **shipped** with [DHL](https://dhl.example/track?id=DE4839201).\n"},
    )
    running = servers(terminal)
    say(terminal, "Where is my order?")
    terminal.wait(lambda text: re.search(r'✓ (#1 )?shop · look  order="12345"', text) is not None)
    text = terminal.wait("DHL (https://dhl.example/track?id=DE4839201)")
    assert "**" not in text
    assert text.index("I look it up.") < text.index("✓ ") < text.index("It was shipped")
    terminal.wait(prompted(2))
    say(terminal, "/quit")
    assert terminal.exit_status() == 0
    assert "chat --resume" in terminal.text
    assert_gone(running)


def test_arguments_are_edited_until_they_are_valid_and_run_as_edited(chat: Open) -> None:
    terminal = chat(REFUND, {"expect": "25}", "say": "Refunded 25."})
    say(terminal, "Refund order 12345, please.")
    question = terminal.wait("approve? [y/n/r/e/a/t]")
    assert "server    shop" in question
    assert "tool      refund" in question
    assert "amount  250" in question
    say(terminal, "e")
    terminal.wait(EDITING)
    terminal.keys("\x7f" * 80 + '{"amount": 1}\r')
    terminal.wait("not valid for this tool")
    terminal.wait(EDITING, times=2)
    terminal.keys("\x7f" * 80 + f"{EDITED}\r")
    text = terminal.wait("approve? [y/n/r/e/a/t]", times=2)
    assert "- amount  250" in text
    assert "+ amount  25" in text
    say(terminal, "y")
    terminal.wait('shop · refund (edited)  order="12345" amount=25')
    terminal.wait("Refunded 25.")


def test_a_refusal_takes_its_reason_to_the_model_and_always_means_what_it_says(chat: Open) -> None:
    other = {"call": call("refund", order="12345", amount=9000)}
    terminal = chat(
        REFUND,
        {"expect": "ask the manager", "say": "I ask the manager."},
        REFUND,
        REFUND,
        other,
        other,
        {"say": "All done."},
    )
    say(terminal, "Refund order 12345, please.")
    terminal.wait("approve?")
    say(terminal, "r")
    terminal.wait("reason, for the model:")
    say(terminal, "ask the manager first")
    terminal.wait("shop · refund  refused by")
    assert "✓ " not in terminal.wait("I ask the manager.")
    terminal.wait(prompted(2))
    say(terminal, "He says yes.")
    terminal.wait("approve?", times=2)
    say(terminal, "a")
    question = terminal.wait("approve?", times=3)
    assert question.count("✓ ") == 2  # the same arguments: not asked again
    assert "amount  9000" in question
    assert "shop · refund with ANY arguments" in question
    say(terminal, "t")
    text = terminal.wait("All done.")
    assert text.count("✓ ") == 4
    assert text.count("approve?") == 3


def test_control_c_stops_the_step_and_the_chat_goes_on(chat: Open) -> None:
    terminal = chat(
        {"say": "I wait.", "call": call("wait")},
        {"say": "Here I am.", "call": call("refund", order="1")},
        {"say": "Again.", "call": call("refund", order="2")},
        {"expect": "input has ended", "say": "As you like."},
    )
    say(terminal, "Wait.")
    terminal.wait("shop · wait")
    terminal.keys("\x03")
    terminal.wait("· interrupted")
    terminal.wait(prompted(2))
    say(terminal, "Still there?")
    terminal.wait("approve?")
    terminal.keys("\x03")
    terminal.wait("no longer asked")
    terminal.wait(prompted(3))
    say(terminal, "Once more.")
    terminal.wait("approve?", times=2)
    terminal.keys("\x04")  # the end of input means no
    text = terminal.wait("As you like.")
    assert "✓ " not in text
    terminal.wait(prompted(4))
    terminal.keys("\x04")
    assert terminal.exit_status() == 0


def test_what_is_typed_before_a_question_does_not_answer_it(chat: Open) -> None:
    terminal = chat(
        {"say": "I wait.", "call": [call("wait"), call("refund", order="1")]}, {"say": "Stopped."}
    )
    terminal.keys("Refund it.\ry\ry")
    terminal.wait("approve?")
    terminal.keys("n\r")
    terminal.wait("✗ #2 shop · refund  refused by")
    terminal.wait("queued y")
    terminal.wait(lambda text: re.search("^> y$", text, re.MULTILINE) is not None)


def test_lines_pastes_and_leaving_work_as_people_expect(chat: Open) -> None:
    terminal = chat({"expect": {"matches": "one\\ntwo\\nthree"}, "say": "Three lines."})
    terminal.keys("one\\\r\x1b[200~two\nthree\x1b[201~\r")
    terminal.wait("Three lines.")
    terminal.wait(prompted(2))
    terminal.keys("half a line\x03\x03")
    terminal.wait("Ctrl-C again leaves")
    terminal.keys("\x03")
    assert terminal.exit_status() == 0


def test_the_commands_show_tools_servers_and_models(chat: Open) -> None:
    terminal = chat({"say": "Hello."}, lines=60)
    say(terminal, "/tools")
    terminal.wait("shop · refund  Pay back.")
    say(terminal, "/servers")
    terminal.wait("connected  5 tools")
    say(terminal, "/policy")
    terminal.wait("policy has not been asked yet")
    terminal.wait("trusted-read-only")
    say(terminal, "/model")
    terminal.wait("/model offline")
    say(terminal, "/model nobody")
    terminal.wait("nobody", times=2)
    say(terminal, "/model offline")
    terminal.wait("offline: no AI")
    terminal.wait("offline (no AI)")
    say(terminal, "/modle")
    terminal.wait("did you mean /model?")
    say(terminal, "/help")
    terminal.wait("Enter sends")


def test_a_chat_is_resumed_where_it_stood(chat: Open) -> None:
    terminal = chat({"say": "Hello."}, {"say": "You said one."})
    say(terminal, "one")
    terminal.wait("Hello.")
    terminal.wait(prompted(2))
    terminal.keys("\x04")
    assert terminal.exit_status() == 0
    again = chat({"say": "Hello."}, {"say": "You said one."}, arguments=("--resume", "last"))
    say(again, "what did I say?")
    again.wait("You said one.")


def test_being_told_to_end_and_a_closed_window_leave_no_server(chat: Open) -> None:
    for end in (lambda t: t.hang_up(), lambda t: psutil.Process(t.pid).send_signal(signal.SIGTERM)):
        terminal = chat({"say": "I wait.", "call": call("wait")})
        running = servers(terminal)
        say(terminal, "Wait.")
        terminal.wait("shop · wait")
        end(terminal)
        assert_gone(running)


def test_a_chat_without_a_terminal_is_a_wrong_use(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        stage(tmp_path, {"say": "Hello."})
        terminal = Terminal("chat", "--trust", cwd=tmp_path, stdout=out.fileno())
        with terminal:
            assert terminal.exit_status() == 2
            assert "agent-host run" in terminal.text


def test_a_narrow_or_dumb_terminal_is_served_without_colours(chat: Open) -> None:
    for environ in ({"TERM": "dumb"}, {"NO_COLOR": "1"}):
        terminal = chat(
            {"say": "# Title\n\nSome **bold** words that need more than forty columns.\n"},
            columns=40,
            environ=environ,
        )
        say(terminal, "hi")
        terminal.wait("columns.")
        terminal.wait(prompted(2))
        terminal.keys("\x04")
        assert terminal.exit_status() == 0
        assert b"\x1b[31m" not in terminal.raw
        assert b"\x1b[1;4m" not in terminal.raw


OURS = re.compile(
    rb"\x1b\[[0-9;]*m|\x1b\[\?(?:1|7|12|25|2004|2026)[hl]|\x1b\[[0-9]*[ABCDGJK]|\x1b\[\?1l"
    rb"|\x1b[78]|\x1b\[6n|\x1b\[2[23];2t|\x1b\]2;(?:agent-host: [\w -]+)?\x07"
)
BELL = b"\x07"
C1 = tuple(chr(code).encode() for code in range(0x80, 0xA0))
HIDDEN = tuple(c.encode() for c in "\u202e\u2066\u200b\u00ad\U000e0041")


def test_hostile_text_from_everywhere_stays_text(chat: Open) -> None:
    words = "\n\n".join(text.encode("utf-8", "replace").decode() for text in HOSTILE)
    terminal = chat(
        {"say": words, "call": [call("rude"), call("look", k=words)]},
        {"say": words, "call": {"name": f"shop__{HOSTILE[0]}", "arguments": {}}},
        {"call": call("refund", order=words)},
        {"say": "The end."},
        lines=60,
    )
    say(terminal, "Be rude.")
    terminal.wait("approve?")
    say(terminal, "all")
    terminal.wait("that was all of it")
    say(terminal, "y")
    terminal.wait("The end.")
    terminal.wait(prompted(2))
    before = len(terminal.raw)
    say(terminal, "/tools")
    say(terminal, "/servers")
    terminal.wait("connected  ")
    terminal.keys("\x04")
    assert terminal.exit_status() == 0
    assert len(terminal.raw) > before
    left = OURS.sub(b"", terminal.raw.replace(b"\x1b[31mred", b"!caught!"))
    for payload in (*C1, *HIDDEN, b"\x1b", b"!caught!", b"\x0b", b"\x7f"):
        assert payload not in left
    assert left.count(BELL) <= 1  # ours, for the question
    assert b"[link=http://evil.example]markup[/link]" in terminal.raw
