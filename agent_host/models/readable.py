"""A tool's result as lines that a person reads.

Theory of operation: text that is a JSON object or array becomes `Key: value` lines, lists of
objects become rows, and any other text stays as it is. The number of lines, the depth and the
width are bounded; what is left out is counted.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from agent_host.core.text import clip
from agent_host.core.types import Audio, Content, Image, Resource, Text, ToolResult

_MAX_LINES = 200
_MAX_DEPTH = 5
_MAX_CELL = 500
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _label(key: str) -> str:
    text = _CAMEL.sub(" ", key).replace("_", " ").replace("-", " ").strip() or key
    return clip(text[:1].upper() + (text[1:] if text.isupper() else text[1:].lower()), 80)


def _scalar(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, int):
        return f"{value:d}" if abs(value) < 10**40 else "a very large number"
    return clip(str(value), _MAX_CELL)


def _flat(value: Any, depth: int) -> str:
    """Return a value on one line."""
    if not isinstance(value, dict | list):
        return _scalar(value).replace("\n", " ")
    if not value:
        return "none"
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, list):
        text = ", ".join(_flat(item, depth + 1) for item in value[:50])
    else:
        text = ", ".join(
            f"{_label(str(key))}: {_flat(item, depth + 1)}"
            for key, item in islice(value.items(), 50)
        )
    return clip(f"({text})" if depth and isinstance(value, dict) else text, _MAX_CELL)


def _lines(value: Any, depth: int = 0) -> Iterator[str]:
    margin = "  " * depth
    if isinstance(value, list):
        for item in value:
            yield f"{margin}- {_flat(item, 0)}"
        return
    for key, item in value.items():
        label = f"{margin}{_label(str(key))}:"
        rows = isinstance(item, list) and any(isinstance(part, dict | list) for part in item)
        if rows or (isinstance(item, dict) and item and depth < _MAX_DEPTH):
            yield label
            yield from _lines(item, depth + 1)
        else:
            yield f"{label} {_flat(item, 0)}"


def readable_text(text: str) -> str:
    """Return a text as it is, or, if it is a JSON object or array, as lines."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, dict) and set(value) == {"result"}:
        value = value["result"]
    if not isinstance(value, dict | list):
        return _scalar(value)
    if not value:
        return "Nothing found."
    lines = list(islice(_lines(value), _MAX_LINES + 1))
    if len(lines) > _MAX_LINES:
        lines[_MAX_LINES:] = ["… and more"]
    return "\n".join(lines)


def _content(block: Content) -> str:
    match block:
        case Text():
            return readable_text(block.text)
        case Image() | Audio():
            return f"({block.type}, {block.media_type})"
        case Resource():
            return (
                block.text if block.text is not None else f"{block.name or block.type}: {block.uri}"
            )


def readable(name: str, result: ToolResult) -> str:
    """Return a result of tool `name` for people; an error becomes a sentence."""
    text = "\n".join(_content(block) for block in result.content).strip()
    if result.error is None:
        return text or f"{name} answered nothing."
    if result.error == "tool_error":
        return f"{name} failed: {text or 'it gave no reason'}"
    reason = f"{name} gave no answer ({result.error.replace('_', ' ')})"
    return f"{reason}: {text}" if text else f"{reason}."
