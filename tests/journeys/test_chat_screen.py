"""The chat's one screen in a real terminal: while it works, around a question, when it ends."""

import re
import time
from pathlib import Path

import pytest

from tests.fakes.ptys import Terminal
from tests.journeys.stage import call, stage
from tests.journeys.test_chat import Open, chat, say

__all__ = ["chat"]

WAIT = {"say": "I wait.", "call": call("wait")}
REFUND = {"say": "I refund.", "call": call("refund", order="1", amount=5)}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def foot(terminal: Terminal) -> list[str]:
    """The last lines on the screen that hold something."""
    return [line for line in terminal.text.split("\n") if line][-4:]


def test_messages_that_are_sent_while_it_works_are_said_one_after_the_other(chat: Open) -> None:
    terminal = chat(
        WAIT, {"say": "One answered."}, {"say": "Two answered."}, {"say": "Three answered."}
    )
    say(terminal, "one")
    terminal.wait("shop · wait")
    say(terminal, "two")
    say(terminal, "three")
    text = terminal.wait("2 queued")
    assert "left of max_turns" not in text
    say(terminal, "/cost")
    terminal.wait("left of max_turns")
    text = terminal.wait("queued three")  # the foot is drawn below it
    assert text.index("queued two") < text.index("queued three") < text.rindex("\n>")
    terminal.keys("\x1b")
    terminal.wait("> three")
    terminal.keys(" and more\r")
    terminal.wait("queued three and more")
    terminal.keys("my draft")
    terminal.wait("> my draft")
    terminal.keys("\x03")
    terminal.wait("· interrupted")
    terminal.wait(lambda text: "> two\n. three and more\n. my draft" in text)
    terminal.keys("\r")
    terminal.wait("One answered.")
    say(terminal, "/quit")
    assert terminal.exit_status() == 0
    assert "Two answered." not in terminal.text


def test_esc_interrupts_and_esc_twice_says_the_last_message_anew(chat: Open) -> None:
    terminal = chat(WAIT, {"say": "Never."})
    say(terminal, "helo")
    terminal.wait("shop · wait")
    terminal.keys("\x1b")
    terminal.wait("· interrupted")
    terminal.wait(lambda text: "✗ #1 shop · wait" in text)
    terminal.repeat("\x1b\x1b", "instead> helo")
    terminal.keys("\x7flo\r")
    terminal.wait("taken back: ")
    terminal.wait("> hello")
    terminal.wait("I wait.", times=2)
    terminal.keys("\x1b")
    terminal.wait("· interrupted", times=2)
    terminal.keys("\x04")
    assert terminal.exit_status() == 0


def test_after_a_resume_the_last_message_is_said_differently_with_its_file(
    chat: Open, tmp_path: Path
) -> None:
    (tmp_path / "notes.md").write_text("milk and eggs")
    terminal = chat({"say": "Noted."})
    say(terminal, "hi @./notes.md")
    terminal.wait("Noted.")
    say(terminal, "/quit")
    assert terminal.exit_status() == 0
    (tmp_path / "notes.md").write_text("flour")
    with Terminal("chat", "--trust", "--resume", "last", cwd=tmp_path) as again:
        again.wait("Noted.")
        again.repeat("\x1b\x1b", "instead> hi @./notes.md")
        again.keys("\x01hello, \x05\r")
        again.wait("taken back: 2 messages")
        again.wait("Noted.", times=2)
        again.keys("\x04")
        assert again.exit_status() == 0
    (record,) = (tmp_path / "transcripts").glob("*.jsonl")
    assert "flour" in record.read_text()


def test_a_question_makes_room_and_the_draft_comes_back(chat: Open) -> None:
    terminal = chat(REFUND, {"say": "Refunded."})
    terminal.keys("Refund it.\rand then")
    terminal.wait("approve?")
    assert not foot(terminal)[-1].startswith("script")
    terminal.keys("y\r")
    terminal.wait("Refunded.")
    terminal.wait(lambda text: re.search("^> and then$", text, re.MULTILINE) is not None)
    assert "✓ #1 shop · refund" in terminal.text


@pytest.mark.parametrize("end", ["\x03\x03", "\x04", "/quit\r"])
def test_leaving_takes_the_foot_away_and_gives_the_terminal_back(chat: Open, end: str) -> None:
    terminal = chat({"say": "Hello."})
    say(terminal, "hi")
    terminal.wait("Hello.")
    terminal.keys(end)
    assert terminal.exit_status() == 0
    assert foot(terminal)[-1].startswith("agent-host: to go on: ")
    assert not any(line.startswith("script (no AI)") for line in foot(terminal))
    raw = bytes(terminal.raw)
    assert raw.rindex(b"\x1b[?2004l") > raw.rindex(b"\x1b[?2004h")
    assert raw.rindex(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l")
    assert raw.endswith((b"\n", b"t"))  # a line, or the title that was there before


def test_a_chat_in_which_nothing_was_said_is_not_offered_to_go_on_with(chat: Open) -> None:
    terminal = chat({"say": "Hello."})
    terminal.keys("\x04")
    assert terminal.exit_status() == 0
    assert "to go on" not in terminal.text


def test_control_d_while_it_works_leaves_when_that_is_over(chat: Open) -> None:
    terminal = chat(WAIT, {"say": "Never."})
    say(terminal, "wait")
    terminal.wait("shop · wait")
    terminal.keys("\x04")
    terminal.wait("(leave)")
    terminal.keys("\x1b")
    terminal.wait(lambda text: "(leave)" not in text)
    terminal.keys("\x04")
    terminal.wait("(leave)")
    terminal.keys("\x03")
    terminal.wait("· interrupted")
    terminal.keys("\x04")
    assert terminal.exit_status() == 0


def test_control_c_twice_leaves_also_in_the_middle_of_a_step(chat: Open) -> None:
    terminal = chat(WAIT)
    say(terminal, "wait")
    terminal.wait("shop · wait")
    terminal.keys("\x03\x03")
    assert terminal.exit_status() in {0, 130}
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_files_and_pictures_are_named_completed_and_taken_along(
    chat: Open, tmp_path: Path, columns: int
) -> None:
    (tmp_path / "notes.md").write_text("milk and eggs")
    (tmp_path / "shot one.png").write_bytes(PNG)
    terminal = chat({"expect": "milk and eggs", "say": "Milk."}, columns=columns)
    terminal.keys("what is in @no")
    terminal.wait("@notes.md")
    terminal.keys("\t")
    terminal.wait("> what is in @notes.md")
    terminal.keys(" and ")
    path = tmp_path / "shot one.png"
    terminal.keys(f"\x1b[200~{str(path).replace(' ', chr(92) + ' ')}\x1b[201~")
    terminal.wait(lambda text: f'@"{path}"' in "".join(re.split(r"\n|\. ", text)))
    terminal.keys("\r")
    terminal.wait("attached notes.md")
    terminal.wait("Milk.")
    terminal.keys("\x04")
    assert terminal.exit_status() == 0
    (record,) = (tmp_path / "transcripts").glob("*.jsonl")
    assert '"media_type":"image/png"' in record.read_text().replace(" ", "")


def test_a_window_of_any_size_is_drawn_on_while_it_works(chat: Open) -> None:
    terminal = chat(WAIT)
    say(terminal, "wait")
    terminal.wait("shop · wait")
    terminal.keys("a draft of some length, more than twenty columns")

    def drawn(_: str) -> bool:
        return any("draft" in line or "columns" in line for line in foot(terminal))

    for columns, lines in ((40, 12), (20, 6), (120, 40), (80, 3), (80, 24)):
        terminal.resize(columns, lines)
        terminal.wait(drawn)
    terminal.keys("\x03")
    terminal.wait("· interrupted")
    terminal.keys("\x15\x04")
    assert terminal.exit_status() == 0


def test_a_still_screen_is_lines_one_after_the_other(chat: Open, tmp_path: Path) -> None:
    file = tmp_path / "config" / "agent-host" / "terminal.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("spinner = false\n")
    terminal = chat(REFUND, {"say": "Refunded."}, environ={"NO_COLOR": "1"})
    say(terminal, "Refund it.")
    terminal.wait("approve?")
    say(terminal, "y")
    terminal.wait("Refunded.")
    say(terminal, "/quit")
    assert terminal.exit_status() == 0
    left = re.sub(rb"\x1b\[\?2004[hl]", b"", bytes(terminal.raw))
    assert b"\x1b" not in left


def test_vi_keys_are_the_persons_own_choice(chat: Open, tmp_path: Path) -> None:
    file = tmp_path / "config" / "agent-host" / "terminal.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('keys = "vi"\n')
    terminal = chat({"expect": "two", "say": "Two."})
    terminal.keys("one two\x1b")
    terminal.wait("> one two")
    terminal.keys("0dw")
    terminal.wait(lambda text: re.search("^> two$", text, re.MULTILINE) is not None)
    terminal.keys("\r")
    terminal.wait("Two.")


def test_the_title_tells_whose_turn_it_is_and_is_given_back(chat: Open, tmp_path: Path) -> None:
    terminal = chat(REFUND, {"say": "Refunded."})
    say(terminal, "Refund it.")
    terminal.wait("approve?")
    terminal.keys("y\r")
    terminal.wait("Refunded.")
    terminal.keys("\x04")
    assert terminal.exit_status() == 0
    titles = re.findall(rb"\x1b\]2;([^\x07]*)\x07", bytes(terminal.raw))
    name = tmp_path.name[:40].encode()
    wanted = [b"waiting for you", b"working", b"asks you", b"working", b"waiting for you"]
    assert titles == [*(b"agent-host: " + name + b" - " + words for words in wanted), b""]


def test_what_waits_for_an_answer_that_failed_is_not_sent(chat: Open) -> None:
    terminal = chat(WAIT)
    say(terminal, "one")
    terminal.wait("shop · wait")
    terminal.keys("\x03")
    terminal.wait("· interrupted")
    terminal.keys("two\rthree\r")
    terminal.wait("is asked for")
    terminal.wait(lambda text: "\n> three" in text)
    terminal.keys("\x15\x04")
    assert terminal.exit_status() == 0
    assert terminal.text.count("is asked for") == 1


def test_what_is_typed_before_the_screen_stands_is_in_its_line_and_nowhere_else(
    tmp_path: Path,
) -> None:
    stage(tmp_path, {"expect": "one", "say": "Hello."})
    with Terminal("chat", "--trust", cwd=tmp_path) as terminal:
        terminal.wait("script answers")
        terminal.keys("one\rtwo")
        terminal.wait("Hello.")
        text = terminal.wait(lambda text: "\n> two\n" in text)
        assert text.count("one") == text.count("\n> one\n") == 1
        assert text.count("two") == 1
        terminal.keys("\x15\x04")
        assert terminal.exit_status() == 0


def test_a_terminal_that_is_not_read_does_not_hold_the_work_up(chat: Open, tmp_path: Path) -> None:
    words = "\n\n".join(f"paragraph {number} " + "word " * 60 for number in range(800))
    terminal = chat({"say": words, "call": call("look", order="1")}, {"say": "The end."})
    say(terminal, "go")
    (record,) = (tmp_path / "transcripts").glob("*.jsonl")
    deadline = time.monotonic() + 20
    while "The end." not in record.read_text():
        assert time.monotonic() < deadline
    terminal.wait("The end.")
    terminal.keys("\x04")
    assert terminal.exit_status() == 0
    assert "paragraph 799 word" in terminal.text


def test_a_question_that_is_not_read_does_not_hold_the_work_up(chat: Open, tmp_path: Path) -> None:
    long = {"say": "I pay.", "call": call("refund", order="word " * 20_000, amount=5)}
    terminal = chat(long, {"say": "The end."})
    say(terminal, "go")
    terminal.wait("[m/n/r/e]")
    (record,) = (tmp_path / "transcripts").glob("*.jsonl")
    terminal.keys("s")  # all of it, which is more than a terminal keeps for who does not look
    time.sleep(0.3)  # so that what follows is another key
    terminal.keys("n")
    deadline = time.monotonic() + 20
    while "The end." not in record.read_text():
        assert time.monotonic() < deadline
    text = terminal.wait("The end.")
    assert text.index("that was all of it") < text.index("refund  refused by")
    terminal.keys("\x04")
    assert terminal.exit_status() == 0
