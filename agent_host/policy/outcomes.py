"""What a condition can come to, without any call: true, false, undefined, or only some of these.

Theory of operation: the tree is evaluated over shapes instead of values (an abstract
interpretation). `see` says what a node may be in an environment, `assume` says in which
environments it is true (or false): each comparison narrows what it compares, so that
`x > 100 && x < 50` leaves no environment. A condition is in doubt as soon as anything about it is:
what this says to be impossible no call can bring about, what it does not say may still be
impossible. The number of steps is bounded; where it is used up, everything is possible.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent_host.policy.comparing import COMPARED, MIRRORED, NEGATED, compare, narrow
from agent_host.policy.functions import result_of
from agent_host.policy.shapes import (
    ANYTHING,
    NEVER,
    Alternative,
    Looked,
    Shape,
    either,
    item,
    member,
    only,
    plain,
)
from agent_host.policy.syntax import (
    Call,
    Const,
    Fold,
    ListOf,
    MapOf,
    Member,
    Name,
    Node,
    children,
    walk,
)

MAX_STEPS = 40_000
MAX_ENVIRONMENTS = 8

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a node may be. `undefined`: it may also be an error."""

    shape: Shape
    undefined: bool = False


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a condition can come to."""

    true: bool
    false: bool
    undefined: bool


EVERYTHING = Outcomes(true=True, false=True, undefined=True)


@dataclass(frozen=True, slots=True)
class Environment:
    """What is known: `shapes` of nodes that comparisons narrowed, `gone`: members that are not
    there, and the variables of macros."""

    shapes: Mapping[Key, Shape] = field(default_factory=dict)
    gone: frozenset[Key] = frozenset()
    scope: Mapping[str, Seen] = field(default_factory=dict)

    def knowing(self, key: Key, shape: Shape) -> "Environment":
        """Return this one, narrowed."""
        return replace(self, shapes={**self.shapes, key: shape})

    def inside(self, fold: Fold, element: Seen) -> "Environment":
        """Return the environment of a macro's body."""
        names = {fold.variable: element, fold.accumulator: Seen(plain("bool", "list", "number"))}
        return Environment(scope={**self.scope, **names})


class TooMuchError(Exception):
    """The steps are used up."""


def outcomes(tree: Node, variables: Mapping[str, Shape]) -> Outcomes:
    """Return what a condition can come to, where its variables are of these shapes. What is
    neither true nor false counts as undefined."""
    reading = Reading(variables)
    try:
        seen = reading.see(tree, Environment())
        values = _truths(seen.shape)
        odd = bool(seen.shape.kinds - {"bool"})
        return Outcomes(true=True in values, false=False in values, undefined=seen.undefined or odd)
    except (TooMuchError, RecursionError):
        return EVERYTHING


class Reading:
    """Evaluates the nodes of one tree over the shapes of its variables. `reached`: the ids of the
    nodes whose value can matter."""

    def __init__(self, variables: Mapping[str, Shape]) -> None:
        self.variables = variables
        self.reached: set[int] = set()
        self._left = MAX_STEPS
        self._assuming = 0

    def outcomes(self, tree: Node) -> Outcomes:
        """See `outcomes`."""
        try:
            seen = self.see(tree, Environment())
        except TooMuchError:
            self.reached.update(id(node) for node in walk(tree))
            return EVERYTHING
        values = _truths(seen.shape)
        odd = bool(seen.shape.kinds - {"bool"})
        return Outcomes(true=True in values, false=False in values, undefined=seen.undefined or odd)

    # -- what a node may be --------------------------------------------------------------------

    def see(self, node: Node, env: Environment) -> Seen:
        """Return what a node may be. TooMuchError if the steps are used up."""
        self._left -= 1
        if self._left < 0:
            raise TooMuchError
        if not self._assuming:
            self.reached.add(id(node))
        known = env.shapes.get(key_of(node)) if env.shapes else None
        return Seen(known) if known is not None else self._seen(node, env)

    def _seen(self, node: Node, env: Environment) -> Seen:
        match node:
            case Name() if node.name in env.scope:
                return env.scope[node.name]
            case Name() | Member() if (shape := self.variable(node)) is not None:
                return Seen(shape)
            case Const():
                return Seen(only(node.value))
            case Member():
                return self._member(node, env)
            case Call():
                return self._call(node, env)
            case Fold():
                return self._fold(node, env)
            case ListOf():
                return self._list(node, env)
            case _:
                return Seen(plain("map") if isinstance(node, MapOf) else ANYTHING, undefined=True)

    def _list(self, node: ListOf, env: Environment) -> Seen:
        parts = [self.see(one, env) for one in node.items]
        items = either(*(one.shape for one in parts)) if parts else NEVER
        shape = Shape((Alternative(kind="list", items=items),))
        return Seen(shape, any(one.undefined for one in parts))

    def variable(self, node: Node) -> Shape | None:
        """Return the shape of the variable that a node is (`args`, `tool.name`), if it is one."""
        if isinstance(node, Name):
            return self.variables.get(node.name)
        if isinstance(node, Member) and isinstance(node.of, Name) and not node.asks:
            return self.variables.get(f"{node.of.name}.{node.field}")
        return None

    def _member(self, node: Member, env: Environment) -> Seen:
        above = self.see(node.of, env)
        found = member(above.shape, node.field)
        if node.asks:
            return self._asked(node, above, found, env)
        return self._looked(above, found, key_of(node) in env.gone)

    def _asked(self, node: Member, above: Seen, found: Looked, env: Environment) -> Seen:
        key = key_of(replace(node, asks=False))
        undefined = above.undefined or bool(above.shape.kinds - {"map"})
        if key in env.gone:
            return Seen(only(False), undefined)
        if key in env.shapes:
            return Seen(only(True), undefined)
        values = [*([True] if found.shape.alternatives else []), *([] if found.always else [False])]
        return Seen(only(*values), undefined)

    def _looked(self, above: Seen, found: Looked, gone: bool) -> Seen:
        if gone:
            return Seen(NEVER, undefined=True)
        return Seen(found.shape, above.undefined or not found.always)

    def _call(self, node: Call, env: Environment) -> Seen:
        name = node.function
        if name in {"_&&_", "_||_"}:
            return self._chain(node, env)
        if name == "!_":
            return self._not(node, env)
        if name == "_?_:_":
            return self._choice(node, env)
        args = [self.see(arg, env) for arg in node.args]
        undefined = any(arg.undefined for arg in args)
        if name == "_[_]":
            return self._indexed(node, args, env)
        if name in COMPARED and len(args) == 2:
            values, wrong = compare(name, args[0].shape, args[1].shape)
            return Seen(only(*values), undefined or wrong)
        shape, wrong = result_of(name, [arg.shape for arg in args])
        return Seen(shape, undefined or wrong)

    def _indexed(self, node: Call, args: list[Seen], env: Environment) -> Seen:
        place = node.args[1]
        if isinstance(place, Const) and isinstance(place.value, str):
            found = member(args[0].shape, place.value)
            return self._looked(args[0], found, key_of(node) in env.gone)
        inner = item(args[0].shape)
        return Seen(either(inner, ANYTHING) if "map" in args[0].shape.kinds else inner, True)

    def _fold(self, node: Fold, env: Environment) -> Seen:
        """A macro over a list or a map. Only of `exists` and `all` more is said than that it may
        be anything."""
        over = self.see(node.over, env)
        body = macro(node)
        if body is None:
            # map, filter and exists_one
            one = isinstance(node.start, Const)
            return Seen(plain("bool") if one else plain("list"), undefined=True)
        inner = env.inside(node, Seen(element_of(over.shape)))
        tested = self.see(body[1], inner)
        values = set()
        every, test = body
        if self.assume(test, True, inner) or every:
            values.add(True)
        if self.assume(test, False, inner) or not every:
            values.add(False)
        wrong = bool(over.shape.kinds - {"list", "map"})
        return Seen(only(*values), over.undefined or wrong or _doubtful(tested))

    # -- logic ---------------------------------------------------------------------------------

    def _chain(self, node: Call, env: Environment) -> Seen:
        """`&&` and `||`: of each part it is asked what it is where those before it did not decide.
        An error beside what decides counts for nothing."""
        goes_on = node.function == "_&&_"
        envs, undefined = [env], False
        for part in flat(node):
            seen = [self.see(part, one) for one in envs]
            undefined = undefined or any(_doubtful(one) for one in seen)
            envs = self._each(part, goes_on, envs, env)
        values = [truth for truth in (True, False) if self.assume(node, truth, env)]
        return Seen(only(*values), undefined)

    def _not(self, node: Call, env: Environment) -> Seen:
        seen = self.see(node.args[0], env)
        values = [not value for value in _truths(seen.shape)]
        return Seen(only(*values), seen.undefined or bool(seen.shape.kinds - {"bool"}))

    def _choice(self, node: Call, env: Environment) -> Seen:
        test = self.see(node.args[0], env)
        found = [
            self.see(branch, one)
            for truth, branch in ((True, node.args[1]), (False, node.args[2]))
            for one in self.assume(node.args[0], truth, env)
        ]
        undefined = _doubtful(test) or any(one.undefined for one in found)
        return Seen(either(*(one.shape for one in found)), undefined)

    # -- where a node is true ------------------------------------------------------------------

    def assume(self, node: Node, truth: bool, env: Environment) -> list[Environment]:
        """Return environments that together hold all in which a node is true, or false."""
        self._left -= 1
        if self._left < 0:
            raise TooMuchError
        self._assuming += 1
        try:
            return self._assumed(node, truth, env)
        finally:
            self._assuming -= 1

    def _assumed(self, node: Node, truth: bool, env: Environment) -> list[Environment]:
        if isinstance(node, Call):
            name = node.function
            if name == "!_":
                return self.assume(node.args[0], not truth, env)
            if name in {"_&&_", "_||_"}:
                return self._assume_chain(node, truth, env)
            if name == "_?_:_":
                return self._assume_choice(node, truth, env)
            if name in COMPARED and len(node.args) == 2:
                return self._assume_compared(node, truth, env)
        if isinstance(node, Member) and node.asks:
            return self._assume_there(node, truth, env)
        seen = self.see(node, env)
        if truth not in _truths(seen.shape):
            return []
        if isinstance(node, Const | Fold):
            return [env]
        return [env.knowing(key_of(node), only(truth))]

    def _assume_chain(self, node: Call, truth: bool, env: Environment) -> list[Environment]:
        parts = flat(node)
        if truth == (node.function == "_&&_"):
            envs = [env]
            for part in parts:
                envs = self._each(part, truth, envs, env)
            return envs
        return _few([one for part in parts for one in self.assume(part, truth, env)], env)

    def _each(
        self, part: Node, truth: bool, envs: list[Environment], weakest: Environment
    ) -> list[Environment]:
        return _few([one for env in envs for one in self.assume(part, truth, env)], weakest)

    def _assume_choice(self, node: Call, truth: bool, env: Environment) -> list[Environment]:
        test, yes, no = node.args
        found = [
            one
            for choice, branch in ((True, yes), (False, no))
            for chosen in self.assume(test, choice, env)
            for one in self.assume(branch, truth, chosen)
        ]
        return _few(found, env)

    def _assume_there(self, node: Member, truth: bool, env: Environment) -> list[Environment]:
        seen = self.see(node, env)
        if truth not in _truths(seen.shape):
            return []
        there = replace(node, asks=False)
        if not truth:
            return [replace(env, gone=env.gone | {key_of(there)})]
        return [env.knowing(key_of(there), self.see(there, env).shape)]

    def _assume_compared(self, node: Call, truth: bool, env: Environment) -> list[Environment]:
        left, right = (self.see(arg, env) for arg in node.args)
        values, _ = compare(node.function, left.shape, right.shape)
        if truth not in values:
            return []
        name = node.function if truth else NEGATED.get(node.function, "")
        for arg, mine, other in (
            (node.args[0], left, right.shape),
            (node.args[1], right, left.shape),
        ):
            operator = name if arg is node.args[0] else MIRRORED.get(name, "")
            narrowed = narrow(operator, mine.shape, other)
            if not narrowed.alternatives:
                return []
            if not isinstance(arg, Const | ListOf | MapOf):
                env = env.knowing(key_of(arg), narrowed)
        return [env]


def _few(found: list[Environment], weakest: Environment) -> list[Environment]:
    """At most so many environments; too many become the one that they all came from."""
    return found if len(found) <= MAX_ENVIRONMENTS else [weakest]


def _truths(shape: Shape) -> set[bool]:
    found: set[bool] = set()
    for one in shape.of("bool").alternatives:
        found |= {True, False} if one.values is None else set(one.values)
    return found


def _doubtful(seen: Seen) -> bool:
    """Whether a node that stands for true or false may be neither."""
    return seen.undefined or bool(seen.shape.kinds - {"bool"})


def flat(node: Node) -> list[Node]:
    """Return the parts of a chain of the same `&&` or `||`, in their order."""
    if not isinstance(node, Call):
        return [node]
    found: list[Node] = []
    waiting: list[Node] = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Call) and one.function == node.function:
            waiting.extend(reversed(one.args))
        else:
            found.append(one)
    return found


def macro(node: Fold) -> tuple[bool, Node] | None:
    """Return whether it is an `all` and what it tests, of an `exists` or `all`; else None."""
    step = node.step
    if not isinstance(step, Call) or len(step.args) != 2 or not isinstance(node.result, Name):
        return None
    first, test = step.args
    if not (isinstance(first, Name) and first.name == node.accumulator):
        return None
    if step.function not in {"_||_", "_&&_"} or not isinstance(node.start, Const):
        return None
    return step.function == "_&&_", test


def element_of(shape: Shape) -> Shape:
    """Return what a macro's variable may be: an item of a list, or a name of a map."""
    inner = item(shape)
    return either(inner, plain("string")) if "map" in shape.kinds else inner


def key_of(node: Node) -> Key:
    """Return what two nodes have in common that say the same: in one evaluation they are the
    same value."""
    match node:
        case Const():
            return ("const", type(node.value).__name__, node.value)
        case Name():
            return ("name", node.name)
        case Member():
            return ("[]", node.asks, key_of(node.of), ("const", "str", node.field))
        case Call(function="_[_]"):
            return ("[]", False, *map(key_of, node.args))
        case Call():
            return ("call", node.function, node.method, *map(key_of, node.args))
        case Fold():
            return ("fold", node.variable, *map(key_of, children(node)))
        case _:
            return (type(node).__name__, *map(key_of, children(node)))
