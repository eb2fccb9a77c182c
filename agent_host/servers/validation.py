"""Our own bounded check of arguments and results against a tool's schemas.

Theory of operation: a schema comes from an untrusted server, so it is vetted before it is compiled:
only references inside the document, no reference that comes back to itself without consuming
input, and a bounded amount of work. Work is counted as the number of schema visits that one value
can cause (`$defs` chains double with each level) and, for recursive schemas, by how much that grows
with each level of the value. Patterns run on a linear-time engine; one that it cannot express is
left out of the check rather than the tool. Nothing is ever fetched. Sources: JSON Schema 2020-12,
core; MCP 2026-07-28, basic ("Composition-Keyword Resource Use").
"""

from collections import OrderedDict
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from agent_host.core.text import clean_line
from agent_host.core.types import Json, JsonObject, Tool

MAX_NODES = 20_000
"""Schema and value nodes that are looked at."""
MAX_DEPTH = 100
MAX_VISITS = 50_000
"""Schema visits that one value may cause without descending into it."""
MAX_WORK = 2_000_000
"""Schema visits that a whole value may cause."""
MAX_VALUE_NODES = 200_000
PROBLEMS_SHOWN = 8
CACHED = 512

_SAME = ("allOf", "anyOf", "oneOf")
_SAME_ONE = ("not", "if", "then", "else")
_BELOW_ONE = (
    "items", "additionalItems", "contains", "additionalProperties", "propertyNames",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_BELOW_MANY = ("properties", "patternProperties")
_NOT_VISITED = ("$defs", "definitions")


class SchemaError(ValueError):
    """Why a schema cannot be used; the text is clean."""


def _deny(uri: str) -> Any:
    raise ValueError(f"references are not fetched: {clean_line(uri, 100)}")


class _Vetting:
    """Measures one schema document."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._visits: dict[int, int] = {}
        self._below: dict[int, int] = {}
        self._path: set[int] = set()
        self._ids: dict[str, Json] = {}
        self._nodes: list[JsonObject] = []
        self.recursive = False

    def measure(self) -> tuple[int, int]:
        """Return the most visits one value causes at its own level, and how many visits one
        level causes of the next. Raises SchemaError."""
        self._collect()
        for node in self._nodes:
            self._own(node)
        visits = max(self._visits.values(), default=1)
        growth = max((self._growth(node) for node in self._nodes), default=1)
        return visits, growth

    def _collect(self) -> None:
        """Find every node that may be a schema, and the anchors."""
        stack: list[tuple[Any, int]] = [(self._root, 0)]
        count = 0
        while stack:
            value, depth = stack.pop()
            count += 1
            if count > MAX_NODES:
                raise SchemaError(f"the schema has more than {MAX_NODES} nodes")
            if depth > MAX_DEPTH:
                raise SchemaError(f"the schema is nested more than {MAX_DEPTH} deep")
            if isinstance(value, dict):
                self._nodes.append(value)
                for key in ("$anchor", "$dynamicAnchor"):
                    if isinstance(value.get(key), str):
                        self._ids["#" + value[key]] = value
                stack.extend((item, depth + 1) for item in value.values())
            elif isinstance(value, list):
                stack.extend((item, depth + 1) for item in value)

    def _own(self, node: Json) -> int:
        """Schema visits at one value's own level, this node included."""
        if not isinstance(node, dict):
            return 1
        key = id(node)
        if key in self._visits:
            return self._visits[key]
        if key in self._path:
            raise SchemaError("a $ref comes back to itself")
        if len(self._path) > 5 * MAX_DEPTH:
            raise SchemaError("the references are nested too deeply")
        self._path.add(key)
        total = 1 + sum(self._own(child) for child in self._same_level(node))
        if "unevaluatedProperties" in node or "unevaluatedItems" in node:
            total *= 2
        self._path.discard(key)
        if total > MAX_VISITS:
            raise SchemaError("the schema would take too long to check")
        self._visits[key] = total
        return total

    def _same_level(self, node: JsonObject) -> list[Json]:
        found = [item for key in _SAME for item in _list(node.get(key))]
        found += [node[key] for key in _SAME_ONE if key in node]
        for key in ("dependentSchemas", "dependencies"):
            found += [v for v in _dict(node.get(key)).values() if isinstance(v, dict | bool)]
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(node.get(key), str):
                found.append(self._target(node[key]))
        return found

    def _target(self, ref: str) -> Json:
        if not ref.startswith("#"):
            own = self._root.get("$id") if isinstance(self._root, dict) else None
            if not isinstance(own, str) or not ref.startswith(own.rstrip("#") + "#"):
                raise SchemaError(f"$ref {clean_line(ref, 80)} is outside the schema")
            ref = ref[len(own.rstrip("#")) :]
        if ref in self._ids:
            return self._ids[ref]
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

    def _growth(self, node: JsonObject) -> int:
        """How often visiting `node` once makes one child value's schemas be visited."""
        most: dict[str, int] = {}
        everywhere = 0
        stack: list[Json] = [node]
        seen = 0
        while stack:
            current = stack.pop()
            seen += 1
            if not isinstance(current, dict) or seen > MAX_VISITS:
                continue
            for name in _dict(current.get("properties")):
                most[name] = most.get(name, 0) + 1
            everywhere += len(_dict(current.get("patternProperties")))
            everywhere += sum(1 for key in _BELOW_ONE if key in current)
            everywhere += 1 if "prefixItems" in current else 0
            stack.extend(self._same_level(current))
        return max(max(most.values(), default=0) + everywhere, 1)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def size_of(value: Json) -> tuple[int, int]:
    """Nodes and depth of a JSON value; stops counting above the bounds."""
    stack: list[tuple[Json, int]] = [(value, 1)]
    nodes = deepest = 0
    while stack and nodes <= MAX_VALUE_NODES:
        item, depth = stack.pop()
        nodes += 1
        deepest = max(deepest, depth)
        if isinstance(item, dict):
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            stack.extend((child, depth + 1) for child in item)
    return nodes, deepest


def _without_patterns(value: Json) -> Json:
    if isinstance(value, dict):
        return {
            key: _without_patterns(item)
            for key, item in value.items()
            if not (key == "pattern" and isinstance(item, str)) and key != "patternProperties"
        }
    if isinstance(value, list):
        return [_without_patterns(item) for item in value]
    return value


def _compile(schema: Json) -> Any:
    options: dict[str, Any] = {
        "retriever": _deny,
        "pattern_options": jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20),
        "validate_formats": False,
    }
    return jsonschema_rs.validator_for(schema, **options)


class Checker:
    """A vetted, compiled schema. Construction raises SchemaError."""

    def __init__(self, schema: Json) -> None:
        self._visits, self._growth = _Vetting(schema).measure()
        try:
            self._validator = _compile(schema)
        except (ValueError, TypeError) as error:
            try:
                self._validator = _compile(_without_patterns(schema))
            except (ValueError, TypeError):
                raise SchemaError(f"the schema is invalid: {_reason(error)}") from None

    def problems(self, value: Json) -> tuple[str, ...]:
        """What is wrong with `value`, at most PROBLEMS_SHOWN lines; empty if nothing is."""
        nodes, depth = size_of(value)
        if nodes > MAX_VALUE_NODES:
            return ("it is too large to be checked",)
        work = nodes * self._visits * self._growth ** min(depth, 60)
        if work > MAX_WORK and work > nodes * 64:
            return ("it is nested too deeply for this schema to be checked",)
        found = []
        try:
            for error in self._validator.iter_errors(value):
                found.append(_problem(error))
                if len(found) == PROBLEMS_SHOWN:
                    found.append("and more")
                    break
        except (ValueError, TypeError, jsonschema_rs.ReferencingError) as error:
            return (f"it cannot be checked: {_reason(error)}",)
        return tuple(found)


def _problem(error: Any) -> str:
    where = "/".join(str(part) for part in error.instance_path)
    return f"{clean_line(where, 100) or 'the value'}: {clean_line(str(error.message))}"


def _reason(error: Exception) -> str:
    return clean_line(getattr(error, "message", None) or str(error).partition("\n")[0], 200)


class Validation:
    """Compiled checkers by fingerprint; the least recently used are forgotten."""

    def __init__(self) -> None:
        self._cache: OrderedDict[tuple[str, str], Checker | SchemaError] = OrderedDict()

    def arguments(self, tool: Tool, arguments: JsonObject) -> str | None:
        """What is wrong with the arguments, for the model, or None."""
        checker = self._checker("input", tool.fingerprint, tool.input_schema)
        if isinstance(checker, SchemaError):
            return f"The tool's schema cannot be used: {checker}"
        problems = checker.problems(arguments)
        if not problems:
            return None
        return "The arguments do not match the tool's schema:\n" + _lines(problems)

    def result(self, tool: Tool, structured: Json) -> str | None:
        """How a structured result differs from the tool's output schema, or None."""
        if tool.output_schema is None:
            return None
        checker = self._checker("output", tool.fingerprint, tool.output_schema)
        if isinstance(checker, SchemaError):
            return None
        problems = checker.problems(structured)
        if not problems:
            return None
        return "[The result does not match the tool's own output schema:\n" + _lines(problems) + "]"

    def _checker(self, kind: str, fingerprint: str, schema: Json) -> Checker | SchemaError:
        key = (kind, fingerprint)
        known = self._cache.get(key)
        if known is None:
            try:
                known = Checker(schema)
            except SchemaError as error:
                known = error
            self._cache[key] = known
            if len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(key)
        return known


def _lines(problems: tuple[str, ...]) -> str:
    return "\n".join(f"- {problem}" for problem in problems)
