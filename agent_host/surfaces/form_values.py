"""What a person types into a field, as the value that the server asked for.

Theory of operation: `read` turns typed text into a value of the field's kind or into one sentence
that says what is wrong and what would be right; nothing is guessed, rounded or cut. Formats and
patterns are judged by jsonschema-rs, whose regular expressions take linear time; a pattern that it
cannot express is not checked, and the hint says so. `hint` and `shown` say what a field wants and
what was answered, cleaned.
"""

import math
import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import jsonschema_rs

from agent_host.core.text import clean, clean_line
from agent_host.core.types import Json
from agent_host.surfaces.form_fields import Choice, Field

HIDDEN = "••••••••"
"""Stands for a secret that was typed, however long it is."""

_YES = frozenset({"y", "yes", "true", "on", "1"})
_NO = frozenset({"n", "no", "false", "off", "0"})
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_LONGEST_NUMBER = 40
_FORMATS = {
    "email": ("an email address", "ann@example.com"),
    "uri": ("a URL", "https://example.com/page"),
    "date": ("a date", "2026-11-30"),
    "date-time": ("a date and time", "2026-11-30T14:05:00Z"),
}


class Problem(str):
    """Why a text is no value of its field: a sentence for people, clean."""

    __slots__ = ()


def read(field: Field, text: str) -> Json | Problem:
    """Return the value that `text` (not empty) stands for, or a Problem."""
    match field.kind:
        case "text":
            return _text(field, text)
        case "number" | "integer":
            return _number(field, text.strip())
        case "boolean":
            word = text.strip().lower()
            if word in _YES | _NO:
                return word in _YES
            return Problem("answer y or n")
        case "choice":
            found = _find(field, text.strip())
            return found if isinstance(found, Problem) else found.value
        case "choices":
            return _several(field, text)


def problem(field: Field, value: Json) -> Problem | None:
    """Return what is wrong with a value of the field's type (a default), or None."""
    match field.kind:
        case "boolean" | "choice":
            return None
        case "choices":
            return _wrong_count(field, len(value))
        case _:
            result = read(field, value if isinstance(value, str) else _digits(value))
            return result if isinstance(result, Problem) else None


def _digits(value: float) -> str:
    return repr(value)


def _text(field: Field, text: str) -> str | Problem:
    if len(text) < field.shortest:
        return Problem(f"too short: {len(text)} of at least {_counted(field.shortest)}")
    if field.longest is not None and len(text) > field.longest:
        return Problem(f"too long: {len(text)} of at most {_counted(field.longest)}")
    if field.format and not _judge({"format": field.format}).is_valid(text):
        what, example = _FORMATS[field.format]
        return Problem(f"that is not {what}; write it as {example}")
    if field.pattern:
        judge = _judge_pattern(field.pattern)
        if judge is not None and not judge.is_valid(text):
            return Problem(f"it does not match the pattern {clean_line(field.pattern, 200)}")
    return text


def _judge(keywords: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for(
        {"type": "string", **keywords},
        validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20),
    )


@lru_cache(maxsize=64)
def _judge_pattern(pattern: str) -> Any:
    """A judge of a pattern, or None if the linear engine does not know how to match it."""
    try:
        return _judge({"pattern": pattern})
    except (ValueError, TypeError):
        return None


def _number(field: Field, text: str) -> int | float | Problem:
    whole = field.kind == "integer"
    if len(text) > _LONGEST_NUMBER:
        return Problem("that is too long for a number")
    if whole and not _INTEGER.fullmatch(text):
        return Problem("write a whole number, such as 12")
    if not whole and not _NUMBER.fullmatch(text):
        return Problem("write a number, such as 12 or 12.5")
    value = int(text) if _INTEGER.fullmatch(text) else float(text)
    if not math.isfinite(value):
        return Problem("that number is too large")
    return _out_of_bounds(field, value, text) or value


def _out_of_bounds(field: Field, value: float, text: str) -> Problem | None:
    if field.lowest is not None and value < field.lowest:
        return Problem(f"at least {field.lowest:,g}")
    if field.highest is not None and value > field.highest:
        return Problem(f"at most {field.highest:,g}")
    if field.above is not None and value <= field.above:
        return Problem(f"more than {field.above:,g}")
    if field.below is not None and value >= field.below:
        return Problem(f"less than {field.below:,g}")
    if field.step is not None and _off_step(text, field.step):
        return Problem(f"a multiple of {field.step:g}")
    return None


def _off_step(text: str, step: float) -> bool:
    try:
        return Decimal(text) % Decimal(str(step)) != 0
    except InvalidOperation:
        return False  # too far apart to say: the server judges


def _find(field: Field, text: str) -> Choice | Problem:
    """The choice of a number on the screen, of an exact value, or of a title."""
    if (
        text.isascii()
        and text.isdecimal()
        and len(text) < 8
        and 0 < int(text) <= len(field.choices)
    ):
        return field.choices[int(text) - 1]
    for same in (lambda c: _said(c) == text, lambda c: c.title.strip().lower() == text.lower()):
        found = [choice for choice in field.choices if same(choice)]
        if len(found) == 1:
            return found[0]
    most = len(field.choices)
    return Problem(f"{clean_line(text, 30)!r} is none of them; type a number from 1 to {most}")


def matching(field: Field, text: str) -> list[tuple[int, Choice]]:
    """Return the choices whose title or value holds `text`, with their numbers from 1."""
    part = text.strip().lower()
    both = ((number, choice) for number, choice in enumerate(field.choices, 1) if part)
    return [
        (number, choice)
        for number, choice in both
        if part in choice.title.lower() or part in _said(choice).lower()
    ]


def _said(choice: Choice) -> str:
    return str(choice.value)


def _several(field: Field, text: str) -> list[Json] | Problem:
    words = [word for word in re.split(r"[,\s]+", text.strip()) if word]
    if text.strip().lower() == "all":
        places = set(range(len(field.choices)))
    elif text.strip().lower() == "none":
        places = set()
    else:
        found = _places(field, words)
        if isinstance(found, Problem):
            # Titles may hold blanks: then only commas part them.
            named = [_find(field, part.strip()) for part in text.split(",") if part.strip()]
            if any(isinstance(choice, Problem) for choice in named):
                return found
            found = {field.choices.index(c) for c in named if isinstance(c, Choice)}
        places = found
    return _wrong_count(field, len(places)) or [
        field.choices[place].value for place in sorted(places)
    ]


def _places(field: Field, words: list[str]) -> set[int] | Problem:
    places: set[int] = set()
    most = len(field.choices)
    for word in words:
        first, dash, last = word.partition("-")
        if dash and first.isdecimal() and last.isdecimal() and len(word) < 12:
            low, high = int(first), int(last)
            if not 1 <= low <= high <= most:
                return Problem(f"{word} is no range from 1 to {most}")
            places.update(range(low - 1, high))
            continue
        choice = _find(field, word)
        if isinstance(choice, Problem):
            return choice
        places.add(field.choices.index(choice))
    return places


def _wrong_count(field: Field, count: int) -> Problem | None:
    if count < field.fewest:
        return Problem(f"choose at least {field.fewest} (that is {count})")
    if field.most is not None and count > field.most:
        return Problem(f"choose at most {field.most} (that is {count})")
    return None


def hint(field: Field) -> str:
    """Return what the field wants, in a few clean words."""
    parts = [_KIND_WORDS[field.kind]]
    if field.kind == "text":
        parts = _text_hint(field)
    elif field.kind in {"number", "integer"}:
        parts += _number_hint(field)
    elif field.kind == "choices":
        parts += _bounds(field.fewest or None, field.most, "choice")
    parts.append("required" if field.required else "may be left out")
    return ", ".join(parts)


_KIND_WORDS = {
    "text": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "yes or no",
    "choice": "one of these",
    "choices": "any of these",
}


def _text_hint(field: Field) -> list[str]:
    parts = [
        f"{what}, as {example}" for what, example in [_FORMATS.get(field.format, ("text", ""))]
    ]
    if not field.format:
        parts = ["text"]
    parts += _bounds(field.shortest or None, field.longest, "character")
    if field.pattern:
        unchecked = "" if _judge_pattern(field.pattern) is not None else " (the server checks it)"
        parts.append(f"pattern {clean_line(field.pattern, 200)}{unchecked}")
    return parts


def _number_hint(field: Field) -> list[str]:
    parts = []
    if field.lowest is not None and field.highest is not None:
        parts.append(f"{field.lowest:,g} to {field.highest:,g}")
    else:
        parts += [f"at least {field.lowest:,g}"] if field.lowest is not None else []
        parts += [f"at most {field.highest:,g}"] if field.highest is not None else []
    parts += [f"more than {field.above:,g}"] if field.above is not None else []
    parts += [f"less than {field.below:,g}"] if field.below is not None else []
    parts += [f"a multiple of {field.step:g}"] if field.step is not None else []
    return parts


def _bounds(low: int | None, high: int | None, what: str) -> list[str]:
    if low is not None and high is not None:
        return [_counted(high, what) if low == high else f"{low} to {_counted(high, what)}"]
    if low is not None:
        return [f"at least {_counted(low, what)}"]
    return [f"at most {_counted(high, what)}"] if high is not None else []


def _counted(number: int, what: str = "character") -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def shown(field: Field, value: Json) -> str:
    """Return a value as people read it, clean; it may have several lines. Secrets are hidden."""
    if field.secret:
        return HIDDEN
    match field.kind:
        case "boolean":
            return "yes" if value else "no"
        case "choice":
            return _titled(field, value)
        case "choices":
            return ", ".join(_titled(field, item) for item in value) or "none of them"
        case _:
            return clean(value) if isinstance(value, str) else _digits(value)


def _titled(field: Field, value: Json) -> str:
    for choice in field.choices:
        if type(choice.value) is type(value) and choice.value == value:
            title, said = clean_line(choice.title, 200), clean_line(str(value), 200)
            return title if title == said else f"{title} ({said})"
    return clean_line(str(value), 200)
