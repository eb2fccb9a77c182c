"""The commands of a chat in a real terminal, one journey for each family of them."""

import re
from pathlib import Path

import pytest

from tests.fakes.ptys import Terminal
from tests.journeys.stage import call
from tests.journeys.test_chat import Open, chat, prompted, say

__all__ = ["chat"]

LOOK = {"say": "I look.", "call": call("look", order="7")}
REFUND = {"say": "I refund.", "call": call("refund", order="1", amount=5)}
AGAIN = re.compile(r"Questions to you carry the sign")


def begun(times: int, text: str) -> bool:
    """Whether the chat's greeting is there that often: each chat that goes on greets again."""
    return len(AGAIN.findall(text)) >= times


def runs(folder: Path) -> list[Path]:
    return sorted((folder / "transcripts").glob("*.jsonl"))


def leave(terminal: Terminal) -> None:
    say(terminal, "/quit")
    assert terminal.exit_status() == 0


def test_calls_cost_and_context_are_looked_at_after_an_answer(chat: Open) -> None:
    terminal = chat(LOOK, {"say": "It is there."}, lines=60)
    say(terminal, "/show")
    terminal.wait("no tool was called yet")
    say(terminal, "Look.")
    terminal.wait("It is there.")
    terminal.wait(prompted(3))
    say(terminal, "/show 1")
    terminal.wait('│   "order": "7"')
    terminal.wait("│ look: ")
    say(terminal, "/cost")
    terminal.wait("script actor: ")
    terminal.wait("left of max_turns, for one message: 48 of 50")
    say(terminal, "/context")
    terminal.wait("results of shop")
    say(terminal, "/reasoning")
    terminal.wait("no reasoning was shown")
    leave(terminal)


def test_a_message_is_taken_back_with_what_came_of_it(chat: Open, tmp_path: Path) -> None:
    terminal = chat(LOOK, {"say": "It is there."}, lines=60)
    say(terminal, "Look.")
    terminal.wait("It is there.")
    terminal.wait(prompted(2))
    say(terminal, "/undo")
    terminal.wait("NOT undone; these ran:")
    terminal.wait("taken back: 4 messages, from")
    terminal.wait(lambda text: len(re.findall(r"^> Look\.", text, re.MULTILINE)) == 2)
    terminal.keys("\x15/context\r")
    terminal.wait("/compact leaves out")
    assert "results of shop" not in terminal.text
    terminal.keys("\x04")
    assert terminal.exit_status() == 0
    assert '"conversation_rewound"' in runs(tmp_path)[-1].read_text()


def test_tools_and_servers_are_searched_and_seen_one_by_one(chat: Open) -> None:
    terminal = chat(lines=60)
    say(terminal, "/tools")
    terminal.wait("shop: 5 tools, all new")
    say(terminal, "/tools pay back")
    terminal.wait("shop · refund", times=2)
    say(terminal, "/tools shop refund")
    terminal.wait("the model sees it as shop__refund")
    terminal.wait('│     "amount": {')
    say(terminal, "/servers shop")
    terminal.wait("0 calls; sandbox: ")
    leave(terminal)


@pytest.mark.parametrize("columns", [40, 80])
def test_nobody_is_asked_while_the_mode_says_so(chat: Open, columns: int) -> None:
    terminal = chat(
        REFUND, {"say": "Refused."}, REFUND, {"say": "Done."}, REFUND, {"say": "Asked."},
        columns=columns, lines=60,
    )  # fmt: skip
    say(terminal, "/approve-mode none")
    terminal.wait("from here on: none")
    say(terminal, "Refund it.")
    terminal.wait("Refused.")
    terminal.wait("approve: none")
    say(terminal, "/approve-mode all")
    terminal.wait("type the word all to confirm:")
    say(terminal, "all")
    terminal.wait("from here on: all")
    say(terminal, "Refund it now.")
    terminal.wait("Done.")
    assert "approve?" not in terminal.text
    say(terminal, "/approve-mode ask")
    terminal.wait("from here on: ask")
    say(terminal, "Refund it again.")
    terminal.wait("approve?")


def test_an_empty_conversation_begins_in_a_new_run_and_the_old_one_is_chosen_again(
    chat: Open, tmp_path: Path
) -> None:
    terminal = chat({"say": "One answered."}, {"say": "Two answered."}, lines=60)
    say(terminal, "about the weather")
    terminal.wait("One answered.")
    terminal.wait(prompted(2))
    say(terminal, "/clear")
    terminal.wait("stays recorded; an empty")
    terminal.wait(lambda text: begun(2, text))
    assert len(runs(tmp_path)) == 2
    say(terminal, "/resume")
    terminal.wait("1 of 1")
    terminal.keys("zebra")
    terminal.wait("no other run speaks of that")
    terminal.keys("\x15answered")
    terminal.wait("turn 1, model: One answered.")
    terminal.keys("\r")
    terminal.wait(lambda text: begun(3, text))
    terminal.wait("2 messages so far; this was the last of it:")
    say(terminal, "and now?")
    terminal.wait("Two answered.")
    leave(terminal)
    assert len(runs(tmp_path)) == 2


def test_the_config_help_and_models_are_shown_on_a_dumb_terminal_too(chat: Open) -> None:
    terminal = chat(environ={"TERM": "dumb"}, lines=60, columns=40)
    say(terminal, "/config")
    terminal.wait("models.actor.adapter")
    say(terminal, "/help compact")
    terminal.wait("/compact [WHAT TO KEEP]")
    say(terminal, "/model")
    terminal.wait("/model offline")
    say(terminal, "/compact")
    terminal.wait("there is nothing that could be")
    assert max(map(len, terminal.text.splitlines())) <= 40
    leave(terminal)


def test_a_run_is_written_as_a_page_and_never_over_a_file_without_a_yes(
    chat: Open, tmp_path: Path
) -> None:
    terminal = chat(LOOK, {"say": "It is there."}, lines=60)
    say(terminal, "Look for me.")
    terminal.wait("It is there.")
    say(terminal, "/export run.html")
    terminal.wait("run.html: ")
    assert "Look for me." in (tmp_path / "run.html").read_text()
    (tmp_path / "run.html").write_text("mine")
    say(terminal, "/export run.html")
    terminal.wait("is there; write over it? [y/N]")
    say(terminal, "")
    terminal.wait("nothing was written")
    assert (tmp_path / "run.html").read_text() == "mine"
    say(terminal, "/export md /nowhere/at all.md")
    terminal.wait("cannot be written: No such file or directory")
    leave(terminal)


def test_a_fork_goes_on_from_before_a_message_and_leaves_the_run_as_it_is(
    chat: Open, tmp_path: Path
) -> None:
    terminal = chat({"say": "One."}, {"say": "Two."}, {"say": "Other."}, lines=60)
    say(terminal, "first message")
    terminal.wait("One.")
    say(terminal, "second message")
    terminal.wait("Two.")
    terminal.wait(prompted(3))
    say(terminal, "/fork 2")
    terminal.wait("this run stays as it is")
    terminal.wait(lambda text: begun(2, text))
    terminal.wait("2 messages so far; this was the last of it:")
    say(terminal, "another message")
    terminal.wait(prompted(5))
    leave(terminal)
    source, made = (path.read_text() for path in runs(tmp_path))
    assert "second message" in source
    assert "another message" not in source
    assert "first message" in made
    assert "second message" not in made
    assert "another message" in made


def test_a_chat_goes_on_with_a_run_that_is_chosen_before_it_begins(
    chat: Open, tmp_path: Path
) -> None:
    terminal = chat({"say": "It will rain in Ystad."}, lines=30)
    say(terminal, "about the weather")
    terminal.wait("in Ystad.")
    terminal.wait(prompted(2))
    leave(terminal)
    with Terminal("chat", "--trust", "--resume", cwd=tmp_path) as again:
        again.wait("1 of 1")
        again.keys("zebra")
        again.wait("no other run speaks of that")
        again.keys("\r")  # there is nothing to take
        again.keys("\x15yst")
        again.wait("turn 1, model: It will rain in Ystad.")
        again.keys("\r")
        again.wait("2 messages so far")
        again.wait(prompted(1))
        leave(again)
    with Terminal("chat", "--trust", "--resume", cwd=tmp_path) as again:
        again.wait("1 of 1")
        again.keys("\x1b")
        assert again.exit_status() == 0
    assert len(runs(tmp_path)) == 1


def test_where_no_list_can_be_drawn_a_run_is_named(chat: Open, tmp_path: Path) -> None:
    terminal = chat(lines=30)
    leave(terminal)
    dumb = {"TERM": "dumb"}
    with Terminal("chat", "--trust", "--resume", cwd=tmp_path, environ=dumb) as again:
        again.wait("name the run: --resume ID")
        assert again.exit_status() == 2
