"""Arguments for tools nobody knows: the simplest that their schemas allow."""

from agent_host.core.types import JsonObject

_BY_TYPE: JsonObject = {
    "number": 2,
    "integer": 2,
    "string": "text",
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}


def sample_arguments(schema: JsonObject, other: JsonObject) -> JsonObject:
    """Return a value for each property of a tool's schema. A parameter named `schema` gets
    `other`, the schema of another tool as this host read it."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: other if name == "schema" else _sample(part) for name, part in properties.items()}


def _sample(schema: object) -> object:
    if not isinstance(schema, dict):
        return "text"
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    return _BY_TYPE.get(str(kind), "text")
