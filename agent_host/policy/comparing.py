"""What comparing two shapes may come to, and what a comparison leaves of them.

Theory of operation: `compare` returns which answers are possible, and whether there may be none
(values of kinds that do not compare). `narrow` returns the part of a shape that stands in a
relation to another. Both may return more than the truth, never less.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from agent_host.policy.functions import ORDERED
from agent_host.policy.shapes import (
    INFINITE,
    Alternative,
    Shape,
    both,
    item,
    kind_of,
)

_BIGGEST = 2.0**63
"""Integers from here on are none for the language of conditions."""

COMPARED = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in"})
NEGATED = {
    "_==_": "_!=_",
    "_!=_": "_==_",
    "_<_": "_>=_",
    "_<=_": "_>_",
    "_>_": "_<=_",
    "_>=_": "_<_",
}
MIRRORED = {
    "_==_": "_==_",
    "_!=_": "_!=_",
    "_<_": "_>_",
    "_<=_": "_>=_",
    "_>_": "_<_",
    "_>=_": "_<=_",
}


def compare(operator: str, left: Shape, right: Shape) -> tuple[set[bool], bool]:
    """Return what a comparison may come to, and whether it may be undefined."""
    if operator == "@in":
        return _contained(left, right)
    if operator in {"_==_", "_!=_"}:
        equal = _equal(left, right)
        return (equal if operator == "_==_" else {not one for one in equal}), False
    found: set[bool] = set()
    wrong = False
    for mine in left.alternatives:
        for theirs in right.alternatives:
            if mine.kind != theirs.kind or mine.kind not in ORDERED:
                wrong = True
                continue
            found |= _ordered(operator, mine, theirs)
            wrong = wrong or _huge(mine) or _huge(theirs)
    return found, wrong


def _huge(one: Alternative) -> bool:
    return one.kind == "number" and (one.low < -_BIGGEST or one.high >= _BIGGEST)


def _equal(left: Shape, right: Shape) -> set[bool]:
    if not left.alternatives or not right.alternatives:
        return set()
    found: set[bool] = set()
    mine, theirs = left.values, right.values
    if mine is not None and theirs is not None:
        pairs = [(a, b) for a in mine for b in theirs]
        return {kind_of(a) == kind_of(b) and a == b for a, b in pairs}
    if both(_scalar(left), _scalar(right)).alternatives:
        found.add(True)
    return found | {False}


def _scalar(shape: Shape) -> Shape:
    """A shape without what lists and maps consist of: their equality is not looked into."""
    deep = [one.kind in {"list", "map"} for one in shape.alternatives]
    if not any(deep):
        return shape
    return Shape(
        tuple(
            Alternative(kind=one.kind) if one.kind in {"list", "map"} else one
            for one in shape.alternatives
        )
    )


def _ordered(operator: str, left: Alternative, right: Alternative) -> set[bool]:
    if left.values is not None and right.values is not None:
        test = _TESTS[operator]
        return {test(a, b) for a in left.values for b in right.values}
    if left.kind != "number":
        return {True, False}
    found = set()
    if narrow(operator, Shape((left,)), Shape((right,))).alternatives:
        found.add(True)
    if narrow(NEGATED[operator], Shape((left,)), Shape((right,))).alternatives:
        found.add(False)
    return found


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "_<_": lambda a, b: bool(a < b),
    "_<=_": lambda a, b: bool(a <= b),
    "_>_": lambda a, b: bool(a > b),
    "_>=_": lambda a, b: bool(a >= b),
}


def _contained(left: Shape, right: Shape) -> tuple[set[bool], bool]:
    found: set[bool] = set()
    wrong = False
    for one in right.alternatives:
        if one.kind == "list":
            inner = item(Shape((one,)))
            found |= {False, *_equal(left, inner)}  # it may be empty
        elif one.kind == "map":
            found |= {True, False}
        else:
            wrong = True
    return found, wrong


def narrow(operator: str, mine: Shape, other: Shape) -> Shape:
    """Return what is left of a shape if it stands in this relation to another; "" says nothing."""
    if operator == "_==_":
        return both(mine, _scalar(other))
    if operator == "_!=_":
        return _without(mine, other)
    if operator == "@in":
        lists = other.of("list")
        return both(mine, _scalar(item(lists))) if other.kinds == {"list"} else mine
    if operator not in _TESTS:
        return mine
    left = [one for one in mine.alternatives if one.kind in ORDERED and one.kind in other.kinds]
    return Shape(tuple(_bounded(operator, left, other)))


def _without(mine: Shape, other: Shape) -> Shape:
    values = other.values
    if values is None or len(values) != 1:
        return mine
    (value,) = values
    kept = [
        replace(one, values=tuple(v for v in one.values if v != value))
        if one.values is not None and one.kind == kind_of(value)
        else one
        for one in mine.alternatives
    ]
    return Shape(tuple(one for one in kept if not one.empty))


def _bounded(operator: str, mine: Iterable[Alternative], other: Shape) -> Iterable[Alternative]:
    for one in mine:
        theirs = [each for each in other.alternatives if each.kind == one.kind]
        test = _TESTS[operator]
        if one.values is not None and all(each.values is not None for each in theirs):
            against = [value for each in theirs for value in each.values or ()]
            kept = tuple(v for v in one.values if any(test(v, w) for w in against))
            if kept:
                yield replace(one, values=kept)
        elif one.kind == "number":
            met = both(Shape((one,)), Shape((_limit(operator, theirs),)))
            yield from met.alternatives
        else:
            yield one


def _limit(operator: str, theirs: list[Alternative]) -> Alternative:
    """The numbers that stand in this relation to some of those."""
    strict = operator in {"_<_", "_>_"}
    if operator in {"_<_", "_<=_"}:
        high = max(one.high for one in theirs)
        closed = any(one.high == high and not one.high_open for one in theirs)
        return Alternative(
            kind="number", high=high, high_open=(strict or not closed) and high != INFINITE
        )
    low = min(one.low for one in theirs)
    closed = any(one.low == low and not one.low_open for one in theirs)
    return Alternative(kind="number", low=low, low_open=(strict or not closed) and low != -INFINITE)
