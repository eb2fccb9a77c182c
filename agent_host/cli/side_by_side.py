"""Things side by side: a column for each, a row for each of what is said of them.

Theory of operation: on a screen that is wide enough each column gets what it needs, and those that
want more than there is share what is left, their text broken into rows. On a narrow one the columns
are numbered once at the top, and stand below each other under each row's name.
"""

from collections.abc import Iterator, Sequence

from agent_host.core.text import clean
from agent_host.surfaces.cells import rows as broken
from agent_host.surfaces.cells import width_of

_GAP = "  "
_LEAST = 18
"""Terminal cells that each column needs at least to stand beside another one."""
_MOST = 60
"""What a column takes where there is no screen to fit."""

_MARK = 2
"""Cells of a mark before a line (`+ `); what is broken off such a line stands below its text."""

Row = tuple[str, Sequence[str]]
"""A row's name and the text of each column, which may have several lines."""


def side_by_side(heads: Sequence[str], rows: Sequence[Row], room: int) -> Iterator[str]:
    """Yield lines. `room`: terminal cells in a line, 0 for any number. Everything is cleaned."""
    heads = [clean(head) for head in heads]
    table = [(name, [clean(cell) for cell in cells]) for name, cells in rows]
    named = max(width_of(name) for name, _ in table)
    wanted = [
        max(_natural(heads[i]), *(_natural(cells[i]) for _, cells in table))
        for i in range(len(heads))
    ]
    if not room:
        widths = [min(width, _MOST) for width in wanted]
    else:
        left = room - named - len(_GAP) * len(heads)
        if sum(min(width, _LEAST) for width in wanted) > left:
            yield from _below(heads, table, room)
            return
        widths = _shared(wanted, left)
    yield from _beside("", heads, named, widths)
    for name, cells in table:
        yield from _beside(name, cells, named, widths)


def _natural(text: str) -> int:
    return max(width_of(line) + _MARK * _is_marked(line) for line in text.split("\n"))


def _is_marked(line: str) -> bool:
    return line[1:_MARK] == " "


def _shared(wanted: Sequence[int], left: int) -> list[int]:
    """Give each what it wants, and those that want more than their share an equal one."""
    widths = [0] * len(wanted)
    open_ = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for number, i in enumerate(open_):
        widths[i] = min(wanted[i], left // (len(open_) - number))
        left -= widths[i]
    return widths


def _beside(name: str, cells: Sequence[str], named: int, widths: Sequence[int]) -> Iterator[str]:
    parts = [list(_rows(cell, width)) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, parts))):
        line = (name if number == 0 else "").ljust(named)
        for part, width in zip(parts, widths, strict=True):
            text = part[number] if number < len(part) else ""
            line += _GAP + text + " " * (width - width_of(text))
        yield line.rstrip()


def _rows(text: str, width: int) -> Iterator[str]:
    for line in text.split("\n"):
        if not _is_marked(line):
            yield from broken(line, width)
            continue
        first, *more = broken(line[_MARK:], width - 2 * _MARK)
        yield line[:_MARK] + first
        yield from (" " * 2 * _MARK + row.lstrip(" ") for row in more)


def _below(heads: Sequence[str], table: Sequence[Row], room: int) -> Iterator[str]:
    indent = " " * (len(str(len(heads))) + 2 * len(_GAP))

    def numbered(texts: Sequence[str]) -> Iterator[str]:
        for number, text in enumerate(texts, start=1):
            first, *more = _rows(text, room - len(indent))
            if text:
                yield f"{_GAP}{number}{_GAP}".ljust(len(indent)) + first
                yield from (indent + line for line in more)

    yield from numbered([head.replace("\n", ", ") for head in heads])
    for name, cells in table:
        if name:
            yield name
        yield from numbered(cells)
