"""What a model thinks, as a terminal shows it: folded into a line, whole, or not at all.

Theory of operation: pieces come in; words are counted as they come, and only the end is kept. The
first other thing that the model does ends a thought, and then one line says how long it was and
where it can be read. Where all of it is wanted, whole lines are given back as they come, behind a
bar that no content can leave. Times are seconds of one clock.
"""

from agent_host.surfaces.live import elapsed
from agent_host.surfaces.preferences import ReasoningView
from agent_host.surfaces.prose import ProseStream

_KEPT = 1000
_LONGEST_LINE = 2000


class Thoughts:
    """One thought after the other."""

    def __init__(self, view: ReasoningView) -> None:
        self._view = view
        self._prose = ProseStream()
        self._words = 0
        self._in_word = False
        self._since: float | None = None
        self._tail = ""
        self._line: list[str] = []
        self._line_size = 0

    @property
    def under_way(self) -> bool:
        """Whether a thought has begun and not ended."""
        return self._since is not None

    def tail(self) -> str:
        """The end of the thought, clean, if it may be seen while it comes."""
        return self._tail if self._view == "folded" else ""

    @property
    def note(self) -> str:
        """How much was thought so far."""
        return "" if self._view == "hidden" else _words(self._words)

    def feed(self, text: str, now: float) -> list[str]:
        """Take a piece; return the lines that are to be shown now."""
        if self._since is None:
            self._since = now
        clean = self._prose.feed(text)
        self._count(clean)
        self._tail = (self._tail + clean)[-_KEPT:]
        return self._lines(clean) if self._view == "shown" else []

    def end(self, now: float) -> tuple[list[str], str]:
        """End the thought; return the lines left to show, and what to say of it, if anything."""
        if self._since is None:
            return [], ""
        rest = self._prose.finish()
        self._count(rest)
        lines = self._lines(f"{rest}\n") if self._view == "shown" else []
        time = elapsed(now - self._since)
        said = ""
        if self._words and self._view == "folded":
            how_long = f"thought for {time}" if time else "thought"
            said = f"{how_long} ({_words(self._words)})"
        self._since = None
        self._words, self._in_word, self._tail = 0, False, ""
        while lines and not lines[-1].strip():
            lines.pop()
        return lines, said

    def _count(self, text: str) -> None:
        if text:
            self._words += len(text.split()) - int(self._in_word and not text[0].isspace())
            self._in_word = not text[-1].isspace()

    def _lines(self, text: str) -> list[str]:
        """Return the lines that are whole now; one without an end is cut where it gets too long."""
        *ended, rest = text.split("\n")
        lines: list[str] = []
        for part in ended:
            lines.append("".join([*self._line, part]))
            self._line.clear()
            self._line_size = 0
        if rest:
            self._line.append(rest)
            self._line_size += len(rest)
        if self._line_size > _LONGEST_LINE:
            lines.append("".join(self._line))
            self._line.clear()
            self._line_size = 0
        return lines


def _words(count: int) -> str:
    return f"{count:,} word{'' if count == 1 else 's'}"
