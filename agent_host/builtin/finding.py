"""Answers of the tool that searches the catalogue.

Theory of operation: the names in an answer are what `core.offering` reads out of the conversation,
one a line; what servers wrote stands behind them on the same line, so that no description can name
a tool of another server.
"""

from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches

from agent_host.builtin.definitions import FOUND
from agent_host.core.hidden import visible
from agent_host.core.search import ToolSearch
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Tool

_SAID = 200
"""Characters of a description in an answer."""


class Finder:
    """Searches the servers' tools; the index is made when it is first needed."""

    def __init__(self) -> None:
        self._table: Mapping[str, Tool] | None = None
        self._index = ToolSearch()

    def answer(self, table: Mapping[str, Tool], arguments: JsonObject) -> tuple[str, bool]:
        """Return the answer for a model, and whether it is an error."""
        if table is not self._table:
            self._index.take(table.values())
            self._table = table
        query, server = str(arguments["query"]), arguments.get("server")
        if server is not None:
            servers = Counter(tool.server for tool in table.values())
            if server not in servers:
                near = get_close_matches(str(server), servers, n=3) or sorted(servers)[:20]
                said = clean_line(str(server), 64)
                return f"There is no server {said}; there is {', '.join(near)}.", True
        limit = int(arguments.get("limit", FOUND))
        found = self._index.find(query, server=server, limit=limit)
        if not found.tools:
            return _nothing(query, table), False
        lines = [f"{len(found.tools)} of {found.total} tools that speak of it, the best first:"]
        lines += [f"- {tool.name}: {said_of(tool)}" for tool in found.tools]
        lines.append("They can be called now.")
        if found.total > len(found.tools):
            lines[-1] += " For others: other words, one server, or a higher limit."
        return "\n".join(lines), False


def said_of(tool: Tool) -> str:
    """Return what a tool says of itself, on one short line."""
    return clean_line(" ".join(visible(tool.description)[: 4 * _SAID].split()), _SAID)


def _nothing(query: str, table: Mapping[str, Tool]) -> str:
    counts = Counter(tool.server for tool in table.values())
    servers = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())[:50])
    return (
        f"No tool speaks of {clean_line(query, 100)!r}. Try other words for it. "
        f"The servers are: {servers or 'none'}."
    )
