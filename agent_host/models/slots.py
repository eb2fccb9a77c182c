"""What of a sentence fits which parameter: typed evidence, never invention.

Theory of operation: each parameter with a scalar schema collects the tokens of a clause that fit
its type, pattern, format or enum; a cue (a word of the parameter's name just before the token)
makes a fit strong. Strong fits are given first; a plain fit counts as certain only if it was the
one choice on both sides, and never for an identifier. Free text comes from `name: value`, quotes
or the text after a colon; a read-only tool may also take the words after a cue. Arrays and objects
are never filled. A server's pattern is run only if it cannot backtrack for long, on short tokens.
"""

import operator
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_host.core.matching import (
    STOP_WORDS,
    properties,
    required,
    stem,
    word_set,
    words,
)
from agent_host.core.types import Tool
from agent_host.models.clause import NEGATIONS, TOKEN, Clause, Token

Schema = Mapping[str, Any]

_SKIPPED_BEFORE = word_set("number no nr num id code is of the with called named by # to")
_GENERIC = word_set("id ids number no nr num code key name value text string ref the of")
_ID_WORDS = word_set("id ids number no nr num code key ref reference sku uuid identifier")
_PATH_WORDS = word_set("path file filename directory dir folder")
_URL_WORDS = word_set("url uri link")
_PREPOSITIONS = word_set("for of in at about on from named called by")
_UNBOUNDED = re.compile(r"[*+?]|\{\d*,\d*\}")
_FORMATS = {"email": "email", "uri": "url", "date": "date", "date-time": "date"}
_BOUNDS = (
    ("minimum", operator.lt),
    ("exclusiveMinimum", operator.le),
    ("maximum", operator.gt),
    ("exclusiveMaximum", operator.ge),
)
_STRONG, _CUED, _PLAIN = 3, 2, 1
_CUE_WEIGHT, _GUESS_WEIGHT = 0.6, 0.3


@dataclass(slots=True)
class Filling:
    """What was found for a tool. `unsure` names required parameters for which there was a
    choice; `guesses` holds the lesser weight of what only a reading tool may be given; `left`
    holds the tokens that no parameter took."""

    arguments: dict[str, Any] = field(default_factory=dict)
    evidence: float = 0.0
    missing: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    guesses: dict[str, float] = field(default_factory=dict)
    spans: list[tuple[int, int]] = field(default_factory=list)
    left: list[Token] = field(default_factory=list)


def _resolved(schema: Schema, tool: Tool) -> Schema:
    """Return the schema behind a `$ref` into `$defs` or an optional's anyOf, one step deep."""
    for _ in range(3):
        reference = schema.get("$ref")
        choices = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            definitions = tool.input_schema.get("$defs")
            target = definitions.get(reference[8:]) if isinstance(definitions, dict) else None
        elif "type" not in schema and isinstance(choices, list):
            target = next(
                (c for c in choices[:20] if isinstance(c, dict) and c.get("type") != "null"), None
            )
        else:
            break
        if not isinstance(target, dict):
            break
        schema = {**target, "description": schema.get("description", "")}
    return schema


def types(schema: Schema) -> frozenset[str]:
    """Return the JSON types that a schema names."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return frozenset((kind,))
    if isinstance(kind, list):
        return frozenset(part for part in kind if isinstance(part, str))
    return frozenset()


def _pattern_fits(pattern: object, value: str) -> bool | None:
    """Return whether a short value has a server's pattern; None if it was not looked at."""
    if not isinstance(pattern, str) or len(pattern) > 200 or len(value) > 64:
        return None
    if "(" in pattern or "\\1" in pattern or len(_UNBOUNDED.findall(pattern)) > 3:
        return None
    try:
        return re.search(pattern, value) is not None
    except (re.error, OverflowError):
        return None


def as_number(value: str, kinds: frozenset[str], schema: Schema) -> int | float | None:
    """Return a token as a number that the schema allows, or None."""
    text = value.lstrip("$€£¥#").replace(",", "")
    if len(text) > 15:
        return None
    try:
        number = float(text) if "number" in kinds and "integer" not in kinds else int(text)
    except ValueError:
        return None
    if isinstance(number, float) and number.is_integer() and "." not in text:
        number = int(number)
    for bound, wrong in _BOUNDS:
        limit = schema.get(bound)
        if isinstance(limit, int | float) and wrong(number, limit):
            return None
    return number


class _Filler:
    """The search of one clause for one tool's arguments."""

    def __init__(self, tool: Tool, clause: Clause, *, bold: bool) -> None:
        self.clause = clause
        self.bold = bold
        self.filling = Filling()
        self.required = required(tool)
        self.schemas = {name: _resolved(s, tool) for name, s in properties(tool).items()}
        self.cues = {
            name: frozenset(stem(word) for word in words(name) if word not in _GENERIC)
            for name in self.schemas
        }
        self.taken: set[int] = set()

    def run(self) -> Filling:
        self._labelled()
        self._typed()
        self._free_text()
        self._weigh()
        return self.filling

    def _give(self, name: str, value: Any, start: int, end: int) -> None:
        self.filling.arguments[name] = value
        self.filling.spans.append((start, end))
        for place, token in enumerate(self.clause.tokens):
            if start <= token.start < end:
                self.taken.add(place)

    def _open(self) -> list[str]:
        return [name for name in self.schemas if name not in self.filling.arguments]

    # `name: value` and `name=value`

    def _labelled(self) -> None:
        text = self.clause.text
        names = [name for name in self.schemas if re.fullmatch(r"[\w-]{1,64}", name)]
        if not names or (":" not in text and "=" not in text):
            return
        choices = "|".join(
            re.escape(name).replace("_", "[ _-]") for name in sorted(names, key=len, reverse=True)
        )
        plain = {re.sub(r"[ _-]", "_", name).lower(): name for name in names}
        labels = [
            match
            for match in re.finditer(rf"(?<![\w-])({choices})\s*(?::\s+|=\s*)", text, re.IGNORECASE)
            if not any(t.kind == "quote" and t.start < match.start() < t.end
                       for t in self.clause.tokens)
        ]  # fmt: skip
        ends = [*(label.start() for label in labels[1:]), len(text)][: len(labels)]
        for label, end in zip(labels, ends, strict=True):
            name = plain[re.sub(r"[ _-]", "_", label[1]).lower()]
            raw = re.sub(r"(?:[\s,;]|\band\b|\bwith\b)+$", "", text[label.end() : end].strip())
            first = TOKEN.match(raw)
            if first is not None and first.lastgroup == "quote":
                raw = first[0][1:-1]
            value = _coerced(raw, self.schemas[name])
            if value is None:
                self.filling.unsure.append(name)
            elif name not in self.filling.arguments:
                self._give(name, value, label.start(), label.end() + len(text[label.end() : end]))

    # Values that a type, a pattern or an enum recognizes

    def _typed(self) -> None:
        fits = sorted(
            (
                (-strength, place, order, name, value)
                for order, name in enumerate(self._open())
                for place, strength, value in self._fits(name)
            ),
            key=lambda fit: fit[:3],
        )
        for strength, place, _, name, value in fits:
            if strength != -_PLAIN and name in self._open() and place not in self.taken:
                token = self.clause.tokens[place]
                self._give(name, value, token.start, token.end)
        plain = [
            (place, name, value)
            for _, place, _, name, value in fits
            if name in self._open() and place not in self.taken and name in self.required
        ]
        for place, name, value in plain:
            if name not in self._open() or place in self.taken:
                continue
            choices = sum(p == place or n == name for p, n, _ in plain)
            if choices > 1 or _names_a_thing(name, self.schemas[name]):
                self.filling.unsure.append(name)
            token = self.clause.tokens[place]
            self._give(name, value, token.start, token.end)

    def _fits(self, name: str) -> Iterator[tuple[int, int, Any]]:
        """Yield (place, strength, value) of each token that fits a parameter."""
        schema = self.schemas[name]
        kinds = types(schema)
        for place, token in enumerate(self.clause.tokens):
            if place in self.taken or (self.clause.rest and token.start >= self.clause.rest.start):
                continue
            if "enum" in schema:
                yield from self._enum_fit(place, token, schema)
            elif kinds & {"integer", "number"} and "string" not in kinds:
                if token.kind == "number":
                    value = as_number(token.value, kinds, schema)
                    if value is not None:
                        yield place, _CUED if self._cued(name, place) else _PLAIN, value
            elif "string" in kinds:
                strength = self._string_fit(name, place, token, schema)
                if strength:
                    yield place, strength, token.value.lstrip("#")

    def _enum_fit(self, place: int, token: Token, schema: Schema) -> Iterator[tuple[int, int, Any]]:
        choices = schema["enum"]
        if not isinstance(choices, list) or token.kind == "quote":
            return
        before = self.clause.tokens[place - 1].value.lower() if place else ""
        if before.replace("’", "'") in NEGATIONS or self.clause.starts_deed(place):
            return
        ahead = self.clause.text[token.start : token.start + 100].lower()
        for choice in choices[:100]:
            if isinstance(choice, str) and choice:
                spoken = choice.lower().replace("_", " ").replace("-", " ")
                if re.match(rf"(?:{re.escape(choice.lower())}|{re.escape(spoken)})(?!\w)", ahead):
                    yield place, _STRONG, choice
                    return

    def _string_fit(self, name: str, place: int, token: Token, schema: Schema) -> int:
        """Return how well a token fits a string parameter that is not free text; 0: not."""
        kind = _string_kind(name, schema)
        if kind in ("url", "email", "date", "path"):
            return _STRONG if token.kind == kind else 0
        if kind == "free" or token.kind not in ("number", "code", "quote", "word"):
            return 0
        if "pattern" in schema:
            fits = _pattern_fits(schema["pattern"], token.value)
            if fits is False or (fits is None and token.kind == "word"):
                return 0
            # a pattern that any number has says less than a cue
            cued = self._cued(name, place)
            return _STRONG if token.kind == "code" or cued else _PLAIN
        if token.kind == "word":
            return 0
        if token.kind == "number" and not token.value.isdigit():
            return 0
        return _CUED if self._cued(name, place) else (_PLAIN if token.kind != "quote" else 0)

    def _cued(self, name: str, place: int) -> bool:
        """Say whether one of the last words before a token is of the parameter's name."""
        for token in reversed(self.clause.tokens[max(place - 3, 0) : place]):
            word = token.value.lower()
            if stem(word) in self.cues[name] or (not self.cues[name] and word in words(name)):
                return True
            if word not in _SKIPPED_BEFORE:
                return False
        return False

    # Free text

    def _free_text(self) -> None:
        free = [
            name
            for name in self._open()
            if "string" in types(self.schemas[name])
            and "enum" not in self.schemas[name]
            and _string_kind(name, self.schemas[name]) == "free"
        ]
        for name in free:
            self._quoted_after_cue(name)
        if self.bold:
            for name in [name for name in free if name in self._open()]:
                self._words_after_cue(name)
        needed = [name for name in free if name in self._open() and name in self.required]
        self._quotes_and_rest(needed)
        if self.bold:
            for name in [name for name in needed if name in self._open()]:
                self._last_resort(name)

    def _quotes_and_rest(self, needed: list[str]) -> None:
        sources = [
            token
            for place, token in enumerate(self.clause.tokens)
            if token.kind == "quote" and token.value and place not in self.taken
        ]
        rest = self.clause.rest
        if rest is not None and not any(end > rest.start for _, end in self.filling.spans):
            sources = [s for s in sources if s.start < rest.start] + [rest]
        for name, source in zip(needed, sources, strict=False):
            if len(needed) != 1 or len(sources) != 1:
                self.filling.unsure.append(name)
            self._give(name, source.value, source.start, source.end)

    def _quoted_after_cue(self, name: str) -> None:
        for place, token in enumerate(self.clause.tokens):
            quoted = token.kind == "quote" and token.value and place not in self.taken
            if quoted and self._cued(name, place):
                self._give(name, token.value, token.start, token.end)
                return

    def _words_after_cue(self, name: str) -> None:
        for place, token in enumerate(self.clause.tokens):
            cue = stem(token.value.lower()) in self.cues[name] and token.kind == "word"
            if cue and self._take_run(name, place + 1):
                self.filling.guesses[name] = _CUE_WEIGHT
                return

    def _last_resort(self, name: str) -> None:
        """Fill a required text with the words after a preposition, or with any code."""
        tokens = self.clause.tokens
        self.filling.guesses[name] = _GUESS_WEIGHT
        for place in range(len(tokens) - 1, -1, -1):
            if tokens[place].value.lower() in _PREPOSITIONS and self._take_run(name, place + 1):
                return
        for place, token in enumerate(tokens):
            if place not in self.taken and token.kind in ("email", "code", "url", "path"):
                self._give(name, token.value, token.start, token.end)
                return

    def _take_run(self, name: str, place: int) -> bool:
        """Give the run of words from `place`: skipped words first, then one, or all that are
        capitalized. False if there is none."""
        tokens = self.clause.tokens
        while place < len(tokens) and tokens[place].value.lower() in _SKIPPED_BEFORE | {"my"}:
            place += 1
        run: list[Token] = []
        for at in range(place, len(tokens)):
            token = tokens[at]
            if at in self.taken or token.kind in ("quote", "number") or len(run) > 5:
                break
            if run and not (token.value[:1].isupper() and run[-1].value[:1].isupper()):
                break
            if token.value.lower() in STOP_WORDS | _PREPOSITIONS | {"and", "or"}:
                break
            run.append(token)
        if not run:
            return False
        start, end = run[0].start, run[-1].end
        self._give(name, self.clause.text[start:end], start, end)
        return True

    def _weigh(self) -> None:
        filling = self.filling
        filling.missing = [name for name in self.required if name not in filling.arguments]
        extra = 0.0
        for name in filling.arguments:
            if name in self.required:
                weight = 0.5 if name in filling.unsure else 0.8
                filling.evidence += filling.guesses.get(name, weight)
            else:
                extra += 0.4
        tokens = enumerate(self.clause.tokens)
        filling.left = [token for place, token in tokens if place not in self.taken]
        left = sum(token.kind in ("quote", "code", "email", "url") for token in filling.left)
        filling.evidence += min(extra, 0.8) - 0.4 * len(filling.missing) - 0.3 * min(left, 3)


def _string_kind(name: str, schema: Schema) -> str:
    formatted = schema.get("format")
    if isinstance(formatted, str) and formatted in _FORMATS:
        return _FORMATS[formatted]
    parts = words(name)
    last = parts[-1] if parts else ""
    if "pattern" in schema or last in _ID_WORDS or formatted == "uuid":
        return "id"
    if last in _PATH_WORDS:
        return "path"
    if last in _URL_WORDS:
        return "url"
    return "email" if last == "email" else "free"


def _names_a_thing(name: str, schema: Schema) -> bool:
    """Say whether any number would do as this identifier: then being the only one says little."""
    return words(name)[-1:] != [] and words(name)[-1] in _ID_WORDS and "pattern" not in schema


def _coerced(raw: str, schema: Schema) -> Any:
    """Return a labelled value in the type of its parameter, or None if it is not one."""
    kinds = types(schema)
    raw = raw.strip()
    if not raw:
        return None
    if isinstance(schema.get("enum"), list):
        word = raw.split()[0].strip(".,!?").lower()
        return next((c for c in schema["enum"] if str(c).lower() in (raw.lower(), word)), None)
    if "boolean" in kinds and raw.lower() in ("true", "false", "yes", "no"):
        return raw.lower() in ("true", "yes")
    if "string" in kinds or not kinds:
        return raw
    if kinds & {"integer", "number"}:
        return as_number(raw.split()[0].rstrip(".,"), kinds, schema)
    return None


def fill(tool: Tool, clause: Clause) -> Filling:
    """Return the arguments that a clause gives for a tool. A tool that does not say that it
    only reads gets free text from labels, quotes and colons alone."""
    return _Filler(tool, clause, bold=tool.annotations.read_only is True).run()
