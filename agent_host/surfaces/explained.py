"""Everything that is known about a call that a person is asked about, in more words.

Theory of operation: what the question itself has no room for: every rule that asks, whose yes it
takes, where each label comes from, and what the server says of its tool, whole and behind a bar.
"""

from collections.abc import Iterator

from agent_host.core.approvals import terms_of
from agent_host.core.text import clean_line, clip
from agent_host.ports import ApprovalQuestion
from agent_host.surfaces.pages import rows
from agent_host.surfaces.question import BAR, demanded, labelled, marks, shown, wrap, wrap_words

_TEXT = 8000
"""Characters of a description that are shown."""
_PARAMETERS = 60


def explained(question: ApprovalQuestion, width: int) -> list[str]:
    """Return why a call is asked about and what its tool is, as lines."""
    lines = rows([*_why(question)], width)
    lines += [f"  {line}" for line in wrap_words(_WORDS.format(**_names(question)), width - 4)]
    description = shown(clip(question.tool.description.strip(), _TEXT))
    if description:
        lines += [f"{BAR}{line}" for line in wrap(description, width - len(BAR))]
    for row in _parameters(question):
        lines += [f"{BAR}{line}" for line in wrap(row, width - len(BAR))]
    return lines


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
        kind = one.get("type", "any") if isinstance(one, dict) else "any"
        text = one.get("description", "") if isinstance(one, dict) else ""
        must = ", required" if name in needed else ""
        said = f"  {clean_line(str(text), 300)}" if text else ""
        yield shown(f"{clean_line(name, 80)} ({clean_line(str(kind), 40)}{must}){said}")
