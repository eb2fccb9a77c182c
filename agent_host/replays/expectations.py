"""What a suite of recorded runs leaves out of the comparison, and which runs it passes over.

Theory of operation: a TOML file beside the transcripts has `[[ignore]]` and `[[skip]]` tables. It
is read strictly: an unknown key is an error, because what is not ignored after all, or ignored by
mistake, tests something else than its writer thinks. A path names a value in JSON: keys and indices
between dots, `*` for any one of them, `**` for any number. What it names is taken away on both
sides, in a list it is blanked, so that an absent value is the same as any other. Pure.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from agent_host.core.types import Json, JsonObject
from agent_host.replays.path import key

FILE = "expectations.toml"
"""Its name, in the folder of the transcripts."""

KINDS = ("replay", "model", "live-tools")
_IGNORED = "(ignored)"

Place = tuple[str | int, ...]
Problem = tuple[Place, str]
"""The place of what is wrong in the file, and one sentence."""
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Differences that do not count, in the runs and tools whose names match: the values at these
    paths of arguments or results, and what these patterns match in texts of results."""

    runs: str = "*"
    tools: str = "*"
    arguments: tuple[Path, ...] = ()
    results: tuple[Path, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Runs that are not tested, when they would be tested in one of these ways."""

    runs: str
    kinds: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What the file says."""

    ignored: tuple[Ignore, ...] = ()
    skipped: tuple[Skip, ...] = ()

    def skip(self, run: str, kind: str) -> str:
        """Return why a run is not tested in a way (one of KINDS); empty if it is."""
        found = (s for s in self.skipped if kind in s.kinds and fnmatchcase(run, s.runs))
        return next((one.reason for one in found), "")

    def of(self, run: str) -> "Sameness":
        """Return what counts as the same in a run."""
        return Sameness(tuple(one for one in self.ignored if fnmatchcase(run, one.runs)))


@dataclass(frozen=True, slots=True)
class Sameness:
    """What counts as the same in one run."""

    ignored: tuple[Ignore, ...] = ()

    def call(self, name: str, arguments: Json) -> str:
        """Return what calls that are the same have in common; see `path.key`."""
        for one in self._of(name):
            arguments = _without_all(arguments, one.arguments)
        return key(name, arguments)

    def result(self, name: str, result: JsonObject) -> JsonObject:
        """Return what is compared of a result, which has its blocks in `content`."""
        rules = [one for one in self._of(name) if one.results or one.patterns]
        blocks = result.get("content")
        if not rules or not isinstance(blocks, list):
            return result
        return {**result, "content": [_block(block, rules) for block in blocks]}

    def _of(self, name: str) -> list[Ignore]:
        return [one for one in self.ignored if fnmatchcase(name, one.tools)]


def _block(block: Json, rules: Sequence[Ignore]) -> Json:
    text = block.get("text") if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(text, str):
        return block
    paths = [path for one in rules for path in one.results]
    try:
        value = json.loads(text) if paths else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict | list):
        text = json.dumps(_without_all(value, paths), ensure_ascii=False, sort_keys=True)
    for one in rules:
        for pattern in one.patterns:
            text = pattern.sub(_IGNORED, text)
    return {**block, "text": text}


def opened(result: JsonObject) -> JsonObject:
    """Return a result whose texts that are JSON are that, so that a difference has a path."""
    blocks = result.get("content")
    if not isinstance(blocks, list):
        return result
    return {**result, "content": [_opened(block) for block in blocks]}


def _opened(block: Json) -> Json:
    text = block.get("text") if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(text, str):
        return block
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return block
    return {**block, "text": value} if isinstance(value, dict | list) else block


def _without_all(value: Json, paths: Sequence[Path]) -> Json:
    for path in paths:
        value = _without(value, path)
    return value


def _without(value: Json, path: Path) -> Json:
    """Return the value without what a path names."""
    first, *rest = path
    more = tuple(rest)
    if first == "**":
        value = _without(value, more) if more else value
        return _each(value, lambda _, item: _without(item, path))
    if more:
        return _each(value, lambda at, item: _without(item, more) if first in ("*", at) else item)
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if first not in ("*", name)}
    if isinstance(value, list):
        return [_IGNORED if first in ("*", str(n)) else item for n, item in enumerate(value)]
    return value


def _each(value: Json, change: Any) -> Json:
    if isinstance(value, dict):
        return {name: change(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [change(str(number), item) for number, item in enumerate(value)]
    return value


# -- reading ---------------------------------------------------------------------------------


def read_expectations(table: Mapping[str, Any]) -> tuple[Expectations, list[Problem]]:
    """Return what a parsed file says, and what is wrong with it."""
    problems: list[Problem] = [
        ((name,), f'unknown key "{name}"; there are [[ignore]] and [[skip]] tables only')
        for name in table
        if name not in ("ignore", "skip")
    ]
    ignored = [_ignore(raw, at, problems) for at, raw in _tables(table, "ignore", problems)]
    skipped = [_skip(raw, at, problems) for at, raw in _tables(table, "skip", problems)]
    return Expectations(ignored=tuple(ignored), skipped=tuple(skipped)), problems


def _tables(
    table: Mapping[str, Any], name: str, problems: list[Problem]
) -> list[tuple[Place, Mapping[str, Any]]]:
    listed = table.get(name, [])
    if not isinstance(listed, list) or not all(isinstance(raw, dict) for raw in listed):
        problems.append(((name,), f"must be [[{name}]] tables"))
        return []
    return [((name, number), raw) for number, raw in enumerate(listed)]


def _ignore(raw: Mapping[str, Any], at: Place, problems: list[Problem]) -> Ignore:
    _known(raw, at, ("runs", "tools", "arguments", "results", "patterns"), problems)
    arguments = _paths(raw, at, "arguments", problems)
    results = _paths(raw, at, "results", problems)
    patterns = []
    for text in _texts(raw, at, "patterns", problems):
        try:
            patterns.append(re.compile(text))
        except re.error as error:
            problems.append(((*at, "patterns"), f"{text!r} is no regular expression: {error}"))
    if not problems and not (arguments or results or patterns):
        problems.append((at, "nothing is ignored; say `arguments`, `results` or `patterns`"))
    return Ignore(
        runs=_text(raw, at, "runs", problems) or "*",
        tools=_text(raw, at, "tools", problems) or "*",
        arguments=arguments,
        results=results,
        patterns=tuple(patterns),
    )


def _skip(raw: Mapping[str, Any], at: Place, problems: list[Problem]) -> Skip:
    _known(raw, at, ("runs", "with", "reason"), problems)
    kinds = tuple(_texts(raw, at, "with", problems)) or KINDS
    for kind in kinds:
        if kind not in KINDS:
            known = ", ".join(f'"{one}"' for one in KINDS)
            problems.append(((*at, "with"), f'"{kind}" is no way to test; there are {known}'))
    found = {name: _text(raw, at, name, problems) for name in ("runs", "reason")}
    for name, text in found.items():
        if not text and name not in raw:
            problems.append((at, f"`{name}` is missing"))
    return Skip(runs=found["runs"], kinds=kinds, reason=found["reason"])


def _known(
    raw: Mapping[str, Any], at: Place, names: Sequence[str], problems: list[Problem]
) -> None:
    there = ", ".join(names)
    problems.extend(
        ((*at, name), f'unknown key "{name}"; there are {there}')
        for name in raw
        if name not in names
    )


def _text(raw: Mapping[str, Any], at: Place, name: str, problems: list[Problem]) -> str:
    value = raw.get(name, "")
    if not isinstance(value, str) or (name in raw and not value.strip()):
        problems.append(((*at, name), f"{name} must be a text"))
        return ""
    return value


def _texts(raw: Mapping[str, Any], at: Place, name: str, problems: list[Problem]) -> list[str]:
    value = raw.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        problems.append(((*at, name), f"{name} must be a list of texts"))
        return []
    return value


def _paths(
    raw: Mapping[str, Any], at: Place, name: str, problems: list[Problem]
) -> tuple[Path, ...]:
    found = []
    for text in _texts(raw, at, name, problems):
        path = tuple(text.split("."))
        if not all(path) or path[-1] == "**":
            problems.append(((*at, name), f'"{text}" is no path; write it as "items.*.date"'))
            continue
        found.append(path)
    return tuple(found)
