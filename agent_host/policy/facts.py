"""What conditions are evaluated on: the facts about one call, and which of them can be trusted.

Theory of operation: arguments come from a model, so what a condition reads of them is looked at
first. Not *sound* are: a number that is not finite, or is 2^53 or more and no integer of 64 bits; a
negative number, because a threshold does not think of one (`signed` has them, for rules that do); a
text with a NUL (the library would end it there) or half a character; and what is too deep or too
large. A condition that reads something that is not sound is undefined, as it is where something is
missing or has another type. Numbers are handed over as JSON has them, as doubles; integers from
2^53 on stay integers. Only what is read is looked at and copied.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agent_host.core.conversation import Conversation
from agent_host.core.text import clean_line
from agent_host.core.types import Json, JsonObject, Principal, Tool
from agent_host.policy.reads import ROOTS, Path, Reads

MAX_VALUES = 10_000
"""Values in what a condition reads of the arguments."""
MAX_CHARACTERS = 1_000_000
"""Characters in it."""
MAX_WORK = 50_000_000
"""Values times characters: what a macro over one with the other in it may cost."""
MAX_DEPTH = 64

_SMALL = 100
_EXACT = 2**53
_WORD = 2**63
_BROKEN = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is known outside of a conversation. `now`: seconds since 1970 (wall clock). `source`
    returns where a server comes from, by its name; None if that is not known."""

    now: float
    interactive: bool = False
    source: Callable[[str], str | None] = field(default=lambda _: None, compare=False)


@dataclass(slots=True, kw_only=True)
class Facts:
    """The facts about one call. `unsound`: what was read and is not sound, and why, for people."""

    tool: Tool
    arguments: JsonObject
    conversation: Conversation
    principal: Principal
    moment: Moment
    unsound: dict[tuple[str, Path], str] = field(default_factory=dict, init=False)
    _sizes: dict[tuple[str, Path], tuple[int, int]] = field(default_factory=dict, init=False)

    def data(self, reads: Reads) -> dict[str, Any]:
        """Return the variables that are read, by name. What is not sound is not in it but in
        `unsound`; what is not known is missing."""
        found: dict[str, Any] = {}
        for name in reads.names:
            maker = _MAKERS.get(name)
            if maker is not None:
                value = maker(self)
                if value is not None:
                    found[name] = value
            elif name in ROOTS:
                paths = sorted(path for root, path in reads.paths if root == name)
                found[name] = self._picked(name, paths)
        return found

    def why_undefined(self, reads: Reads) -> str | None:
        """Return why a condition that reads this has no value, or None. After `data`."""
        if self.unsound:
            wrong = sorted(path for path in reads.paths if path in self.unsound)
            if wrong:
                return self.unsound[wrong[0]]
        if self._sizes:
            sizes = [self._sizes[path] for path in reads.paths if path in self._sizes]
            values, characters = sum(one[0] for one in sizes), sum(one[1] for one in sizes)
            if values > MAX_VALUES or characters > MAX_CHARACTERS or values * characters > MAX_WORK:
                return "the arguments that it reads are too large to be judged"
        return None

    def _picked(self, name: str, paths: Sequence[Path]) -> dict[str, Any]:
        """Copy the members that are read, where they are sound."""
        whole = (self.principal.claims or {}) if name == "user.claims" else self.arguments
        picked: dict[str, Any] = {}
        for path in paths:
            place, value = _found(whole, path)
            if place is None:
                continue
            copying = _Copying(signed=name != "args")
            try:
                copied = copying.copy(value, (name, *place))
            except _Unsound as why:
                self.unsound[name, path] = str(why)
                continue
            if copying.values > _SMALL or copying.characters > _SMALL:
                self._sizes[name, path] = copying.values, copying.characters
            picked = _laid(picked, place, copied)
        return picked


class _Unsound(Exception):  # noqa: N818  # no error: it is what an argument is
    pass


class _Copying:
    """Copies one value as the library takes it, and measures it. `signed`: negative numbers are
    numbers."""

    def __init__(self, *, signed: bool) -> None:
        self._signed = signed
        self.values = 0
        self.characters = 0

    def copy(self, value: Json, place: Path, depth: int = 0) -> Any:
        """Return the copy. Raises _Unsound."""
        self.values += 1
        if depth > MAX_DEPTH or self.values > MAX_VALUES:
            raise _Unsound(f"{_named(place)} is too large or too deep to be judged")
        if isinstance(value, str):
            return self._text(value, place)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, dict):
            return {
                self._text(key, place): self.copy(one, (*place, key), depth + 1)
                for key, one in value.items()
            }
        if isinstance(value, list):
            return [self.copy(one, place, depth + 1) for one in value]
        if isinstance(value, int | float):
            return self._number(value, place)
        raise _Unsound(f"{_named(place)} is no value of JSON")

    def _text(self, text: str, place: Path) -> str:
        self.characters += len(text)
        if self.characters > MAX_CHARACTERS:
            raise _Unsound(f"{_named(place)} is too large to be judged")
        if _BROKEN.search(text):
            raise _Unsound(f"{_named(place)} has a NUL or half a character in it")
        return text

    def _number(self, value: float, place: Path) -> float:
        if value < 0 and not self._signed:
            raise _Unsound(
                f"{_named(place)} is negative; a rule that means negative numbers reads `signed`"
            )
        if isinstance(value, int):
            if not -_WORD <= value < _WORD:
                raise _Unsound(f"{_named(place)} is too large a number")
            return value if abs(value) >= _EXACT else float(value)
        if not math.isfinite(value) or abs(value) >= _EXACT:
            raise _Unsound(f"{_named(place)} is no number that can be compared")
        return value


def _named(place: Path) -> str:
    return clean_line(".".join(name[:60] for name in place), 120)


def _found(whole: Mapping[str, Json], path: Path) -> tuple[Path | None, Json]:
    """Return the value at a path, and the path. Where the path leads into something that has no
    members, that instead; where it leads to nothing, an empty holder; (None, None) where even
    that would be the variable itself."""
    value: Json = whole
    for depth, name in enumerate(path):
        if not isinstance(value, dict):
            return path[:depth], value
        if name not in value:
            return (path[:depth], {}) if depth else (None, None)
        value = value[name]
    return path, value


def _laid(picked: dict[str, Any], place: Path, copied: Any) -> dict[str, Any]:
    """Lay a copy where it belongs. Paths come sorted, what holds others first: what is there
    already holds at least as much."""
    if not place:
        whole: dict[str, Any] = copied
        return whole
    inner = picked
    for name in place[:-1]:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            return picked
    inner.setdefault(place[-1], copied)
    return picked


_Maker = Callable[[Facts], Any]


def _cost(facts: Facts) -> float | None:
    """What the run has cost; not known once the price of an answer is not."""
    return None if facts.conversation.unpriced else facts.conversation.cost


def _destructive(facts: Facts) -> bool:
    """What is not said, or by a server that is not trusted, counts as the worst (MCP: default)."""
    tool = facts.tool
    return not (tool.read_only or (tool.trusted and tool.annotations.destructive is False))


_MAKERS: Mapping[str, _Maker] = {
    "now": lambda f: datetime.fromtimestamp(f.moment.now, UTC),
    "run.calls": lambda f: f.conversation.tool_calls,
    "run.cost": _cost,
    "run.id": lambda f: f.conversation.run_id,
    "run.interactive": lambda f: f.moment.interactive,
    "run.labels": lambda f: sorted({seen.label for seen in f.conversation.labels}),
    "run.model": lambda f: f.conversation.origin.model,
    "run.provider": lambda f: f.conversation.origin.provider,
    "run.turn": lambda f: f.conversation.turns,
    "tool.annotations_trusted": lambda f: f.tool.trusted,
    "tool.destructive": _destructive,
    "tool.idempotent": lambda f: f.tool.repeatable,
    "tool.labels": lambda f: list(f.tool.labels),
    "tool.name": lambda f: f.tool.tool,
    "tool.new": lambda f: f.tool.is_new,
    "tool.open_world": lambda f: not (f.tool.trusted and f.tool.annotations.open_world is False),
    "tool.read_only": lambda f: f.tool.read_only,
    "tool.server": lambda f: f.tool.server,
    "tool.source": lambda f: f.moment.source(f.tool.server),
    "user.id": lambda f: f.principal.id,
    "user.issuer": lambda f: f.principal.authenticated_by,
    "user.roles": lambda f: list(f.principal.roles),
}
