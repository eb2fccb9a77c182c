"""The arguments of a call as people read and change them: a tree, a difference, a text to edit.

Theory of operation: arguments become an aligned tree, a line a value; every name and value is
escaped (`shown`: hidden characters are seen, and letters that only look like others), wrapped to
the screen, and set behind a bar that no content can leave. Text of several lines is a block with
real line breaks. A long value is first cut, visibly; the whole tree is there for `m`. A tree that
is deeper than a screen can show is written as JSON: shown whole all the same. A difference names
each value that changes by its path, as it was and as it will be. What is shown is what runs:
nothing is left out, reordered or rounded.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from agent_host.core.text import clean_line
from agent_host.core.types import Json, JsonObject
from agent_host.surfaces.question import BAR, shown, wrap

_LONG = 3
"""Lines of a value that are shown at first."""
_DEEPEST = 8
_LABEL = 24
_PATH = 40
"""Steps of the path of a changed value; what is deeper is written as JSON."""
_DIFFABLE = 2000
"""Items of a list, or lines of a text, that are compared one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Lines of a tree. `hidden` counts the lines that its cut values do not show."""

    lines: tuple[str, ...]
    hidden: int


def tree(arguments: JsonObject, width: int, *, whole: bool) -> Shown:
    """Return the arguments as lines, each behind the bar. `whole`: no value is cut."""
    lines: list[str] = []
    hidden = 0
    for label, value, depth in _rows(arguments, 0, _deepest(width)):
        room = width - len(BAR) - 2 * depth
        body = [*_value_lines(label, value, room)]
        if not whole and len(body) > _LONG:
            more = len(body) - _LONG
            hidden += more
            body = [*body[:_LONG], f"… {more} more line{'s' if more > 1 else ''}"]
        lines.extend(f"{BAR}{'  ' * depth}{line}" for line in body)
    return Shown(lines=tuple(lines or [f"{BAR}(no arguments)"]), hidden=hidden)


def _deepest(width: int) -> int:
    """How deep a tree can be indented so that there is room left to write in."""
    return min(_DEEPEST, max((width - 16) // 4, 1))


def _rows(value: Json, depth: int, deepest: int) -> Iterator[tuple[str, Json, int]]:
    """A label, a scalar (or what is too deep to spread), and how far to indent them."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    rows = [(_label(key), item) for key, item in items]
    align = min(max((len(label) for label, _ in rows), default=0), _LABEL)
    for label, item in rows:
        if isinstance(item, dict | list) and item and depth < deepest:
            yield label, ..., depth
            yield from _rows(item, depth + 1, deepest)
        else:
            yield label.ljust(align), item, depth


def _label(key: object) -> str:
    """A name as it is, if it is an ordinary one; else as JSON, so that blanks and signs show."""
    if isinstance(key, int):
        return f"[{key}]"
    name = str(key)
    return name if name.isidentifier() and name.isascii() else shown(_json(name))


def _value_lines(label: str, value: Json, room: int) -> list[str]:
    if value is ...:
        return wrap(f"{label}:", room)
    if isinstance(value, str) and "\n" in value:
        # Text of several lines reads as such; the bar keeps it apart from ours.
        indented = [f"{BAR}{line}" for line in wrap(shown(value), room - 4)]
        return [*wrap(f"{label}: text of {value.count(chr(10)) + 1} lines", room), *indented]
    return wrap(f"{label}  {shown(_json(value))}", room)


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


# -- what an edit changes --------------------------------------------------------------------


def difference(before: JsonObject, after: JsonObject, width: int) -> tuple[str, ...]:
    """Return what an edit changes: lines that start with `-` (as it was) or `+` (as it will be),
    each with the path of the value, behind the bar."""
    changes = [line for change in _changes("", before, after) for line in change]
    if not changes:
        same = _json(before) == _json(after)
        changes = ["(nothing changed)" if same else "(only the order of the names changed)"]
    return tuple(f"{BAR}{part}" for line in changes for part in wrap(line, width - len(BAR)))


def _changes(path: str, old: Json, new: Json, deep: int = 0) -> Iterator[list[str]]:
    spread = deep < _PATH
    if spread and isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            place = f"{path}.{_label(key)}" if path else _label(key)
            if key not in new:
                yield from _whole("-", place, old[key])
            elif key not in old:
                yield from _whole("+", place, new[key])
            else:
                yield from _changes(place, old[key], new[key], deep + 1)
    elif spread and isinstance(old, list) and isinstance(new, list):
        yield from _changed_items(path, old, new, deep)
    # Compared as text: to Python 1, 1.0 and true are equal, to a server they are not.
    elif _json(old) != _json(new):
        if isinstance(old, str) and isinstance(new, str) and "\n" in old and "\n" in new:
            yield _changed_text(path, old, new)
        else:
            yield from _whole("-", path, old)
            yield from _whole("+", path, new)


def _changed_items(path: str, old: list[Any], new: list[Any], deep: int) -> Iterator[list[str]]:
    for kind, a, b, c, d in _steps([_json(x) for x in old], [_json(x) for x in new]):
        if kind == "replace" and b - a == d - c:
            for was, now in zip(range(a, b), range(c, d), strict=True):
                place = f"{path}[{was}]" if was == now else f"{path}[{was}→{now}]"
                yield from _changes(place, old[was], new[now], deep + 1)
        elif kind != "equal":
            for number in range(a, b):
                yield from _whole("-", f"{path}[{number}]", old[number], deep)
            for number in range(c, d):
                yield from _whole("+", f"{path}[{number}]", new[number], deep)


def _changed_text(path: str, old: str, new: str) -> list[str]:
    was, now = shown(old).split("\n"), shown(new).split("\n")
    lines = [f"± {path}: text of {len(was)} lines, {len(now)} lines after the change"]
    for kind, a, b, c, d in _steps(was, now):
        if kind != "equal":
            lines += [f"  - {place + 1:>3}  {was[place]}" for place in range(a, b)]
            lines += [f"  + {place + 1:>3}  {now[place]}" for place in range(c, d)]
    # Line ends that read the same (CR LF and LF) are a change all the same.
    return lines if len(lines) > 1 else [f"- {path}  {shown(_json(old))}", *_plain(path, new)]


def _plain(path: str, new: str) -> list[str]:
    return [f"+ {path}  {shown(_json(new))}"]


def _steps(old: list[str], new: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """What turns one list into the other; of long ones, only where the two begin and end alike."""
    if max(len(old), len(new)) <= _DIFFABLE:
        return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    start = end = 0
    least = min(len(old), len(new))
    while start < least and old[start] == new[start]:
        start += 1
    while end < least - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return [("replace", start, len(old) - end, start, len(new) - end)]


def _whole(sign: str, path: str, value: Json, deep: int = 0) -> Iterator[list[str]]:
    """All of a value that goes or comes, a line a scalar."""
    if isinstance(value, dict) and value and deep < _PATH:
        for key, item in value.items():
            yield from _whole(sign, f"{path}.{_label(key)}", item, deep + 1)
    elif isinstance(value, list) and value and deep < _PATH:
        for place, item in enumerate(value):
            yield from _whole(sign, f"{path}[{place}]", item, deep + 1)
    else:
        yield [f"{sign} {path}  {shown(_json(value))}"]


# -- the text that is edited -----------------------------------------------------------------


def editable(arguments: JsonObject) -> str:
    """Return arguments as JSON for an editor line: what `shown` escapes as JSON escapes."""
    text = json.dumps(arguments, ensure_ascii=False, indent=2)
    return text if shown(text) == text else json.dumps(arguments, indent=2)


def as_json(arguments: JsonObject, width: int) -> list[str]:
    """Return arguments as JSON to look at, behind the bar."""
    text = shown(json.dumps(arguments, ensure_ascii=False, indent=2))
    return [f"{BAR}{line}" for line in wrap(text, width - len(BAR))]


def parse_edited(text: str) -> JsonObject | str:
    """Return the arguments that an editor gave back, or what is wrong with them."""
    try:
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        why = clean_line(str(error))
        return f'no valid JSON: {why}; it is one object with all arguments, as {{"name": "value"}}'
    if not isinstance(value, dict):
        return 'the arguments must be a JSON object, such as {"name": "value"}'
    return value


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} stands there twice")
    return found
