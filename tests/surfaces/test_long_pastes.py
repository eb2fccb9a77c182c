import time

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding.key_processor import KeyPress

from agent_host.surfaces.long_pastes import take_long_pastes

STREAM = "a\x1b[200~one\x1b[20 two\ry\x1b[201~b\x1b[A\x1b[200~\x1b[201~c"


def pressed(pieces: list[str], *, ours: bool) -> list[KeyPress]:
    with create_pipe_input() as keys:
        made: list[KeyPress] = []
        parser = Vt100Parser(made.append)
        keys.vt100_parser = parser  # type: ignore[attr-defined]
        if ours:
            take_long_pastes(keys)
        for piece in pieces:
            keys.vt100_parser.feed(piece)  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_keys_and_pastes_are_those_of_prompt_toolkit_however_they_are_cut(size: int) -> None:
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    ours, theirs = pressed(pieces, ours=True), pressed(pieces, ours=False)
    assert [(one.key, one.data) for one in ours] == [(one.key, one.data) for one in theirs]
    assert len(ours) == 6


def test_a_paste_of_ten_megabytes_takes_no_minutes() -> None:
    pieces = ["\x1b[200~", *["a line of text\n" * 68] * 10_000, "\x1b[201~"]
    begun = time.process_time()
    [key] = pressed(pieces, ours=True)
    assert len(key.data) == 10_200_000
    assert time.process_time() - begun < 5
