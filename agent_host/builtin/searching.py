"""Lines of a text that match, with what stands around them.

Theory of operation: one pass over the lines with bounded memory; a line longer than a window is
looked at in windows that overlap, so that a match is found wherever it stands. A plain query is a
literal, without regard to case. A regular expression goes to the linear-time engine of the schema
validator, because a model's expression on a server's text must not be able to stop the host; it
tells only whether a piece matches, so where is found by halving. The answer is bounded.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

import jsonschema_rs

from agent_host.core.text import clean_line

MAX_ANSWER = 20_000
"""Characters of an answer."""
_WINDOW = 1_536
_OVERLAP = 512
_WHOLE = 1 << 22
"""Characters of a line that are looked at as one where the ends of the line matter."""
_ANCHOR = re.compile(r"(?<![\\\[])[\^$]")
_SHOWN = 400
"""Characters of a line that are shown."""

Where = Callable[[str], int | None]
"""Returns where in a piece of text the query matches, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is searched for; `context` lines are shown around each of at most `limit` matches."""

    text: str
    regex: bool = False
    context: int = 1
    limit: int = 20
    line: int = 1


@dataclass(frozen=True, slots=True)
class _Piece:
    """A line, or a window of a long one. `offset`: characters before it in the whole text."""

    line: int
    offset: int
    text: str
    whole: bool


@dataclass(slots=True)
class _Answer:
    query: Query
    parts: list[str] = field(default_factory=list)
    size: int = 0
    shown: int = 0
    matches: int = 0
    next_line: int = 0

    def add(self, text: str) -> None:
        self.parts.append(text)
        self.size += len(text) + 1

    @property
    def full(self) -> bool:
        return self.shown >= self.query.limit or self.size >= MAX_ANSWER


def search(file: TextIO, query: Query) -> str:
    """Return the matches, as a model is told them. Raises ValueError for an expression that
    cannot be used, OSError."""
    where = _expression(query.text) if query.regex else _literal(query.text)
    answer = _Answer(query)
    before: deque[_Piece] = deque(maxlen=query.context)
    after = 0
    anchored = query.regex and _ANCHOR.search(query.text) is not None
    windows = _Windows(file, _WHOLE if anchored else _WINDOW)
    for piece in windows:
        if piece.line < query.line:
            continue
        place = where(piece.text)
        if place is not None:
            windows.kept = ""  # what matched is not found again
            answer.matches += 1
            if answer.full:
                answer.next_line = answer.next_line or piece.line
                continue
            _show(answer, before, piece, place)
            after = query.context
        elif not piece.whole or not query.context:
            continue
        elif after and not answer.full:
            answer.add(_line(piece, None))
            after -= 1
        else:
            before.append(piece)
    return _told(answer)


def _show(answer: _Answer, before: deque[_Piece], piece: _Piece, place: int) -> None:
    if answer.parts and before:
        answer.add("--")
    for other in before:
        answer.add(_line(other, None))
    before.clear()
    answer.add(_line(piece, place))
    answer.shown += 1


def _told(answer: _Answer) -> str:
    query = clean_line(answer.query.text, 100)
    if not answer.matches:
        return f"No line matches {query!r}."
    heading = f"{answer.matches:,} matches of {query!r}"
    if answer.matches > answer.shown:
        heading += f", {answer.shown} of them shown; go on with line {answer.next_line}"
    return "\n".join([f"[{heading}]", *answer.parts])


def _line(piece: _Piece, place: int | None) -> str:
    """A piece as a line: `17:` is a match, `17-` stands beside one."""
    sign = "-" if place is None else ":"
    text = piece.text.rstrip("\n")
    if piece.whole and len(text) <= _SHOWN:
        return f"{piece.line}{sign} {text}"
    start = max(0, min((place or 0) - _SHOWN // 3, len(text) - _SHOWN))
    end = min(len(text), start + _SHOWN)
    head = "" if piece.whole and start == 0 else "…"
    tail = "" if piece.whole and end == len(text) else "…"
    where = f" (offset {piece.offset + start})"
    return f"{piece.line}{where}{sign} {head}{text[start:end]}{tail}"


def _literal(text: str) -> Where:
    compiled = re.compile(re.escape(text), re.IGNORECASE)

    def where(piece: str) -> int | None:
        found = compiled.search(piece)
        return None if found is None else found.start()

    return where


def _expression(pattern: str) -> Where:
    matches = _linear(pattern)

    def where(piece: str) -> int | None:
        if not matches(piece):
            return None
        if len(piece) <= _SHOWN:
            return 0
        least, most = 0, len(piece)  # the shortest prefix that matches ends with the match
        while least < most:
            middle = (least + most) // 2
            if matches(piece[:middle]):
                most = middle
            else:
                least = middle + 1
        return max(0, least - 1)

    return where


def _linear(pattern: str) -> Callable[[str], bool]:
    """A matcher that takes time linear in the text. Raises ValueError."""
    options = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)
    try:
        validator: Any = jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options)
    except (ValueError, TypeError) as error:
        said = getattr(error, "message", None) or str(error).partition("\n")[0]
        raise ValueError(f"the expression cannot be used: {clean_line(said, 200)}") from None

    def matches(text: str) -> bool:
        valid: bool = validator.is_valid(text.removesuffix("\n"))
        return valid

    return matches


class _Windows:
    """The lines of a text, long ones in windows. `kept` is the end of the window before."""

    def __init__(self, file: TextIO, size: int) -> None:
        self._file = file
        self._size = size
        self.kept = ""

    def __iter__(self) -> Iterator[_Piece]:
        number, offset, begun = 1, 0, False
        while text := self._file.readline(self._size):
            ends = text.endswith("\n")
            whole = not begun and (ends or len(text) < self._size)
            # Set before the window is looked at, because that may forget it.
            kept, self.kept = self.kept, "" if ends else text[-_OVERLAP:]
            yield _Piece(number, offset - len(kept), kept + text, whole)
            offset, begun = offset + len(text), not ends
            number += ends
