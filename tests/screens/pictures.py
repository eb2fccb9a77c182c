"""What a terminal shows at one moment: as text, and as a picture.

The picture is an SVG of the terminal's cells with a font that every machine has; what is inside is
text, so it can be read, searched and compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

from pyte.screens import Char

from agent_host.surfaces.cells import width_of

_WIDTH, _HEIGHT, _BORDER = 8, 18, 10


@dataclass(frozen=True)
class Theme:
    """Colours of a terminal: what it is by itself, and the sixteen by their names in pyte."""

    name: str
    paper: str
    ink: str
    colours: dict[str, str]

    def colour(self, name: str, default: str) -> str:
        if name == "default":
            return default
        return self.colours.get(name, f"#{name}")


_NAMES = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")


def _sixteen(dim: str, bright: str) -> dict[str, str]:
    names = [*_NAMES, *(f"bright{name}" for name in _NAMES)]
    return dict(zip(names, f"{dim} {bright}".split(), strict=True))


DARK = Theme(
    "dark",
    "#16181d",
    "#d5d8df",
    _sixteen(
        "#2c313a #e0606a #7fbf6a #d7a65a #6aa5e8 #c080d8 #56b6c2 #d5d8df",
        "#6b7280 #f08a92 #a2d98e #ecc27e #93c1f5 #d8a6ea #84d0da #ffffff",
    ),
)
LIGHT = Theme(
    "light",
    "#ffffff",
    "#1f2328",
    _sixteen(
        "#24292f #b3202c #22742f #8a5a00 #0a56b0 #7d2fa0 #0f6b78 #6e7781",
        "#57606a #cf222e #2da44e #9a6700 #218bff #a475f9 #1b7c83 #8c959f",
    ),
)


def text_of(rows: Sequence[Sequence[Char]]) -> str:
    """The screen as lines of text, without blanks at their ends."""
    lines = ["".join(cell.data for cell in row).rstrip() for row in rows]
    return "\n".join(lines).rstrip("\n") + "\n"


def picture_of(rows: Sequence[Sequence[Char]], theme: Theme, title: str) -> str:
    """The screen as an SVG document."""
    columns = max(map(len, rows))
    width, height = columns * _WIDTH + 2 * _BORDER, len(rows) * _HEIGHT + 2 * _BORDER
    parts = [part for y, row in enumerate(rows) for part in _row(row, y, theme)]
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}" role="img">'
            ),
            f"<title>{escape(title)}</title>",
            f'<rect width="100%" height="100%" rx="6" fill="{theme.paper}"/>',
            (
                '<g font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" '
                f'font-size="13" fill="{theme.ink}" xml:space="preserve">'
            ),
            *parts,
            "</g>",
            "</svg>\n",
        ]
    )


def _row(row: Sequence[Char], y: int, theme: Theme) -> Iterator[str]:
    top = _BORDER + y * _HEIGHT
    for style, run in groupby(enumerate(row), key=lambda cell: cell[1]._replace(data="")):
        cells = list(run)
        left, text = _BORDER + cells[0][0] * _WIDTH, "".join(cell.data for _, cell in cells)
        ink, paper = theme.colour(style.fg, theme.ink), theme.colour(style.bg, theme.paper)
        if style.reverse:
            ink, paper = paper, ink
        if paper != theme.paper:
            yield (
                f'<rect x="{left}" y="{top}" width="{len(cells) * _WIDTH}" '
                f'height="{_HEIGHT}" fill="{paper}"/>'
            )
        if not text.strip() and not style.underscore:
            continue
        # What is wider than a cell, or of another font, must not push what follows it.
        for start, piece in _pieces(text):
            span = width_of(piece) * _WIDTH
            yield (
                f'<text x="{left + start * _WIDTH}" y="{top + 13}" textLength="{span}" '
                f'lengthAdjust="spacingAndGlyphs"{_style(style, ink, theme)}>{escape(piece)}</text>'
            )


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Words of plain ASCII, and each other character by itself, with the cell where it starts."""
    at = 0
    for plain, run in groupby(text, key=str.isascii):
        piece = "".join(run)
        if plain:
            if piece.strip():
                lead = len(piece) - len(piece.lstrip())
                yield at + lead, piece.strip()
            at += len(piece)
            continue
        for char in piece:
            width = width_of(char)
            if width:
                yield at, char
            at += width


def _style(style: Char, ink: str, theme: Theme) -> str:
    said = "" if ink == theme.ink else f' fill="{ink}"'
    if style.bold:
        said += ' font-weight="bold"'
    if style.italics:
        said += ' font-style="italic"'
    if style.blink:
        said += ' opacity="0.6"'
    if style.underscore:
        said += ' text-decoration="underline"'
    return said
