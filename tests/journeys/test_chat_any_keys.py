"""Any keys at all, in any scene, and then Ctrl-C: the chat ends at once, the terminal is as it was,
and the transcript is whole. More seeds: AGENT_HOST_SEEDS=100-160."""

import os
import random
import subprocess
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.programs import agent_host
from tests.fakes.ptys import Terminal
from tests.journeys.stage import call, stage
from tests.journeys.test_inputs import staged

_ENDS = 5.0
"""Seconds for all of it on a busy machine; an idle one takes a tenth."""
_COMMANDS = (
    "/cost",
    "/context",
    "/tools",
    "/undo",
    "/clear",
    "/show",
    "/help",
    "/approve-mode ask",
)
_TERMINAL_KEYS = (
    *(
        "\x1b[A",
        "\x1b[B",
        "\x1b[C",
        "\x1b[D",
        "\x1b[5~",
        "\x1b[6~",
        "\x1bOA",
        "\x1b[1;5C",
        "\x1b[Z",
    ),
    *("\x1b[<0;10;10M", "\x1b[M !!", "\x1b[<35;1;1m", "\x1b[I", "\x1b[O", "\x1b[Z"),
)
_PASTES = ("pasted\nlines\r\nmore", "y", "/quit", "line\n" * 300)
# Ctrl-C, Ctrl-D and Ctrl-Z are for other tests; Ctrl-\ kills, as it should.
_CONTROLS = [chr(code) for code in range(1, 32) if code not in {3, 4, 26, 28}]
_SIZES = ((80, 24), (40, 10), (20, 5), (200, 50), (61, 17))


def seeds() -> range:
    first, _, end = os.environ.get("AGENT_HOST_SEEDS", "0-5").partition("-")
    return range(int(first), int(end))


def _waits(folder: Path) -> None:
    stage(folder, *[{"say": "I wait.", "call": call("wait")}] * 20)


def _asks(folder: Path) -> None:
    calls = [call("refund", order=str(n), amount=n) for n in range(3)]
    stage(folder, *[{"say": "I refund.", "call": [*calls, call("wait")]}] * 20)


def _answers(folder: Path) -> None:
    stage(folder, *[{"say": "Hello **you** " * 30}] * 30)


def _fills(folder: Path) -> None:
    staged(folder, "name", "book", "pay", "think", "secret", "name")


_SCENES: tuple[Callable[[Path], None], ...] = (_waits, _asks, _answers, _fills)


def _piece(rng: random.Random) -> str:
    """What somebody may press next; empty for a window of another size."""
    letters = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz yn", k=rng.randint(1, 12)))
    kinds = {
        letters: 28,
        "\r": 17,
        "\x1b": 5,
        "\x1b\x1b": 3,
        rng.choice(_TERMINAL_KEYS): 12,
        rng.choice(_CONTROLS): 10,
        "\x03": 2,
        f"\x1b[200~{rng.choice(_PASTES)}\x1b[201~": 4,
        f"{rng.choice(_COMMANDS)}\r": 7,
        rng.choice("ynsm1?ea"): 8,
        "": 4,
    }
    return rng.choices(list(kinds), list(kinds.values()))[0]


def _look(terminal: Terminal, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while terminal._read(deadline):
        pass


def _is_over(terminal: Terminal) -> bool:
    return terminal._process.poll() is not None


def _play(terminal: Terminal, rng: random.Random) -> None:
    for _ in range(rng.randint(0, 40)):
        if _is_over(terminal):
            return
        piece = _piece(rng)
        if piece:
            terminal.keys(piece)
        else:
            terminal.resize(*rng.choice(_SIZES))
        _look(terminal, rng.choice((0, 0, 0.01, 0.1, 0.3)))


def _leave(terminal: Terminal) -> None:
    """Press Ctrl-C until it is over."""
    presses, deadline = 0, time.monotonic() + _ENDS
    while not _is_over(terminal):
        assert time.monotonic() < deadline, f"{presses} times Ctrl-C; the screen:\n{terminal.text}"
        terminal.keys("\x03")
        presses += 1
        _look(terminal, 0.15)
        with suppress(subprocess.TimeoutExpired):  # it has let the terminal go, and ends
            terminal._process.wait(0.02)


@pytest.mark.parametrize("seed", seeds())
def test_whatever_was_pressed_control_c_ends_it_and_the_terminal_is_as_it_was(
    seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    _SCENES[seed % len(_SCENES)](tmp_path)
    with Terminal("chat", "--trust", cwd=tmp_path) as terminal:
        before = termios.tcgetattr(terminal._fd)
        terminal.wait("/help")
        terminal.keys("hello\r")
        _play(terminal, rng)
        _leave(terminal)
        assert termios.tcgetattr(terminal._fd) == before
        assert terminal.exit_status() in {0, 130}
        raw = bytes(terminal.raw)
    assert b"Traceback" not in raw
    assert b"a bug in agent-host" not in raw
    for on, off in ((b"?2004h", b"?2004l"), (b"?25l", b"?25h"), (b"?2026h", b"?2026l")):
        assert raw.rfind(b"\x1b[" + on) <= raw.rfind(b"\x1b[" + off)
    assert raw.count(b"\x1b[22;2t") == raw.count(b"\x1b[23;2t")
    assert agent_host("transcripts", "show", "last", folder=tmp_path).status == 0
