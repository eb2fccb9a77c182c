"""Running totals: what a call adds to which, and what conditions read of them.

Theory of operation: a total has a value (a number that an expression reads off a call) and a key
(the values of further expressions, such as the user); `state.totals` keeps what was counted, across
runs and processes. Values are counted in whole micro-units, rounded up, by their decimal digits: a
hundred times 0.1 is 10, not 9.99999. Where a value or key has no value, or is not a number from 0
to 1e12, the call cannot be counted, and that is never a reason to allow it.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Protocol

from agent_host.core.types import Tool
from agent_host.policy.facts import Facts
from agent_host.policy.reads import Reads
from agent_host.state.totals import MOST, UNIT, Share

_NOISE = Decimal("1e-9")
_EXACT = Context(prec=40)


class Readable(Protocol):
    """A compiled expression; see `expressions.Expression`."""

    @property
    def reads(self) -> Reads:
        """What it reads."""

    def value(self, activation: Any) -> Any:
        """What it comes to, or something with a `why`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A running total. `name`: as conditions call it; `id`: as it is kept; `matches`: whether
    calls of a tool count; `value` and `per`: what they add, and to whose; `window` in seconds;
    `where`: its place in a file."""

    name: str
    id: str
    matches: Callable[[Tool], bool]
    value: Readable
    per: tuple[Readable, ...]
    window: float
    where: str = ""
    description: tuple[object, ...] = ()

    @property
    def reads(self) -> Reads:
        """All that its expressions read."""
        found = self.value.reads
        for one in self.per:
            found |= one.reads
        return found

    def share(self, facts: Facts, activation: Any, *, counts: bool) -> Share | str:
        """Return what a call adds (nothing unless it `counts`), and to which key; or why that is
        not known, for people."""
        key = []
        for one in self.per:
            value = _value(one, facts, activation)
            if isinstance(value, _Unknown):
                return value.why
            key.append(value)
        units = 0
        if counts:
            value = _value(self.value, facts, activation)
            if isinstance(value, _Unknown):
                return value.why
            counted = units_of(value)
            if isinstance(counted, str):
                return counted
            units = counted
        try:
            text = json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError):
            return "what it is counted for has no plain value"
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        return Share(total=self.id, key=digest, units=units, window=self.window)


@dataclass(frozen=True, slots=True)
class _Unknown:
    why: str


def _value(expression: Readable, facts: Facts, activation: Any) -> Any:
    why = facts.why_undefined(expression.reads)
    if why is None:
        value = expression.value(activation)
        why = getattr(value, "why", None)
        if why is None:
            return value
    return _Unknown(why)


def units_of(value: object) -> int | str:
    """Return a value in micro-units, rounded up, or why it cannot be counted."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "its value is no number"
    if not math.isfinite(value) or not 0 <= value <= MOST:
        return "its value is no number from 0 to a million millions"
    # What multiplying doubles leaves behind the ninth digit is nobody's money.
    digits = Decimal(repr(value)).quantize(_NOISE, context=_EXACT) * UNIT
    return max(int(digits.to_integral_value(rounding=ROUND_CEILING)), 1 if value else 0)


def amount(units: int) -> float:
    """Return micro-units as the number that conditions compare."""
    return units / UNIT


Read = Mapping[str, tuple[float, float] | str]
"""Totals by name: before and after the call, or why that is not known."""
