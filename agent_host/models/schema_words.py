"""Constraints that a provider's dialect cannot say, in words for the model.

Theory of operation: what a keyword would have enforced is told to the model in the description of
the same place instead. A value of the wrong shape is then still caught by our own validation
against the server's schema, but rarely made. Words are short and bounded: a description is paid
for with every request.
"""

import json
from collections.abc import Callable, Iterable, Mapping

from agent_host.core.text import clean_line, clip
from agent_host.core.types import Json
from agent_host.models.schema_reading import Node, sendable

MAX_WORDS = 400
"""Characters added to one description."""
_MAX_VALUE = 160
_MAX_LEVELS = 3
_OTHERS = 8

_SIMPLE: Mapping[str, str] = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "must match {}",
    "format": "format: {}",
    "default": "default: {}",
    "const": "must be {}",
    "contentEncoding": "encoded as {}",
    "contentMediaType": "media type {}",
    "not": "must not match {}",
    "contains": "at least one item like {}",
    "propertyNames": "each key like {}",
    "additionalProperties": "other keys have values like {}",
    "if": "if like {}",
    "then": "then like {}",
    "else": "else like {}",
    **{
        f"{bound}{kind}": f"{bound}{kind} {{}}"
        for bound in ("min", "max")
        for kind in ("Length", "Items", "Properties", "Contains")
    },
}
_FLAGS: Mapping[str, str] = {
    "uniqueItems": "all items different",
    "deprecated": "deprecated",
}


def in_words(keyword: str, value: Json) -> str:
    """Return what a keyword of a `Node` says, or "" where there is nothing to tell."""
    if keyword in _FLAGS:
        return _FLAGS[keyword] if value is True else ""
    if keyword == "default" and value is None:
        return ""
    if keyword in _SIMPLE:
        said = value if keyword in ("pattern", "format") else brief(value)
        return _SIMPLE[keyword].format(clip(said, _MAX_VALUE))
    many = _MANY.get(keyword)
    return many(value) if many is not None else ""


def described(description: str, words: Iterable[str]) -> str:
    """Return a description with `words` behind it, at most `MAX_WORDS` characters of them."""
    said = sendable(clip("; ".join(dict.fromkeys(word for word in words if word)), MAX_WORDS))
    if not said:
        return description
    return f"{description.rstrip()} ({said})" if description.strip() else said


def clip_words(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words that there is something in, each once and of bounded length."""
    return tuple(dict.fromkeys(clip(word, MAX_WORDS) for word in words if word))


def brief(value: Json) -> str:
    """Return a value, or a schema, as JSON of bounded length."""
    shown = _shown(value, 0)
    return clip(json.dumps(shown, ensure_ascii=False, separators=(",", ":")), _MAX_VALUE)


def listed(values: Iterable[str]) -> str:
    """Return a few names, and how many there are more."""
    known = list(values)
    more = len(known) - _OTHERS
    return ", ".join(known[:_OTHERS]) + (f" and {more} more" if more > 0 else "")


def _shown(value: Json, level: int) -> Json:
    if isinstance(value, Node):
        value = "never" if value.never else _schema(value)
    if level >= _MAX_LEVELS and isinstance(value, dict | list):
        return "…"
    if isinstance(value, dict):
        items = list(value.items())[:_OTHERS]
        return {clean_line(key, 64): _shown(item, level + 1) for key, item in items}
    if isinstance(value, list):
        return [_shown(item, level + 1) for item in value[:_OTHERS]]
    return clip(value, _MAX_VALUE) if isinstance(value, str) else value


def _schema(node: Node) -> Json:
    shown = {k: v for k, v in node.keywords.items() if k not in ("title", "description")}
    kinds = shown.get("type")
    if kinds is not None and len(kinds) == 1:
        shown["type"] = kinds[0]
    return shown


def _values(said: str) -> Callable[[Json], str]:
    return lambda values: said + listed(brief(value) for value in values)


def _dependents(value: Json) -> str:
    return ", ".join(f"{brief(key)} needs {listed(map(brief, names))}" for key, names in value)


_MANY: Mapping[str, Callable[[Json], str]] = {
    "enum": _values("one of: "),
    "examples": _values("for example: "),
    "prefixItems": _values("items in this order: "),
    "patternProperties": lambda value: ", ".join(
        f"keys that match {clip(clean_line(key), 80)} have values like {brief(child)}"
        for key, child in list(value.items())[:_OTHERS]
    ),
    "oneOf": _values("exactly one of: "),
    "dependentRequired": lambda value: _dependents(list(value.items())[:_OTHERS]),
    "dependentSchemas": lambda value: ", ".join(
        f"with {brief(key)}, like {brief(child)}" for key, child in list(value.items())[:_OTHERS]
    ),
}
