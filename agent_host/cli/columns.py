"""Plain tables for people: aligned columns, cleaned, as wide as their text."""

import unicodedata
from collections.abc import Iterable, Sequence

from agent_host.core.text import clean_line

_CELL = 120
_GAP = "  "


def columns(headers: Sequence[str], rows: Iterable[Sequence[object]], *, cell: int = _CELL) -> str:
    """Return a table as lines of text. Cells are cleaned and cut to `cell` characters."""
    table = [list(headers), *([clean_line(str(c), cell) for c in row] for row in rows)]
    widths = [max(_width(row[i]) for row in table) for i in range(len(headers))]
    lines = (
        _GAP.join(c + " " * (w - _width(c)) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    return "\n".join(lines)


def _width(text: str) -> int:
    """Return how many terminal cells `text` takes (UAX #11: wide characters take two)."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)
