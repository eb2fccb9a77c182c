"""Expressions that take time in proportion to the text, whatever they and the text are.

Theory of operation: Python's `re` may take exponential time, so it is not let loose on a stranger's
text with an expression that nobody has checked. Rust's `regex` never does. It is at hand through
jsonschema_rs, which says only whether there is a match, and says that of 100 KB in 0.2 ms. As a
sieve that is all it takes. Where a match stands is found by asking about parts of the text: the
shortest beginning that has a match ends where the first match ends (halving finds it), and around
that place every start and every end is tried.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from agent_host.core.text import clean_line

LONGEST_MATCH = 512
"""Characters of a match whose place is found exactly; a longer one is found to its line's ends."""

MOST = 1000
"""Matches in one text that are found exactly; after that whole lines are taken."""

_LINE = 4096
"""Characters of a line that are looked at as one."""


def late(pattern: str, flags: int = 0) -> Callable[[], re.Pattern[str]]:
    """Return what compiles an expression when it is first needed: most runs need none of them."""
    return cache(lambda: re.compile(pattern, flags))


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return what says whether an expression matches anywhere in a text. Raises ValueError, which
    says what is wrong, for one that the engine does not know (look-around, back-references)."""
    engine = importlib.import_module("jsonschema_rs")
    options = engine.RegexOptions(size_limit=1 << 24, dfa_size_limit=1 << 24)
    try:
        is_valid: Callable[[str], bool] = engine.validator_for(
            {"pattern": pattern}, pattern_options=options
        ).is_valid
    except ValueError:
        raise ValueError(
            "is no regular expression of the kind that takes linear time (Rust's `regex`: no "
            "look-around, no back-references, and not too large)"
        ) from None

    def matches(text: str) -> bool:
        try:
            return is_valid(text)
        except UnicodeEncodeError:  # half a surrogate pair is no text to the engine
            return is_valid(text.encode("utf-8", "replace").decode("utf-8"))

    return matches


known_matcher = cache(matcher)
"""The same for the program's own expressions: each is compiled once."""


def any_of(texts: Iterable[str]) -> Callable[[str], bool]:
    """Return what says whether any of some exact texts is in a text; without a lone surrogate."""
    return matcher("|".join("".join(map(_exact, text)) for text in texts) or "a^")


def _exact(letter: str) -> str:
    return letter if letter.isascii() and letter.isalnum() else f"\\x{{{ord(letter):x}}}"


class Expression:
    """An expression of the config. Raises ValueError, which says what is wrong with it."""

    def __init__(self, name: str, pattern: str) -> None:
        self.name = name
        self.matches = matcher(pattern)
        if self.matches(""):
            raise ValueError("matches the empty text; say what has to be there")
        self._in_text = matcher(f"(?m:{pattern})")
        self._whole = matcher(f"^(?:{pattern})$")

    def __repr__(self) -> str:
        return f"Expression({clean_line(self.name, 80)})"

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield where matches stand (start, end) and the expression's name. No match spans two
        lines. In a long line the same place may come twice."""
        if not self._in_text(text):
            return
        left = MOST
        for start, line in _lines(text):
            if self.matches(line):
                for begin, stop in self._in_line(line, left):
                    left -= 1
                    yield start + begin, start + stop, self.name

    def _in_line(self, line: str, most: int) -> Iterator[tuple[int, int]]:
        done = 0
        while done < len(line) and self.matches(line[done:]):
            if most <= 0:
                yield done, len(line)
                return
            most -= 1
            start, end = self._first(line, done)
            yield start, end
            done = end

    def _first(self, line: str, done: int) -> tuple[int, int]:
        """The first match from `done` on, as long as it goes."""
        low, high = done + 1, len(line)
        while low < high:
            middle = (low + high) // 2
            if self.matches(line[done:middle]):
                high = middle
            else:
                low = middle + 1
        reach = range(max(done, low - LONGEST_MATCH), low)
        start = next((s for s in reach if self._whole(line[s:low])), None)
        if start is None or start == reach.start > done:  # anchored, or longer than what is tried
            return done, low if start is not None else len(line)
        last = min(len(line), start + LONGEST_MATCH)
        ends = (e for e in range(last, low, -1) if self._whole(line[start:e]))
        return start, next(ends, low)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Where each line starts, and the line; a long one in pieces that overlap."""
    start = 0
    while start < len(text):
        end = text.find("\n", start, start + _LINE)
        if end >= 0:
            yield start, text[start:end]
            start = end + 1
            continue
        yield start, text[start : start + _LINE]
        start += _LINE if start + _LINE >= len(text) else _LINE - LONGEST_MATCH
