"""Where the commands of a chat write, and ask for a line more.

Theory of operation: everything is clean text between margins that are ours, broken between words
and never wider than the screen; what a server or model said stands behind a bar. `Ground` is what a
command works on; `Outcome` is what the chat does once a command is done.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent_host.core.text import clean, clean_line
from agent_host.surfaces.cells import fit, width_of
from agent_host.surfaces.chat_around import Around
from agent_host.surfaces.chat_host import Asker, Host
from agent_host.surfaces.outlet import Outlet, Style
from agent_host.surfaces.question import BAR, wrap, wrap_words

_BAR_CELLS = 12
_WIDE = 60


class Page:
    """What commands write on. `asker` asks for one line more; None: nobody can be asked."""

    def __init__(self, screen: Outlet, asker: Asker | None) -> None:
        self._screen = screen
        self.asker = asker

    @property
    def width(self) -> int:
        """Cells of a line."""
        return self._screen.width

    def say(self, text: str, style: Style | None = None) -> None:
        """Write clean lines as they are."""
        self._screen.end_line()
        self._screen.write(f"{self._screen.paint(text, style)}\n")

    def heading(self, text: str) -> None:
        """Write a clean line that begins a part."""
        lines = wrap_words(text, self.width - 1)
        self.say("\n".join(self._screen.paint(line, "bold") for line in lines))

    def item(self, text: str, *, bold: str = "") -> None:
        """Write clean text between margins, its beginning `bold`, broken between words."""
        first, *others = wrap_words(bold + text, self.width - 6)
        if bold and first.startswith(bold):
            first = self._screen.paint(bold, "bold") + first.removeprefix(bold)
        self.say("\n".join([f"  {first}", *(f"    {other}" for other in others)]))

    def row(self, name: str, text: str, column: int) -> None:
        """Write a clean row of two columns, the first one bold and `column` cells wide. On a narrow
        screen, or where the name is longer, the text follows the name."""
        if self.width < _WIDE or width_of(name) > column:
            self.item(f"  {text}", bold=name)
            return
        first, *others = wrap_words(text, self.width - column - 5) or [""]
        gap = " " * (column - width_of(name) + 2)
        lines = [f"  {self._screen.paint(name, 'bold')}{gap}{first}".rstrip()]
        self.say("\n".join([*lines, *(" " * (column + 4) + other for other in others)]))

    def rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Write several, with one column as wide as the longest name, within reason."""
        held = list(rows)
        column = max((width_of(name) for name, _ in held), default=0)
        for name, text in held:
            self.row(name, text, min(column, self.width // 3))

    def indented(self, line: str) -> None:
        """Write a clean line of ours that stands in columns: broken between words, with what
        follows further in than its beginning."""
        text = line.lstrip()
        margin = " " * min(len(line) - len(text), self.width // 4)
        lines = wrap_words(text, self.width - len(margin) - 3) or [""]
        self.say("\n".join([f"{margin}{lines[0]}", *(f"{margin}  {one}" for one in lines[1:])]))

    def items(self, texts: Iterable[str]) -> None:
        """Write several."""
        for text in texts:
            self.item(text)

    def behind_bar(self, text: str, most: int | None = None) -> None:
        """Write what somebody else said, all of it, or `most` lines of it, which is then said."""
        lines = wrap(clean(text).strip(), self.width - 3)
        self.say("\n".join(f"{BAR}{line}" for line in lines[:most]))
        if most is not None and len(lines) > most:
            self.item(f"… and {counted(len(lines) - most, 'line')} more")

    def share(self, name: str, tokens: int, whole: int) -> None:
        """Write one part of a whole: its name (clean), a bar, tokens and percent."""
        cells = _BAR_CELLS if self.width >= _WIDE else _BAR_CELLS // 2
        part = tokens / whole if whole else 0.0
        filled = min(cells, round(part * cells)) or int(tokens > 0)
        bar = "█" * filled + "░" * (cells - filled)
        number = f"{tokens:>8,} {100 * part:>3.0f}%"
        room = min(max(self.width - len(number) - cells - 5, 8), 28)
        self.say(f"  {_padded(name, room)} {bar} {number}")

    async def ask(self, prompt: str) -> str | None:
        """Return a line that the user types, stripped; None if nobody does."""
        if self.asker is None:
            return None
        typed = await self.asker.type_in(prompt)
        return None if typed is None else typed.strip()

    async def agreed(self, question: str, *, usual: bool = False) -> bool:
        """Whether the user says yes. `usual`: what Enter alone means."""
        typed = await self.ask(f"{question} [{'Y/n' if usual else 'y/N'}] ")
        if typed is None:
            return False
        return usual if not typed else typed.lower() in {"y", "yes"}


@dataclass(slots=True)
class Outcome:
    """What the chat does once a command is done: it leaves; then goes on as a chat with these
    `onward` options; `draft` is put into the input."""

    leaving: bool = False
    onward: tuple[str, ...] | None = None
    draft: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a command works on."""

    host: Host
    page: Page
    around: Around
    outcome: Outcome = field(default_factory=Outcome)


def _padded(text: str, width: int) -> str:
    shown = fit(text, width)
    return shown + " " * (width - width_of(shown))


def no_server(name: str, known: Sequence[str]) -> str:
    """Return what to say of a server that there is not. Uncleaned names."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {clean_line(near[0], 64)}?" if near else "there is "
    names = "" if near else ", ".join(clean_line(one, 64) for one in known) or "none"
    return f"there is no server {clean_line(name, 40)!r}; {hint}{names}"


def counted(number: int, what: str) -> str:
    """Return a number of things in words: `1 tool`, `2 tools`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def first_line(text: str, limit: int = 100) -> str:
    """Return the first line of what somebody else wrote, clean."""
    return clean_line(clean(text[: limit * 4]).strip().partition("\n")[0], limit)
