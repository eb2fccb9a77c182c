"""What each provider refuses in the schema of a tool, as a provider would say it.

Theory of operation: written from the providers' documentation and error messages, without a look at
how schemas are compiled: a second opinion, and the rules that the fake providers enforce.
`illegal(schema, dialect)` is None for a schema that the provider takes.

Sources. OpenAI: guide "Structured outputs", supported schemas; "In context=(...), object schema
missing properties", "array schema missing items", "schema must have a 'type' key", "reference can
only point to definitions defined at the top level". Anthropic: "input_schema does not support
oneOf, allOf, or anyOf at the top level", "Property keys should match pattern", "JSON schema is
invalid. It must match JSON Schema draft 2020-12"; guide "Structured outputs", JSON Schema
limitations and complexity limits. Gemini: the fields of the `Schema` message, "Unknown name ...:
Cannot find field", "items: missing field", "only allowed for OBJECT type", "property is not
defined", "enum: only allowed for STRING type", "cannot be empty", "When using any_of, it must be
the only field set", "only 'enum' and 'date-time' are supported for STRING type", "must be specified
when not using one_of". `plain`: llama.cpp's json-schema-to-grammar ("Unrecognized schema", "Pattern
must start with '^'", "Unsupported ref"), Ollama's `ToolProperty`.
"""

import json
import re
from typing import Any

import jsonschema_rs

COMBINATORS = ("anyOf", "oneOf", "allOf", "not", "if", "then", "else", "enum", "const", "$ref")
TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
SAFE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
STRICT_FORMATS = {
    *("date-time", "time", "date", "duration", "email"),
    *("hostname", "ipv4", "ipv6", "uuid"),
}
KEYWORDS = {
    "openai-strict": {
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const"),
        *("anyOf", "$ref", "$defs", "description", "title", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems"),
    },
    "anthropic-strict": {
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const"),
        *("anyOf", "allOf", "$ref", "$defs", "description", "title", "format", "minItems"),
    },
    "gemini": {
        *("type", "format", "title", "description", "nullable", "enum", "items", "minItems"),
        *("maxItems", "properties", "required", "minimum", "maximum", "anyOf"),
    },
    "plain": {
        *("type", "description", "properties", "required", "items", "enum", "anyOf"),
        "additionalProperties",
    },
}


META = jsonschema_rs.Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"})


class _RefusedError(Exception):
    pass


def _must(condition: object, problem: str) -> None:
    if not condition:
        raise _RefusedError(problem)


def illegal(schema: Any, dialect: str) -> str | None:
    """What the provider says against a tool's schema, or None."""
    try:
        _sent(schema)
        _root(schema)
        if dialect in ("openai", "anthropic"):
            _whole(schema, dialect)
        else:
            _walk(schema, dialect, "", 1, schema)
            if dialect.endswith("-strict"):
                _counts(schema, dialect)
    except _RefusedError as refused:
        return str(refused)
    return None


def _sent(schema: Any) -> None:
    try:
        data = json.dumps(schema, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise _RefusedError(f"is not JSON: {error}") from None
    _must(len(data) < 2**20, "too large")


def _root(schema: Any) -> None:
    _must(isinstance(schema, dict), "schema must be an object")
    _must(schema.get("type") == "object", "schema must be of 'type: \"object\"'")
    _must(isinstance(schema.get("properties"), dict), "object schema missing properties")
    for key in COMBINATORS:
        _must(key not in schema, f"'{key}' is not supported at the top level")


def _kinds(schema: dict[str, Any]) -> list[Any]:
    kinds = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


# -- the two that take JSON Schema -------------------------------------------------------------


def _whole(schema: dict[str, Any], dialect: str) -> None:
    try:
        META.validate(schema)
    except jsonschema_rs.ValidationError as error:
        raise _RefusedError(f"must match JSON Schema draft 2020-12: {error.message}") from None
    stack: list[tuple[Any, str]] = [(schema, "")]
    while stack:
        here, at = stack.pop()
        if isinstance(here, list):
            stack.extend((item, at) for item in here)
        if not isinstance(here, dict):
            continue
        if "object" in _kinds(here):
            _must("properties" in here, f"{at}: object schema missing properties")
        if "array" in _kinds(here):
            _must(isinstance(here.get("items"), dict), f"{at}: array schema missing items")
        if "$ref" in here:
            _defined(here["$ref"], schema, at)
        for key, value in here.items():
            if key in ("enum", "const", "default", "examples", "required", "dependentRequired"):
                continue
            if key in ("properties", "patternProperties", "$defs", "dependentSchemas"):
                for name, child in value.items():
                    _must(isinstance(child, dict), f"{at}/{name}: is not of type 'object'")
                    if key == "properties" and dialect == "anthropic":
                        _must(SAFE.fullmatch(name), f"Property keys should match: {name!r}")
                    stack.append((child, f"{at}/{name}"))
            else:
                stack.append((value, f"{at}/{key}"))


def _defined(ref: str, schema: dict[str, Any], at: str) -> None:
    name = ref.removeprefix("#/$defs/")
    known = ref.startswith("#/$defs/") and isinstance(schema.get("$defs", {}).get(name), dict)
    _must(known, f"{at}: reference {ref!r} can only point to definitions at the top level")


# -- the narrow ones ---------------------------------------------------------------------------


def _walk(
    schema: Any, dialect: str, at: str, level: int, root: Any, inside: tuple[str, ...] = ()
) -> None:
    _must(isinstance(schema, dict), f"{at}: is no schema")
    unknown = schema.keys() - KEYWORDS[dialect]
    _must(not unknown, f'{at}: Unknown name "{", ".join(sorted(unknown))}": Cannot find field')
    if "$ref" in schema:
        _must(schema.keys() == {"$ref"}, f"{at}: $ref cannot have keywords beside it")
        _defined(schema["$ref"], root, at)
        if schema["$ref"] in inside:
            _must(dialect == "openai-strict", f"{at}: recursive schemas are not supported")
            return
        name = schema["$ref"].removeprefix("#/$defs/")
        _walk(root["$defs"][name], dialect, at, 1, root, (*inside, schema["$ref"]))
        return
    for text in ("description", "title", "format", "pattern"):
        _must(isinstance(schema.get(text, ""), str), f"{at}: {text} is no string")
    if "anyOf" in schema:
        beside = (
            schema.keys() - {"anyOf"} - ({"description", "title"} if dialect != "gemini" else set())
        )
        _must(not beside, f"{at}: When using any_of, it must be the only field set")
        _must(isinstance(schema["anyOf"], list) and schema["anyOf"], f"{at}: anyOf is empty")
        for place, child in enumerate(schema["anyOf"]):
            _walk(child, dialect, f"{at}/anyOf/{place}", level, root, inside)
        return
    kind = schema.get("type")
    _must(kind in TYPES, f"{at}: schema must have a 'type' key, one of {TYPES}, not {kind!r}")
    if kind == "object":
        for name, child in _object(schema, dialect, at).items():
            _walk(child, dialect, f"{at}/{name}", level + 1, root, inside)
    else:
        for key in ("properties", "required", "additionalProperties"):
            _must(key not in schema, f"{at}.{key}: only allowed for OBJECT type")
    if kind == "array":
        _must("items" in schema, f"{at}.items: missing field")
        _walk(schema["items"], dialect, f"{at}/items", level + 1, root, inside)
    else:
        for key in ("items", "minItems", "maxItems"):
            _must(key not in schema, f"{at}.{key}: only allowed for ARRAY type")
    if level > 10 and dialect == "openai-strict":
        raise _RefusedError(f"{at}: more than 10 levels of nesting")
    _scalars(schema, dialect, at, str(kind))


def _object(schema: dict[str, Any], dialect: str, at: str) -> dict[str, Any]:
    properties = schema.get("properties")
    _must(isinstance(properties, dict), f"{at}: object schema missing properties")
    assert properties is not None
    required = schema.get("required", [])
    _must(isinstance(required, list), f"{at}: required is no list")
    _must(len(set(required)) == len(required), f"{at}: required has non-unique elements")
    _must(set(required) <= set(properties), f"{at}.required: property is not defined")
    others = schema.get("additionalProperties")
    if dialect.endswith("-strict"):
        _must(others is False, f"{at}: 'additionalProperties' must be explicitly set to false")
    else:
        _must(others is None or isinstance(others, bool), f"{at}: additionalProperties")
    if dialect == "openai-strict":
        _must("required" in schema, f"{at}: 'required' must be supplied")
        _must(set(required) == set(properties), f"{at}: 'required' must include every key")
    for name in properties:
        _must(SAFE.fullmatch(name), f"{at}: Property keys should match pattern: {name!r}")
    return properties


def _scalars(schema: dict[str, Any], dialect: str, at: str, kind: str) -> None:
    if "enum" in schema:
        values = schema["enum"]
        _must(isinstance(values, list) and values, f"{at}.enum: is empty")
        if dialect == "gemini":
            _must(kind == "string", f"{at}.enum: only allowed for STRING type")
            for value in values:
                _must(isinstance(value, str) and value, f"{at}.enum: cannot be empty, is a string")
        for value in values:
            _must(not isinstance(value, dict | list), f"{at}.enum: complex types in enums")
            _must(
                jsonschema_rs.is_valid({"type": kind}, value), f"{at}.enum: {value!r} is no {kind}"
            )
    if "format" in schema:
        _must(kind == "string", f"{at}.format: of a {kind}")
        formats = {
            "openai-strict": STRICT_FORMATS,
            "anthropic-strict": STRICT_FORMATS | {"uri"},
            "gemini": {"enum", "date-time"},
        }[dialect]
        _must(schema["format"] in formats, f"{at}: format {schema['format']!r} is not supported")
    if "pattern" in schema:
        _must(not re.search(r"\(\?[^:]|\\[bBpPk1-9]", schema["pattern"]), f"{at}: pattern")
        re.compile(schema["pattern"])
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        if key in schema:
            _must(kind in ("integer", "number"), f"{at}.{key}: only for numbers")
            number = isinstance(schema[key], int | float) and not isinstance(schema[key], bool)
            _must(number, f"{at}.{key}: is no number")
    for key in ("minItems", "maxItems"):
        value = schema.get(key, 0)
        _must(isinstance(value, int) and 0 <= value < 2**31, f"{at}.{key}: {value}")
        if dialect == "anthropic-strict":
            _must(value in (0, 1), f"{at}: For 'array' type, '{key}' {value} is not supported")
    _must(isinstance(schema.get("nullable", True), bool), f"{at}.nullable")


def _counts(schema: dict[str, Any], dialect: str) -> None:
    properties = optional = unions = values = length = 0
    stack = [schema, *schema.get("$defs", {}).values()]
    while stack:
        here = stack.pop()
        names = here.get("properties", {})
        properties += len(names)
        optional += len(set(names) - set(here.get("required", [])))
        unions += "anyOf" in here
        enum = here.get("enum", [])
        values += len(enum)
        texts = [value for value in enum if isinstance(value, str)]
        length += sum(map(len, names)) + sum(map(len, texts))
        if len(texts) > 250 and dialect == "openai-strict":
            _must(sum(map(len, texts)) <= 15_000, "a large enum is longer than 15000 characters")
        stack += [*names.values(), *here.get("anyOf", [])]
        stack += [here["items"]] if "items" in here else []
    if dialect == "openai-strict":
        _must(properties <= 5000, "more than 5000 object properties")
        _must(values <= 1000, "more than 1000 enum values")
        _must(length <= 120_000, "more than 120000 characters of names and values")
    else:
        _must(optional <= 24, "too many optional parameters")
        _must(unions <= 16, "too many parameters with union types")
