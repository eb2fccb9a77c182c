"""Pastes of any length, read in a time that grows with their length and no faster.

Theory of operation: prompt-toolkit's parser looks for the end of a paste in all of what has come so
far, each time that a piece comes: ten megabytes take more than a minute, and nothing else goes on
meanwhile. Here the end is looked for where it can be new.
"""

from prompt_toolkit.input import Input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

_END = "\x1b[201~"


class _Parser(Vt100Parser):
    """As prompt-toolkit's, but for pastes."""

    _in_bracketed_paste: bool

    def reset(self, request: bool = False) -> None:
        """See Vt100Parser."""
        self._pieces: list[str] = []
        self._tail = ""
        super().reset(request)

    def feed(self, data: str) -> None:
        """See Vt100Parser."""
        if not self._in_bracketed_paste:
            super().feed(data)
            return
        self._pieces.append(data)
        looked = self._tail + data
        place = looked.find(_END)
        if place < 0:
            self._tail = looked[1 - len(_END) :]
            return
        behind = looked[place + len(_END) :]
        whole = "".join(self._pieces)
        self._pieces, self._tail, self._in_bracketed_paste = [], "", False
        text = whole[: len(whole) - len(behind) - len(_END)]
        self.feed_key_callback(KeyPress(Keys.BracketedPaste, text))
        self.feed(behind)


def take_long_pastes(keys: Input) -> None:
    """Have an input of prompt-toolkit read long pastes so, if it is a terminal's."""
    parser = getattr(keys, "vt100_parser", None)
    if isinstance(parser, Vt100Parser):
        keys.vt100_parser = _Parser(parser.feed_key_callback)  # type: ignore[attr-defined]
