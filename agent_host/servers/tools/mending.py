"""Schemas with the usual mistakes, put right.

Theory of operation: many servers are written by hand, with the types of their language (`float`,
`dict`), `required` as a flag of a property, or a type in capitals. Each such schema is invalid, and
a provider would refuse the whole request for it. What is meant is clear, so it is said in the words
of JSON Schema; a type that stands for any is left out, and a word that stands for nothing is left
as it is. Only looked at when a schema is invalid. The places are those where a schema may stand
(JSON Schema 2020-12).
"""

from typing import Any

from agent_host.core.types import Json, JsonObject

_TYPES: dict[str, str | None] = {
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    **dict.fromkeys(("int", "long", "int32", "int64"), "integer"),
    **dict.fromkeys(("str", "text", "char", "date", "datetime", "uuid", "enum"), "string"),
    **dict.fromkeys(("dict", "map", "hashmap", "json", "record"), "object"),
    **dict.fromkeys(("list", "tuple", "set", "arraylist"), "array"),
    "bool": "boolean",
    **dict.fromkeys(("none", "nil", "undefined"), "null"),
    **dict.fromkeys(("", "any", "anything", "mixed", "*"), None),
}
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def mended(schema: Json) -> Json:
    """Return the schema with the usual mistakes put right. It must be of bounded depth."""
    if not isinstance(schema, dict):
        return schema
    made = {key: _part(key, value) for key, value in schema.items()}
    if "type" in made:
        _mend_type(made)
    if not isinstance(made.get("required", []), list):
        del made["required"]
    if not isinstance(made.get("enum", []), list):
        del made["enum"]
    if not isinstance(made.get("description", ""), str):
        del made["description"]
    return made


def _part(key: str, value: Any) -> Any:
    if key in _ONE:
        return [mended(one) for one in value] if isinstance(value, list) else mended(value)
    if key in _MANY and isinstance(value, list):
        return [mended(one) for one in value]
    if key in _NAMED and isinstance(value, dict):
        return {name: mended(one) for name, one in value.items()}
    return value


def _mend_type(schema: JsonObject) -> None:
    said = schema["type"]
    types = [_type(one) for one in (said if isinstance(said, list) else [said])]
    if None in types:
        del schema["type"]
    else:
        schema["type"] = list(dict.fromkeys(types)) if isinstance(said, list) else types[0]


def _type(said: Any) -> Any:
    """What a type means: the name of one, None for any, else what was said."""
    if not isinstance(said, str):
        return str(said)
    plain = said.strip().lower()
    return _TYPES.get(plain, plain)
