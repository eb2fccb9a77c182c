"""A request in words, cut into tokens.

Theory of operation: one expression tells quotes, addresses, dates, paths, numbers, codes (a word
with digits) and words apart; its worst case is quadratic, so a caller bounds the text. A number of
which it is not certain how much it is (8 %, 5 million, 15,50) is a `quantity`, which fits nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent_host.core.matching import ACTION_VERBS, word_set

TOKEN = re.compile(
    r"""(?P<quote>"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|`[^`]*`|(?<!\w)'[^']*'(?!\w))
    |(?P<url>[a-z][a-z0-9+.-]{1,20}://[^\s"'<>]+)
    |(?P<email>[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)
    |(?P<date>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?(?!\w))
    |(?P<path>(?:~|\.{1,2})?/[\w./~+@-]*|\b[\w-]+(?:/[\w.-]+)+|\b[\w-]+\.[a-z]{1,5}\b(?!\.\w))
    |(?P<number>(?<![\w.,^*/-])[$€£¥]?-?\d+(?:[.,]\d+)*(?![\w^-]))
    |(?P<code>\#?\w*\d[\w-]*|[A-Za-z]+-\d[\w-]*)
    |(?P<word>\w+(?:['’]\w+)*)""",
    re.VERBOSE | re.IGNORECASE,
)
_WHOLE_NUMBER = re.compile(r"[$€£¥]?-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_SCALED = re.compile(
    r"\s*%|\s+(?:percent|dozens?|hundreds?|thousands?|[mb]illions?|k|bn)\b", re.IGNORECASE
)
_AFTER_COLON = re.compile(r"(?<=\w):\s+(?=\S)")
NEGATIONS = word_set(
    "not never no without cannot dont don't doesn't didn't can't won't shouldn't isn't"
)
_MAX_TOKENS = 300


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a clause; `value` is its text without quotes."""

    kind: str
    value: str
    start: int
    end: int


class Clause:
    """One request in words, cut into tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [
            _token(match, text)
            for match, _ in zip(TOKEN.finditer(text), range(_MAX_TOKENS), strict=False)
        ]
        self.rest = self._after_colon()

    def _after_colon(self) -> Token | None:
        match = _AFTER_COLON.search(self.text)
        if match is None or any(t.start < match.start() < t.end for t in self.tokens):
            return None
        value = self.text[match.end() :].strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        return Token("rest", value, match.end(), len(self.text))

    def words(self, spans: list[tuple[int, int]]) -> Iterator[tuple[int, str]]:
        """Yield place and text (lower case) of the words outside quotes and `spans`."""
        for place, token in enumerate(self.tokens):
            if token.kind == "quote" or (self.rest and token.start >= self.rest.start):
                continue
            if not any(start <= token.start < end for start, end in spans):
                yield place, token.value.lower().replace("’", "'")

    def negated(self) -> bool:
        """Say whether the clause holds a negation (`order no 5` is none)."""
        return any(
            word in NEGATIONS and not (word == "no" and self._digit_at(place + 1))
            for place, word in self.words([])
        )

    def starts_deed(self, place: int) -> bool:
        """Say whether the word at `place` begins "open a ...", and so is a verb."""
        return (
            place == 0
            and self.tokens[0].value.lower() in ACTION_VERBS
            and len(self.tokens) > 1
            and self.tokens[1].value.lower() in ("a", "an", "the", "new", "this", "that", "my")
        )

    def _digit_at(self, place: int) -> bool:
        return place < len(self.tokens) and self.tokens[place].kind in ("number", "code")


def _token(match: re.Match[str], whole: str) -> Token:
    kind = match.lastgroup or "word"
    text = match[0]
    if kind == "number":
        scaled = _SCALED.match(whole, match.end())
        if scaled is not None or _WHOLE_NUMBER.fullmatch(text) is None:
            kind = "quantity"  # 8 %, 5 million or 15,50: what number is meant is not certain
    value = text[1:-1].strip() if kind == "quote" else text
    return Token(kind, value, match.start(), match.end())
