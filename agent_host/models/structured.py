"""Answers in JSON: how a schema is said to a provider that knows of schemas, and to others.

Theory of operation: a provider's strict mode takes few schemas; where the caller's own is not one
of them it is sent as it is and not called strict, because a rewritten one would give answers that
the caller's own schema refuses. Whoever asked validates the answer in every case.
"""

import json

from agent_host.core.types import JsonObject
from agent_host.models.schemas import InexpressibleError, compile_schema
from agent_host.profiles.profile import Profile, SchemaDialect

_STRICT: dict[str, SchemaDialect] = {"openai": "openai-strict", "anthropic": "anthropic-strict"}


def is_said(schema: JsonObject | None, profile: Profile, *, tools: bool) -> bool:
    """Return whether a provider is told the schema of an answer itself; whether it has tools to
    offer too may matter. OpenAI takes no schema but an object's."""
    if schema is None or profile.structured != "json_schema":
        return False
    if profile.schema == "openai" and schema.get("type") != "object":
        return False
    return profile.structured_with_tools or not tools


def strict_schema(schema: JsonObject, dialect: SchemaDialect) -> tuple[JsonObject, bool]:
    """Return the schema to send, and whether it may be called strict."""
    strict = _STRICT.get(dialect)
    if strict is None:
        return schema, False
    try:
        compiled = compile_schema(schema, strict)
    except InexpressibleError:
        return schema, False
    return schema, compiled.schema == schema


def with_schema_in_words(system: str, schema: JsonObject) -> str:
    """Return a system prompt that asks for an answer in JSON as `schema` says."""
    asked = (
        "Your final answer must be one JSON value and nothing else (no prose, no code fence), "
        f"valid under this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )
    return f"{system}\n\n{asked}" if system else asked
