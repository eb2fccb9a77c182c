"""Where a replay leaves the record, and how two events differ, for people.

Theory of operation: events are compared as JSON. A difference is the path of a value with what was
recorded and what came; long texts are shown around the first character that is not the same.
Everything shown is cleaned, because both sides may be words of a server or a model.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from agent_host.core.text import clean_line
from agent_host.core.types import Json, JsonObject

_MOST = 20
_SHOWN = 160
_BEFORE = 40
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where in a run: `turn` counts the model's answers from 1 (0: before the first request),
    `call` is the id of the call that it is about (empty: none), `tool` its exposed name."""

    turn: int
    call: str = ""
    tool: str = ""

    def __str__(self) -> str:
        where = f"turn {self.turn}" if self.turn else "before the first turn"
        if not self.call:
            return where
        return f"{where}, call {clean_line(self.call, 80)} ({clean_line(self.tool, 80)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first event that is not as recorded. `record`: its number in the transcript (from 0),
    None for what came after its end; `line`: in the file, from 1; `recorded` and `came`: the two
    events, None for none; `reason`: in a sentence what that means."""

    record: int | None
    step: Step
    recorded: JsonObject | None
    came: JsonObject | None
    reason: str

    @property
    def line(self) -> int | None:
        """The line of the file."""
        return None if self.record is None else self.record + 1

    def lines(self) -> Iterator[str]:
        """Yield what a person is shown of the difference, clean."""
        if self.recorded is None or self.came is None:
            for mark, event in (("- recorded", self.recorded), ("+ came", self.came)):
                what = "nothing" if event is None else shown(event)
                yield f"{mark:<10}  {what}"
            return
        if self.recorded.get("type") != self.came.get("type"):
            yield f"- recorded  {shown(self.recorded)}"
            yield f"+ came      {shown(self.came)}"
            return
        yield from differing(self.recorded, self.came)


def shown(value: Json) -> str:
    """Return JSON on one line, clean and short."""
    return clean_line(json.dumps(value, ensure_ascii=False), 3 * _SHOWN)


def differing(old: Json, new: Json) -> Iterator[str]:
    """Yield lines that show where two JSON values differ, at most so many."""
    found = list(paths(old, new))
    for path, was, now in found[:_MOST]:
        yield f"  {clean_line(path or 'the whole', 200)}"
        first, second = _pair(was, now)
        yield f"  - recorded  {first}"
        yield f"  + came      {second}"
    if len(found) > _MOST:
        yield f"  and {len(found) - _MOST} more differences"


def paths(old: Json, new: Json, at: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield path, old and new value of each difference; a value that is missing is `_ABSENT`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            place = f"{at}.{key}" if at else str(key)
            if key not in new:
                yield place, old[key], _ABSENT
            elif key not in old:
                yield place, _ABSENT, new[key]
            else:
                yield from paths(old[key], new[key], place)
    elif isinstance(old, list) and isinstance(new, list):
        for number in range(max(len(old), len(new))):
            place = f"{at}[{number}]"
            if number >= len(new):
                yield place, old[number], _ABSENT
            elif number >= len(old):
                yield place, _ABSENT, new[number]
            else:
                yield from paths(old[number], new[number], place)
    elif type(old) is not type(new) or old != new:
        yield at, old, new


def _pair(was: object, now: object) -> tuple[str, str]:
    first, second = _text(was), _text(now)
    if max(len(first), len(second)) <= _SHOWN:
        return clean_line(first, 2 * _SHOWN), clean_line(second, 2 * _SHOWN)
    pairs = zip(first, second, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
    start = max(0, at - _BEFORE)
    dots = "…" if start else ""
    cut = slice(start, start + 4 * _SHOWN)
    return dots + clean_line(first[cut], _SHOWN), dots + clean_line(second[cut], _SHOWN)


def _text(value: object) -> str:
    return "nothing" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
