"""Tool schemas as a provider accepts them: one bad schema must never cost the whole request.

Theory of operation: providers answer 400 to the whole request if one tool's schema breaks their
rules, so each schema is rewritten before it is sent, once. The rewrite only ever loosens: what it
drops is still checked by our own validation of the arguments, against the schema as the server
gave it, and the model is told what is wrong. Rules here are the ones that every Chat Completions
server shares: an object at the root with `properties`, no combinator beside it, `items` in every
array, no reference that leaves the document, known keywords with values of their type, bounded
depth and size.
"""

import json
import math
from collections.abc import Mapping
from urllib.parse import unquote

from agent_host.core.types import Json, JsonObject

MAX_DEPTH = 32
"""Levels of a schema; what lies deeper is left open."""
MAX_SIZE = 256 * 1024
"""Characters of one schema as JSON; a larger one is replaced by an open object."""

_LEFT_OUT: Json = object()
_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_VALUES = frozenset({"const", "default", "example", "examples"})
_PLAIN: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("$ref", "description", "title", "format", "pattern"), str),
    **dict.fromkeys(("contentEncoding", "contentMediaType"), str),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly", "nullable"), bool),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum"), (int, float)),
    **dict.fromkeys(("exclusiveMaximum", "multipleOf"), (int, float)),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), int),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), int),
}
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


def parameters(schema: Json) -> JsonObject:
    """Return the schema of a tool's arguments as every Chat Completions server accepts it.

    `schema` is what the server sent: any JSON value. It is not changed.
    """
    if not isinstance(schema, dict):
        return _open()
    rewritten = _subschema(schema, 0)
    root = _flat(rewritten) if isinstance(rewritten, dict) else _open()
    root = _without_loose_ends(root, root)
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
    """What the `$ref` at the root points to, if it is in the document."""
    found = _target(schema["$ref"], schema)
    return found if isinstance(found, dict) else {}


def _target(ref: str, root: JsonObject) -> Json:
    """What a JSON pointer (RFC 6901) in a fragment points to, or None."""
    if ref == "#":
        return root
    found: Json = root
    for name in ref.removeprefix("#/").split("/"):
        key = unquote(name).replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _without_loose_ends(value: Json, root: JsonObject) -> Json:
    """Leave out references that lead nowhere in what will be sent."""
    if isinstance(value, list):
        return [_without_loose_ends(item, root) for item in value]
    if not isinstance(value, dict):
        return value
    ref = value.get("$ref")
    loose = isinstance(ref, str) and not isinstance(_target(ref, root), dict)
    return {
        key: _without_loose_ends(item, root)
        for key, item in value.items()
        if not (loose and key == "$ref")
    }


def _subschema(schema: Json, depth: int) -> Json:
    """Rewrite one schema; True, False and what is no schema at all become the open schema."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return {}
    result: JsonObject = {}
    for key, value in schema.items():
        if key == "$ref" and not str(value).startswith("#"):
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
    return _plain(key, value, depth)


def _plain(key: str, value: Json, depth: int) -> Json:
    """The value of a keyword that holds no schema; unknown keywords are left out."""
    if key in _VALUES:
        return _finite(value, depth)
    if key == "enum":
        return _finite(value, depth) if isinstance(value, list) and value else _LEFT_OUT
    if key == "required":
        return _names(value)
    if key == "type":
        if isinstance(value, str):
            return value if value in _TYPES else _LEFT_OUT
        return [kind for kind in _names(value, ()) if kind in _TYPES] or _LEFT_OUT
    kinds = _PLAIN.get(key)
    if kinds is None or not isinstance(value, kinds):
        return _LEFT_OUT
    if isinstance(value, bool) is not (kinds is bool):
        return _LEFT_OUT
    return _LEFT_OUT if isinstance(value, float) and not math.isfinite(value) else value


def _names(value: Json, otherwise: Json = _LEFT_OUT) -> Json:
    if not isinstance(value, list):
        return otherwise
    return [name for name in dict.fromkeys(map(_name, value)) if name] or otherwise


def _name(value: Json) -> str:
    return value if isinstance(value, str) else ""


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
