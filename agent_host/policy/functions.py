"""What the functions of conditions take and return, by kinds of values.

Theory of operation: a table of names, for each the kinds that its arguments may have and the kind
of what comes out. Arguments of other kinds make it undefined. A name that is not in the table may
return anything. Sources: cel-spec, "List of Standard Definitions"; the host's own functions
(`expressions`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_host.policy.shapes import (
    ANYTHING,
    INFINITE,
    NEVER,
    Alternative,
    Kind,
    Shape,
    either,
    plain,
)

ORDERED: frozenset[Kind] = frozenset({"bool", "number", "string", "bytes", "time", "duration"})
"""Kinds whose values `<` and its like compare, each with its own kind."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One form of a function. `certain`: with arguments of these kinds it cannot be undefined."""

    takes: tuple[Kind, ...]
    returns: Kind
    certain: bool = True
    low: float = -INFINITE
    high: float = INFINITE


def _time(high: float) -> tuple[Signature, ...]:
    return tuple(
        Signature(("time", *zone), "number", not zone, 0, high) for zone in ((), ("string",))
    )


_TEXT = (Signature(("string", "string"), "bool"),)
_PLUS = (
    Signature(("number", "number"), "number", certain=False),
    Signature(("string", "string"), "string"),
    Signature(("bytes", "bytes"), "bytes"),
    Signature(("list", "list"), "list"),
    Signature(("time", "duration"), "time", certain=False),
    Signature(("duration", "time"), "time", certain=False),
    Signature(("duration", "duration"), "duration", certain=False),
)
_MINUS = (
    Signature(("number", "number"), "number", certain=False),
    Signature(("time", "time"), "duration", certain=False),
    Signature(("time", "duration"), "time", certain=False),
    Signature(("duration", "duration"), "duration", certain=False),
)
_ARITHMETIC = (Signature(("number", "number"), "number", certain=False),)


def _from(returns: Kind, *kinds: Kind) -> tuple[Signature, ...]:
    return tuple(Signature((kind,), returns, certain=False) for kind in kinds)


SIGNATURES: dict[str, tuple[Signature, ...]] = {
    "startsWith": _TEXT,
    "endsWith": _TEXT,
    "contains": _TEXT,
    "matches": (Signature(("string", "string"), "bool", certain=False),),
    "size": tuple(
        Signature((kind,), "number", low=0) for kind in ("string", "bytes", "list", "map")
    ),
    "_+_": _PLUS,
    "_-_": _MINUS,
    "_*_": _ARITHMETIC,
    "_/_": _ARITHMETIC,
    "_%_": _ARITHMETIC,
    "-_": (
        Signature(("number",), "number", certain=False),
        Signature(("duration",), "duration", certain=False),
    ),
    "int": _from("number", "number", "string", "time"),
    "uint": _from("number", "number", "string"),
    "double": _from("number", "number", "string"),
    "bool": _from("bool", "bool", "string"),
    "string": _from("string", "string", "number", "bool", "bytes", "time", "duration"),
    "bytes": _from("bytes", "bytes", "string"),
    "timestamp": _from("time", "time", "string", "number"),
    "duration": (
        *_from("duration", "string", "duration", "number"),
        Signature(("time",), "duration", certain=False),
    ),
    "getFullYear": _time(INFINITE),
    "getMonth": _time(11),
    "getDate": (*_time(31),),
    "getDayOfMonth": _time(30),
    "getDayOfWeek": _time(6),
    "getDayOfYear": _time(365),
    "getHours": (*_time(23), Signature(("duration",), "number", certain=False)),
    "getMinutes": (*_time(59), Signature(("duration",), "number", certain=False)),
    "getSeconds": (*_time(59), Signature(("duration",), "number", certain=False)),
    "getMilliseconds": (*_time(999), Signature(("duration",), "number", certain=False)),
    "total": (Signature(("string",), "number", certain=False, low=0),),
    "total_after": (Signature(("string",), "number", certain=False, low=0),),
    "inside": tuple(
        Signature(("string", "string", *more), "bool", certain=False) for more in ((), ("string",))
    ),
    "host": _from("string", "string"),
    "words": _from("list", "string"),
    "number": _from("number", "number", "string"),
}


def result_of(name: str, args: Sequence[Shape]) -> tuple[Shape, bool]:
    """Return what a function may return, and whether it may be undefined."""
    forms = SIGNATURES.get(name)
    if forms is None:
        return either(ANYTHING, plain("bytes", "time", "duration", "type")), True
    fitting = [
        form
        for form in forms
        if len(form.takes) == len(args)
        and all(kind in arg.kinds for kind, arg in zip(form.takes, args, strict=True))
    ]
    if not fitting:
        return NEVER, True
    # With one form all arguments must be of its kinds; with several their mixture may fit none.
    exact = len(fitting) == 1 and all(
        arg.kinds == {kind} for kind, arg in zip(fitting[0].takes, args, strict=True)
    )
    shape = Shape(
        tuple(Alternative(kind=one.returns, low=one.low, high=one.high) for one in fitting)
    )
    return shape, not exact or not fitting[0].certain


def accepted(name: str, place: int) -> frozenset[Kind]:
    """Return the kinds that a function takes at a place; none if it is not in the table."""
    forms = SIGNATURES.get(name, ())
    return frozenset(form.takes[place] for form in forms if place < len(form.takes))
