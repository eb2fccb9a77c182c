"""The JSON Schema of `--output stream-json`, made from the events themselves.

Only documentation and tests load this file: pydantic is not needed to write the stream. Fields may
be added in a schema version, so objects are open; `type` tells events and ephemerals apart.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from agent_host.core.events import SCHEMA, Ephemeral, Event
from agent_host.core.types import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLine:
    """A fact of the run, as in its transcript. `seq` counts from 0, `at` is UTC (RFC 3339)."""

    seq: int
    at: str
    run_id: str
    event: Annotated[Event, Field(discriminator="type")]


@dataclass(frozen=True, slots=True, kw_only=True)
class EphemeralLine:
    """Something shown but never recorded. Consecutive deltas may be joined; any may be missing."""

    ephemeral: Annotated[Ephemeral, Field(discriminator="type")]


def stream_schema() -> JsonObject:
    """Return the JSON Schema (2020-12) of one line of `--output stream-json`."""
    adapter: TypeAdapter[RecordLine | EphemeralLine] = TypeAdapter(RecordLine | EphemeralLine)
    schema = adapter.json_schema(mode="serialization")
    for definition in schema["$defs"].values():
        properties = definition.get("properties", {})
        for member in properties.values():
            member.pop("title", None)
            if "const" in member:
                member.pop("default", None)
        # The encoder writes every field, also those at their default.
        definition["required"] = list(properties)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of agent-host run --output stream-json (schema {SCHEMA})",
    } | schema
