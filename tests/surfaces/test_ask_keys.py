"""Single keys, read from a real pseudo-terminal."""

import asyncio
import fcntl
import os
import termios
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from agent_host.surfaces.ask_keys import ESC, RESIZED, KeyedLines, KeyReader, Keys, choose
from agent_host.surfaces.lines import TerminalLines
from agent_host.surfaces.people import keyed
from tests.fakes.screens import Screen, outlet
from tests.fakes.typists import typist

PASTE = "\x1b[200~{}\x1b[201~"
HEARD = "the prompt is there"
"""In place of a piece: half a second goes by, and the prompt of a new question comes."""


@dataclass
class Desk:
    """A terminal: `type` types into it, `reader` reads from it."""

    controller: int
    terminal: int
    reader: KeyedLines
    screen: Screen
    clock: list[float] = field(default_factory=lambda: [100.0])
    size: list[tuple[int, int]] = field(default_factory=lambda: [(80, 24)])

    def type(self, text: str) -> None:
        os.write(self.controller, text.encode())

    def mode(self) -> list[object]:
        return list(termios.tcgetattr(self.terminal))

    def press(self, *pieces: str | Callable[[], object], times: int = 1) -> list[str | None]:
        """Return what was pressed, `times` times; each piece comes once the one before was read."""

        async def presses() -> list[str | None]:
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(self._feed(*pieces))
                said = [await self.reader.press("? ") for _ in range(times)]
                feeding.cancel()
            return said

        return asyncio.run(asyncio.wait_for(presses(), 10))

    async def _feed(self, *pieces: str | Callable[[], object]) -> None:
        for piece in pieces:
            while termios.tcgetattr(self.terminal)[3] & termios.ICANON or self._unread():
                await asyncio.sleep(0.005)
            if piece == HEARD:
                self.clock[0] += 0.5
                while not self.screen.getvalue().endswith("? "):
                    await asyncio.sleep(0.005)
            elif piece == "":
                await asyncio.sleep(0.1)  # so that what follows is another key
            elif isinstance(piece, str):
                self.type(piece)
            else:
                piece()

    def _unread(self) -> bool:
        return any(fcntl.ioctl(self.terminal, termios.FIONREAD, bytes(4)))


@pytest.fixture
def desk() -> Iterator[Desk]:
    controller, terminal = os.openpty()
    out, screen = outlet(tty=True)
    lines = TerminalLines(terminal, out)
    made = Desk(controller, terminal, None, screen)  # type: ignore[arg-type]
    keys = Keys(
        lines.fileno,
        write=out.write_now,
        size=lambda: made.size[0],
        now=lambda: made.clock[0],
    )
    made.reader = KeyedLines(lines, keys)
    yield made
    lines.close()
    os.close(controller)


def test_a_key_answers_at_once_and_the_terminal_is_as_it_was(desk: Desk) -> None:
    before = desk.mode()
    assert desk.press("y") == ["y"]
    assert desk.screen.getvalue().startswith("\x1b[?2004h? ")
    assert "y\n" in desk.screen.getvalue()
    assert desk.mode() == before


def test_while_it_waits_nothing_is_echoed_and_control_c_is_a_signal(desk: Desk) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(termios.tcgetattr(desk.terminal)[3])
        desk.type("n")

    desk.press(look)
    assert not seen[0] & (termios.ECHO | termios.ICANON)
    assert seen[0] & termios.ISIG


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("ä", "ä"),
        ("\r", ""),
        ("y\r", "y"),
        (" ", "m"),
        ("\x1b", ESC),
        ("\x1b[C", ">"),
        ("\x1b[D", "<"),
        ("\x1bOC", ">"),
        ("\x1b[B", "m"),
        ("\x1b[6~", "m"),
        ("\x1by", "\x1by"),
        ("\x1b[200", "\x1b[200"),
        ("all\r", "all"),
        ("\x04", None),
    ],
)
def test_a_piece_is_one_key_or_one_word(desk: Desk, typed: str, said: str | None) -> None:
    assert desk.press(typed) == [said]


def test_a_key_that_comes_in_parts_is_still_that_key(desk: Desk) -> None:
    assert desk.press("\x1b", "[", "C") == [">"]
    assert desk.press("\x1b", times=1) == [ESC]


@pytest.mark.parametrize(
    "pieces",
    [
        (PASTE.format("y"),),
        (PASTE.format("y\r"),),
        ("\x1b[200~some text", "\ny", "\x1b[201~"),
        ("\x1b[20", "0~y\x1b[201~"),
        ("x" * 4000, "y"),
        ("line\ry",),
        ("y\ry\r",),
    ],
)
def test_a_paste_is_never_an_answer(desk: Desk, pieces: tuple[str, ...]) -> None:
    [said] = desk.press(*pieces)
    assert said not in {"y", "n", "a", "t", "", ESC, None}


def test_a_paste_may_pause_and_its_last_letter_is_still_no_key(desk: Desk) -> None:
    async def slowly() -> str | None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(desk.reader.press("? "))
            desk.type("\x1b[200~text ")
            await asyncio.sleep(0.2)  # more than what may stand inside of a key
            desk.type("y")
            await asyncio.sleep(0.2)
            desk.type("\x1b[201~")
        return task.result()

    assert asyncio.run(slowly()) == "a paste"


def test_of_a_huge_paste_hardly_anything_is_kept(desk: Desk) -> None:
    async def huge() -> str | None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(desk.reader.press("? "))
            text = b"\x1b[200~" + b"all " * 500_000 + b"y\x1b[201~"
            await asyncio.to_thread(_write_all, desk.controller, text)
        return task.result()

    assert asyncio.run(asyncio.wait_for(huge(), 20)) == "a paste"


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data[:4096]) :]


def test_pages_may_be_turned_in_one_piece_but_nothing_else_is(desk: Desk) -> None:
    assert desk.press("mm ", times=3) == ["m", "m", "m"]
    assert desk.press("mmy") == ["mmy"]


def test_an_enter_by_habit_belongs_to_the_key_before_it(desk: Desk) -> None:
    assert desk.press(
        "y", "", "\r", "", lambda: desk.clock.__setitem__(0, 101.0), "\r", times=2
    ) == [
        "y",
        "",
    ]


def test_a_reason_is_not_empty_because_of_an_enter_by_habit(desk: Desk) -> None:
    assert desk.press("r") == ["r"]
    desk.type("\ntoo much\n")
    assert asyncio.run(desk.reader.ask("reason: ")) == "too much"


def test_a_key_that_is_held_down_does_not_answer_the_next_question_too(desk: Desk) -> None:
    assert desk.press("y") == ["y"]
    desk.reader.discard_typed_ahead()  # the next question
    assert desk.press("y", "", "y", "", "y", "", HEARD, "n") == ["n"]


def test_other_questions_may_be_gone_through_as_quickly_as_one_likes(desk: Desk) -> None:
    assert desk.press(">") == [">"]
    desk.reader.discard_typed_ahead()
    assert desk.press(">") == [">"]
    desk.reader.discard_typed_ahead()
    assert desk.press("\x1b[D") == ["<"]
    desk.reader.discard_typed_ahead()
    assert desk.press("y", "", ">") == [">"]
    desk.reader.discard_typed_ahead()
    assert desk.press("y", "", HEARD, "n") == ["n"]


def test_what_was_typed_before_a_question_is_thrown_away(desk: Desk) -> None:
    desk.type("y\nyy")
    desk.reader.discard_typed_ahead()
    assert desk.press(HEARD, "n") == ["n"]
    assert desk.press("mm", times=1) == ["m"]
    desk.reader.discard_typed_ahead()
    assert desk.press(HEARD, "n") == ["n"]


@pytest.mark.parametrize(
    "draft", ["y", "yes please", "\r", "\x1b", "\x04", PASTE.format("y"), "\x1b[200~y"]
)
def test_a_new_question_hears_nothing_before_anybody_can_have_read_it(
    desk: Desk, draft: str
) -> None:
    desk.reader.discard_typed_ahead()
    assert desk.press(draft, "", "y\x1b[201~", "", HEARD, "n") == ["n"]
    assert desk.screen.getvalue().count("? ") == 1
    assert "y" not in desk.screen.getvalue()


def test_who_goes_on_typing_is_not_heard_until_they_pause(desk: Desk) -> None:
    desk.reader.discard_typed_ahead()

    def later() -> None:
        assert "? " not in desk.screen.getvalue()
        desk.clock[0] += 0.3

    assert desk.press("y", "", later, "y", "", later, "y", "", later, "", HEARD, "n") == ["n"]


def test_half_a_second_after_a_question_came_a_key_answers_it(desk: Desk) -> None:
    desk.reader.discard_typed_ahead()
    assert desk.press(HEARD, "y") == ["y"]


def test_a_field_of_a_new_form_takes_no_draft_either(desk: Desk) -> None:
    async def typed() -> str | None:
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(desk.reader.type_in("? "))
            await desk._feed("my draft\r", "", HEARD)
            desk.type("Ann\n")
        return asking.result()

    desk.reader.discard_typed_ahead()
    assert asyncio.run(asyncio.wait_for(typed(), 10)) == "Ann"


def test_the_terminal_is_not_stopped_by_control_s_while_a_question_waits(desk: Desk) -> None:
    assert desk.press("\x13") == ["\x13"]


def test_another_size_of_the_screen_is_told_once_it_rests(desk: Desk) -> None:
    assert desk.press(lambda: desk.size.__setitem__(0, (40, 12))) == [RESIZED]
    assert desk.press("y") == ["y"]


def test_a_terminal_that_a_shell_had_meanwhile_is_taken_again(desk: Desk) -> None:
    before = termios.tcgetattr(desk.terminal)
    taken = lambda: termios.tcsetattr(desk.terminal, termios.TCSANOW, before)  # noqa: E731
    assert desk.press(taken) == [RESIZED]
    assert desk.press("y") == ["y"]


@pytest.mark.parametrize("line", [False, True])
def test_what_control_c_threw_away_again_is_not_waited_for(desk: Desk, line: bool) -> None:
    async def lost() -> str | None:
        async with asyncio.TaskGroup() as group:
            asking = desk.reader.ask("? ") if line else desk.reader.press("? ")
            task = group.create_task(asking)
            while not desk.screen.getvalue().endswith("? "):
                await asyncio.sleep(0.005)
            desk.type("lost\n" if line else "y")
            await asyncio.sleep(0)
            termios.tcflush(desk.terminal, termios.TCIFLUSH)  # as the terminal does for Ctrl-C
            await asyncio.sleep(0.05)
            desk.type("n\n" if line else "n")
        return task.result()

    late = threading.Timer(5, desk.type, ["late\n"])
    late.start()
    assert asyncio.run(lost()) == "n"
    late.cancel()


def test_a_question_that_is_withdrawn_gives_the_terminal_back(desk: Desk) -> None:
    before = desk.mode()

    async def withdrawn() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(desk.reader.press("? "))
            while desk.mode() == before:
                await asyncio.sleep(0.005)
            task.cancel()

    asyncio.run(withdrawn())
    assert desk.mode() == before
    assert desk.screen.getvalue().endswith("\x1b[?2004l")


def test_a_terminal_that_goes_away_is_the_end() -> None:
    controller, terminal = os.openpty()
    out, _ = outlet(tty=True)
    keys = Keys(lambda: terminal, write=out.write_now)
    os.close(controller)
    keys.forget()
    assert asyncio.run(keys.press("? ")) is None
    os.close(terminal)


def test_where_nothing_can_be_drawn_and_from_whoever_reads_no_terminal_lines_answer() -> None:
    dumb, _ = outlet(tty=True, term="dumb")
    controller, terminal = os.openpty()
    lines = TerminalLines(terminal, dumb)
    assert keyed(lines, dumb) is lines
    able, _ = outlet(tty=True)
    assert isinstance(keyed(lines, able), KeyReader)
    typed = typist("yes")
    assert keyed(typed, able) is typed
    assert asyncio.run(choose(typed, "? ")) == "yes"
    lines.close()
    os.close(controller)
