"""Entries are found in the files: the newest, those of a run, those that match a query.

Theory of operation: a plain scan, because files are read faster than an index is kept right. A line
is looked through as bytes first (the files' JSON is written in one way only, so a member that must
be there can be searched for as text), and parsed only if it may match. No file is passed over for
its times: clocks are set back. What was tampered with is read as far as it can be: every
member is of the type that the rest of the room expects, and lines that are no entry are counted,
not shown. `verify` says what is wrong.
"""

import fnmatch
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent_host.audit.canonical import canonical
from agent_host.audit.chain import Fields
from agent_host.audit.files import files, lines, lines_backwards

_TIME = re.compile(rb'\{"seq":\d+,"prev":"[0-9a-f]{64}","time":"([^"]+)"')
_WILD = re.compile(r"[*?\[]")
_LISTS = frozenset(
    {
        "rules",
        "roles",
        "approvers",
        "approver_roles",
        "approver_roles_needed",
        "labels",
        "names",
        "fields",
        "asked",
        "added",
        "removed",
        "changed",
    }
)
_OBJECTS = frozenset({"arguments", "approved", "proposed"})
_NUMBERS = frozenset(
    {
        "seq",
        "duration_ms",
        "size",
        "value",
        "of",
        "last",
        "expected_seq",
        "input_tokens",
        "output_tokens",
        "cost",
        "format",
        "approvals_needed",
        "arguments_size",
        "approved_size",
        "proposed_size",
    }
)
_FLAGS = frozenset({"simulated", "in_doubt", "edited", "will_restart", "self_approval", "by_hand"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for; empty: anything. `who`, `server`, `tool`, `rule`, `approver` may be globs;
    `since` and `until` are RFC 3339 times in UTC, `until` excluded. `project`: the config."""

    who: str = ""
    server: str = ""
    tool: str = ""
    decision: str = ""
    rule: str = ""
    approver: str = ""
    type: str = ""
    run: str = ""
    project: str = ""
    since: str = ""
    until: str = ""


def parsed(line: bytes) -> Fields | None:
    """Return a line's entry with members of the right types, or None if it is none."""
    try:
        data = json.loads(line)
        entry = {key: _typed(key, value) for key, value in data.items()}
        if all(key in entry for key in ("seq", "time", "type", "hash")):
            return entry
    except (ValueError, RecursionError, AttributeError, TypeError):
        pass
    return None


def _typed(key: str, value: object) -> object:
    if key in _OBJECTS:
        return value if isinstance(value, dict) else {"": value}
    if key in _LISTS:
        return [str(item) for item in value] if isinstance(value, list) else [str(value)]
    if key in _FLAGS:
        return value is True
    if key in _NUMBERS:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if number else 0
    return value if isinstance(value, str) else canonical(value)


def newest(folder: Path, count: int) -> list[Fields]:
    """Return the last entries, in order. Raises OSError."""
    found: deque[Fields] = deque()
    for path in reversed(files(folder)):
        for line in lines_backwards(path):
            if len(found) == count:
                return list(found)
            entry = parsed(line)
            if entry is not None:
                found.appendleft(entry)
    return list(found)


def one(folder: Path, name: str) -> Fields | None:
    """Return the entry with that number, or whose hash begins so (8 digits at least). Raises
    OSError."""
    if name.isascii() and name.isdigit() and len(name) < 8:
        needles = [f'{{"seq":{int(name)},'.encode("ascii")]
    else:
        needles = [f'"hash":"{name}'.encode("ascii", "replace")]
        if name.isascii() and name.isdigit():
            needles.append(f'{{"seq":{int(name)},'.encode("ascii"))
    for needle in needles:
        for path in files(folder):
            for line in lines(path):
                if needle in line and (line.startswith(needle) or needle in line[-80:]):
                    return parsed(line)
    return None


def select(folder: Path, query: Query) -> Iterator[Fields]:
    """Yield the entries that match, in order. Raises OSError."""
    needles = [*_needles(query)]
    tests = [*_tests(query)]
    since, until = query.since.encode("ascii"), query.until.encode("ascii")
    for path in files(folder):
        for line in lines(path):
            if needles and not all(needle in line for needle in needles):
                continue
            if (since or until) and not _within(line, since, until):
                continue
            entry = parsed(line)
            if entry is not None and all(_matches(entry, key, glob) for key, glob in tests):
                yield entry


def _needles(query: Query) -> Iterator[bytes]:
    """What a line that matches holds as text. An approver or a rule may stand in a list,
    and a tool that nobody knows has only the name that the model used."""
    for key in ("who", "server", "decision", "type", "run", "project"):
        value = getattr(query, key)
        if value:
            start = _WILD.split(value, maxsplit=1)[0]
            text = f'"{key}":{canonical(start)[:-1]}'
            yield (text if start != value else f'{text}"').encode("ascii")
    for value in (query.tool, query.rule, query.approver):
        if value:
            yield canonical(_WILD.split(value, maxsplit=1)[0])[1:-1].encode("ascii")


def _tests(query: Query) -> Iterator[tuple[tuple[str, ...], str]]:
    for key in ("who", "server", "decision", "type", "run", "project"):
        if value := getattr(query, key):
            yield (key,), value
    if query.tool:
        yield ("tool", "name"), query.tool
    if query.rule:
        yield ("rule", "rules"), query.rule
    if query.approver:
        yield ("approver", "approvers"), query.approver


def _matches(entry: Fields, keys: Iterable[str], glob: str) -> bool:
    for key in keys:
        value = entry.get(key, "")
        for text in value if isinstance(value, list) else [value]:
            if text == glob or (_WILD.search(glob) and fnmatch.fnmatchcase(str(text), glob)):
                return True
    return False


def _within(line: bytes, since: bytes, until: bytes) -> bool:
    head = _TIME.match(line)
    return head is not None and since <= head[1] and (not until or head[1] < until)
