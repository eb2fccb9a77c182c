"""One way to write a value as JSON, so that its hash is always the same.

Theory of operation: ASCII, members sorted by name, no blanks (as RFC 8785, except that numbers are
written as Python writes them and all beyond ASCII is escaped). What JSON cannot hold is replaced,
always in the same way: NaN and the infinities by strings, integers of more digits than Python
prints by their hexadecimal text, what is nested deeper than MAX_DEPTH by DEEPER. Dataclasses are
objects of their fields. So nothing that a server or a model sends can make an entry impossible.
"""

import hashlib
import json
import math
from dataclasses import fields, is_dataclass
from typing import Any

MAX_DEPTH = 60
DEEPER = "[nested too deeply to be recorded]"
_MAX_BITS = 14_000  # CPython prints no integer of more than 4,300 digits


def _members(value: Any) -> dict[str, Any]:
    if not is_dataclass(value):
        raise TypeError(f"a {type(value).__name__} cannot be recorded")
    return {field.name: getattr(value, field.name) for field in fields(value)}


_encode = json.JSONEncoder(
    ensure_ascii=True,
    allow_nan=False,
    check_circular=False,  # a circle ends as too deep
    sort_keys=True,
    separators=(",", ":"),
    default=_members,
).encode


def canonical(value: Any) -> str:
    """Return a value of JSON and dataclasses as one line of ASCII JSON."""
    try:
        text = _encode(value)
    except (ValueError, RecursionError):
        return _encode(_storable(value, 1))
    if text.count("{") + text.count("[") > MAX_DEPTH:
        text = _encode(_storable(value, 1))
    return text


def digest(value: Any) -> str:
    """Return the SHA-256 (hex) of a value's canonical form."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()


def _storable(value: Any, depth: int) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return hex(value)
    if not (isinstance(value, dict | list | tuple) or is_dataclass(value)):
        return value
    if depth > MAX_DEPTH:
        return DEEPER
    if isinstance(value, list | tuple):
        return [_storable(item, depth + 1) for item in value]
    pairs = value if isinstance(value, dict) else _members(value)
    return {str(key): _storable(item, depth + 1) for key, item in pairs.items()}
