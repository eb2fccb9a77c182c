"""Schemas put together: references in their place, `allOf` merged into one.

Theory of operation: a `Flat` is one schema without `$ref` and `allOf`; its unions stand apart, each
a list of alternatives of which one must hold. Merging takes each keyword of both sides where they
can hold together and else keeps the first and turns the other into words: a merged schema may
allow more than its parts together, never less. Subschemas of the same key are not merged before
somebody looks at them (they become an `allOf`), so the work is bounded by what is looked at. A
reference to what is being written already is followed `REPEATS` times, then left open. The number
of merges is bounded: chains of references double with every link.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from agent_host.core.types import Json
from agent_host.models.schema_losses import Losses
from agent_host.models.schema_reading import Node, Reader
from agent_host.models.schema_words import in_words

MAX_MERGES = 20_000
REPEATS = 2
"""How often a recursive definition stands inside itself before it is left open."""
_MAX_CHAIN = 64

_APART = frozenset({"$ref", "allOf", "anyOf", "oneOf", "const"})
_GROUPS = (
    ("items", "prefixItems"),
    ("contains", "minContains", "maxContains"),
    ("if", "then", "else"),
)
_GROUPED = frozenset(keyword for group in _GROUPS for keyword in group)
_ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
)
_LOWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UPPER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_BY_KEY = frozenset({"properties", "patternProperties", "dependentSchemas"})
_ONE_SCHEMA = frozenset({"additionalProperties", "propertyNames"})


@dataclass(slots=True, eq=False)
class Flat:
    """A schema without `$ref`, `allOf` and `const`. `unions`: one alternative of each holds.

    `through`: the references that were followed to it.
    """

    at: str
    keywords: dict[str, Any]
    unions: list[list[Node]] = field(default_factory=list)
    extra: tuple[str, ...] = ()
    through: frozenset[str] = frozenset()
    never: bool = False

    def get(self, keyword: str) -> Json:
        """Return the keyword's value, or None."""
        return self.keywords.get(keyword)

    def without_annotations(self) -> "Flat":
        """Return it without what only describes it."""
        kept = {k: v for k, v in self.keywords.items() if k not in _ANNOTATIONS}
        return replace(self, keywords=kept, extra=())


class Merger:
    """Flattens the nodes of one document."""

    def __init__(self, reader: Reader, losses: Losses) -> None:
        self._reader = reader
        self._losses = losses
        self._active: Counter[str] = Counter()
        self._merges = 0

    @contextmanager
    def inside(self, flat: Flat) -> Iterator[None]:
        """While this lasts, what is looked at stands inside `flat`."""
        self._active.update(flat.through)
        yield
        self._active.subtract(flat.through)

    def flat(self, node: Node, chain: int = 0) -> Flat:
        """Return a schema with its references and `allOf` in their place."""
        self._merges += 1
        if self._merges > MAX_MERGES or chain > _MAX_CHAIN:
            self._losses.add("too deep or too much, so left open", node.at)
            return Flat(node.at, {})
        own = {k: v for k, v in node.keywords.items() if k not in _APART}
        flat = Flat(node.at, own, extra=node.extra, never=node.never)
        if "const" in node.keywords:
            own["enum"] = _common(own.get("enum"), [node.keywords["const"]])
            flat.never = flat.never or not own["enum"]
        for keyword in ("anyOf", "oneOf"):
            if keyword in node.keywords:
                flat.unions.append(node.keywords[keyword])
        if len(node.keywords.get("oneOf", ())) > 1:
            self._losses.add("exactly one of the alternatives is said as any of them", node.at)
        parts = [flat]
        pointer = node.keywords.get("$ref")
        if pointer is not None:
            parts.append(self._followed(pointer, node.at, chain))
        parts += [self.flat(child, chain + 1) for child in node.keywords.get("allOf", ())]
        return joined(parts)

    def _followed(self, pointer: str, at: str, chain: int) -> Flat:
        if self._active[pointer] >= REPEATS:
            self._losses.add(f"recursion is left open after {REPEATS} levels", at)
            return Flat(at, {})
        target = self.flat(self._reader.target(pointer), chain + 1)
        return replace(target, through=target.through | {pointer})


def joined(parts: Sequence[Flat]) -> Flat:
    """Return what must satisfy all of `parts`; where that cannot be said, the first and words."""
    first = parts[0]
    if len(parts) == 1:
        return first
    whole = Flat(first.at, dict(first.keywords), list(first.unions), first.extra)
    for keyword in _BY_KEY & whole.keywords.keys():
        whole.keywords[keyword] = dict(whole.keywords[keyword])
    words: list[str] = []
    required: dict[str, None] = {}
    for part in parts:
        required.update(dict.fromkeys(part.keywords.get("required", ())))
        whole.through |= part.through
        whole.never |= part.never
        if part is not first:
            whole.unions += part.unions
            words += part.extra
            _join(whole.keywords, part.keywords, words)
    if required:
        whole.keywords["required"] = list(required)
    whole.never |= any(whole.keywords.get(k) == [] for k in ("type", "enum"))
    whole.extra = (*first.extra, *words)
    return whole


def _join(into: dict[str, Any], other: dict[str, Any], words: list[str]) -> None:
    for keyword, value in other.items():
        if keyword in _GROUPED or keyword == "required":
            continue
        if keyword not in into:
            into[keyword] = dict(value) if keyword in _BY_KEY else value
        elif keyword in _BY_KEY:
            for key, node in value.items():
                into[keyword][key] = (
                    _both(into[keyword][key], node) if key in into[keyword] else node
                )
        elif into[keyword] is not value:
            merged, clash = _merged(keyword, into[keyword], value)
            into[keyword] = merged
            if clash:
                words.append(in_words(keyword, value))
    for group in _GROUPS:
        _join_group(group, into, other, words)


def _join_group(
    group: Iterable[str], into: dict[str, Any], other: dict[str, Any], words: list[str]
) -> None:
    """Take keywords that only mean something together from one side."""
    theirs = {keyword: other[keyword] for keyword in group if keyword in other}
    if not theirs:
        return
    ours = {keyword for keyword in group if keyword in into}
    if not ours:
        into.update(theirs)
    elif {*theirs} == {"items"} == ours:
        into["items"] = _both(into["items"], theirs["items"])
    else:
        words.extend(in_words(keyword, value) for keyword, value in theirs.items())


def _merged(keyword: str, a: Json, b: Json) -> tuple[Json, bool]:
    """Return the value that says both, and whether `b` could not be said."""
    if keyword in _ANNOTATIONS:
        return a, False
    if keyword == "type":
        return _common_types(a, b), False
    if keyword == "enum":
        return _common(a, b), False
    if keyword in _LOWER or keyword == "uniqueItems":
        return max(a, b), False
    if keyword in _UPPER:
        return min(a, b), False
    if keyword == "dependentRequired":
        return {**b, **{key: [*dict.fromkeys([*a[key], *b.get(key, ())])] for key in a}}, False
    if keyword in _ONE_SCHEMA:
        return _both(a, b), False
    return a, a != b


def _both(a: Node, b: Node) -> Node:
    if a is b or b.never:
        return b
    if a.never:
        return a
    known = a.keywords["allOf"] if a.keywords.keys() == {"allOf"} and not a.extra else [a]
    return Node(a.at, {"allOf": [*known, b]})


def _common_types(a: list[str], b: list[str]) -> list[str]:
    """Types that both lists allow; every `integer` is a `number`."""
    found = [kind for kind in a if kind in b or (kind == "integer" and "number" in b)]
    return [*found, *(k for k in b if k == "integer" and "number" in a and k not in found)]


def _common(a: list[Json] | None, b: list[Json]) -> list[Json]:
    if a is None:
        return b
    known = {identity(value) for value in b}
    return [value for value in a if identity(value) in known]


def identity(value: Json) -> str:
    """Return a text that is the same for values that JSON Schema calls equal (1 and 1.0)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return "[" + ",".join(map(identity, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{identity(value[k])}" for k in sorted(value)) + "}"
    return json.dumps(value)
