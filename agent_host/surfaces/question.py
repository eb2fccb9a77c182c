"""What a human is asked about a call, as lines of text.

Theory of operation: `head` says who asks for what and why, `grants` which keys answer. Every name
and value is escaped (`shown`: hidden characters are seen, and letters that only look like others)
and wrapped to the screen; the arguments themselves are in `arguments`.
"""

import json
import textwrap
from collections.abc import Iterable, Iterator
from unicodedata import east_asian_width

from agent_host.core.approvals import lacking, terms_of
from agent_host.core.text import clean, clean_line
from agent_host.core.types import ApprovalTerms, Json, LabelSeen
from agent_host.ports import ApprovalQuestion
from agent_host.surfaces.cards import title
from agent_host.surfaces.lookalikes import visible

BAR = "│ "
_SOURCES = 3
"""Sources of a label that are named."""
_SAYS = 160
"""Characters of a tool's description that are shown at first."""
_LABELS = {
    "private": "it handles private data",
    "untrusted": "what it returns may be anybody's text",
    "egress": "it can send data out",
}
_LETTERS = (
    "some letters only look like others; they are written as \\u{...} below, and sent as they are"
)
_IN_DOUBT = (
    "this call was started before the host stopped, and nobody knows whether it took effect: "
    "yes may do it a second time"
)


def shown(text: str) -> str:
    """Return text with everything visible that could hide, move, reorder or fake text."""
    return visible(clean(text))


def wrap(text: str, width: int) -> list[str]:
    """Break clean text into lines of at most `width` cells of a terminal, losing nothing."""
    width = max(width, 8)
    text = text.replace("\t", "⇥ ")
    lines: list[str] = []
    for line in text.split("\n"):
        if line.isascii():
            cuts = range(0, len(line), width) if line else range(1)
            lines.extend(line[cut : cut + width] for cut in cuts)
        else:
            lines.extend(_wrap_wide(line, width))
    return lines


def wrap_words(text: str, width: int) -> list[str]:
    """As `wrap`, for our own sentences: between words where that is possible."""
    lines = textwrap.wrap(text, max(width, 8), break_on_hyphens=False)
    fits = all(len(line) + _wide(line) <= max(width, 8) for line in lines)
    return lines if lines and fits else wrap(text, width)


def no_answer(said: str) -> str:
    """Say that what was typed answers nothing: clean, on one line; a control key by its name."""
    if len(said) == 1 and said < " ":
        return f"Ctrl-{chr(ord(said) + 64)} is no answer"
    if said.startswith("\x1b"):
        return "that key is no answer"
    return f"'{clean_line(said, 20)}' is no answer"


def _wide(text: str) -> int:
    return sum(east_asian_width(c) in "WF" for c in text) if not text.isascii() else 0


def _wrap_wide(line: str, width: int) -> Iterator[str]:
    """As `wrap`, for characters of two cells. A combining mark counts as one: a pile of them may
    not make a line without end."""
    start = cells = 0
    for place, character in enumerate(line):
        size = 2 if east_asian_width(character) in "WF" else 1
        if cells + size > width:
            yield line[start:place]
            start, cells = place, 0
        cells += size
    yield line[start:]


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def head(question: ApprovalQuestion, told: int = 0) -> list[tuple[str, str]]:
    """Return what is asked and why, as rows of a name and clean text. `told`: how many of those
    that wait are told of elsewhere on the screen."""
    waiting = max(question.waiting() - told, 0)
    where = f" ({clean_line(question.origin, 200)})" if question.origin else ""
    rows = [
        ("server", shown(clean_line(question.tool.server, 128))),
        ("tool", shown(clean_line(question.tool.tool, 128))),
        *_of_tool(question),
        ("rule", (clean_line(question.rule, 200) or "none") + where),
    ]
    if question.reason:
        rows.append(("reason", clean_line(question.reason, 500)))
    if question.labels:
        rows.append(("data", labelled(question.labels)))
    if question.in_doubt:
        rows.append(("IN DOUBT", _IN_DOUBT))
    rows += _terms(question)
    whole = _json(question.arguments)
    if visible(whole) != whole:
        rows.append(("LETTERS", _LETTERS))
    if waiting:
        rows.append(("waiting", f"{waiting} more question{'s' if waiting > 1 else ''}"))
    return rows


def _of_tool(question: ApprovalQuestion) -> list[tuple[str, str]]:
    """What the tool says that it does, and what is risky about it."""
    says = shown(clean_line(question.tool.description, _SAYS))
    rows = [("it says", f'"{says}"')] if says else []
    risks = "; ".join(marks(question))
    return [*rows, ("risk", risks)] if risks else rows


def marks(question: ApprovalQuestion) -> list[str]:
    """Return what is worth a second look at a tool, in words, clean."""
    tool = question.tool
    seen = {one.label for one in question.labels}
    found = ["NEW: no earlier run has seen this tool"] if tool.is_new else []
    found += [_LABELS.get(label, clean_line(label, 60)) for label in tool.labels]
    if "egress" in tool.labels and {"private", "untrusted"} <= seen:
        found.append("private AND untrusted data are in this conversation")
    a = tool.annotations
    hints = [("read-only", a.read_only), ("destructive", a.destructive)]
    hints += [("repeatable", a.idempotent)]
    said = [name if value else f"not {name}" for name, value in hints if value is not None]
    if said and not tool.trusted:
        found.append(f"the server calls it {', '.join(said)}, which nobody has checked")
    elif said and tool.annotations.destructive:
        found.append("the server calls it destructive")
    return found


def _terms(question: ApprovalQuestion) -> list[tuple[str, str]]:
    """Whose yes it takes, and until when."""
    asked = question.asked
    if asked is None:
        return []
    terms = terms_of(asked)
    rows: list[tuple[str, str]] = []
    if not terms.anybody:
        rows.append(("takes", demanded(terms)))
        said = ", ".join(clean_line(yes.by, 80) for yes in question.yeses)
        if said:
            still = sum(one.needed for one in lacking(terms, question.yeses))
            rows.append(("said yes", f"{said}; {still} more needed"))
    if asked.expires_at:
        rows.append(("until", f"{clean_line(asked.expires_at, 40)}, then it is refused"))
    if question.not_you is not None:
        rows.append(("NOT YOU", clean_line(question.not_you, 300)))
    return rows


def demanded(terms: ApprovalTerms) -> str:
    """Return whose yes it takes, in words: `2 people: lead or owner; not the one who asks`."""
    parts = []
    for one in terms.demands:
        people = "1 person" if one.needed == 1 else f"{one.needed} people"
        roles = " or ".join(clean_line(role, 60) for role in one.roles)
        parts.append(f"{people} with the role {roles}" if roles else people)
    if not terms.self_approval:
        parts.append("not the one for whom the run acts")
    return "; ".join(parts)


def labelled(labels: Iterable[LabelSeen]) -> str:
    """Return the labels of a context, each with where it came from, in words."""
    sources: dict[str, list[str]] = {}
    for one in labels:
        name = title(one.server, one.tool) if one.tool else clean_line(one.server, 64)
        sources.setdefault(one.label, []).append(name)
    return "; ".join(_sources(label, names) for label, names in sources.items())


def _sources(label: str, names: list[str]) -> str:
    more = f" and {len(names) - _SOURCES} more" if len(names) > _SOURCES else ""
    return f"{clean_line(label, 60)} from {', '.join(names[:_SOURCES])}{more}"


def grants(question: ApprovalQuestion) -> list[tuple[str, str]]:
    """Return the keys and what each of them does, in plain words."""
    refusals = [("n", "no"), ("r", "no, with a reason for the model")]
    if question.not_you is not None:
        return refusals
    name = title(question.tool.server, question.tool.tool)
    rows = [("y", "yes, run it once"), *refusals, ("e", "edit the arguments")]
    if lasting(question):
        rows += [
            ("a", "always in this session: this tool with exactly these arguments"),
            ("t", f"always in this session: {name} with ANY arguments, without asking"),
        ]
    return rows


def lasting(question: ApprovalQuestion) -> bool:
    """Whether a yes may be for more than once."""
    asked = question.asked
    return not question.in_doubt and (asked is None or terms_of(asked).anybody)
