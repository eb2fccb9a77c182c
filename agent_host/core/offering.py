"""Which tools a model is offered: all of a small catalogue, of a large one those it asked for.

Theory of operation: a catalogue over a bound is searched instead of sent: the model gets the tool
that searches, the tools that the config always offers, and those that this conversation revealed,
because a search found them or a call used them. What is revealed is a fold over the messages, so a
resumed or replayed run is offered the same; new tools come last, so that what a provider cached of
the list holds; over a bound the oldest that were never called go. Only what is new in the
conversation is looked at, and the same tuple is returned until something changed. The tools for
artifacts come with the first artifact, those for the conversation when something of it is left
out. A tool that is not offered can be called all the same:
offering is about size, policy about rights.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import is_
from typing import Literal

from agent_host.core.hidden import shown_tool
from agent_host.core.size import json_size
from agent_host.core.types import Message, Text, Tool, ToolCall, ToolResult

HOST = "host"
"""The server name of the host's own tools; no configured server may have it."""
SEARCH_TOOLS = f"{HOST}__search_tools"
READ_ARTIFACT = f"{HOST}__read_artifact"
SEARCH_ARTIFACT = f"{HOST}__search_artifact"
SEARCH_CONVERSATION = f"{HOST}__search_conversation"
READ_CONVERSATION = f"{HOST}__read_conversation"
_FOR_ARTIFACTS = (READ_ARTIFACT, SEARCH_ARTIFACT)
_FOR_CONVERSATIONS = (SEARCH_CONVERSATION, READ_CONVERSATION)

RECALLING = frozenset({*_FOR_ARTIFACTS, *_FOR_CONVERSATIONS})
"""Tools whose results are what an earlier result or message brought."""

REVEALED = 128
"""Tools that a conversation keeps revealed; when there are more, the oldest that were never called
go until half are left."""

FOUND_LINE = re.compile(r"^- ([A-Za-z0-9_-]{1,64})(?::|$)", re.MULTILINE)
"""How a result of the search names a tool: `- name: what it does`, one a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRules:
    """When a catalogue is searched instead of sent: `auto`, with more than `above` tools or more
    than `above_size` characters of definitions. `always`: globs over `server/tool` of tools that
    are offered in any case."""

    search: Literal["auto", "always", "never"] = "auto"
    above: int = 64
    above_size: int = 200_000
    always: tuple[str, ...] = ()


class Revealed:
    """The exposed names that a conversation revealed, in the order in which it did."""

    def __init__(self) -> None:
        self._read: tuple[Message, ...] = ()
        self._names: dict[str, bool] = {}
        self._searches: frozenset[str] = frozenset()

    def names(self, messages: Sequence[Message]) -> tuple[str, ...]:
        """Return the names; only messages that were not there the last time are looked at."""
        known = len(self._read)
        grown = len(messages) >= known and (not known or messages[known - 1] is self._read[-1])
        if not grown or (known and messages[0] is not self._read[0]):
            known, self._names, self._searches = 0, {}, frozenset()
        for message in messages[known:]:
            self._take(message)
        self._read = tuple(messages)
        return tuple(self._names)

    def _take(self, message: Message) -> None:
        calls = [block for block in message.content if isinstance(block, ToolCall)]
        for call in calls:
            self._names[call.name] = True
        if message.role == "assistant":
            self._searches = frozenset(call.id for call in calls if call.name == SEARCH_TOOLS)
        for block in message.content:
            if isinstance(block, ToolResult):
                self._take_result(block)
        self._forget()

    def _take_result(self, result: ToolResult) -> None:
        if result.artifact is not None:
            for name in _FOR_ARTIFACTS:
                self._names.setdefault(name, True)
        if result.call_id in self._searches and result.error is None:
            for name in found_names(result):
                self._names.setdefault(name, False)

    def _forget(self) -> None:
        if len(self._names) <= REVEALED:
            return
        over = len(self._names) - REVEALED // 2
        idle = [name for name, called in self._names.items() if not called]
        for name in idle[:over]:
            del self._names[name]


def found_names(result: ToolResult) -> list[str]:
    """Return the exposed names that a result of the search tells."""
    return [
        name
        for block in result.content
        if isinstance(block, Text)
        for name in FOUND_LINE.findall(block.text)
    ]


class Offering:
    """What one session's model is offered."""

    def __init__(self, rules: SearchRules = SearchRules()) -> None:
        self._rules = rules
        self._revealed = Revealed()
        self._table: Mapping[str, Tool] | None = None
        self._names: tuple[str, ...] | None = None
        self._offered: tuple[Tool, ...] = ()
        self._whole: tuple[Mapping[str, Tool] | None, tuple[Tool, ...]] = (None, ())
        self._large = False
        self._pinned: tuple[str, ...] = ()
        self._shown: dict[str, tuple[Tool, Tool]] = {}

    def tools(
        self,
        table: Mapping[str, Tool],
        messages: Sequence[Message],
        *,
        also: str = "",
        recall: bool = False,
    ) -> tuple[Tool, ...]:
        """Return the tools to offer, in stable order, as a model may be shown them; the same
        tuple as the last time if nothing changed. `also`: a tool to offer in any case, if there
        is one of that exposed name; `recall`: something of the conversation is left out, so
        that the tools that find it again are offered."""
        recalling = _FOR_CONVERSATIONS if recall else ()
        names = (also, *self._revealed.names(messages), *recalling)
        if table is self._table and names == self._names:
            return self._offered
        if table is not self._table:
            self._large = is_large(table, self._rules)
            self._pinned = _pinned(table, self._rules.always) if self._large else ()
        chosen = tuple(self._show(table[name]) for name in self._choose(table, names))
        if len(chosen) != len(self._offered) or not all(map(is_, chosen, self._offered)):
            self._offered = chosen
        self._table, self._names = table, names
        return self._offered

    def whole(self, table: Mapping[str, Tool]) -> tuple[Tool, ...]:
        """Return every tool of the servers: for what answers on this machine without a model, and
        knows nothing of the host's own tools."""
        if table is not self._whole[0]:
            servers = (tool for tool in table.values() if tool.server != HOST)
            self._whole = (table, tuple(map(self._show, servers)))
        return self._whole[1]

    def _choose(self, table: Mapping[str, Tool], names: Iterable[str]) -> tuple[str, ...]:
        if self._large:
            chosen = (SEARCH_TOOLS, *self._pinned, *(name for name in names if name in table))
        else:
            own = (name for name in names if name in RECALLING and name in table)
            chosen = (*(name for name, tool in table.items() if tool.server != HOST), *own)
        return tuple(dict.fromkeys(chosen))

    def _show(self, tool: Tool) -> Tool:
        known = self._shown.get(tool.name)
        if known is None or known[0] is not tool:
            known = self._shown[tool.name] = (tool, shown_tool(tool))
        return known[1]


def is_large(table: Mapping[str, Tool], rules: SearchRules) -> bool:
    """Whether a catalogue is to be searched instead of sent."""
    if rules.search == "never" or SEARCH_TOOLS not in table:
        return False
    tools = [tool for tool in table.values() if tool.server != HOST]
    if rules.search == "always":
        return bool(tools)
    return len(tools) > rules.above or sum(map(definition_size, tools)) > rules.above_size


def definition_size(tool: Tool) -> int:
    """Return about how many characters a tool's definition is in a request."""
    return len(tool.name) + len(tool.description) + json_size(tool.input_schema) + 64


def _pinned(table: Mapping[str, Tool], globs: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        name for name, tool in table.items() if tool.server != HOST and _matches(tool, globs)
    )


def _matches(tool: Tool, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(f"{tool.server}/{tool.tool}", glob) for glob in globs)
