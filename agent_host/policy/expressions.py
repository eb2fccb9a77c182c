"""Conditions in CEL: what they may read, how they are compiled, and what an evaluation comes to.

Theory of operation: an expression is compiled once, against the one list of names that there is
(`VARIABLES`, `FUNCTIONS`), so an unknown name or a comparison of unlike types is an error of the
config. An evaluation returns a value, or Undefined with the reason; it never raises. Three things
differ from the library as it comes. Numbers compare and add across int and double, as JSON's do
(the library's own checker refuses). What could make a NaN or a sign out of nothing is not there:
division, and `double()`, `int()` and `uint()` of a text; `number()` stands for the latter. And no
expression sees an argument that is not sound (`facts`). The library is Google's, in C++
(docs/decisions/0033); this is the only file that knows it.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]

from agent_host.core.text import clean_line
from agent_host.policy import texts
from agent_host.policy.reading import reads_of
from agent_host.policy.reads import Reads
from agent_host.policy.syntax import Node, position, tree

VARIABLES: Mapping[str, str] = {
    "args": "map(string, dyn)",
    "signed": "map(string, dyn)",
    "now": "timestamp",
    "run.calls": "int",
    "run.cost": "double",
    "run.id": "string",
    "run.interactive": "bool",
    "run.labels": "list(string)",
    "run.model": "string",
    "run.provider": "string",
    "run.turn": "int",
    "tool.annotations_trusted": "bool",
    "tool.destructive": "bool",
    "tool.idempotent": "bool",
    "tool.labels": "list(string)",
    "tool.name": "string",
    "tool.new": "bool",
    "tool.open_world": "bool",
    "tool.read_only": "bool",
    "tool.server": "string",
    "tool.source": "string",
    "user.claims": "map(string, dyn)",
    "user.id": "string",
    "user.issuer": "string",
    "user.roles": "list(string)",
}
"""What a condition can read, and the types; what each means: docs/policy.md."""

FUNCTIONS = ("total", "total_after", "inside", "host", "words", "number")
"""The host's own functions, beside the standard ones."""

_ABSENT = {
    "_/_": 'there is no division (0 / 0 is no number); write "a > 100 * b" for "a / b > 100"',
    "double": 'numbers need no conversion; write "number(x)" for a text of digits',
    "int": 'numbers need no conversion; write "number(x)" for a text of digits',
    "uint": 'numbers need no conversion; write "number(x)" for a text of digits',
}


@dataclass(frozen=True, slots=True)
class Undefined:
    """An evaluation that has no value. `why`: for people, clean, one line."""

    why: str


class ExpressionError(Exception):
    """A text that is no expression of the wanted type. `line` and `column` count from 1 within
    the text, 0 for the whole; `problem` is one sentence without a full stop."""

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.column = column

    def at(self) -> str:
        """Return ` at column 8`, ` at line 2, column 8`, or nothing."""
        if not self.line:
            return ""
        line = f"line {self.line}, " if self.line > 1 else ""
        return f" at {line}column {self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A compiled expression. `reads`: what it takes from where; `node`: its tree."""

    text: str
    reads: Reads
    node: Node = field(repr=False, compare=False)
    compiled: Any = field(repr=False, compare=False)

    def holds(self, activation: Any) -> bool | Undefined:
        """Return whether a condition is true."""
        value = self.value(activation)
        if value is True or value is False or isinstance(value, Undefined):
            return value
        return Undefined("it is neither true nor false")

    def value(self, activation: Any) -> Any:
        """Return what it comes to, or Undefined."""
        try:
            found = self.compiled.eval(activation)
            value = found.value()
            if value is True or value is False:
                return value
            if found.type() == cel.Type.ERROR:
                return Undefined(_said(str(value)))
            return found.plain_value()
        except Exception as error:  # noqa: BLE001  # whatever the library does, nothing is allowed
            return Undefined(_said(str(error)))


def condition(text: str) -> Expression:
    """Compile what is true or false. Raises ExpressionError."""
    return _compiled(text, _TRUTHS)


def quantity(text: str) -> Expression:
    """Compile what is a number. Raises ExpressionError."""
    return _compiled(text, _NUMBERS)


def plain(text: str) -> Expression:
    """Compile what is a value of any type. Raises ExpressionError."""
    return _compiled(text, {})


def any_of(conditions: Sequence[Expression]) -> Expression | None:
    """Return one condition that is false only if each of these surely is; None where the library
    cannot compile it."""
    try:
        return condition(" || ".join(f"({one.text}\n)" for one in conditions))
    except ExpressionError:
        return None


@contextmanager
def counting(totals: Mapping[str, tuple[float, float] | str]) -> Iterator[None]:
    """Evaluate with these running totals: by name, what is counted before and after the call, or
    why that is not known."""
    token = _totals.set(totals)
    try:
        yield
    finally:
        _totals.reset(token)


def activation(data: Mapping[str, Any]) -> Any:
    """Return what expressions are evaluated on: variables by name, as `VARIABLES` has them.
    Variables that are missing make what reads them undefined."""
    return _environment().Activation(data)


# -- compiling -----------------------------------------------------------------------------------

_TRUTHS = {"BOOL": "", "DYN": "", "": "a condition has to be true or false"}
_NUMBERS = {"INT": "", "UINT": "", "DOUBLE": "", "DYN": "", "": "this has to be a number"}


def _compiled(text: str, types: Mapping[str, str]) -> Expression:
    """`types`: those that it may have, none for any; "" -> what is said of others."""
    try:
        compiled = _environment().compile(text)
        node = tree(compiled.serialize())
        kind = compiled.return_type().name()
    except Exception as error:  # noqa: BLE001  # the library raises RuntimeError and more
        raise _explained(str(error)) from None
    reads = reads_of(node)
    if reads.nameless is not None:
        line, column = position(text, reads.nameless)
        raise ExpressionError("total() takes the name of a total, as a text", line, column)
    if types and kind not in types:
        raise ExpressionError(f"{types['']}; this is {_type(kind)}")
    return Expression(text=text, reads=reads, node=node, compiled=compiled)


_PLACE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_UNKNOWN = re.compile(r"undeclared reference to '([^']*)'")
_SYNTAX = re.compile(r"Syntax error: (?:mismatched|extraneous|no viable).*?input '(.*?)'(?: exp|$)")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")


def _explained(text: str) -> ExpressionError:
    """What the library's compiler says, for people."""
    found = _PLACE.search(text)
    if found is None:
        return ExpressionError(clean_line(_CODE.sub("", text)))
    line, column, said = max(int(found[1]), 0), max(int(found[2]), 0), found[3]
    if unknown := _UNKNOWN.search(said):
        said = _unknown(unknown[1])
    elif overload := _OVERLOAD.search(said):
        said = _unlike(overload[1], overload[2])
    elif syntax := _SYNTAX.search(said):
        ended = syntax[1] == "<EOF>"
        said = "it ends too early" if ended else f"it cannot be read from `{syntax[1]}` on"
    return ExpressionError(clean_line(said), line, column)


def _unknown(name: str) -> str:
    if name in _ABSENT:
        return _ABSENT[name]
    if name in FUNCTIONS:
        return f"{name}() does not take these arguments"
    near = get_close_matches(name, [*VARIABLES, *FUNCTIONS], n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f'nothing is called "{name}" here{hint}'


def _unlike(function: str, types: str) -> str:
    name = function.strip("@_") if function != "_?_:_" else "? :"
    said = f"`{name}` does not go with {types.replace(', ', ' and ')}"
    numbers = {"double", "int"}
    if numbers <= set(re.findall(r"[a-z]+", types)):
        said += '; write whole numbers as "5.0" here'
    return said


def _type(kind: str) -> str:
    return f"of the type {kind.lower()}"


_CODE = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]\s*$")
_NO_OVERLOAD = re.compile(r"No matching overloads found : (\S+?)\((.*)\)\Z")
_NO_KEY = re.compile(r'Key not found in map : "(.*)"\Z')
_NO_VALUE = re.compile(r'No value with name "(.*)" found')


def _said(text: str) -> str:
    """Why an evaluation has no value, for people."""
    text = _CODE.sub("", text)
    if found := _NO_OVERLOAD.search(text):
        kinds = found[2].replace("int64", "int").replace("null_type", "null")
        return clean_line(_unlike(found[1], kinds), 200)
    if found := _NO_KEY.search(text):
        return clean_line(f'there is no "{found[1]}"', 200)
    if found := _NO_VALUE.search(text):
        return clean_line(f"{found[1]} is not known", 200)
    return clean_line(text, 200) or "it has no value"


# -- the environment -----------------------------------------------------------------------------

_totals: ContextVar[Mapping[str, tuple[float, float] | str]] = ContextVar("totals")


def _counted(name: str, which: int) -> float:
    found = _totals.get({}).get(name, "it is not counted here")
    if isinstance(found, str):
        raise texts.Doubt(f'the total "{name}" is not known: {found}')
    return found[which]


def _total(name: str) -> float:
    return _counted(name, 0)


def _total_after(name: str) -> float:
    return _counted(name, 1)


_COMPARISONS = ("_<_", "_<=_", "_>_", "_>=_")
_EXACT = 2**53


def _mixed(operation: Callable[[float, float], float]) -> Callable[[float, float], float]:
    """An operation of an int and a double, as doubles; undefined for an int that is none."""

    def apply(one: float, other: float) -> float:
        if abs(one) > _EXACT or abs(other) > _EXACT:
            raise texts.Doubt("a number is too large to calculate with")
        return operation(float(one), float(other))

    return apply


def _overloads(name: str) -> list[Any]:
    """All overloads of an operator: those that the library has, and those of unlike numbers."""
    number = (cel.Type.INT, cel.Type.UINT, cel.Type.DOUBLE)
    time, span, true = cel.Type.TIMESTAMP, cel.Type.DURATION, cel.Type.BOOL
    if name in _COMPARISONS:
        same = (true, cel.Type.STRING, cel.Type.BYTES, time, span)
        unlike = [_overload(name, one, other, true) for one in number for other in number]
        return [*unlike, *(_overload(name, one, one, true) for one in same)]
    whole, double = cel.Type.INT, cel.Type.DOUBLE
    mixed = _mixed(_ARITHMETIC[name])
    made = [_overload(name, one, one, one) for one in number if (name, one) != ("_%_", double)]
    made += [_overload(name, *two, double, mixed) for two in ((whole, double), (double, whole))]
    if name == "_%_":
        made.append(_overload(name, double, double, double, mixed))
    rows = {
        "_+_": [
            *((one, one, one) for one in (cel.Type.STRING, cel.Type.BYTES, cel.Type.LIST, span)),
            (time, span, time),
            (span, time, time),
        ],
        "_-_": [(time, time, span), (time, span, time), (span, span, span)],
    }
    return [*made, *(_overload(name, *row) for row in rows.get(name, []))]


def _overload(name: str, one: Any, other: Any, out: Any, implementation: Any = None) -> Any:
    more = {} if implementation is None else {"impl": implementation}
    label = f"{name} {one.name()} {other.name()}"
    return cel.Overload(id=label, return_type=out, parameters=[one, other], **more)


_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "_+_": operator.add,
    "_-_": operator.sub,
    "_*_": operator.mul,
    "_%_": texts.remainder,
}


def _function(name: str, implementation: Any, out: Any, *takes: Sequence[Any]) -> Any:
    overloads = [
        cel.Overload(
            id=f"{name}_{place}", return_type=out, parameters=list(types), impl=implementation
        )
        for place, types in enumerate(takes)
    ]
    return cel.FunctionDecl(name, overloads)


@cache
def _environment() -> Any:
    text, double = cel.Type.STRING, cel.Type.DOUBLE
    operators = (*_COMPARISONS, *_ARITHMETIC)
    excluded = "".join(f'    - name: "{name}"\n' for name in (*operators, *_ABSENT))
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml(f"stdlib:\n  exclude_functions:\n{excluded}"),
        variables={name: _type_of(kind) for name, kind in VARIABLES.items()},
        functions=[
            *(cel.FunctionDecl(name, _overloads(name)) for name in operators),
            _function("total", _total, double, [text]),
            _function("total_after", _total_after, double, [text]),
            _function("inside", texts.inside, cel.Type.BOOL, [text, text], [text, text, text]),
            _function("host", texts.host, text, [text]),
            _function("words", texts.words, cel.Type.List(text), [text]),
            _function("number", texts.number, double, [text], [double], [cel.Type.INT]),
        ],
    )


def _type_of(kind: str) -> Any:
    """The library's type for one of VARIABLES."""
    texts_, anything = cel.Type.STRING, cel.Type.DYN
    return {
        "bool": cel.Type.BOOL,
        "double": cel.Type.DOUBLE,
        "int": cel.Type.INT,
        "list(string)": cel.Type.List(texts_),
        "map(string, dyn)": cel.Type.Map(texts_, anything),
        "string": texts_,
        "timestamp": cel.Type.TIMESTAMP,
    }[kind]
