"""Plain tables for people: aligned columns, cleaned, and never broken by the screen.

Theory of operation: in a file or a pipe a table is as wide as its text. On a terminal that is too
narrow for it, its last column is broken into rows of its own where enough is left for one; if not,
each row becomes a few lines: its first cell, and below it every other cell that says something,
after its column's name.
"""

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence

from agent_host.core.text import clean_line
from agent_host.surfaces.cells import rows as broken
from agent_host.surfaces.cells import width_of

_CELL = 120
_GAP = "  "
_LEAST = 24
"""Terminal cells that a last column needs at least, to be read in rows of its own."""


def columns(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    cell: int = _CELL,
    room: int | None = None,
) -> str:
    """Return a table as lines of text. Cells are cleaned and cut to `cell` characters.

    `room`: terminal cells in a line; None for those of the terminal that stdout is, if it is one.
    """
    table = [list(headers), *([clean_line(str(c), cell) for c in row] for row in rows)]
    widths = [max(width_of(row[i]) for row in table) for i in range(len(headers))]
    room = _room() if room is None else room
    if room and sum(widths) + len(_GAP) * (len(widths) - 1) > room:
        left = room - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)
        lines = _folded(table, widths, left) if left >= _LEAST else _listed(table, room)
    else:
        lines = (_aligned(row, widths) for row in table)
    return "\n".join(lines)


def _room() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(row, widths, strict=True)
    return _GAP.join(text + " " * (width - width_of(text)) for text, width in cells).rstrip()


def _folded(table: Sequence[Sequence[str]], widths: Sequence[int], left: int) -> Iterator[str]:
    before = " " * (sum(widths[:-1]) + len(_GAP) * (len(widths) - 1))
    for row in table:
        first, *more = broken(row[-1], left)
        yield _aligned([*row[:-1], first], [*widths[:-1], left])
        yield from (f"{before}{line}" for line in more)


def _listed(table: Sequence[Sequence[str]], room: int) -> Iterator[str]:
    headers, *rows = table
    named = max((width_of(text) for text in headers[1:]), default=0)
    indent = len(_GAP) + named + len(_GAP)
    if room - indent < _LEAST // 2:  # too narrow for names and values side by side
        indent = 2 * len(_GAP)
    for row in rows:
        yield from broken(row[0], room)
        for name, text in zip(headers[1:], row[1:], strict=True):
            if not text:
                continue
            label = f"{_GAP}{name}".ljust(indent)
            lines = list(broken(text, room - indent))
            if width_of(label) > indent:
                yield label
            else:
                yield label + lines.pop(0)
            yield from (" " * indent + line for line in lines)
