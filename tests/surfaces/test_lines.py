import asyncio
import os
import termios
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from agent_host.surfaces.lines import LineMessages, TerminalLines, open_terminal
from tests.fakes.screens import Screen, outlet


@dataclass
class Desk:
    """A terminal: `keys` types into it, `lines` reads from it."""

    controller: int
    lines: TerminalLines
    screen: Screen

    def keys(self, text: str) -> None:
        os.write(self.controller, text.encode())


@pytest.fixture
def desk() -> Iterator[Desk]:
    controller, terminal = os.openpty()
    out, screen = outlet(tty=True)
    lines = TerminalLines(terminal, out)
    yield Desk(controller, lines, screen)
    lines.close()
    lines.close()
    os.close(controller)


def test_a_line_is_what_was_typed_before_enter(desk: Desk) -> None:
    desk.keys("yes, ümlaut\nnext")
    assert asyncio.run(desk.lines.ask("sure? ")) == "yes, ümlaut"
    assert desk.screen.getvalue() == "sure? "
    desk.keys("\n")
    assert asyncio.run(desk.lines.ask("")) == "next"


def test_two_lines_at_once_are_two_answers(desk: Desk) -> None:
    desk.keys("a\nb\n")
    assert asyncio.run(desk.lines.ask("")) == "a"
    assert asyncio.run(desk.lines.ask("")) == "b"


def test_control_d_is_the_end_of_input(desk: Desk) -> None:
    desk.keys("\x04")
    assert asyncio.run(desk.lines.ask("? ")) is None


def test_a_terminal_that_goes_away_is_the_end_of_input() -> None:
    controller, terminal = os.openpty()
    lines = TerminalLines(terminal, outlet(tty=True)[0])
    os.close(controller)
    lines.discard_typed_ahead()
    assert asyncio.run(lines.ask("? ")) is None
    lines.close()


def test_what_was_typed_ahead_is_forgotten_also_half_a_line(desk: Desk) -> None:
    desk.keys("y\ny\ny")
    assert asyncio.run(desk.lines.ask("")) == "y"
    desk.lines.discard_typed_ahead()
    desk.keys("n\n")
    assert asyncio.run(desk.lines.ask("")) == "n"


def test_asking_can_be_cancelled_and_asked_again(desk: Desk) -> None:
    async def ask() -> str | None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(desk.lines.ask("first "))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
        desk.keys("second answer\n")
        return await desk.lines.ask("second ")

    assert asyncio.run(ask()) == "second answer"


def test_an_edit_ends_with_the_object_or_an_empty_line(desk: Desk) -> None:
    desk.keys('{"a":\n1}\n')
    assert asyncio.run(desk.lines.edit('{"a": 0}')) == '{"a":\n1}\n'
    assert desk.screen.getvalue().startswith('{"a": 0}\n')
    desk.keys('{"a": \n\n')
    assert asyncio.run(desk.lines.edit("")) == '{"a": \n'
    desk.keys("\n")
    assert asyncio.run(desk.lines.edit("")) is None


def test_a_line_without_end_is_not_kept_for_ever(desk: Desk) -> None:
    desk.lines._typed = b"x" * (1 << 21)
    desk.keys("y\x04")
    assert asyncio.run(desk.lines.ask("")) is None


def test_there_is_no_terminal_behind_a_pipe() -> None:
    assert open_terminal(outlet(tty=False)[0]) is None


def test_messages_come_line_by_line_where_nothing_can_be_drawn(desk: Desk) -> None:
    out, held_back = outlet()
    messages = LineMessages(desk.lines, hold=(out,))
    desk.keys("one\\\ntwo\nthree\n")
    assert asyncio.run(messages.read()) == "one\ntwo"
    assert asyncio.run(messages.read()) == "three"
    desk.keys("half\\\n\x04")
    assert asyncio.run(messages.read()) is None
    assert held_back.getvalue() == ""


def test_a_field_keeps_what_was_there_unless_something_else_is_typed(desk: Desk) -> None:
    desk.keys("\nnew\n")
    assert asyncio.run(desk.lines.type_in("name: ", text="o\x1bld")) == "o\x1bld"
    assert asyncio.run(desk.lines.type_in("name: ", text="old")) == "new"
    assert "now: o\\u{1b}ld (Enter keeps it)" in desk.screen.getvalue()
    desk.keys("\n\x04")
    assert asyncio.run(desk.lines.type_in("name: ")) == ""
    assert asyncio.run(desk.lines.type_in("name: ")) is None


def echoes(fd: int) -> bool:
    return bool(termios.tcgetattr(fd)[3] & termios.ECHO)


def test_what_is_typed_hidden_is_not_echoed_also_if_it_is_given_up(desk: Desk) -> None:
    fd = desk.lines._fd

    async def type_in() -> str | None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(desk.lines.type_in("password: ", hidden=True))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not echoes(fd)
            task.cancel()
        assert echoes(fd)
        desk.keys("hunter2\n")
        return await desk.lines.type_in("password: ", hidden=True)

    assert asyncio.run(type_in()) == "hunter2"
    assert echoes(fd)


def test_a_terminal_that_is_gone_hides_nothing_and_ends() -> None:
    controller, terminal = os.openpty()
    lines = TerminalLines(terminal, outlet(tty=True)[0])
    os.close(controller)
    assert asyncio.run(lines.type_in("password: ", hidden=True)) is None
    lines.close()
