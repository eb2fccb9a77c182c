"""What a condition reads: which variables, which arguments, which running totals.

Theory of operation: read off the tree once. `args.items.all(i, i.price < 5)` reads `args.items`,
`has(args.note)` reads `args.note`, `args[args.key]` reads everything. Only what a condition reads
is handed to it, and what is not sound in anything else is none of its business. Where the tree
leaves a doubt, more is read, never less.
"""

from collections.abc import Iterator

from agent_host.policy.reads import ROOTS, Path, Reads
from agent_host.policy.syntax import Call, Const, Member, Name, Node, children

_TOTALS = frozenset({"total", "total_after"})


def reads_of(node: Node) -> Reads:
    """Return what an expression reads."""
    names: set[str] = set()
    paths: set[tuple[str, Path]] = set()
    totals: set[str] = set()
    nameless: int | None = None
    for one in _parts(node):
        if isinstance(one, Name):
            names.add(one.name)
        elif isinstance(one, tuple):
            names.add(one[0])
            paths.add(one)
        elif isinstance(one.args[0], Const) and isinstance(one.args[0].value, str):
            totals.add(one.args[0].value)
        else:
            nameless = one.offset
    return Reads(
        names=frozenset(names), paths=frozenset(paths), totals=frozenset(totals), nameless=nameless
    )


def _parts(node: Node) -> Iterator[Name | Call | tuple[str, Path]]:
    """Yield variables, paths in ROOTS, and calls of totals; each path as long as it is certain."""
    waiting: list[Node] = [node]
    while waiting:
        one = waiting.pop()
        chain = _chain(one)
        if chain is not None:
            yield chain
            continue
        if isinstance(one, Name):
            yield one
        if isinstance(one, Call) and one.function in _TOTALS and one.args:
            yield one
        waiting.extend(children(one))


def _chain(node: Node) -> tuple[str, Path] | None:
    """The path that a node is, up to the first element of a list; None if it is none."""
    parts: list[str | None] = []
    while True:
        match node:
            case Name(name=name):
                if name not in ROOTS:
                    return None
                path: list[str] = []
                for part in reversed(parts):
                    if part is None:
                        break
                    path.append(part)
                return name, tuple(path)
            case Member():
                parts.append(node.field)
                node = node.of
            case Call(function="_[_]", args=(of, Const(value=key))):
                parts.append(key if isinstance(key, str) else None)
                node = of
            case _:
                return None
