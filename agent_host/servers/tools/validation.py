"""Our own bounded check of arguments and results against a tool's schemas.

Theory of operation: a schema comes from an untrusted server, so it is vetted before it is compiled:
only references inside the document, no reference that comes back to itself without consuming
input, and a bounded amount of work. Work is counted as the number of schema visits that one value
can cause (`$defs` chains double with each level) and, for recursive schemas, by how much that grows
with each level of the value. Patterns run on a linear-time engine; one that it cannot express is
left out of the check rather than the tool. Nothing is ever fetched. Source: MCP 2026-07-28, basic
("Composition-Keyword Resource Use").
"""

from collections import OrderedDict
from math import isfinite
from typing import Any

import jsonschema_rs

from agent_host.core.text import clean_line
from agent_host.core.types import Json, JsonObject, Tool
from agent_host.servers.tools.vetting import SchemaError, vet

MAX_WORK = 2_000_000
"""Schema visits that a whole value may cause (about 0.1 microseconds each)."""
MAX_PATTERNS = 64
"""Patterns of one schema that are compiled (up to 2 milliseconds each); of a schema with more,
none is."""
LISTED = 500
"""Nodes of a value up to which all its problems are listed: each holds a copy of the value."""
MAX_VALUE_NODES = 100_000
PROBLEMS_SHOWN = 8
CACHED = 512


def _deny(uri: str) -> Any:
    raise ValueError(f"references are not fetched: {clean_line(uri, 100)}")


def size_of(value: Json) -> tuple[int, int, bool]:
    """Nodes and depth of a JSON value, and whether all its numbers are finite; stops counting
    above the bounds."""
    stack: list[tuple[Json, int]] = [(value, 1)]
    nodes = deepest = 0
    finite = True
    while stack and nodes <= MAX_VALUE_NODES:
        item, depth = stack.pop()
        nodes += 1
        deepest = max(deepest, depth)
        if isinstance(item, dict):
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            stack.extend((child, depth + 1) for child in item)
        elif isinstance(item, float):
            finite = finite and isfinite(item)
    return nodes, deepest, finite


def _patterns(schema: Json) -> int:
    """How many patterns there are, or look as if they were."""
    count, stack = 0, [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            named = item.get("patternProperties")
            count += isinstance(item.get("pattern"), str)
            count += len(named) if isinstance(named, dict) else 0
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return count


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
        self._visits, self._growth = vet(schema)
        if _patterns(schema) > MAX_PATTERNS:
            schema = _without_patterns(schema)
        try:
            self._validator = _compile(schema)
        except (ValueError, TypeError) as error:
            try:
                self._validator = _compile(_without_patterns(schema))
            except (ValueError, TypeError):
                raise SchemaError(f"the schema is invalid: {_reason(error)}") from None

    def too_much(self, value: Json) -> str | None:
        """Why `value` cannot be checked in bounded time, or None."""
        nodes, depth, _ = size_of(value)
        if nodes > MAX_VALUE_NODES:
            return "it is too large to be checked"
        if nodes * self._visits * self._growth ** min(depth, 60) > MAX_WORK:
            return "it is too large or nested too deeply for this schema to be checked"
        return None

    def problems(self, value: Json) -> tuple[str, ...]:
        """What is wrong with `value`, at most PROBLEMS_SHOWN lines; empty if nothing is."""
        nodes, _, finite = size_of(value)
        if (why := self.too_much(value)) is not None:
            return (why,)
        if not finite:
            return ("it holds a number that JSON cannot say (NaN or an infinity)",)
        try:
            if nodes <= LISTED:
                return self._all_problems(value)
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return (_problem(error),)
        except (ValueError, TypeError, jsonschema_rs.ReferencingError) as error:
            return (f"it cannot be checked: {_reason(error)}",)
        return ()

    def _all_problems(self, value: Json) -> tuple[str, ...]:
        found = []
        for error in self._validator.iter_errors(value):
            found.append(_problem(error))
            if len(found) == PROBLEMS_SHOWN:
                found.append("and more")
                break
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
        if isinstance(checker, SchemaError) or checker.too_much(structured) is not None:
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
