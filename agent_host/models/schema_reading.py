"""Whatever a server calls a schema, read into nodes of well-typed JSON Schema 2020-12.

Theory of operation: a schema is untrusted JSON. It is read once into `Node`s that hold only
keywords we know, with values of the right type, in the newest draft's spelling (tuples of draft 7,
boolean `exclusiveMinimum` of draft 4, `nullable` of OpenAPI, type names of programming languages
are translated); what is malformed, too deep, too much or cannot be sent as JSON is left out, which
loosens the schema, and is reported. A `$ref` becomes the JSON pointer of its target; targets are
read once each, and a reference that comes back to itself without consuming input is cut. After
that no later step meets a surprise: every walk is bounded. Annotations of the schema document
itself (`$schema`, `$id`, `$comment`) and unknown keywords mean nothing here and are dropped.

Sources: JSON Schema 2020-12 core and validation; RFC 6901 (JSON pointer).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from agent_host.core.text import clip
from agent_host.core.types import Json, JsonObject
from agent_host.models.schema_losses import Losses

MAX_DEPTH = 32
"""Levels of a schema; what lies deeper is left open."""
MAX_NODES = 10_000
"""Schemas in one document, counting each target of a reference once more."""
MAX_VALUES = 100_000
"""JSON values in all of `enum`, `const`, `default` and `examples`."""
_MAX_COUNT = 2**31 - 1
_MAX_INTEGER = 2**63

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("dict", "map", "hashmap", "record", "struct"), "object"),
    **dict.fromkeys(("list", "tuple", "set", "arraylist"), "array"),
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    **dict.fromkeys(("int", "long", "short", "bigint"), "integer"),
    **dict.fromkeys(("str", "text", "char"), "string"),
    **dict.fromkeys(("bool",), "boolean"),
    **dict.fromkeys(("none", "nil"), "null"),
    **{name: name for name in TYPES},
}
NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
COUNTS = (
    *("minLength", "maxLength", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "minContains", "maxContains"),
)
STRINGS = ("description", "title", "format", "pattern", "contentEncoding", "contentMediaType")
FLAGS = ("uniqueItems", "deprecated", "readOnly", "writeOnly")
MAPS = ("properties", "patternProperties", "dependentSchemas")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SINGLES = (
    *("items", "contains", "additionalProperties", "propertyNames"),
    *("not", "if", "then", "else"),
)
IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
_UNSUPPORTED = (
    *("$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems"),
    "contentSchema",
)
_KNOWN_OTHERWISE = frozenset({"nullable", "dependencies", "additionalItems", "example"})
_LEFT_OUT: Json = object()


@dataclass(slots=True, eq=False)
class Node:
    """One schema. `at`: the JSON pointer where the server's document has it.

    `keywords` are those of this module's tables; `type` is a list, subschemas are Nodes, `$ref`
    is a pointer. `never`: nothing satisfies it. `extra`: constraints in words that no keyword
    holds any more.
    """

    at: str
    keywords: dict[str, Any]
    extra: tuple[str, ...] = ()
    never: bool = False


def subschemas(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield each direct subschema with the keyword that holds it."""
    for keyword, value in node.keywords.items():
        if isinstance(value, Node):
            yield keyword, value
        elif keyword in MAPS:
            yield from ((keyword, child) for child in value.values())
        elif keyword in LISTS:
            yield from ((keyword, child) for child in value)


def sendable(text: str) -> str:
    """Return `text` as UTF-8 can hold it: half a surrogate pair becomes `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def step(at: str, *keys: str | int) -> str:
    """Return the JSON pointer `at` extended by `keys`."""
    return at + "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


class Reader:
    """Reads one document. `loosened`: the nodes allow more than the document did."""

    def __init__(self, document: Json, losses: Losses, max_depth: int = MAX_DEPTH) -> None:
        self.loosened = False
        self._document = document
        self._losses = losses
        self._max_depth = max_depth
        self._nodes = 0
        self._values = 0
        self._targets: dict[str, Node] = {}
        self._wanted: list[str] = []
        self.root = self._read(document, "", 0)
        while self._wanted:
            pointer = self._wanted.pop()
            if pointer not in self._targets:
                self._targets[pointer] = self._read(self._find(pointer), pointer, 0)
        self._cut_loops()

    def target(self, pointer: str) -> Node:
        """Return what a `$ref` of a node points to."""
        return self._targets[pointer]

    def lose(self, what: str, at: str) -> None:
        """Report a rewrite that makes the schema allow more."""
        self.loosened = True
        self._losses.add(what, at)

    def all_nodes(self) -> Iterator[Node]:
        """Yield every node of the document."""
        stack = [self.root, *self._targets.values()]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(child for _, child in subschemas(node))

    # -- one schema ---------------------------------------------------------------------------

    def _read(self, raw: Json, at: str, depth: int) -> Node:
        if isinstance(raw, bool):
            return Node(at, {}, never=not raw)
        if not isinstance(raw, dict):
            self.lose("what is no schema is left open", at)
            return Node(at, {})
        self._nodes += 1
        if depth > self._max_depth or self._nodes > MAX_NODES:
            self.lose("too deep or too much, so left open", at)
            return Node(at, {})
        node = Node(at, {})
        for key, value in raw.items():
            kept = self._keyword(key, value, at, depth) if isinstance(key, str) else _LEFT_OUT
            if kept is not _LEFT_OUT:
                node.keywords[key] = kept
        self._modernise(raw, node, depth)
        self._simplify(raw, node)
        return node

    def _keyword(self, key: str, value: Json, at: str, depth: int) -> Json:
        """Read the value of one keyword; `_LEFT_OUT` leaves the keyword out."""
        if key in MAPS or key in LISTS or key in SINGLES:
            return self._schemas(key, value, at, depth)
        if key == "$ref":
            return self._reference(value, at)
        if key == "type":
            return self._types(value, at)
        if key in _UNSUPPORTED:
            if value is not True and value != {}:
                self.lose(f"{key} is left out", at)
            return _LEFT_OUT
        kept = self._plain(key, value)
        if kept is _LEFT_OUT and _is_plain(key) and not _is_draft_4(key, value):
            self.lose(f"{key} is left out: its value is malformed or cannot be sent", at)
        return kept

    def _schemas(self, key: str, value: Json, at: str, depth: int) -> Json:
        if key in MAPS and isinstance(value, dict) and self._has_patterns(key, value):
            return {
                name: self._read(item, step(at, key, name), depth + 1)
                for name, item in value.items()
                if isinstance(name, str)
            }
        if isinstance(value, list) and (key in LISTS or key == "items"):
            if not value:
                return _LEFT_OUT
            return [self._read(v, step(at, key, i), depth + 1) for i, v in enumerate(value)]
        if key in SINGLES and isinstance(value, dict | bool):
            return self._read(value, step(at, key), depth + 1)
        self.lose(f"{key} is left out: it is malformed", at)
        return _LEFT_OUT

    def _has_patterns(self, key: str, value: Json) -> bool:
        """Whether the keys can be sent, if they are patterns; other keys can be renamed."""
        return key != "patternProperties" or all(
            isinstance(name, str) and sendable(name) == name for name in value
        )

    def _reference(self, value: Json, at: str) -> Json:
        """Return the pointer of a reference that leads somewhere in the document."""
        if isinstance(value, str) and (value == "#" or value.startswith("#/")):
            pointer = unquote(value[1:])
            if isinstance(self._find(pointer), dict | bool):
                self._wanted.append(pointer)
                return pointer
        self.lose("a reference that leads nowhere in the document is left open", at)
        return _LEFT_OUT

    def _find(self, pointer: str) -> Json:
        found = self._document
        for name in pointer.split("/")[1:]:
            key = name.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list) and key.isdecimal() and key.isascii() and len(key) < 7:
                found = found[int(key)] if int(key) < len(found) else None
            else:
                return None
        return found

    def _types(self, value: Json, at: str) -> Json:
        given = value if isinstance(value, list) else [value]
        names = [name.lower() for name in given if isinstance(name, str)]
        known = list(dict.fromkeys(_ALIASES[name] for name in names if name in _ALIASES))
        if known != given:
            wrong = [name for name in given if name not in TYPES]
            said = f'the type "{wrong[0]}"' if wrong and isinstance(wrong[0], str) else "the type"
            instead = " or ".join(known) if known and "any" not in names else "any type"
            self._losses.add(f"{clip(said, 40)} is read as {instead}", at)
        return known if known and "any" not in names else _LEFT_OUT

    def _plain(self, key: str, value: Json) -> Json:
        """The value of a keyword that holds no schema."""
        if key in STRINGS:
            return sendable(value) if isinstance(value, str) else _LEFT_OUT
        if key in FLAGS:
            return value if isinstance(value, bool) else _LEFT_OUT
        if key in NUMBERS:
            return value if _is_number(value) and (key != "multipleOf" or value > 0) else _LEFT_OUT
        if key in COUNTS:
            return _count(value)
        if key == "required":
            return _names(value)
        if key == "dependentRequired":
            return _dependents(value)
        if key in ("enum", "examples") and not (isinstance(value, list) and value):
            return _LEFT_OUT
        if key in ("enum", "examples", "const", "default") and self._is_sendable(value, 0):
            return value
        return _LEFT_OUT

    def _is_sendable(self, value: Json, depth: int) -> bool:
        """Whether a value is JSON that every wire can carry."""
        self._values += 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            return False
        if isinstance(value, str):
            return sendable(value) == value
        if isinstance(value, bool) or value is None:
            return True
        if isinstance(value, list):
            return all(self._is_sendable(item, depth + 1) for item in value)
        if isinstance(value, dict):
            return all(
                isinstance(key, str) and sendable(key) == key and self._is_sendable(item, depth + 1)
                for key, item in value.items()
            )
        return _is_number(value)

    # -- older drafts, and what can be said more simply ----------------------------------------

    def _modernise(self, raw: JsonObject, node: Node, depth: int) -> None:
        """Translate the spellings of older drafts and of OpenAPI."""
        k = node.keywords
        for exclusive, inclusive in (
            ("exclusiveMinimum", "minimum"),
            ("exclusiveMaximum", "maximum"),
        ):
            if raw.get(exclusive) is True and inclusive in k:
                k[exclusive] = k.pop(inclusive)
        if isinstance(k.get("items"), list):
            k["prefixItems"] = k.pop("items")
            rest = raw.get("additionalItems")
            if isinstance(rest, dict | bool):
                k["items"] = self._read(rest, step(node.at, "additionalItems"), depth + 1)
        if raw.get("nullable") is True and "type" in k:
            _allow_null(k)
        example = raw.get("example")
        if example is not None and "examples" not in k and self._is_sendable(example, 0):
            k["examples"] = [example]
        dependencies = raw.get("dependencies")
        if isinstance(dependencies, dict):
            self._dependencies(dependencies, node, depth)

    def _dependencies(self, dependencies: Json, node: Node, depth: int) -> None:
        for key, value in dependencies.items():
            if not isinstance(key, str):
                continue
            if isinstance(value, list):
                names = _names(value)
                if names is not _LEFT_OUT:
                    node.keywords.setdefault("dependentRequired", {}).setdefault(key, names)
            else:
                at = step(node.at, "dependencies", key)
                child = self._read(value, at, depth + 1)
                node.keywords.setdefault("dependentSchemas", {}).setdefault(key, child)

    def _simplify(self, raw: JsonObject, node: Node) -> None:
        """Say by simpler keywords what `true` and `false` as subschemas say."""
        k = node.keywords
        for key in ("anyOf", "oneOf"):
            if key in k:
                k[key] = [child for child in k[key] if not child.never]
                if not k[key]:
                    del k[key]
                    node.never = True
        node.never = node.never or any(child.never for child in k.get("allOf", ()))
        if "not" in k and (k["not"].never or not k["not"].keywords):
            node.never = node.never or raw["not"] in ({}, True)
            del k["not"]
        if "items" in k and k["items"].never:
            del k["items"]
            room = len(k.get("prefixItems", ()))
            k["maxItems"] = min(k.get("maxItems", room), room)
        if "if" not in k or not ("then" in k or "else" in k):
            for key in ("if", "then", "else"):
                k.pop(key, None)
        if "patternProperties" in raw and "patternProperties" not in k:
            k.pop("additionalProperties", None)
        self._forbidden_properties(node)

    def _forbidden_properties(self, node: Node) -> None:
        properties = node.keywords.get("properties", {})
        for name in [name for name, child in properties.items() if child.never]:
            at = properties.pop(name).at
            self.lose("a key that must be left out is not spoken of", at)

    # -- references that never consume input --------------------------------------------------

    def _cut_loops(self) -> None:
        """Cut references that lead back to themselves at the same place of the input."""
        edges = {at: list(_references_in_place(node)) for at, node in self._targets.items()}
        state: dict[str, int] = {}
        for start, first in edges.items():
            if start in state:
                continue
            state[start] = 1
            path = [(start, iter(first))]
            while path:
                here, outward = path[-1]
                holder = next(outward, None)
                if holder is None:
                    state[here] = 2
                    path.pop()
                    continue
                there = holder.keywords["$ref"]
                if state.get(there) == 1:
                    del holder.keywords["$ref"]
                    self.lose("a reference that only leads to itself is left open", holder.at)
                elif there not in state:
                    state[there] = 1
                    path.append((there, iter(edges[there])))


def _references_in_place(node: Node) -> Iterator[Node]:
    """Yield the nodes with a `$ref` that look at the same value as `node` does."""
    stack = [node]
    while stack:
        here = stack.pop()
        if "$ref" in here.keywords:
            yield here
        stack.extend(child for keyword, child in subschemas(here) if keyword in IN_PLACE)


def _is_plain(key: str) -> bool:
    return (
        key in STRINGS
        or key in FLAGS
        or key in NUMBERS
        or key in COUNTS
        or key in ("required", "dependentRequired", "enum", "examples", "const", "default")
    )


def _is_draft_4(key: str, value: Json) -> bool:
    return isinstance(value, bool) and key.startswith("exclusive")


def _is_number(value: Json) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _MAX_INTEGER if isinstance(value, int) else math.isfinite(value)


def _count(value: Json) -> Json:
    if not _is_number(value) or value != int(value) or not 0 <= value <= _MAX_COUNT:
        return _LEFT_OUT
    return int(value)


def _names(value: Json) -> Json:
    if not isinstance(value, list):
        return _LEFT_OUT
    return list(dict.fromkeys(name for name in value if isinstance(name, str)))


def _dependents(value: Json) -> Json:
    if not isinstance(value, dict):
        return _LEFT_OUT
    named = {key: _names(names) for key, names in value.items() if isinstance(key, str)}
    return {key: names for key, names in named.items() if names is not _LEFT_OUT}


def _allow_null(keywords: dict[str, Any]) -> None:
    if "null" not in keywords["type"]:
        keywords["type"] = [*keywords["type"], "null"]
    if "const" in keywords:
        keywords["enum"] = [keywords.pop("const")]
    if "enum" in keywords and not any(value is None for value in keywords["enum"]):
        keywords["enum"] = [*keywords["enum"], None]
