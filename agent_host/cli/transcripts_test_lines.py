"""What `agent-host transcripts test` prints of one case, for people.

Theory of operation: a line says what came of it, and of what did not pass the step follows where it
left its record. Other calls are shown as calls, what both sides have in common left out; whatever
else differs is shown by its path, as the file of expectations names it. On a screen lines are
broken to fit; in a file or a pipe they stay whole.
"""

import json
from collections import Counter
from collections.abc import Iterator

from agent_host.config.paths import shown
from agent_host.core.text import clean_line
from agent_host.core.types import Json, JsonObject
from agent_host.host.suites import Tested
from agent_host.replays.difference import Divergence
from agent_host.surfaces.cells import fit, rows

SIGNS = {"passed": "ok", "failed": "FAILED", "error": "ERROR", "skipped": "skipped"}
_SIGN = 9
"""Cells of a sign."""
_NARROW = 60
"""Cells below which a line has no room for a title."""
_CALL = 300


def case_lines(one: Tested, room: int) -> Iterator[str]:
    """Yield the lines of a case. `room`: terminal cells in a line, 0 for any number."""
    name, title = clean_line(one.case.name, 80), clean_line(one.case.title, 120)
    narrow = 0 < room < _NARROW
    indent = " " * (2 if narrow else _SIGN)
    head = f"{SIGNS[one.status]:<{_SIGN}}{name}"
    if narrow:
        yield fit(head, room)
        if title:
            yield fit(indent + title, room)
    else:
        head = f"{head}  {title}".rstrip()
        yield fit(head, room) if room else head
    passed = (note for note in one.notes if not note.startswith("kept as"))
    told = passed if one.status == "passed" else case_details(one)
    for line in told:
        yield from _fitting(line, indent, room)


def _fitting(line: str, indent: str, room: int) -> Iterator[str]:
    """Break a line; what is broken off stands a little further in."""
    text = line.lstrip(" ")
    indent += " " * (len(line) - len(text))
    if not room:
        yield indent + clean_line(text, 2000)
        return
    first, *more = rows(clean_line(text, 2000), max(room - len(indent) - 2, 10))
    yield indent + first
    yield from (f"{indent}  {row.lstrip(' ')}" for row in more)


def case_details(one: Tested) -> Iterator[str]:
    """Yield what a person is told of a case that did not pass, clean."""
    yield clean_line(one.what, 1000)
    found = one.divergence
    if found is not None:
        if found.line is not None:
            yield f"line {found.line} of {clean_line(shown(one.case.path), 500)}"
        yield from (f"  {line}" for line in _difference(found))
    yield from (clean_line(note, 1000) for note in one.notes)


def _difference(found: Divergence) -> Iterator[str]:
    was, now = (_calls(side) for side in (found.recorded, found.came))
    if was is None or now is None or was == now:
        yield from (line.removeprefix("  ") for line in found.lines())
        return
    yield from (f"- recorded  {line}" for line in _said(was - now, found.recorded))
    yield from (f"+ came      {line}" for line in _said(now - was, found.came))


def _calls(side: JsonObject | None) -> Counter[str] | None:
    """The calls of an answer as lines, None for what is no answer."""
    if side is None:
        return Counter()
    asked = side.get("calls")
    return Counter(map(_call, asked)) if isinstance(asked, list) else None


def _call(call: Json) -> str:
    assert isinstance(call, dict)  # `path.shape` makes it
    given = call.get("arguments")
    items = given.items() if isinstance(given, dict) else ()
    words = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in items)
    return clean_line(" ".join((str(call.get("tool")), *words)), _CALL)


def _said(calls: Counter[str], side: JsonObject | None) -> Iterator[str]:
    """The calls that the other side lacks; if there are none, that, and the words instead."""
    yield from calls.elements()
    if calls:
        return
    text = side.get("text") if side is not None else None
    words = f": {json.dumps(text, ensure_ascii=False)}" if isinstance(text, str) else ""
    yield clean_line(f"{'no answer' if side is None else 'no other call'}{words}", _CALL)
