"""A page of a text that may be larger than memory should hold.

Theory of operation: the text is read through once in pieces, to count and to find where the page
begins, and then the page alone is read. A page has at most `MAX_PAGE` characters and ends at the
end of a line if one is near; what is said around it tells where it stands and how to go on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

MAX_PAGE = 20_000
"""Characters of a page: less than a result may have, so that a page is never an artifact again."""
_PIECE = 1 << 16
_NEAR = 2_000
"""Characters that a page may be shorter to end with a line."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins, and how large the whole is; characters from 0, lines from 1."""

    offset: int
    line: int
    characters: int
    lines: int


def page(file: TextIO, *, line: int = 1, offset: int | None = None, limit: int = 200) -> str:
    """Return `limit` lines from `line`, or from character `offset`, as far as a page holds, with a
    line above that says what it is. Raises OSError."""
    place = _place(file, line, offset)
    if place.offset >= place.characters:
        return (
            f"[nothing there: the whole has {place.lines:,} lines and {place.characters:,} "
            "characters]"
        )
    file.seek(0)
    for _ in _pieces(file, place.offset):
        pass
    text = _cut(file.read(MAX_PAGE), limit, whole=place.characters - place.offset)
    return f"{_heading(place, text)}\n{text}"


def _heading(place: _Place, text: str) -> str:
    end = place.offset + len(text)
    breaks = text.count("\n")
    last = place.line + breaks - text.endswith("\n")
    heading = (
        f"lines {place.line:,} to {last:,} of {place.lines:,}, characters {place.offset:,} to "
        f"{end:,} of {place.characters:,}"
    )
    if end >= place.characters:
        return f"[{heading}; the end]"
    if text.endswith("\n"):
        return f"[{heading}; go on with line {last + 1}]"
    return f"[{heading}; go on with offset {end}]"


def _cut(text: str, limit: int, *, whole: int) -> str:
    """At most `limit` lines, and no half line at the end if that costs little."""
    end = -1
    for _ in range(limit):
        found = text.find("\n", end + 1)
        if found < 0:
            break
        end = found
    else:
        return text[: end + 1]
    if len(text) < whole and len(text) - end <= _NEAR:
        return text[: end + 1]
    return text


def _place(file: TextIO, line: int, offset: int | None) -> _Place:
    characters, breaks = 0, 0
    begin, begin_line = (None, 1) if offset is None else (offset, 1)
    if offset is None and line <= 1:
        begin = 0
    last = ""
    for piece in _pieces(file):
        count = piece.count("\n")
        if begin is None and breaks + count >= line - 1:
            begin, begin_line = characters + _after(piece, line - 1 - breaks), line
        elif offset is not None and characters <= offset:
            begin_line = 1 + breaks + piece.count("\n", 0, offset - characters)
        characters, breaks, last = characters + len(piece), breaks + count, piece[-1:]
    lines = breaks + (last not in ("", "\n"))
    return _Place(characters if begin is None else begin, begin_line, characters, lines)


def _after(piece: str, breaks: int) -> int:
    """The place behind so many line breaks."""
    place = 0
    for _ in range(breaks):
        place = piece.index("\n", place) + 1
    return place


def _pieces(file: TextIO, most: int | None = None) -> Iterator[str]:
    """The text in pieces, in all at most `most` characters."""
    while most is None or most > 0:
        piece = file.read(_PIECE if most is None else min(_PIECE, most))
        if not piece:
            return
        if most is not None:
            most -= len(piece)
        yield piece
