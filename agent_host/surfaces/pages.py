"""What questions to people are drawn with: a header, rows, keys, and pages.

Theory of operation: everything here is plain text in lines that are never wider than the screen.
`Pages` shows what is taller than the screen a page at a time and knows what nobody has seen yet,
so that no yes is possible before the end was shown.
"""

from collections.abc import Sequence

from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.question import BAR, wrap_words

_LABEL = 12


class Pages:
    """Lines on a screen that may be smaller than they are. `left` counts those not shown yet."""

    def __init__(self, screen: Outlet) -> None:
        self._screen = screen
        self._unseen: list[str] = []

    @property
    def left(self) -> int:
        """How many lines were not on the screen yet."""
        return len(self._unseen)

    def open(self, above: Sequence[str], body: Sequence[str], below: Sequence[str]) -> None:
        """Show a question; of its body as much as there is room for between the rest."""
        room = max(self._screen.height - len(above) - len(below) - 3, 3)
        shown, self._unseen = list(body), []
        if len(body) > room:
            shown, self._unseen = shown[: max(room - 1, 1)], shown[max(room - 1, 1) :]
            note = f"{len(body)} lines in all; m shows the next page, s all the rest"
            shown += [f"{BAR}… {line}" for line in wrap_words(note, self._screen.width - 4)]
        self._screen.write_now("\n".join([*above, *shown, *below]) + "\n")

    def more(self, *, everything: bool = False) -> None:
        """Show the next page, or the rest."""
        page = len(self._unseen) if everything else max(self._screen.height - 3, 3)
        lines, self._unseen = self._unseen[:page], self._unseen[page:]
        self._screen.write_now("\n".join(lines) + "\n" if lines else "")


def header(name: str, sign: str, screen: Outlet, where: str = "") -> str:
    """Return the line above a question. `sign` is known to nobody but this terminal's user;
    `where` is its place among several."""
    said = f" {sign}" if sign else ""
    top = f"── {name}{said} " + (f"── {where} " if where else "")
    return screen.paint(top + "─" * max(min(screen.width, 80) - len(top), 0), "alert")


def rows(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Return rows of a name and clean text, folded."""
    lines: list[str] = []
    for name, text in pairs:
        first, *others = wrap_words(text, width - _LABEL)
        lines += [f"  {name:<9} {first}", *(f"{'':{_LABEL}}{other}" for other in others)]
    return lines


def keys(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Return what can be typed and what it does, folded."""
    lines: list[str] = []
    for key, text in pairs:
        first, *others = wrap_words(text, width - 4 - len(key))
        lines += [f"  {key}  {first}", *(f"     {other}" for other in others)]
    return lines
