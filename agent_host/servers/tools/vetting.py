"""How much work a JSON Schema can cause, measured before it is compiled.

Theory of operation: a schema comes from an untrusted server. Its schema nodes are a graph: edges
that stay at the same value (allOf, anyOf, $ref, ...) and edges that go one level down (properties,
items, ...). A cycle of same-level edges never ends and is refused. Without other cycles the number
of paths through the graph bounds the visits to each value (`$defs` chains double with each level).
With cycles (trees, filters) it also grows with each level of the value, by the most edges to one
child that stay within the cycle. References may only point inside the document. Everything is
bounded, so that vetting costs no more than the schema is large. Source: JSON Schema 2020-12, core.
"""

from typing import Any
from urllib.parse import unquote

from agent_host.core.text import clean_line
from agent_host.core.types import Json, JsonObject

MAX_NODES = 20_000
"""Schema nodes of one document."""
MAX_DEPTH = 100
"""How deep a schema, or a chain of references, may be nested."""
MAX_PATHS = 50_000
"""Paths through the graph, each a visit that one value may cause."""

_SAME = ("allOf", "anyOf", "oneOf")
_SAME_ONE = ("not", "if", "then", "else")
_ITEMS = ("items", "additionalItems", "unevaluatedItems")
_OTHERS = ("additionalProperties", "unevaluatedProperties")
_MAPS = (
    "properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions",
)  # fmt: skip
_VALUES = ("const", "enum", "default", "examples", "example")
_REFS = ("$ref", "$dynamicRef", "$recursiveRef")


class SchemaError(ValueError):
    """Why a schema cannot be used; the text is clean."""


def vet(schema: Json) -> tuple[int, int]:
    """Return the visits that one value can cause, and the factor by which that grows with each
    level of the value (1: not at all). Raises SchemaError."""
    return _Vetting(schema).measure()


class _Vetting:
    """Measures one document. Nodes are told apart by identity: the document outlives this."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._anchors: dict[str, Json] = {}
        self._nodes: list[JsonObject] = []
        self._has_refs = False
        self._paths: dict[int, int] = {}
        self._same_done: set[int] = set()

    def measure(self) -> tuple[int, int]:
        self._collect()
        if not self._has_refs:
            return sum(map(_weight, self._nodes)) * self._doubling(), 1
        for node in self._nodes:
            self._refuse_loops(node, [])
        paths = self._count(self._root, set())
        cyclic = _on_cycles(self._nodes, self._children)
        return paths * self._doubling(), self._growth(cyclic) if cyclic else 1

    def _doubling(self) -> int:
        """unevaluated* looks at its neighbours a second time, at each level."""
        count = sum(1 for node in self._nodes if any(k[:11] == "unevaluated" for k in node))
        if count > 8:
            raise SchemaError("the schema uses unevaluatedProperties or -Items too often")
        return 1 << count

    def _collect(self) -> None:
        """Find the schema nodes (not the values in enum and the like) and the anchors."""
        stack: list[tuple[Any, int, bool]] = [(self._root, 0, True)]
        seen = 0
        while stack:
            value, depth, is_schema = stack.pop()
            seen += 1
            if seen > MAX_NODES:
                raise SchemaError(f"the schema has more than {MAX_NODES} nodes")
            if depth > MAX_DEPTH:
                raise SchemaError(f"the schema is nested more than {MAX_DEPTH} deep")
            if isinstance(value, list):
                stack.extend((item, depth + 1, True) for item in value)
            elif isinstance(value, dict):
                if is_schema:
                    self._note(value)
                for key, item in value.items():
                    if not (is_schema and key in _VALUES):
                        stack.append((item, depth + 1, not (is_schema and key in _MAPS)))

    def _note(self, node: JsonObject) -> None:
        self._nodes.append(node)
        self._has_refs |= any(isinstance(node.get(key), str) for key in _REFS)
        for key in ("$anchor", "$dynamicAnchor"):
            if isinstance(node.get(key), str):
                self._anchors["#" + node[key]] = node

    def _same(self, node: JsonObject) -> list[JsonObject]:
        """The schemas that judge the same value as `node` does."""
        found: list[Json] = [item for key in _SAME for item in _list(node.get(key))]
        found += [node.get(key) for key in _SAME_ONE]
        for key in ("dependentSchemas", "dependencies"):
            found += _dict(node.get(key)).values()
        found += [self._target(node[key]) for key in _REFS if isinstance(node.get(key), str)]
        return [item for item in found if isinstance(item, dict)]

    def _below(self, node: JsonObject) -> list[JsonObject]:
        """The schemas that judge the children of the value that `node` judges."""
        found: list[Json] = [node.get(key) for key in (*_ITEMS, *_OTHERS)]
        found += [node.get("contains"), node.get("propertyNames")]
        found += [*_list(node.get("items")), *_list(node.get("prefixItems"))]
        for key in ("properties", "patternProperties"):
            found += _dict(node.get(key)).values()
        return [item for item in found if isinstance(item, dict)]

    def _children(self, node: JsonObject) -> list[JsonObject]:
        return self._same(node) + self._below(node)

    def _target(self, ref: str) -> Json:
        if not ref.startswith("#"):
            own = self._root.get("$id") if isinstance(self._root, dict) else None
            if not isinstance(own, str) or ref.partition("#")[0] != own.rstrip("#"):
                raise SchemaError(f"$ref {clean_line(ref, 80)} is outside the schema")
            ref = "#" + ref.partition("#")[2]
        if ref in self._anchors:
            return self._anchors[ref]
        value: Json = self._root
        for part in unquote(ref[1:]).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, list) and key.isdecimal() and int(key[:9]) < len(value):
                value = value[int(key[:9])]
            else:
                raise SchemaError(f"$ref {clean_line(ref, 80)} does not exist")
        return value

    def _refuse_loops(self, node: JsonObject, path: list[int]) -> None:
        """Refuse references that come back to where they started without taking input."""
        if id(node) in self._same_done:
            return
        if id(node) in path:
            raise SchemaError("a $ref comes back to itself")
        if len(path) > MAX_DEPTH:
            raise SchemaError("the references are nested too deeply")
        path.append(id(node))
        for child in self._same(node):
            self._refuse_loops(child, path)
        path.pop()
        self._same_done.add(id(node))

    def _count(self, node: Json, path: set[int]) -> int:
        """The paths from `node`, where one that comes back to itself ends."""
        if not isinstance(node, dict) or id(node) in path:
            return 1
        if id(node) in self._paths:
            return self._paths[id(node)]
        if len(path) > 2 * MAX_DEPTH:
            raise SchemaError("the references are nested too deeply")
        path.add(id(node))
        total = _weight(node) + sum(self._count(child, path) for child in self._children(node))
        path.discard(id(node))
        if total > MAX_PATHS:
            raise SchemaError("the schema would take too long to check")
        self._paths[id(node)] = total
        return total

    def _growth(self, cyclic: set[int]) -> int:
        """The most edges that lead from one value to one child of it and stay on a cycle."""
        most = 1
        for start in self._nodes:
            if id(start) not in cyclic:
                continue
            names: dict[str, int] = {}
            patterns = others = items = 0
            stack, seen = [start], 0
            while stack:
                node = stack.pop()
                seen += 1
                if seen > MAX_PATHS:
                    raise SchemaError("the schema would take too long to check")
                stack.extend(self._same(node))
                other = sum(1 for key in _OTHERS if id(node.get(key)) in cyclic)
                for name, child in _dict(node.get("properties")).items():
                    names[name] = names.get(name, 0) + (id(child) in cyclic) - other
                patterns += sum(
                    1 for c in _dict(node.get("patternProperties")).values() if id(c) in cyclic
                )
                others += other
                items += any(id(node.get(key)) in cyclic for key in (*_ITEMS, "contains"))
                items += any(id(c) in cyclic for c in _list(node.get("prefixItems")))
            named = max(names.values(), default=0)
            most = max(most, named + patterns + others, patterns + others, items)
        return most


def _on_cycles(nodes: list[JsonObject], children: Any) -> set[int]:
    """The identities of the nodes that can reach themselves (Tarjan's algorithm, iterative)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    waiting: list[int] = []
    found: set[int] = set()
    for root in nodes:
        if id(root) in index:
            continue
        work = [(root, iter(children(root)))]
        index[id(root)] = low[id(root)] = len(index)
        waiting.append(id(root))
        while work:
            node, rest = work[-1]
            child = next(rest, None)
            if child is None:
                work.pop()
                _close_component(id(node), index, low, waiting, found)
                if work:
                    parent = id(work[-1][0])
                    low[parent] = min(low[parent], low[id(node)])
            elif id(child) not in index:
                index[id(child)] = low[id(child)] = len(index)
                waiting.append(id(child))
                work.append((child, iter(children(child))))
            else:
                # A finished component has an infinite low, so it never lowers ours.
                low[id(node)] = min(low[id(node)], low[id(child)])
                if child is node:
                    found.add(id(node))
    return found


def _close_component(
    key: int, index: dict[int, int], low: dict[int, int], waiting: list[int], found: set[int]
) -> None:
    if low[key] != index[key]:
        return
    members = waiting[waiting.index(key) :]
    del waiting[-len(members) :]
    if len(members) > 1:
        found.update(members)
    for member in members:
        low[member] = 1 << 60


def _weight(node: JsonObject) -> int:
    """What one visit costs: keywords that compare with each entry of a list cost more."""
    lists = (node.get("enum"), node.get("required"))
    # A fraction is compared with unbounded precision, some 250 times slower.
    fraction = 250 if isinstance(node.get("multipleOf"), float) else 0
    return 1 + fraction + sum(len(_list(entries)) for entries in lists) // 4


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
