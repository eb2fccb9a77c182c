"""Tool schemas as a provider accepts them: one bad schema must never cost the whole request.

Theory of operation: providers answer 400 to the whole request if one tool's schema breaks their
rules, so each schema is rewritten before it is sent, once. The rewrite only ever loosens: what it
drops is still checked by our own validation of the arguments, against the schema as the server
gave it, and the model is told what is wrong. Rules here are the ones that every Chat Completions
server shares: an object at the root with `properties`, no combinator beside it, `items` in every
array, no reference that leaves the document, finite numbers, bounded depth and size.
"""

import json
import math

from agent_host.core.types import Json, JsonObject

MAX_DEPTH = 32
"""Levels of a schema; what lies deeper is left open."""
MAX_SIZE = 256 * 1024
"""Characters of one schema as JSON; a larger one is replaced by an open object."""

_DROPPED = frozenset({"$schema", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$vocabulary"})
_ROOT_COMBINATORS = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "enum", "const")
_SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SUBSCHEMAS = frozenset(
    {
        "items",
        "contains",
        "additionalProperties",
        "propertyNames",
        "not",
        "if",
        "then",
        "else",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_LEFT_OUT = object()


def parameters(schema: Json) -> JsonObject:
    """Return the schema of a tool's arguments as every Chat Completions server accepts it.

    `schema` is what the server sent: any JSON value. It is not changed.
    """
    if not isinstance(schema, dict):
        return _open()
    rewritten = _subschema(schema, 0)
    root = _flat(rewritten) if isinstance(rewritten, dict) else _open()
    try:
        size = len(json.dumps(root, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return _open()
    return root if size <= MAX_SIZE else _open()


def _open() -> JsonObject:
    return {"type": "object", "properties": {}}


def _flat(schema: JsonObject) -> JsonObject:
    """Make the root a plain object: properties of its alternatives are offered, all optional."""
    if "$ref" in schema:
        schema = {**_definition(schema), **schema}
    root = {key: value for key, value in schema.items() if key not in _ROOT_COMBINATORS}
    root["type"] = "object"
    properties = dict(root.get("properties", {}))
    required = list(root.get("required", ()))
    for combinator in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(combinator, ()):
            if not isinstance(branch, dict):
                continue
            for name, value in branch.get("properties", {}).items():
                properties.setdefault(name, value)
            if combinator == "allOf":
                required += branch.get("required", ())
    root["properties"] = properties
    root.pop("required", None)
    if names := [name for name in dict.fromkeys(required) if name in properties]:
        root["required"] = names
    root.pop("$ref", None)
    return root


def _definition(schema: JsonObject) -> JsonObject:
    """What the `$ref` at the root points to, if it is one step away."""
    _, _, path = str(schema["$ref"]).partition("#/")
    found: Json = schema
    for name in path.split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _subschema(schema: Json, depth: int) -> Json:
    """Rewrite one schema; True, False and what is no schema at all become the open schema."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return {}
    result: JsonObject = {}
    for key, value in schema.items():
        if key in _DROPPED or (key == "$ref" and not str(value).startswith("#")):
            continue
        kept = _keyword(key, value, depth)
        if kept is not _LEFT_OUT:
            result[key] = kept
    kind = result.get("type")
    if (kind == "array" or (isinstance(kind, list) and "array" in kind)) and not isinstance(
        result.get("items"), dict
    ):
        result["items"] = {}
    return result


def _keyword(key: str, value: Json, depth: int) -> Json:
    """Rewrite the value of one keyword; `_LEFT_OUT` leaves the keyword out."""
    if key in _SCHEMA_MAPS:
        if not isinstance(value, dict):
            return _LEFT_OUT
        return {name: _subschema(item, depth + 1) for name, item in value.items()}
    if key in _SCHEMA_LISTS:
        if not isinstance(value, list) or not value:
            return _LEFT_OUT
        return [_subschema(item, depth + 1) for item in value]
    if key in _SUBSCHEMAS:
        if isinstance(value, bool):
            return value if key != "items" else {}
        return _subschema(value, depth + 1) if isinstance(value, dict) else _LEFT_OUT
    if key == "required":
        if not isinstance(value, list):
            return _LEFT_OUT
        return [name for name in value if isinstance(name, str)] or _LEFT_OUT
    return _finite(value, depth)


def _finite(value: Json, depth: int) -> Json:
    """Leave out what is not JSON (NaN, infinities) and what is nested too deeply."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, list):
        return [_finite(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item, depth + 1) for key, item in value.items()}
    return value
