import os
import sys

import pyte
import pytest

from agent_host.surfaces.outlet import Outlet, held
from tests.fakes.screens import outlet, sized


def test_colours_are_for_terminals_that_want_them() -> None:
    assert outlet(tty=True)[0].paint("x", "red") == "\x1b[31mx\x1b[0m"
    assert outlet(tty=False)[0].paint("x", "red") == "x"
    assert outlet(tty=True, term="dumb")[0].paint("x", "red") == "x"
    assert outlet(tty=True, NO_COLOR="1")[0].paint("x", "red") == "x"
    assert outlet(tty=True)[0].paint("", "red") == ""


def test_what_is_held_is_written_afterwards_and_in_order() -> None:
    out, screen = outlet()
    with held([out]), held([out]):
        out.write("one\n")
        out.write_now("question\n")
        out.write("two\n")
    assert screen.getvalue() == "question\none\ntwo\n"


def test_a_line_is_ended_once_also_while_held() -> None:
    out, screen = outlet()
    out.end_line()
    out.write("a")
    out.end_line()
    out.end_line()
    with held([out]):
        out.write("b")
        out.end_line()
        out.end_line()
    assert screen.getvalue() == "a\nb\n"


def test_a_line_that_was_open_before_the_hold_is_ended_after_it() -> None:
    out, screen = outlet()
    out.write("a")
    with held([out]):
        out.end_line()
        out.end_line()
        out.write("b\n")
    assert screen.getvalue() == "a\nb\n"


def test_the_transient_line_is_erased_before_anything_else() -> None:
    out, screen = outlet(tty=True)
    out.show_transient("working")
    out.write("done\n")
    assert screen.getvalue() == "\r\x1b[Kworking\r\x1b[Kdone\n"
    out.clear_transient()
    assert screen.getvalue().endswith("done\n")


def test_the_transient_line_is_for_an_empty_line_of_a_terminal() -> None:
    for out, screen in (outlet(tty=False), outlet(tty=True, term="dumb")):
        out.show_transient("working")
        assert screen.getvalue() == ""
    out, screen = outlet(tty=True)
    out.write("half")
    out.show_transient("working")
    with held([out]):
        out.show_transient("working")
    assert screen.getvalue() == "half"


def test_a_reader_that_left_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        out = Outlet(stream, {})
        out.write("x" * 100_000)
        out.write("y")
        assert out.broken


def test_what_an_encoding_cannot_carry_is_escaped() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="ascii") as stream:
        Outlet(stream, {}).write("→ ü\n")
    with os.fdopen(reader, "rb") as received:
        assert received.read() == b"\\u2192 \\xfc\n"


def test_the_size_is_the_screens_own_and_never_less_than_can_be_drawn_on() -> None:
    with sized(40, 10) as (out, _):
        assert (out.width, out.height) == (40, 10)
    with sized(3, 1) as (out, _):
        assert (out.width, out.height) == (20, 4)
    with sized(0, 0) as (out, _):
        assert (out.width, out.height) == (80, 24)
    assert outlet()[0].width == 80
    assert Outlet(sys.__stderr__, {}).width >= 20


def test_a_line_that_an_answer_ended_is_not_ended_again() -> None:
    out, screen = outlet(tty=True)
    with held([out]):
        out.write_now("approve? ")
        out.end_line()
        out.write("card\n")
        screen.write("y\n")  # the terminal's echo
        out.at_line_start = True
    assert screen.getvalue() == "approve? y\ncard\n"


class Watched:
    """An outlet, and the screen that shows what it wrote."""

    def __init__(self, out: Outlet, written: object, columns: int, lines: int) -> None:
        self.out = out
        self._written = written
        self._screen = pyte.HistoryScreen(columns, lines, history=500, ratio=0.5)
        self._stream = pyte.Stream(self._screen)
        self._read = 0

    @property
    def lines(self) -> list[str]:
        text: str = self._written.getvalue()  # type: ignore[attr-defined]
        self._stream.feed(text[self._read :].replace("\n", "\r\n"))
        self._read = len(text)
        above = ["".join(row[x].data for x in sorted(row)) for row in self._screen.history.top]
        return [line.rstrip() for line in [*above, *self._screen.display] if line.strip()]


def test_several_transient_lines_are_drawn_over_and_leave_no_trace() -> None:
    with sized(20, 5) as (out, written):
        seen = Watched(out, written, 20, 5)
        for number in range(12):
            out.write(f"line {number}\n")
            out.show_transient("one\ntwo\nthree")
        out.show_transient("1\n2")
        assert seen.lines == [*(f"line {n}" for n in range(12)), "1", "2"]
        out.show_transient("alone")
        assert seen.lines[-2:] == ["line 11", "alone"]
        out.show_transient("a\nb\nc\nd")
        out.clear_transient()
        out.write("end\n")
        assert seen.lines == [*(f"line {n}" for n in range(12)), "end"]


def test_what_stands_at_the_foot_stays_there_whatever_is_written() -> None:
    with sized(20, 5) as (out, written):
        seen = Watched(out, written, 20, 5)
        out.foot = lambda: "foot 1\nfoot 2"
        for number in range(9):
            out.write(f"line {number}\n")
            assert seen.lines == [*(f"line {n}" for n in range(number + 1)), "foot 1", "foot 2"]
        with held([out]):
            assert seen.lines[-1] == "line 8"
            out.write("held\n")
        assert seen.lines[-3:] == ["held", "foot 1", "foot 2"]
        out.write("half a line")
        assert seen.lines[-2:] == ["held", "half a line"]


def test_a_screen_that_became_narrower_has_broken_the_lines_and_they_are_all_erased() -> None:
    for environ, up in (({}, 3), ({"XTERM_VERSION": "XTerm(390)"}, 1), ({"STY": "1.x"}, 1)):
        with sized(40, 10, **environ) as (out, written):
            out.show_transient("\x1b[2m" + "x" * 30 + "\x1b[0m\n" + "日" * 15)
            out.__dict__["_size"] = lambda: (20, 10)
            before = len(written.getvalue())
            out.clear_transient()
            assert written.getvalue()[before:] == "\r\x1b[K" + "\x1b[A\x1b[2K" * up


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_signal_goes_out_also_while_a_question_is_open_but_only_to_a_real_terminal(
    term: str,
) -> None:
    out, written = outlet(tty=True, term=term)
    with held([out]):
        out.signal("\a")
    assert written.getvalue() == ("\a" if term == "xterm" else "")
