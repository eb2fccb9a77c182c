"""Sentences, and commands with what they do, as wide as the screen is.

Theory of operation: on a narrow screen what a command does stands below it, not beside it.
"""

import shutil
from collections.abc import Iterator, Sequence
from textwrap import wrap

_WIDEST = 79
_LEAST = 30
"""Columns that what a command does needs beside it; with less it stands below."""


def width() -> int:
    """Return how many columns a line of text may have."""
    return max(min(shutil.get_terminal_size().columns - 1, _WIDEST), 8)


def sentence(text: str) -> str:
    """Return a sentence, broken between words."""
    return "\n".join(wrap(text, width()))


def steps(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Return lines of commands, and of what they do beside or below them."""
    room = width()
    column = max(len(command) for command, _ in rows) + 4
    beside = room - column >= _LEAST
    indent = column if beside else 4
    for command, does in rows:
        first, *more = wrap(does, max(room - indent, 8))
        if beside:
            yield f"  {command}".ljust(column) + first
        else:
            yield from (f"  {command}", f"    {first}")
        yield from (" " * indent + line for line in more)
