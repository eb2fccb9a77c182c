"""Calls, arguments and results in a few words: clean, on one line, visibly cut.

Theory of operation: pure functions, and cheap whatever the size of what they are given: a value is
looked at only as far as it is shown.
"""

import json
from datetime import datetime

from agent_host.core.text import clean_line, clip
from agent_host.core.types import Content, Json, JsonObject, Text, ToolResult

_VALUE = 48
_ARGUMENTS = 120
_RESULT = 160


def brief(value: Json, limit: int = _VALUE) -> str:
    """Return the JSON of `value`, clean, on one line, visibly cut; cheap whatever its size."""
    if isinstance(value, str):
        return clean_line(json.dumps(value[: limit + 1], ensure_ascii=False), limit)
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        text += piece[: limit + 1]
        if len(text) > limit:
            break
    return clean_line(text, limit)


def brief_arguments(arguments: JsonObject, limit: int = _ARGUMENTS) -> str:
    """Return `name=value` of each argument, clean, on one line, visibly cut."""
    parts: list[str] = []
    size = 0
    for name, value in arguments.items():
        parts.append(f"{clean_line(name, _VALUE)}={brief(value)}")
        size += len(parts[-1]) + 1
        if size > limit:
            break
    return clip(" ".join(parts), limit)


def brief_result(result: ToolResult, limit: int = _RESULT) -> str:
    """Return what a result says, clean, on one line, visibly cut."""
    parts: list[str] = []
    for block in (*result.for_user, *result.content):
        parts.append(_brief_block(block, limit))
        if sum(map(len, parts)) > limit:
            break
    return clip(" ".join(part for part in parts if part) or "(empty)", limit)


def _brief_block(block: Content, limit: int) -> str:
    if isinstance(block, Text):
        # Collapsing the white space of a bounded head: tables and indented JSON are mostly blanks.
        return clean_line(" ".join(block.text[: 8 * limit].split()), limit)
    name = clean_line(getattr(block, "uri", "") or getattr(block, "media_type", ""), 80)
    return f"[{block.type} {name}]"


def title(server: str, tool: str) -> str:
    """Return how a tool is called on a screen."""
    return f"{clean_line(server, 64)} · {clean_line(tool, 128)}"


def took(start: str, end: str) -> str:
    """Return the time between two RFC 3339 times, for people; empty if they are none."""
    try:
        between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    except ValueError:
        return ""
    seconds = max(between.total_seconds(), 0.0)
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
