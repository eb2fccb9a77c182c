"""What values a JSON Schema lets through, as far as conditions care.

Theory of operation: a `Shape` is what a value may be: alternatives, each of one kind (`string`,
`number`, `map`...) with the values, bounds or members that the schema names. It is always at least
as wide as the schema: what this file does not understand (`not`, `if`, patterns, a `$ref` that
leads elsewhere) counts as everything, so that what a shape excludes no valid call can have. Members
are looked into only when a condition names them; the work for one schema is bounded, so that a bomb
of `$ref`s costs nothing. Sources: JSON Schema 2020-12 and draft 7, validation vocabulary.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeGuard

from agent_host.core.types import JsonObject

Kind = Literal[
    "null", "bool", "number", "string", "list", "map", "bytes", "time", "duration", "type"
]
"""Kinds of values. JSON's integers and floats are one kind: conditions compare them as numbers."""

JSON_KINDS: tuple[Kind, ...] = ("null", "bool", "number", "string", "list", "map")

INFINITE = float("inf")
MAX_ALTERNATIVES = 12
MAX_VALUES = 500
MAX_STEPS = 3000
"""Schemas that are looked into for one shape; what lies beyond counts as everything."""
MAX_DEPTH = 40
"""Schemas inside schemas, `$ref`s included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Values of one kind. `values`: the only ones, if they are few; `low` and `high` of a number
    (`_open`: not the bound itself). Of a map: the schemas of its `properties`, those it always
    has, the only names it can have (`names`), and whether others are to be expected (`loose`).
    `items`: the schema of a list's items."""

    kind: Kind
    values: tuple[Any, ...] | None = None
    low: float = -INFINITE
    high: float = INFINITE
    low_open: bool = False
    high_open: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    names: frozenset[str] | None = None
    loose: bool = True
    items: Any = True
    root: Any = None
    read: dict[str | None, "Shape"] = field(default_factory=dict, compare=False, repr=False)
    """What was read of the schemas so far: members by name, items under None."""

    @property
    def empty(self) -> bool:
        """Whether there is no such value."""
        if self.values is not None and not self.values:
            return True
        if self.low == self.high:
            return self.low_open or self.high_open
        return self.low > self.high


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be: any of the alternatives; none of them: there is no such value."""

    alternatives: tuple[Alternative, ...] = ()

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds that it may have."""
        return frozenset(one.kind for one in self.alternatives)

    @property
    def values(self) -> tuple[Any, ...] | None:
        """All the values it may have, if they are few."""
        found: list[Any] = []
        for one in self.alternatives:
            if one.values is None:
                return None
            found += one.values
        return tuple(found)

    def of(self, *kinds: Kind) -> "Shape":
        """Those alternatives that are of these kinds."""
        return Shape(tuple(one for one in self.alternatives if one.kind in kinds))


NEVER = Shape()
ANYTHING = Shape(tuple(Alternative(kind=kind) for kind in JSON_KINDS))


@dataclass(frozen=True, slots=True)
class Looked:
    """A member as it was found. `shape`: what it may be where it is there; `always`: it is there,
    which is never said of what a call brings (conditions do not see values that are not sound);
    `declared`: a schema names it, or says that any name may come."""

    shape: Shape
    always: bool
    declared: bool


def only(*values: Any) -> Shape:
    """The shape of these very values."""
    found: dict[Kind, list[Any]] = {}
    for value in values:
        found.setdefault(kind_of(value), []).append(value)
    return Shape(tuple(_of_values(kind, items) for kind, items in found.items()))


def plain(*kinds: Kind) -> Shape:
    """Any value of these kinds."""
    return Shape(tuple(Alternative(kind=kind) for kind in kinds))


def list_of(items: Shape) -> Shape:
    """A list of such items."""
    return Shape((Alternative(kind="list", items=items),))


def kind_of(value: Any) -> Kind:
    """Return the kind of a JSON value, or of a literal."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bytes):
        return "bytes"
    return "list" if isinstance(value, list | tuple) else "map"


def _of_values(kind: Kind, values: Iterable[Any]) -> Alternative:
    kept = tuple(values)
    if kind in {"list", "map"} or len(kept) > MAX_VALUES:
        return Alternative(kind=kind)
    if kind != "number":
        return Alternative(kind=kind, values=kept)
    return Alternative(kind=kind, values=kept, low=min(kept), high=max(kept))


def shape_of(schema: Any, root: Any = None) -> Shape:
    """Return the shape of the values that a schema lets through. `root`: what its `$ref`s start
    from, by default itself. A Shape is taken for a schema of its own."""
    return _Reader(schema if root is None else root).read(schema)


def member(shape: Shape, name: str) -> Looked:
    """Return what `value.name` may be."""
    found: list[Alternative] = []
    always, declared = bool(shape.alternatives), False
    for one in shape.alternatives:
        if one.kind != "map":
            always = False
            continue
        if name in one.properties:
            declared = True
            found += _read(one, name, one.properties[name]).alternatives
        elif one.names is None or name in one.names:
            found += ANYTHING.alternatives
            declared = declared or one.loose or name in one.required
        always = always and name in one.required and one.root is None
    return Looked(_merged(found), always, declared)


def item(shape: Shape) -> Shape:
    """Return what an item of a list may be."""
    found: list[Alternative] = []
    for one in shape.alternatives:
        if one.kind == "list":
            found += _read(one, None, one.items).alternatives
    return _merged(found)


def _read(one: Alternative, name: str | None, schema: Any) -> Shape:
    if name not in one.read:
        one.read[name] = shape_of(schema, one.root)
    return one.read[name]


def known_names(shape: Shape) -> list[str]:
    """The names of members that schemas name, in their order."""
    return list(dict.fromkeys(name for one in shape.alternatives for name in one.properties))


def both(one: Shape, other: Shape) -> Shape:
    """Return what is in both, or more."""
    if one == ANYTHING:
        return other
    if other == ANYTHING:
        return one
    found = [
        _met(mine, theirs)
        for mine in one.alternatives
        for theirs in other.alternatives
        if mine.kind == theirs.kind
    ]
    return _merged([each for each in found if not each.empty])


def either(*shapes: Shape) -> Shape:
    """Return what is in any of them."""
    return _merged([one for shape in shapes for one in shape.alternatives])


def _merged(found: list[Alternative]) -> Shape:
    unique: list[Alternative] = []
    for one in found:
        if len(unique) <= MAX_ALTERNATIVES and not one.empty and one not in unique:
            unique.append(one)
    if len(unique) <= MAX_ALTERNATIVES:
        return Shape(tuple(unique))
    return plain(*dict.fromkeys(one.kind for one in found))


def _met(one: Alternative, other: Alternative) -> Alternative:
    values = one.values
    if one.values is not None and other.values is not None:
        values = tuple(v for v in one.values if v in other.values)
    elif one.values is None:
        values = other.values
    low, low_open = max((one.low, one.low_open), (other.low, other.low_open))
    high, high_open = one.high, one.high_open
    if other.high < high or (other.high == high and other.high_open):
        high, high_open = other.high, other.high_open
    if values is not None and one.kind == "number":
        values = tuple(v for v in values if _within(v, low, high, low_open, high_open))
    names = one.names if other.names is None else other.names
    if one.names is not None and other.names is not None:
        names = one.names & other.names
    # A member of both is narrowed by one of the two: wider than the truth, never narrower.
    return replace(
        one,
        values=values,
        low=low,
        high=high,
        low_open=low_open,
        high_open=high_open,
        properties={**_rooted(other), **_rooted(one)},
        required=one.required | other.required,
        names=names,
        loose=one.loose and other.loose,
        items=one.items if one.items is not True else other.items,
        root=one.root if one.items is not True else other.root,
        read={},
    )


def _rooted(one: Alternative) -> dict[str, Any]:
    """The properties, each with what its `$ref`s start from."""
    return {
        name: schema
        if isinstance(schema, Shape | _Rooted) or one.root is None
        else _Rooted(schema, one.root)
        for name, schema in one.properties.items()
    }


def _within(value: float, low: float, high: float, low_open: bool, high_open: bool) -> bool:
    above = value > low if low_open else value >= low
    below = value < high if high_open else value <= high
    return above and below


@dataclass(frozen=True, slots=True)
class _Rooted:
    """A schema that came from another document than its neighbours."""

    schema: Any
    root: Any


_NAMING = frozenset(
    {"patternProperties", "propertyNames", "if", "then", "else", "dependencies", "not"}
    | {"dependentSchemas", "unevaluatedProperties"}
)
_COMBINING = _NAMING | {"properties", "allOf", "anyOf", "oneOf", "required", "$dynamicRef"}

_TYPES: dict[str, Kind] = {
    "null": "null",
    "boolean": "bool",
    "number": "number",
    "integer": "number",
    "string": "string",
    "array": "list",
    "object": "map",
}


class _Reader:
    """Reads one schema, with a bounded number of steps."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = MAX_STEPS
        self._depth = 0

    def read(self, schema: Any) -> Shape:
        """Return the shape of what a schema lets through."""
        if isinstance(schema, Shape):
            return schema
        if isinstance(schema, _Rooted):
            return _Reader(schema.root).read(schema.schema)
        if schema is False:
            return NEVER
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0 or self._depth >= MAX_DEPTH:
            return ANYTHING
        self._depth += 1
        try:
            return self._combined(schema)
        finally:
            self._depth -= 1

    def _combined(self, schema: JsonObject) -> Shape:
        if "$ref" in schema or "$dynamicRef" in schema:
            # What stands beside it counts or not, by the draft; names that it declares must not
            # be taken for unknown.
            alone = not _COMBINING & schema.keys()
            return self._referred(schema.get("$ref")) if alone else ANYTHING
        shape = self._own(schema)
        for part in _schemas(schema.get("allOf")):
            shape = both(shape, self.read(part))
        for key in ("anyOf", "oneOf"):
            if parts := _schemas(schema.get(key)):
                shape = both(shape, either(*(self.read(part) for part in parts)))
        return shape

    def _referred(self, reference: Any) -> Shape:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return ANYTHING
        found = self._root
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                return ANYTHING
            found = found[key]
        return self.read(found)

    def _own(self, schema: JsonObject) -> Shape:
        """What the schema's own words say, without those that combine schemas."""
        kinds = _kinds(schema.get("type"))
        shape = Shape(tuple(self._alternative(kind, schema) for kind in kinds))
        if isinstance(schema.get("enum"), list):
            shape = both(shape, only(*schema["enum"]))
        if "const" in schema:
            shape = both(shape, only(schema["const"]))
        return _merged(list(shape.alternatives))

    def _alternative(self, kind: Kind, schema: JsonObject) -> Alternative:
        if kind == "number":
            return _numbers(schema)
        if kind == "list":
            items = schema.get("items", True)
            plain_items = isinstance(items, dict) and "prefixItems" not in schema
            return Alternative(kind=kind, items=items if plain_items else True, root=self._root)
        if kind == "map":
            return self._map(schema)
        return Alternative(kind=kind)

    def _map(self, schema: JsonObject) -> Alternative:
        said = schema.get("properties")
        properties = said if isinstance(said, dict) else {}
        needed = schema.get("required")
        required = needed if isinstance(needed, list) else []
        rest = schema.get("additionalProperties")
        closed = rest is False and not schema.get("patternProperties")
        return Alternative(
            kind="map",
            properties=properties,
            required=frozenset(name for name in required if isinstance(name, str)),
            names=frozenset(properties) if closed else None,
            loose=not closed and (not properties or rest is not None or _patterned(schema)),
            root=self._root,
        )


def _patterned(schema: JsonObject) -> bool:
    """Whether words that are not looked into may bring further names."""
    return not _NAMING.isdisjoint(schema)


def _kinds(said: Any) -> tuple[Kind, ...]:
    if isinstance(said, str):
        return (_TYPES[said],) if said in _TYPES else JSON_KINDS
    if isinstance(said, list):
        found = [_TYPES[one] for one in said if isinstance(one, str) and one in _TYPES]
        return tuple(dict.fromkeys(found)) or JSON_KINDS
    return JSON_KINDS


def _schemas(said: Any) -> list[Any]:
    return said if isinstance(said, list) else []


def _numbers(schema: JsonObject) -> Alternative:
    low, low_open = _bound(schema, "minimum", "exclusiveMinimum", -INFINITE)
    high, high_open = _bound(schema, "maximum", "exclusiveMaximum", INFINITE)
    return Alternative(kind="number", low=low, high=high, low_open=low_open, high_open=high_open)


def _bound(schema: JsonObject, plain_key: str, open_key: str, none: float) -> tuple[float, bool]:
    closed, opened = schema.get(plain_key), schema.get(open_key)
    limit: float = closed if _is_number(closed) else none
    if _is_number(opened):
        tighter = opened >= limit if none < 0 else opened <= limit
        if tighter:
            return opened, True
    return limit, opened is True and limit != none


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
