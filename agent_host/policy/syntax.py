"""The tree of a condition: what an expression of CEL consists of, and where.

Theory of operation: the library that compiles conditions keeps its tree to itself, but hands it out
serialized, as the message `cel.expr.CheckedExpr`. This file reads that message: tags, lengths and
numbers, which is all that a tree needs of protocol buffers, and no reason to load their runtime.
It reads what our own library has just written, so it is short where a reader of strangers' bytes
would have to be careful. Sources: cel-spec `proto/cel/expr/syntax.proto` and `checked.proto`; the
encoding of protocol buffers (protobuf.dev, "Encoding").
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Fields = dict[int, list[Any]]
"""The fields of one message by number: integers, or bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Const:
    """A literal. `offset` of every node: characters from the beginning of the text."""

    value: Any
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A variable."""

    name: str
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """`of.field`, or `has(of.field)` if `asks`."""

    of: "Node"
    field: str
    asks: bool = False
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function or operator (`_&&_`, `_>_`, `@in`, `_[_]`, `size`...); what a method is called
    on is its first argument, and `method` then true."""

    function: str
    args: "tuple[Node, ...]"
    method: bool = False
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list literal."""

    items: "tuple[Node, ...]"
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """A map literal (or a message, whose fields are then keys)."""

    entries: "tuple[tuple[Node, Node], ...]"
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """What `exists`, `all`, `map`, `filter` and `exists_one` become."""

    variable: str
    over: "Node"
    accumulator: str
    start: "Node"
    goes_on: "Node"
    step: "Node"
    result: "Node"
    offset: int = 0


Node = Const | Name | Member | Call | ListOf | MapOf | Fold


def tree(serialized: bytes) -> Node:
    """Return the tree of a compiled expression, as its library serializes it. ValueError for
    bytes that are none."""
    whole = _fields(serialized)
    checked = _fields(whole[2][0]) if 1 in whole and _is_any(whole[1][0]) else whole
    if 4 not in checked:
        raise ValueError("no expression")
    info = _fields(checked[5][0]) if 5 in checked else {}
    places = dict(_pair(entry) for entry in info.get(4, ()))
    return _node(checked[4][0], places)


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes directly under a node."""
    match node:
        case Member():
            return (node.of,)
        case Call():
            return node.args
        case ListOf():
            return node.items
        case MapOf():
            return tuple(part for entry in node.entries for part in entry)
        case Fold():
            return (node.over, node.start, node.goes_on, node.step, node.result)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything under it."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(children(one)))


def start(node: Node) -> int:
    """Return where a node begins, in characters."""
    return min(one.offset for one in walk(node))


def position(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, both from 1."""
    before = text[: max(offset, 0)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def path_of(node: Node) -> tuple[str | int, ...] | None:
    """Return what `args.items[0].price` or `args["x"]` names, from the variable on; None for what
    is no such path."""
    match node:
        case Name():
            return tuple(node.name.split("."))
        case Member(asks=False):
            above = path_of(node.of)
            return None if above is None else (*above, node.field)
        case Call(function="_[_]", args=(of, Const(value=key))) if isinstance(key, str | int):
            above = path_of(of)
            return None if above is None or isinstance(key, bool) else (*above, key)
        case _:
            return None


def shown_path(path: tuple[str | int, ...]) -> str:
    """Return a path as it is written in a condition."""
    text = str(path[0])
    for part in path[1:]:
        plain = isinstance(part, str) and part.isidentifier()
        text += f".{part}" if plain else f"[{json.dumps(part, ensure_ascii=False)}]"
    return text


_INFIX = {
    "_&&_": "&&",
    "_||_": "||",
    "_==_": "==",
    "_!=_": "!=",
    "_<_": "<",
    "_<=_": "<=",
    "_>_": ">",
    "_>=_": ">=",
    "_+_": "+",
    "_-_": "-",
    "_*_": "*",
    "_/_": "/",
    "_%_": "%",
    "@in": "in",
}


def written(node: Node) -> str:
    """Return a node as one would write it; parentheses are not kept, macros are named."""
    match node:
        case Const():
            return _literal(node.value)
        case Name():
            return node.name
        case Member():
            text = f"{written(node.of)}.{node.field}"
            return f"has({text})" if node.asks else text
        case Call():
            return _written_call(node)
        case ListOf():
            return f"[{', '.join(map(written, node.items))}]"
        case MapOf():
            pairs = (f"{written(key)}: {written(value)}" for key, value in node.entries)
            return f"{{{', '.join(pairs)}}}"
        case Fold():
            return f"{written(node.over)}.(... {node.variable} ...)"


def _written_call(node: Call) -> str:
    args = [written(arg) for arg in node.args]
    if node.function in _INFIX and len(args) == 2:
        return f"{args[0]} {_INFIX[node.function]} {args[1]}"
    if node.function in {"!_", "-_"}:
        return f"{node.function[0]}{args[0]}"
    if node.function == "_[_]":
        return f"{args[0]}[{args[1]}]"
    if node.function == "_?_:_":
        return f"{args[0]} ? {args[1]} : {args[2]}"
    if node.method:
        return f"{args[0]}.{node.function}({', '.join(args[1:])})"
    return f"{node.function}({', '.join(args)})"


def _literal(value: Any) -> str:
    if isinstance(value, bytes):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


# -- the message ---------------------------------------------------------------------------------


def _is_any(head: Any) -> bool:
    return isinstance(head, bytes) and head.startswith(b"type.googleapis.com/")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _fields(data: bytes) -> Fields:
    found: Fields = {}
    at = 0
    value: Any
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
            value, at = data[at : at + size], at + size
        else:
            raise ValueError("no message of this kind")
        found.setdefault(number, []).append(value)
    return found


def _pair(entry: bytes) -> tuple[int, int]:
    fields = _fields(entry)
    return int(fields.get(1, [0])[0]), int(fields.get(2, [0])[0])


def _text(fields: Fields, number: int) -> str:
    value: bytes = fields.get(number, [b""])[0]
    return value.decode()


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


_KINDS = range(3, 10)
"""Numbers of the fields of an `Expr` that say what it is."""


def _node(data: bytes, places: dict[int, int]) -> Node:
    fields = _fields(data)
    offset = places.get(int(fields.get(2, [0])[0]), 0)
    kind = next((number for number in _KINDS if number in fields), 0)
    if not kind:
        raise ValueError("an expression of no known kind")
    return _READERS[kind](_fields(fields[kind][0]), places, offset)


def _const(fields: Fields, _: dict[int, int], offset: int) -> Node:
    number, values = next(iter(fields.items()), (1, [0]))
    raw: Any = values[0]
    value: Any
    match number:
        case 1:
            value = None
        case 2:
            value = bool(raw)
        case 3:
            value = _signed(raw)
        case 5:
            value = struct.unpack("<d", raw)[0]
        case 6:
            value = raw.decode()
        case _:
            value = raw
    return Const(value=value, offset=offset)


def _name(fields: Fields, _: dict[int, int], offset: int) -> Node:
    return Name(name=_text(fields, 1), offset=offset)


def _member(fields: Fields, places: dict[int, int], offset: int) -> Node:
    return Member(
        of=_node(fields[1][0], places),
        field=_text(fields, 2),
        asks=bool(fields.get(3, [0])[0]),
        offset=offset,
    )


def _call(fields: Fields, places: dict[int, int], offset: int) -> Node:
    target = tuple(_node(one, places) for one in fields.get(1, ()))
    args = tuple(_node(one, places) for one in fields.get(3, ()))
    return Call(
        function=_text(fields, 2), args=(*target, *args), method=bool(target), offset=offset
    )


def _list(fields: Fields, places: dict[int, int], offset: int) -> Node:
    return ListOf(items=tuple(_node(one, places) for one in fields.get(1, ())), offset=offset)


def _map(fields: Fields, places: dict[int, int], offset: int) -> Node:
    entries = []
    for data in fields.get(2, ()):
        entry = _fields(data)
        key: Node = Const(value=_text(entry, 2), offset=offset)
        if 3 in entry:
            key = _node(entry[3][0], places)
        entries.append((key, _node(entry[4][0], places)))
    return MapOf(entries=tuple(entries), offset=offset)


def _fold(fields: Fields, places: dict[int, int], offset: int) -> Node:
    over, start, goes_on, step, result = (
        _node(fields[number][0], places) for number in (2, 4, 5, 6, 7)
    )
    return Fold(
        variable=_text(fields, 1),
        over=over,
        accumulator=_text(fields, 3),
        start=start,
        goes_on=goes_on,
        step=step,
        result=result,
        offset=offset,
    )


_READERS = {3: _const, 4: _name, 5: _member, 6: _call, 7: _list, 8: _map, 9: _fold}
