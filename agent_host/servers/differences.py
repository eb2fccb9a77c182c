"""How a live definition differs from the one that is pinned, in words and as lines.

Theory of operation: a definition becomes lines of text, each part under its name; what a person
sees is clean, and what they could not tell apart is shown as its code: hidden characters, blanks
at the end of a line, letters of other alphabets among Latin ones. Nothing is left out of the lines;
comparing is bounded, and where there is too much to compare all the old stands before all the new.
`brief` says on one line where the difference begins.
"""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice

from agent_host.core.text import clean, clip
from agent_host.core.types import JsonObject, Tool
from agent_host.servers.pinned import Withheld
from agent_host.servers.tools.foreign import told_apart

COMPARED = 400
"""Lines of a part that are compared with each other."""
_AROUND = 40
"""Characters that a short difference shows of each side."""
_CONTEXT = 2
_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)


def tool_parts(tool: Tool) -> dict[str, str]:
    """Return the parts of a definition as text, those that are empty left out."""
    said = asdict(tool.annotations)
    hints = {key: value for key, value in said.items() if value is not None and value != ()}
    parts = {
        "description": tool.description,
        "annotations": _json(hints) if hints else "",
        "input schema": _json(tool.input_schema),
        "output schema": "" if tool.output_schema is None else _json(tool.output_schema),
    }
    return {name: text for name, text in parts.items() if text}


def prompt_parts(prompt: JsonObject | None) -> dict[str, str]:
    """Return the parts of a prompt as text."""
    said = {key: value for key, value in (prompt or {}).items() if value}
    return {key: value if isinstance(value, str) else _json(value) for key, value in said.items()}


def lines(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """Yield how the parts differ, as lines that begin with `-`, `+` or a blank, clean."""
    for name in {**before, **after}:
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            yield f"  {clean(name)}:"
            yield from _compared(_shown(old), _shown(new))


def whole(parts: dict[str, str]) -> Iterator[str]:
    """Yield all that the parts say, as lines, clean."""
    yield from lines({}, parts)


def brief(before: dict[str, str], after: dict[str, str]) -> str:
    """Return where the parts begin to differ, on one clean line."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not names:
        return ""
    old, new = before.get(names[0], ""), after.get(names[0], "")
    if (flat := " ".join(old.split())) != " ".join(new.split()):
        old, new = flat, " ".join(new.split())
    shorter = min(len(old), len(new))
    start = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    start = max(start - 10, 0)
    also = f" (and {', '.join(names[1:])})" if names[1:] else ""
    return f"{names[0]}{also}: {_piece(old, start)} is now {_piece(new, start)}"


def why(withheld: Withheld) -> str:
    """Return why a tool is withheld, on one clean line, without what to do."""
    tool = withheld.tool
    match withheld.why:
        case "changed":
            pin = withheld.pinned
            change = brief(tool_parts(pin), tool_parts(tool)) if pin is not None else ""
            return f"{tool.tool} is not as it was when it was pinned: {change}"
        case "lost":
            return f"what {tool.tool} was cannot be read from servers.lock"
        case "full":
            return f"{tool.tool} is one more than servers.lock keeps of one server"


def what_to_do(server: str, name: str = "") -> str:
    """Return the commands that show and accept what changed."""
    which = f"{server} {name}".rstrip()
    return (
        f"agent-host servers lock --diff {which} shows it, "
        f"agent-host servers lock --accept {which} allows it"
    )


def _json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def _shown(text: str) -> list[str]:
    told = told_apart(clean(text))
    marked = _BLANKS.sub(lambda blanks: "".join(f"\\u{{{ord(c):x}}}" for c in blanks[0]), told)
    return marked.split("\n") if text else []


def _compared(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    if max(len(old), len(new)) > COMPARED:
        yield from (f"  - {line}" for line in old)
        yield from (f"  + {line}" for line in new)
        return
    compared = difflib.unified_diff(old, new, n=_CONTEXT, lineterm="")
    for line in islice(compared, 2, None):  # after the names of two files
        # No line of ours begins with an @: each has its sign before it.
        yield "  …" if line.startswith("@@") else f"  {line[:1]} {line[1:]}"


def _piece(text: str, start: int) -> str:
    piece = text[start : start + _AROUND].replace("\n", " ")
    if not piece:
        return "nothing"
    before = "…" if start else ""
    after = "…" if start + _AROUND < len(text) else ""
    return f'"{before}{clip(told_apart(clean(piece)), 4 * _AROUND)}{after}"'
