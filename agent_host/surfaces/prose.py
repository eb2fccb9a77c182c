"""Free text of a model: `clean`, but a well-formed emoji stays an emoji.

Theory of operation: U+FE0F and U+200D are hidden characters, and ordinary answers are full of
them ("⚠️"). They stay only where they make an emoji: the selector right after an emoji base or
in a keycap, the joiner between two emoji. Everything else goes through `core.text.clean`.
Prompts, errors and logs do not use this: they show every hidden character. A pile of combining
marks, high enough to cover the lines around it, is cut and counted; no language stacks so many.
"""

import re

from agent_host.core.text import clean

_BASE = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
_ONE = f"{_BASE}\ufe0f?[\U0001f3fb-\U0001f3ff]?"
_EMOJI = re.compile(f"({_ONE}(?:\u200d{_ONE})+|{_BASE}\ufe0f|[0-9#*]\ufe0f\u20e3)")
_OPEN_END = re.compile(
    f"(?:[0-9#*]\ufe0f?|(?:{_BASE}|\r|\u200d|\ufe0f|[\U0001f3fb-\U0001f3ff])+)\\Z"
)
_LONGEST_OPEN_END = 32
_MARK = (
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u0730-\u074a\u0816-\u082d\u08d3-\u08ff\u0e31\u0e34-\u0e3a"
    "\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u0f71-\u0f84\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u20d0-\u20ff\u2de0-\u2dff\u302a-\u302f\u3099\u309a\ua66f-\ua67d\ufe20-\ufe2f]"
)
_MOST_MARKS = 6
_PILE = re.compile(f"({_MARK}{{{_MOST_MARKS}}})({_MARK}+)")


def clean_prose(text: str) -> str:
    """Return `text` without unsafe characters, emoji sequences kept. Linear."""
    return _cleaned(level(text))


def _cleaned(text: str) -> str:
    if "\ufe0f" not in text and "\u200d" not in text:
        return clean(text)
    parts = _EMOJI.split(text)
    parts[::2] = [clean(part) for part in parts[::2]]
    return "".join(parts)


def level(text: str) -> str:
    """Return text without piles of marks; what was cut is counted."""
    if text.isascii():
        return text
    return _PILE.sub(lambda pile: f"{pile[1]}[+{len(pile[2])} marks]", text)


def still_emoji(text: str) -> str:
    """Return clean text without the selectors that make a narrow sign a broad one on some
    terminals: in a table every terminal has to count the same cells."""
    return text.replace("\ufe0f", "")


class ProseStream:
    """`clean_prose` for text that comes in pieces: what a later piece may still change (half an
    emoji, half a line end) is held back for it. A pile of marks may come in many pieces: whoever
    shows the text levels it."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, piece: str) -> str:
        """Return the text that can be shown now."""
        text = self._rest + piece
        end = _OPEN_END.search(text, max(0, len(text) - _LONGEST_OPEN_END))
        cut = end.start() if end else len(text)
        self._rest = text[cut:]
        return _cleaned(text[:cut])

    def finish(self) -> str:
        """Return what was held back."""
        text, self._rest = self._rest, ""
        return _cleaned(text)
