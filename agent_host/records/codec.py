"""One record as one line of JSON, and the first half of the way back.

Theory of operation: `encode` walks a record with the C encoder of `json`: each dataclass becomes
an object of all its fields, `type` first, so that a line says what it is where a reader looks.
The line is pure ASCII (RFC 8259 escapes) and therefore cannot hold a newline or a control
character, whatever a server sent. What JSON cannot hold is replaced, always in the same way:
NaN and the infinities by the strings "NaN", "Infinity" and "-Infinity", integers of more digits
than Python prints by their hexadecimal text, values nested deeper than MAX_DEPTH by DEEPER. A
lone surrogate survives the round trip; two that stand side by side as a pair come back as the
character they encode. Typical cost: 5 to 12 microseconds. `parse` undoes the JSON and checks the
envelope; `records.decode` builds the typed record. Nothing here imports pydantic, but where it is
there already, its decoder of JSON is used: it takes a third of the time and makes the same values;
what it refuses (half a surrogate pair), `json` decides about.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import Any

from agent_host.core.errors import RecordError
from agent_host.core.events import SCHEMA, Record
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject

MAX_DEPTH = 100
"""How deep arrays and objects may nest in a line; far below what makes a parser give up."""

MAX_LINE = 64 * 1024 * 1024
"""Bytes of the longest line that is written or read."""

DEEPER = "[nested too deeply to be recorded]"
"""Stands in a line for what was nested deeper than MAX_DEPTH."""

_FIELDS: dict[type, tuple[tuple[str, ...], Callable[[Any], Any]]] = {}


def members(value: object) -> dict[str, Any]:
    """Return the fields of a dataclass by name, `type` first. TypeError for anything else."""
    kind = type(value)
    known = _FIELDS.get(kind)
    if known is None:
        if not is_dataclass(value):
            raise TypeError(f"a {kind.__name__} cannot be recorded")
        names = tuple(sorted((f.name for f in fields(value)), key=lambda name: name != "type"))
        known = _FIELDS[kind] = names, attrgetter(*names) if len(names) > 1 else _single(names[0])
    names, get = known
    return dict(zip(names, get(value), strict=True))


def _single(name: str) -> Callable[[Any], tuple[Any]]:
    return lambda value: (getattr(value, name),)


_encode = json.JSONEncoder(
    ensure_ascii=True,
    allow_nan=False,
    check_circular=False,  # a circle ends as too deep
    separators=(",", ":"),
    default=members,
).encode


def encode(record: Record) -> bytes:
    """Return the record as one line of ASCII JSON, without the newline."""
    return encode_value(record)


def encode_value(value: object) -> bytes:
    """Return a record, or any part of one, as one line of ASCII JSON, without the newline."""
    try:
        text = _encode(value)
    except (ValueError, RecursionError):
        return _encode(_storable(value, 1)).encode("ascii")
    if text.count("{") + text.count("[") > MAX_DEPTH and _too_deep(value):
        text = _encode(_storable(value, 1))
    return text.encode("ascii")


def _children(value: object) -> list[Any] | None:
    """What a container holds, or None for a scalar."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    if is_dataclass(value):
        return list(members(value).values())
    return None


def _too_deep(value: object) -> bool:
    """Whether containers nest deeper than MAX_DEPTH; level by level, so no stack is at risk."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        found = [children for v in level if (children := _children(v)) is not None]
        if not found:
            return False
        level = [child for children in found for child in children]
    return True


def _storable(value: Any, depth: int) -> Any:
    """Return `value` with everything replaced that JSON, or a bounded reader, cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and value.bit_length() > 14_000:  # CPython refuses 4,300 digits
        return hex(value)
    if not (isinstance(value, dict | list | tuple) or is_dataclass(value)):
        return value
    if depth > MAX_DEPTH:
        return DEEPER
    if isinstance(value, list | tuple):
        return [_storable(item, depth + 1) for item in value]
    pairs = value.items() if isinstance(value, dict) else members(value).items()
    return {str(key): _storable(item, depth + 1) for key, item in pairs}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _decoded(line: bytes) -> Any:
    # Another thread may just be importing it.
    quick = getattr(sys.modules.get("pydantic_core"), "from_json", None)
    if quick is not None:
        try:
            return quick(line, allow_inf_nan=False)
        except ValueError:
            pass
    return _decode(line.decode("utf-8"))


def parse(line: bytes, file: str, number: int) -> JsonObject:
    """Return the envelope in a line as plain JSON.

    RecordError, naming `file` and the line's `number` (from 1), for anything that is not the
    envelope of a record, is nested too deeply, or has a schema newer than this program knows.
    """
    try:
        data = _decoded(line)
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        raise _damaged(file, number, _TOO_DEEP if deep else "no valid JSON") from None
    if isinstance(data, dict):
        _check_schema(data, file, number)
    if not _is_envelope(data):
        raise _damaged(file, number, "not the envelope of one")
    if line.count(b"{") + line.count(b"[") > MAX_DEPTH and _too_deep(data):
        raise _damaged(file, number, _TOO_DEEP)
    found: JsonObject = data
    return found


_TOO_DEEP = "nested too deeply"


def _damaged(file: str, number: int, what: str) -> RecordError:
    where = f"{clean_line(file, 500)}:{number}"
    return RecordError(f"{where}: damaged record ({what}); {KEEP_A_COPY}")


KEEP_A_COPY = "keep a copy of the file, then cut it before this line to go on without the rest"
"""What to do about a damaged line."""


def _check_schema(data: JsonObject, file: str, number: int) -> None:
    event = data.get("event")
    if not isinstance(event, dict) or event.get("type") != "run_started":
        return
    found = event.get("schema")
    if isinstance(found, int) and found > SCHEMA:
        raise RecordError(
            f"{clean_line(file, 500)}:{number}: the transcript has schema "
            f"{clean_line(str(found), 20)}, and this agent-host knows schemas up to {SCHEMA}; "
            "use a newer agent-host"
        )


def _is_envelope(data: object) -> bool:
    return (
        isinstance(data, dict)
        and type(data.get("seq")) is int
        and isinstance(data.get("at"), str)
        and isinstance(data.get("run_id"), str)
        and isinstance(data.get("event"), dict)
    )
