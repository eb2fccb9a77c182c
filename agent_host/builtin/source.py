"""The host's own tools laid over the servers' tools.

Theory of operation: this is the `ToolSource` that a session gets; whatever is not the host's own
goes to the pool. Arguments of own tools are validated as everyone's. Reading and searching happen
in a thread, so that a long text holds up nobody.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from agent_host.builtin import definitions
from agent_host.builtin.artifacts import Artifacts, UnreadableError
from agent_host.builtin.finding import Finder
from agent_host.builtin.paging import page
from agent_host.builtin.recalling import read
from agent_host.builtin.recalling import search as search_messages
from agent_host.builtin.searching import Query, search
from agent_host.core.conversation import Conversation
from agent_host.core.offering import HOST, READ_CONVERSATION, SEARCH_CONVERSATION
from agent_host.core.types import JsonObject, Message, Text, Tool, ToolErrorKind, ToolResult
from agent_host.ports import CallContext, CallPaused, ToolSource


class WithHostTools:
    """See `ports.ToolSource`. `folder`: where this run's artifacts lie, or will."""

    def __init__(self, servers: ToolSource, folder: Path) -> None:
        self._servers = servers
        self._artifacts = Artifacts(folder)
        self._finder = Finder()
        self._under: Mapping[str, Tool] | None = None
        self._table: Mapping[str, Tool] = {}
        self._conversation: Callable[[], Conversation] = Conversation
        self._own = (
            definitions.read_artifact(),
            definitions.search_artifact(),
            definitions.search_conversation(),
            definitions.read_conversation(),
        )

    def follow(self, conversation: Callable[[], Conversation]) -> None:
        """Search and read in this conversation from here on."""
        self._conversation = conversation

    async def ready(self) -> None:
        """See `ports.ToolSource`."""
        await self._servers.ready()

    def tools(self) -> Mapping[str, Tool]:
        """See `ports.ToolSource`."""
        under = self._servers.tools()
        if under is not self._under:
            own = (definitions.search_tools(under.values()), *self._own)
            self._table = {**under, **{tool.name: tool for tool in own}}
            self._under = under
        return self._table

    def withheld(self, name: str) -> str | None:
        """See `ports.ToolSource`."""
        return self._servers.withheld(name)

    def validate(self, tool: Tool, arguments: JsonObject) -> str | None:
        """See `ports.ToolSource`."""
        return self._servers.validate(tool, arguments)

    async def call(
        self, tool: Tool, arguments: JsonObject, context: CallContext
    ) -> ToolResult | CallPaused:
        """See `ports.ToolSource`."""
        if tool.server != HOST:
            return await self._servers.call(tool, arguments, context)
        if tool.tool == "search_tools":
            table = self._servers.tools()
            text, failed = await asyncio.to_thread(self._finder.answer, table, arguments)
        elif tool.name in (SEARCH_CONVERSATION, READ_CONVERSATION):
            messages = tuple(self._conversation().messages)
            text, failed = await asyncio.to_thread(_recalled, tool.name, messages, arguments)
        else:
            text, failed = await asyncio.to_thread(self._look, tool.tool, arguments)
        error: ToolErrorKind | None = "tool_error" if failed else None
        return ToolResult(call_id=context.call_id, content=(Text(text=text),), error=error)

    def _look(self, own: str, arguments: JsonObject) -> tuple[str, bool]:
        """Read or search an artifact; return what came of it, and whether that is an error."""
        given = dict(arguments)
        name = str(given.pop("name"))
        try:
            with self._artifacts.open(name) as file:
                if own == "read_artifact":
                    return page(file, **given), False
                return search(file, Query(text=given.pop("query"), **given)), False
        except (UnreadableError, ValueError) as why:
            return str(why), True
        except OSError as error:
            return f"The artifact cannot be read: {error.strerror}.", True


def _recalled(name: str, messages: tuple[Message, ...], arguments: JsonObject) -> tuple[str, bool]:
    """What comes of looking for earlier messages, and whether that is an error."""
    given = dict(arguments)
    try:
        if name == READ_CONVERSATION:
            return read(messages, **given), False
        return search_messages(messages, str(given.pop("query")), **given), False
    except ValueError as why:
        return str(why), True
