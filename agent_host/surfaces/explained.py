"""Everything that is known about a call that a person is asked about, in more words.

Theory of operation: what the question itself has no room for: every rule that asks, whose yes it
takes, where each label comes from, and what the server says of its tool, whole and behind a bar.
"""

from collections.abc import Iterator
from typing import Any

from agent_host.core.approvals import terms_of
from agent_host.core.text import clean_line, clip
from agent_host.ports import ApprovalQuestion
from agent_host.surfaces.pages import rows
from agent_host.surfaces.question import BAR, demanded, labelled, marks, shown, wrap_words

_TEXT = 8000
"""Characters of a description that are shown."""
_PARAMETERS = 60
_CHOICES = 6
"""Values of a choice, or kinds, that are named."""
_DEPTH = 3
"""How deep kinds are looked for in kinds."""


def explained(question: ApprovalQuestion, width: int) -> list[str]:
    """Return why a call is asked about and what its tool is, as lines."""
    lines = rows([*_why(question)], width)
    lines += [f"  {line}" for line in wrap_words(_WORDS.format(**_names(question)), width - 4)]
    description = shown(clip(question.tool.description.strip(), _TEXT))
    if description:
        lines += _behind_bar(description, width)
    for row in _parameters(question):
        lines += _behind_bar(row, width)
    return lines


def _behind_bar(text: str, width: int) -> list[str]:
    """Break a server's text between words, each of its own lines by itself."""
    room = width - len(BAR)
    return [f"{BAR}{line}" for own in text.split("\n") for line in wrap_words(own, room)]


_WORDS = "what {server} says of {tool}:"


def _names(question: ApprovalQuestion) -> dict[str, str]:
    tool = question.tool
    return {"server": shown(clean_line(tool.server, 64)), "tool": shown(clean_line(tool.tool, 64))}


def _why(question: ApprovalQuestion) -> Iterator[tuple[str, str]]:
    where = f" ({clean_line(question.origin, 200)})" if question.origin else ""
    yield "rule", (clean_line(question.rule, 200) or "none") + where
    if question.reason:
        yield "reason", clean_line(question.reason, 2000)
    if question.asked is not None:
        others = [clean_line(rule, 200) for rule in question.asked.rules if rule != question.rule]
        if others:
            yield "asks also", ", ".join(others)
        yield "takes", demanded(terms_of(question.asked))
    if question.labels:
        yield "data", labelled(question.labels)
    yield "marks", "; ".join(marks(question)) or "none: no label, no hint, seen before"
    yield "version", clean_line(question.tool.fingerprint, 16) or "unknown"


def _parameters(question: ApprovalQuestion) -> Iterator[str]:
    """A line a parameter: name, type, and what the server says of it."""
    schema = question.tool.input_schema
    properties = schema.get("properties")
    required = schema.get("required")
    if not isinstance(properties, dict):
        return
    needed = set(map(str, required)) if isinstance(required, list) else set()
    for number, (name, one) in enumerate(properties.items()):
        if number == _PARAMETERS:
            yield f"… {len(properties) - number} more parameters"
            return
        kind = _kind(one) if isinstance(one, dict) else "any"
        text = one.get("description", "") if isinstance(one, dict) else ""
        must = ", required" if name in needed else ""
        said = f"  {clean_line(str(text), 300)}" if text else ""
        yield shown(f"{clean_line(name, 80)} ({clean_line(kind, 80)}{must}){said}")


def _kind(schema: dict[str, Any], depth: int = 0) -> str:
    """Which values a parameter takes, in a few words (JSON Schema 2020-12, validation 6.1)."""
    choices = schema.get("enum")
    if isinstance(choices, list):
        some = ", ".join(str(choice) for choice in choices[:_CHOICES])
        return f"one of {some}{', …' if len(choices) > _CHOICES else ''}"
    parts = next((schema[key] for key in ("anyOf", "oneOf") if schema.get(key)), None)
    if isinstance(parts, list) and depth < _DEPTH:
        few = parts[:_CHOICES]
        inner = [_kind(part, depth + 1) if isinstance(part, dict) else "any" for part in few]
        return " or ".join(dict.fromkeys(inner))
    kind = schema.get("type", "any")
    return " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
