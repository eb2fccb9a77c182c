"""How wide text is on a terminal, and text that fits.

Theory of operation: a terminal has cells; a character takes none, one or two. What is drawn again
and again at the foot of the screen must never be wider than the screen, or the terminal breaks the
line itself and what is erased later is the wrong line. So `plain` takes away what makes the width
of a sequence a matter of opinion (joiners, selectors, long piles of marks), and each character is
then counted alone, by the tables that come with rich. Pure; linear.
"""

import re
from collections.abc import Iterator

from rich.cells import get_character_cell_size

from agent_host.core.text import clean
from agent_host.surfaces.prose import level

_OPINIONS = re.compile("[\ufe0e\ufe0f\u200d]")
_READ = 4
"""Characters that are looked at for each cell there is: the rest cannot be seen."""

Line = list[tuple[str, str]]
"""Pieces of one line of a screen: a style (a name of `outlet.Style`, or empty) and clean text."""


def plain(text: str) -> str:
    """Return `text` clean, in one line, so that its width is the sum of its characters'."""
    return clean(level(_OPINIONS.sub("", text))).replace("\n", " ").replace("\t", " ")


def width_of(text: str) -> int:
    """Return the cells that text takes, each character counted alone."""
    if text.isascii():
        return len(text)
    return sum(map(get_character_cell_size, text))


def fit(text: str, width: int) -> str:
    """Return `plain(text)`, of at most `width` cells; a cut is shown by an ellipsis."""
    seen = (_READ + 1) * max(width, 1)
    cut = len(text) > seen
    text = plain(text[:seen])
    if text.isascii() and len(text) <= width and not cut:
        return text
    if width <= 0:
        return ""
    cells = 0
    kept: list[str] = []
    for character in text:
        size = get_character_cell_size(character)
        if cells + size > width:
            cut = True
            break
        kept.append(character)
        cells += size
    while cut and kept and cells > width - 1:
        cells -= get_character_cell_size(kept.pop())
    return "".join(kept) + ("…" if cut else "")


def fit_line(pieces: Line, width: int) -> Line:
    """Return as many of the pieces as fit into `width` cells, the last one cut."""
    line: Line = []
    for style, text in pieces:
        part = fit(text, width)
        if part:
            line.append((style, part))
            width -= width_of(part)
        if width <= 0:
            break
    return line


def rows(text: str, width: int) -> Iterator[str]:
    """Break clean text into rows of at most `width` cells: at a blank where there is one."""
    for source in text.split("\n"):
        yield from _rows_of(plain(source), max(width, 2))


def _rows_of(line: str, width: int) -> Iterator[str]:
    start = cells = 0
    blank = -1
    for place, character in enumerate(line):
        size = get_character_cell_size(character)
        while cells + size > width:
            cut = blank + 1 if blank >= start else place
            yield line[start:cut].rstrip(" ")
            start, cells, blank = cut, width_of(line[cut:place]), -1
        if character == " ":
            blank = place
        cells += size
    yield line[start:]
