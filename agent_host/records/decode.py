"""A line of a transcript as a typed record: the only file of this room that needs pydantic.

Theory of operation: one TypeAdapter over the dataclasses of core, told apart by `type`, built on
first use (its schema costs tens of milliseconds, which a run that only writes never pays). Fields
that this version does not know are ignored and those that are missing take their defaults, as
`core.events` promises for one schema; an event type that it does not know is an error, because
the conversation would be wrong without it. Errors quote no value: a record may hold anything.
"""

import functools
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from agent_host.core.errors import RecordError
from agent_host.core.events import SCHEMA, Event, Record
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.records.codec import KEEP_A_COPY, parse


@functools.cache
def _events() -> TypeAdapter[Event]:
    return TypeAdapter(Annotated[Event, Field(discriminator="type")])


def decode(line: bytes, file: str = "transcript", number: int = 1) -> Record:
    """Return the record in a line. RecordError names `file` and the line's `number` (from 1)."""
    return typed(parse(line, file, number), file, number)


def typed(data: JsonObject, file: str, number: int) -> Record:
    """Return the record of an envelope that `parse` accepted. RecordError as in `decode`."""
    try:
        event = _events().validate_python(data["event"])
    except ValidationError as error:
        what = _problem(error, data["event"])
        raise RecordError(f"{clean_line(file, 500)}:{number}: {what}") from None
    return Record(seq=data["seq"], at=data["at"], run_id=data["run_id"], event=event)


def _problem(error: ValidationError, event: JsonObject) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        name = clean_line(str(event.get("type")), 60)
        return (
            f"unknown event type {name!r}; schema {SCHEMA} has none of that name: the line is "
            "damaged, or a newer agent-host wrote it"
        )
    place = clean_line(".".join(str(part) for part in first["loc"]), 120)
    return f"damaged record ({place}: {clean_line(first['msg'], 120)}); {KEEP_A_COPY}"
