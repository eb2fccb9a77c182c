"""How much a schema may hold in a dialect that counts.

Theory of operation: OpenAI's strict mode bounds properties, levels, enumerated values and the
length of all names and values together; Anthropic's bounds optional parameters and unions. A
schema beyond a bound is refused with the whole request, so it is counted before it is sent.
Sources: OpenAI guide "Structured outputs", supported schemas; Anthropic guide "Structured
outputs", schema complexity limits.
"""

import json
from collections.abc import Iterator

from agent_host.core.types import Json, JsonObject
from agent_host.models.schema_dialects import Rules

MAX_SIZE = 256 * 1024
"""Characters of one schema as JSON."""

_MAX_LARGE_ENUM = 15_000
"""Characters of the values of one enum, where it has more than 250 of them."""


def excess(schema: JsonObject, rules: Rules, size: int = MAX_SIZE) -> str | None:
    """Return what the schema has too much of, or None."""
    if len(json.dumps(schema, ensure_ascii=False, allow_nan=False)) > size:
        return f"more than {size} characters"
    if not rules.strict:
        return None
    properties = optional = unions = strings = 0
    for node in _nodes(schema):
        names = node.get("properties", {})
        properties += len(names)
        optional += len(names) - len(node.get("required", ()))
        unions += "anyOf" in node
        values = [value for value in node.get("enum", ()) if isinstance(value, str)]
        length = sum(map(len, values))
        if rules.max_strings is not None and len(values) > 250 and length > _MAX_LARGE_ENUM:
            return f"more than {_MAX_LARGE_ENUM} characters in one enum"
        strings += sum(map(len, names)) + length
    for count, limit, what in (
        (properties, rules.max_properties, "properties"),
        (optional, rules.max_optional, "optional properties"),
        (unions, rules.max_unions, "unions"),
        (strings, rules.max_strings, "characters of names and values"),
    ):
        if limit is not None and count > limit:
            return f"more than {limit} {what}"
    return None


def _nodes(schema: Json) -> Iterator[JsonObject]:
    """Yield every schema in a narrow schema."""
    stack = [schema]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.get("properties", {}).values())
        stack.extend(node.get("anyOf", ()))
        if "items" in node:
            stack.append(node["items"])
