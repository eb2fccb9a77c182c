"""Tool schemas as each provider takes them: one bad schema must never cost the whole request.

Theory of operation: providers answer 400 to the whole request if one tool's schema breaks their
rules, so each schema is compiled for the dialect before it is sent, once. Compiling reads whatever
the server sent into well-typed nodes (schema_reading), makes the root a plain object (schema_root,
schema_merging) and writes the nodes by the dialect's rules (schema_writing for the two dialects
that take JSON Schema nearly whole, schema_narrowing for the others). The result only ever allows
more than the server's schema does, but for what docs/decisions/0019 lists for single dialects: the
arguments are still checked by our own validation against the schema as the server gave it, and the
model is told what is wrong. What a dialect cannot say is said in words and reported as a loss. A
schema that is still too much is compiled again without what lies below its properties, then given
up for an open object.

A `ToolTable` is what a request offers: tools with legal names, descriptions and schemas in a stable
order, what had to be withheld and why, and the way back from the model's arguments to the server's.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agent_host.core.text import clean_line, clip
from agent_host.core.types import Json, JsonObject, Tool
from agent_host.models.schema_dialects import RULES, Dialect, Rules
from agent_host.models.schema_limits import MAX_SIZE, excess
from agent_host.models.schema_losses import Losses
from agent_host.models.schema_merging import Merger
from agent_host.models.schema_narrowing import Narrower, TooMuchError
from agent_host.models.schema_reading import MAX_DEPTH, Node, Reader, sendable
from agent_host.models.schema_restoring import Keys, Place, Translation
from agent_host.models.schema_root import RootError, plain_root
from agent_host.models.schema_writing import WholeWriter

__all__ = [
    "Compiled",
    "Dialect",
    "InexpressibleError",
    "OfferedTool",
    "ToolTable",
    "compile_schema",
    "tool_table",
]


_ALWAYS = 32 * 1024
_GROWTH = 4
"""Characters that a narrow schema may always have, and how many times those of the server's."""
_LEVELS = (MAX_DEPTH, 4, 1)
"""How much of a schema is told, tried in this order until it is not too much."""


class InexpressibleError(ValueError):
    """A tool cannot be said in a dialect; the message is one cleaned sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A schema that is legal in its dialect. `losses`: a sentence for each thing that it lost."""

    schema: JsonObject
    losses: tuple[str, ...]
    translation: Translation = field(repr=False)

    def restore(self, value: JsonObject) -> JsonObject:
        """Return arguments as the server has them, for arguments as the model sends them."""
        return self.translation.restore(value)

    def adapt(self, value: JsonObject) -> JsonObject:
        """Return arguments as the model would send them, for the server's."""
        return self.translation.adapt(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """A tool as a provider is told of it."""

    tool: Tool
    name: str
    description: str
    compiled: Compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTable:
    """The tools of a request. `withheld`: exposed name and one sentence that says why."""

    offered: tuple[OfferedTool, ...]
    withheld: Mapping[str, str]
    _translated: Mapping[str, Compiled] = field(repr=False)

    @property
    def renamed(self) -> bool:
        """Whether any tool's arguments differ from the server's on the wire."""
        return bool(self._translated)

    def restore(self, name: str, arguments: JsonObject) -> JsonObject:
        """Return a call's arguments as the server has them; the same object if nothing differs."""
        compiled = self._translated.get(name)
        return arguments if compiled is None else compiled.restore(arguments)

    def adapt(self, name: str, arguments: JsonObject) -> JsonObject:
        """Return a call's arguments as the model would send them; the same object likewise."""
        compiled = self._translated.get(name)
        return arguments if compiled is None else compiled.adapt(arguments)


def compile_schema(schema: Json, dialect: Dialect) -> Compiled:
    """Return the schema of a tool's arguments as the dialect takes it.

    `schema` is what the server sent: any value. It is not changed. Raises InexpressibleError if
    nothing legal says what the tool takes; dialects that are not strict always have an answer.
    """
    rules = RULES[dialect]
    too_much = ""
    for levels in _LEVELS:
        losses = Losses()
        if too_much:
            losses.add(f"only {levels} levels of it are told, because it has {too_much}", "")
        try:
            compiled = _compiled(schema, rules, losses, levels)
        except TooMuchError as error:
            too_much = str(error)
            continue
        too_much = excess(compiled.schema, rules, _max_size(schema, rules)) or ""
        if not too_much:
            return compiled
    if rules.strict:
        raise InexpressibleError(f"it has {too_much}, which strict mode does not take")
    losses = Losses()
    losses.add(f"nothing of it is told, because it has {too_much}", "")
    return _compiled({}, rules, losses, 1)


def _max_size(schema: Json, rules: Rules) -> int:
    """Return how long the schema may become: references in their place must not multiply it."""
    if rules.whole:
        return MAX_SIZE
    try:
        given = len(json.dumps(schema))
    except (ValueError, TypeError, RecursionError):
        given = 0
    return min(MAX_SIZE, max(_ALWAYS, _GROWTH * given))


def _compiled(schema: Json, rules: Rules, losses: Losses, levels: int) -> Compiled:
    reader = Reader(schema if isinstance(schema, dict) else {}, losses, levels)
    if not isinstance(schema, dict):
        losses.add("it is no schema of an object, so nothing of it is told", "")
    keys = Keys(_all_keys(reader), rules.key)
    merger = Merger(reader, losses)
    try:
        root = plain_root(reader.root, merger, losses)
    except RootError as error:
        if rules.strict:
            raise InexpressibleError(str(error)) from None
        losses.add(str(error), "")
        root = Node("", {"type": ["object"], "properties": {}, "required": []})
    place: Place | None = None
    if rules.whole:
        written = WholeWriter(reader, keys, losses).root(root)
    else:
        _check_strict_root(root, rules)
        narrow = Narrower(rules, merger, keys, losses, levels + 1).root(root)
        written, place = narrow.schema, narrow.place
    return Compiled(schema=written, losses=losses.sentences(), translation=Translation(keys, place))


def _check_strict_root(root: Node, rules: Rules) -> None:
    others = root.keywords.get("additionalProperties")
    free = "patternProperties" in root.keywords or (others is not None and not others.never)
    if rules.strict and free and not root.keywords["properties"]:
        raise InexpressibleError("it takes any keys, which strict mode does not know")


def _all_keys(reader: Reader) -> list[str]:
    """Return every key that the document speaks of, in a stable order."""
    found: dict[str, None] = {}
    for node in reader.all_nodes():
        for keyword in ("properties", "required", "dependentSchemas"):
            found.update(dict.fromkeys(node.keywords.get(keyword, ())))
        for key, names in node.keywords.get("dependentRequired", {}).items():
            found.update(dict.fromkeys((key, *names)))
    return list(found)


def tool_table(
    tools: Sequence[Tool],
    dialect: Dialect,
    *,
    max_tools: int = 0,
    max_description: int = 16_384,
    max_total: int = 0,
) -> ToolTable:
    """Return the tools as a request may offer them, in their order.

    `max_tools` of them at most, and `max_total` characters of names, descriptions and schemas as
    JSON (0: no bound); a description has `max_description` characters at most. What does not fit
    or cannot be said is withheld; nothing here fails for a single tool.
    """
    offered: dict[str, OfferedTool] = {}
    withheld: dict[str, str] = {}
    total = 0
    for tool in tools:
        if max_tools and len(offered) >= max_tools:
            withheld[tool.name] = f"the model takes {max_tools} tools at most"
            continue
        try:
            one = _offered(tool, dialect, max_description, offered)
        except InexpressibleError as error:
            withheld[tool.name] = clean_line(str(error))
            continue
        size = len(one.name) + len(one.description) + len(json.dumps(one.compiled.schema))
        if max_total and total + size > max_total:
            withheld[tool.name] = f"with it the tools would have more than {max_total} characters"
            continue
        total += size
        offered[tool.name] = one
    changed = {name: one.compiled for name, one in offered.items() if one.compiled.translation}
    return ToolTable(offered=tuple(offered.values()), withheld=withheld, _translated=changed)


def _offered(
    tool: Tool, dialect: Dialect, max_description: int, taken: Collection[str]
) -> OfferedTool:
    if not RULES[dialect].name.fullmatch(tool.name):
        raise InexpressibleError("the provider does not take its name")
    if tool.name in taken:
        raise InexpressibleError("another tool has the same name")
    return OfferedTool(
        tool=tool,
        name=tool.name,
        description=clip(sendable(tool.description), max_description),
        compiled=compile_schema(tool.input_schema, dialect),
    )
