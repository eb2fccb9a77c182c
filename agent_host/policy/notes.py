"""What is odd about the parts of a condition, each part by itself.

Theory of operation: every node of the tree is looked at over the shapes of the variables: a member
that no schema names, values that cannot be compared, a value that the other side never has. Words
that mean something elsewhere (roles, labels, totals) are collected, for whoever knows what there
is. A note says nothing of whether its part can matter: see `Reading.reached`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent_host.policy.comparing import COMPARED, compare
from agent_host.policy.functions import ORDERED, accepted
from agent_host.policy.outcomes import Environment, Reading, Seen, TooMuchError, element_of, macro
from agent_host.policy.shapes import INFINITE, Alternative, Kind, Shape, both, item, known_names
from agent_host.policy.shapes import member as looked_up
from agent_host.policy.syntax import (
    Call,
    Const,
    Fold,
    ListOf,
    Member,
    Name,
    Node,
    path_of,
    shown_path,
    start,
    written,
)

NoteKind = Literal["field", "kind", "value", "role", "label", "total"]

_ABOUT: dict[tuple[str | int, ...], NoteKind] = {
    ("user", "roles"): "role",
    ("run", "labels"): "label",
    ("tool", "labels"): "label",
}
_LISTED = 8
_MANY = 2.0**53
"""A bound that is none for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing about one part. `node` is its id, `offset` where it begins. `word`: the member,
    role, label or total that is named; `known`: those that there are, of a member; `asked`: it
    is only asked whether the member is there; `of_tool`: it is about the tool itself."""

    kind: NoteKind
    node: int
    offset: int
    text: str = ""
    word: str = ""
    known: tuple[str, ...] = ()
    asked: bool = False
    of_tool: bool = False


_OF_KIND: dict[Kind, str] = {
    "null": "null",
    "bool": "true or false",
    "number": "a number",
    "string": "text",
    "list": "a list",
    "map": "an object",
    "bytes": "bytes",
    "time": "a time",
    "duration": "a duration",
    "type": "a type",
}


def notes(tree: Node, variables: Mapping[str, Shape]) -> list[Note]:
    """Return what is odd about a condition whose variables are of these shapes."""
    noting = _Noting(variables)
    try:
        return list(noting.visit(tree, Environment(), {}))
    except TooMuchError:
        return []


def described(shape: Shape) -> str:
    """Say what a shape is, for people."""
    if not shape.alternatives:
        return "nothing"
    parts = dict.fromkeys(_described(one) for one in shape.alternatives)
    return " or ".join(parts)


def _described(one: Alternative) -> str:
    if one.values is not None:
        shown = ", ".join(json.dumps(value, ensure_ascii=False) for value in one.values[:_LISTED])
        more = ", ..." if len(one.values) > _LISTED else ""
        return shown if len(one.values) == 1 else f"one of {shown}{more}"
    text = _OF_KIND[one.kind]
    if one.low != -INFINITE:
        text += f" {'above' if one.low_open else 'of at least'} {one.low:g}"
    if one.high < _MANY:
        text += " and" if one.low != -INFINITE else ""
        text += f" {'below' if one.high_open else 'of at most'} {one.high:g}"
    return text


class _Noting:
    def __init__(self, variables: Mapping[str, Shape]) -> None:
        self._reading = Reading(variables)

    def visit(self, node: Node, env: Environment, about: Mapping[str, NoteKind]) -> Iterator[Note]:
        """Yield the notes of a node and of all under it. `about`: what the variables of macros
        stand for."""
        match node:
            case Fold():
                yield from self._fold(node, env, about)
                return
            case Member():
                if self._reading.variable(node) is None:
                    yield from self._member(node, node.field, env)
                    yield from self.visit(node.of, env, about)
                return
            case Call():
                yield from self._call(node, env, about)
                for arg in node.args:
                    yield from self.visit(arg, env, about)
            case ListOf():
                for one in node.items:
                    yield from self.visit(one, env, about)
            case _:
                return

    def _see(self, node: Node, env: Environment) -> Shape:
        return self._reading.see(node, env).shape

    def _fold(self, node: Fold, env: Environment, about: Mapping[str, NoteKind]) -> Iterator[Note]:
        yield from self.visit(node.over, env, about)
        over = self._see(node.over, env)
        inner = env.inside(node, Seen(element_of(over)))
        topic = self._topic(node.over, about)
        stands = {**about, node.variable: topic} if topic else dict(about)
        body = macro(node)
        yield from self.visit(node.step if body is None else body[1], inner, stands)

    def _topic(self, node: Node, about: Mapping[str, NoteKind]) -> NoteKind | None:
        if isinstance(node, Name) and node.name in about:
            return about[node.name]
        return _ABOUT.get(path_of(node) or ())

    def _member(self, node: Member | Call, name: str, env: Environment) -> Iterator[Note]:
        of = node.of if isinstance(node, Member) else node.args[0]
        above = self._see(of, env)
        if not above.alternatives:
            return
        path = path_of(of)
        shown = f"`{shown_path(path)}`" if path else f"`{written(of)}`"
        place = {"node": id(node), "offset": start(node)}
        if "map" not in above.kinds:
            text = f"{shown} is {described(above)}, which has no member `{name}`"
            yield _note("kind", place, text)
        elif not looked_up(above, name).declared:
            whole = shown_path((*path, name)) if path else name
            asked = isinstance(node, Member) and node.asks
            known = tuple(known_names(above))
            yield _note("field", place, whole, word=name, known=known, asked=asked)

    def _call(self, node: Call, env: Environment, about: Mapping[str, NoteKind]) -> Iterator[Note]:
        name = node.function
        place = {"node": id(node), "offset": start(node)}
        if name == "_[_]":
            key = node.args[1]
            if isinstance(key, Const) and isinstance(key.value, str):
                yield from self._member(node, key.value, env)
            return
        if name in COMPARED and len(node.args) == 2:
            yield from self._words(node, env, about)
            yield from self._compared(node, env)
            return
        if name in {"total", "total_after"} and node.args and isinstance(node.args[0], Const):
            yield _note("total", place, "", word=str(node.args[0].value))
            return
        for number, arg in enumerate(node.args):
            wanted = _TRUTH if name in _LOGIC and (name != "_?_:_" or not number) else None
            yield from self._argument(node, number, arg, env, wanted)

    def _argument(
        self, node: Call, number: int, arg: Node, env: Environment, wanted: frozenset[Kind] | None
    ) -> Iterator[Note]:
        takes = wanted if wanted is not None else accepted(node.function, number)
        shape = self._see(arg, env)
        if not takes or not shape.alternatives or takes & shape.kinds:
            return
        what = " or ".join(_OF_KIND[kind] for kind in sorted(takes))
        text = f"`{written(arg)}` is {described(shape)}, and `{_named(node)}` takes {what}"
        yield _note("kind", {"node": id(node), "offset": start(arg)}, text)

    def _words(self, node: Call, env: Environment, about: Mapping[str, NoteKind]) -> Iterator[Note]:
        """The roles and labels that a comparison names."""
        for one, other in (node.args, node.args[::-1]):
            topic = self._topic(other, about)
            if topic is None:
                continue
            words = self._see(one, env)
            if isinstance(one, ListOf):
                words = item(words)
            for word in words.values or ():
                if isinstance(word, str):
                    place = {"node": id(node), "offset": start(one)}
                    yield _note(topic, place, "", word=word)

    def _compared(self, node: Call, env: Environment) -> Iterator[Note]:
        left, right = (self._see(arg, env) for arg in node.args)
        if not left.alternatives or not right.alternatives:
            return
        place = {"node": id(node), "offset": start(node)}
        if node.function == "@in":
            yield from self._contained(node, left, right, place)
        elif not _comparable(node.function, left, right):
            yield _note("kind", place, _mismatch(node, left, right))
        else:
            yield from self._never(node, left, right, place)

    def _never(
        self, node: Call, left: Shape, right: Shape, place: dict[str, int]
    ) -> Iterator[Note]:
        if all(isinstance(arg, Const) for arg in node.args):
            return
        values, _ = compare(node.function, left, right)
        same = node.function in {"_==_", "_!=_"}
        if len(values) != 1 or (values == {True}) != (node.function == "_!=_"):
            return
        one, other = (node.args[0], left), (node.args[1], right)
        if isinstance(one[0], Const):
            one, other = other, one
        always = "always" if node.function == "_!=_" else "never"
        text = f"`{written(node)}` is {always} true: `{written(one[0])}` is {described(one[1])}"
        word = _only_text(other[1]) if same else ""
        known = tuple(v for v in one[1].values or () if isinstance(v, str)) if word else ()
        of_tool = (path_of(one[0]) or ("",))[0] == "tool"
        yield _note("value", place, text, word=word, known=known, of_tool=of_tool)

    def _contained(
        self, node: Call, left: Shape, right: Shape, place: dict[str, int]
    ) -> Iterator[Note]:
        if not right.kinds & {"list", "map"}:
            text = f"`{written(node.args[1])}` is {described(right)}, which nothing can be `in`"
            yield _note("kind", place, text)
            return
        if isinstance(node.args[1], ListOf):
            for one in node.args[1].items:
                yield from self._one_of(node.args[0], left, one)
        elif right.kinds == {"list"}:
            inner = item(right)
            if inner.alternatives and not both(left, inner).alternatives:
                text = (
                    f"`{written(node.args[0])}` is never in `{written(node.args[1])}`, whose items "
                    f"are {described(inner)}"
                )
                yield _note("value", place, text)

    def _one_of(self, subject: Node, shape: Shape, one: Node) -> Iterator[Note]:
        if not isinstance(one, Const):
            return
        wanted = self._see(one, Environment())
        if both(shape, wanted).alternatives:
            return
        kind: NoteKind = "value" if shape.kinds & wanted.kinds else "kind"
        text = f"`{written(subject)}` is {described(shape)}, never {written(one)}"
        word = _only_text(wanted)
        known = tuple(v for v in shape.values or () if isinstance(v, str)) if word else ()
        of_tool = (path_of(subject) or ("",))[0] == "tool"
        place = {"node": id(one), "offset": one.offset}
        yield _note(kind, place, text, word=word, known=known, of_tool=of_tool)


_LOGIC = frozenset({"_&&_", "_||_", "!_", "_?_:_"})
_TRUTH: frozenset[Kind] = frozenset({"bool"})


def _note(kind: NoteKind, place: Mapping[str, Any], text: str, **more: Any) -> Note:
    return Note(kind=kind, text=text, **place, **more)


def _only_text(shape: Shape) -> str:
    values = shape.values or ()
    return values[0] if len(values) == 1 and isinstance(values[0], str) else ""


def _comparable(operator: str, left: Shape, right: Shape) -> bool:
    common = left.kinds & right.kinds
    return bool(common if operator in {"_==_", "_!=_"} else common & ORDERED)


def _mismatch(node: Call, left: Shape, right: Shape) -> str:
    one, other = (node.args[0], left), (node.args[1], right)
    if isinstance(one[0], Const):
        one, other = other, one
    against = described(other[1]) if isinstance(other[0], Const) else _both_said(other)
    kinds = " or ".join(_OF_KIND[kind] for kind in sorted(one[1].kinds))
    return f"`{written(one[0])}` is {kinds}, so it cannot be compared with {against}"


def _both_said(other: tuple[Node, Shape]) -> str:
    kinds = " or ".join(_OF_KIND[kind] for kind in sorted(other[1].kinds))
    return f"`{written(other[0])}`, which is {kinds}"


def _named(node: Call) -> str:
    name = node.function.strip("_")
    return {"?_:": "?:"}.get(name, name)
