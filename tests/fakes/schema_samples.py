"""Schemas for tests: what servers send, what nobody should, and values that suit a schema."""

import re
from typing import Any

from hypothesis import strategies as st

DIALECTS = ("openai", "openai-strict", "anthropic", "anthropic-strict", "gemini", "plain")

KEYS = (
    *("a", "b", "id", "größe", "user name", "$filter", "constructor", "__proto__", "a/b", "~x"),
    *("", "x" * 70, "a b", "a_b", "a+b", "🌲"),
)
"""Keys that a schema declares. `OTHER_KEYS` are never declared."""
OTHER_KEYS = ("other", "größer", "q_1")

# -- any JSON, and what only looks like a schema -------------------------------------------------

KEYWORDS = (
    *("type", "properties", "items", "required", "anyOf", "oneOf", "allOf", "not", "if", "then"),
    *("enum", "$ref", "$defs", "definitions", "prefixItems", "additionalProperties", "default"),
    *("const", "description", "format", "patternProperties", "$schema", "maximum", "contains"),
    *("propertyNames", "dependentSchemas", "dependentRequired", "dependencies", "minLength"),
    *("unevaluatedProperties", "additionalItems", "nullable", "exclusiveMinimum", "pattern", "a"),
    *("title", "examples", "uniqueItems", "maxItems", "multipleOf", "$dynamicRef", "else"),
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**300, -(2**64), "\ud800", "a\x00b", "(", "^a$", "🌲"])
    | st.sampled_from(["array", "object", "string", "dict", "any", "", "date-time"])
    | st.sampled_from(["#/$defs/a", "#/$defs/type", "#", "#/properties/a", "https://x.example/"])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYWORDS + KEYS), inner, max_size=5)
    ),
    max_leaves=40,
)
LOOKS_LIKE_A_SCHEMA = st.dictionaries(st.sampled_from(KEYWORDS), ANYTHING, max_size=6)

# -- schemas that are valid ----------------------------------------------------------------------

SCALARS = st.sampled_from(["", "x", "größe", "2024-01-01", 0, 1, -3, 2.5, True, False, None])
TEXTS = st.sampled_from(["", "x", "abc", "größe", "123", "null", '{"a": 1}', "2024-01-01"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(KEYS + OTHER_KEYS), inner, max_size=2)
    ),
    max_leaves=5,
)
_SMALL = st.integers(0, 4)


def _some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keywords)


def _typed(kind: Any, **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _some(description=TEXTS, default=SCALARS, **keywords).map(lambda s: {"type": kind, **s})


STRING = _typed(
    "string",
    minLength=_SMALL,
    maxLength=st.integers(2, 9),
    pattern=st.sampled_from(["^[a-z]*$", "\\d", "^(?!x)"]),
    format=st.sampled_from(["date", "date-time", "uri", "x-own"]),
)
NUMBER = st.sampled_from(["integer", "number"]).flatmap(
    lambda kind: _typed(
        kind,
        minimum=st.integers(-5, 1),
        exclusiveMaximum=st.integers(2, 9),
        multipleOf=st.sampled_from([1, 0.5]),
    )
)
SIMPLE = (
    st.just({})
    | STRING
    | NUMBER
    | st.just({"type": "boolean"})
    | st.just({"type": "null"})
    | st.just({"type": ["string", "null"], "minLength": 1})
    | st.just({"type": ["object", "array", "integer", "null"]})
    | st.lists(VALUES, min_size=1, max_size=4).map(lambda values: {"enum": values})
    | VALUES.map(lambda value: {"const": value})
    | st.just({"type": "object"})
    | st.sampled_from(["A", "B", "C"]).map(lambda name: {"$ref": f"#/$defs/{name}"})
    | st.sampled_from(["A", "B"]).map(lambda n: {"$ref": f"#/$defs/{n}", "description": "x"})
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    others = st.booleans() | inner
    return properties.flatmap(
        lambda known: _typed(
            "object",
            properties=st.just(known),
            required=st.lists(st.sampled_from([*known] or ["a"]), max_size=2, unique=True),
            additionalProperties=others,
            minProperties=st.integers(0, 1),
            maxProperties=st.integers(2, 4),
            patternProperties=st.dictionaries(st.sampled_from(["^o", "r$"]), inner, max_size=1),
            propertyNames=st.just({"maxLength": 80}),
            dependentRequired=st.just({"a": ["b"]}),
        )
    )


def _arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _typed(
        "array",
        items=inner,
        prefixItems=st.lists(inner, min_size=1, max_size=2),
        minItems=st.integers(0, 1),
        maxItems=st.integers(1, 3),
        uniqueItems=st.booleans(),
        contains=inner,
    )


def _unions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    return (
        several.map(lambda parts: {"anyOf": parts})
        | several.map(lambda parts: {"oneOf": parts})
        | several.map(lambda parts: {"allOf": parts})
        | inner.map(lambda part: {"not": part})
        | st.tuples(inner, several).map(lambda p: {**p[0], "anyOf": p[1]})
        | st.tuples(inner, inner, inner).map(lambda p: {"if": p[0], "then": p[1], "else": p[2]})
    )


SCHEMAS = st.recursive(
    SIMPLE, lambda inner: _objects(inner) | _arrays(inner) | _unions(inner), max_leaves=12
)


def roots() -> st.SearchStrategy[dict[str, Any]]:
    """Whole documents: an object, or a union of some, with definitions that may be recursive."""
    objects = _objects(SCHEMAS)
    root = objects | st.tuples(objects, st.lists(objects, min_size=1, max_size=2)).flatmap(
        lambda p: st.sampled_from(["anyOf", "oneOf", "allOf"]).map(lambda k: {**p[0], k: p[1]})
    )
    definitions = st.fixed_dictionaries(
        {"A": _objects(SCHEMAS), "B": _arrays(SCHEMAS), "C": SIMPLE | STRING}
    )
    return st.tuples(root, definitions).map(lambda p: {**p[0], "$defs": p[1]})


# -- values that suit a schema, as a rule -------------------------------------------------------


@st.composite
def instances(draw: st.DrawFn, schema: Any, document: dict[str, Any], level: int = 0) -> Any:
    """A value that mostly satisfies `schema`; undeclared keys are of `OTHER_KEYS` only."""

    def below(part: Any) -> Any:
        return draw(instances(part, document, level + 1))

    if not isinstance(schema, dict) or level > 6:
        return draw(SCALARS)
    if not schema:
        return draw(VALUES.filter(lambda value: _lists(value) <= 2))
    if "$ref" in schema:
        return below(document["$defs"][schema["$ref"].rpartition("/")[2]])
    if "enum" in schema or "const" in schema:
        return draw(st.sampled_from(schema.get("enum", [schema.get("const")])))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            chosen = draw(st.sampled_from(schema[key]))
            rest = {k: v for k, v in schema.items() if k != key}
            return below(_together(rest, chosen))
    if "allOf" in schema:
        rest = {k: v for k, v in schema.items() if k != "allOf"}
        for part in schema["allOf"]:
            rest = _together(rest, part)
        return below(rest)
    kinds = schema.get("type", ["string", "integer", "object", "array", "null"])
    kind = draw(st.sampled_from(kinds)) if isinstance(kinds, list) else kinds
    if kind == "object":
        return _object(draw, schema, below)
    if kind == "array":
        return _array(draw, schema, below)
    if kind == "string":
        return draw(TEXTS)
    if kind in ("integer", "number"):
        return draw(
            st.sampled_from([0, 1, 1.0, -2]) if kind == "integer" else st.sampled_from([0, 1.5])
        )
    return None if kind == "null" else draw(st.booleans())


def _object(draw: st.DrawFn, schema: dict[str, Any], below: Any) -> dict[str, Any]:
    value = {}
    for key, part in schema.get("properties", {}).items():
        if key in schema.get("required", ()) or draw(st.booleans()):
            value[key] = below(part)
    others = schema.get("additionalProperties", True)
    for key in OTHER_KEYS:
        if others is not False and draw(st.integers(0, 4)) == 0:
            patterns = [
                part
                for pattern, part in schema.get("patternProperties", {}).items()
                if re.search(pattern, key)
            ]
            value[key] = below(patterns[0] if patterns else others)
    return value


def _array(draw: st.DrawFn, schema: dict[str, Any], below: Any) -> list[Any]:
    order = schema.get("prefixItems", [])
    count = draw(st.integers(schema.get("minItems", 0), min(3, schema.get("maxItems", 3))))
    value = [below(order[i] if i < len(order) else schema.get("items")) for i in range(count)]
    return value if not value or draw(st.booleans()) else [value[0]] * len(value)


def _together(a: Any, b: Any) -> Any:
    """Both schemas as one, roughly."""
    if not isinstance(b, dict) or not isinstance(a, dict):
        return b
    merged = {**a, **b}
    for key in ("properties", "patternProperties"):
        if key in a and key in b:
            merged[key] = {**a[key], **b[key]}
    return merged


def _lists(value: Any) -> int:
    """How many lists stand right inside each other."""
    inner = (
        max(map(_lists, value.values() if isinstance(value, dict) else value), default=0)
        if isinstance(value, dict | list)
        else 0
    )
    return inner + isinstance(value, list)
