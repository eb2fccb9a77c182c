"""Claude Desktop: claude_desktop_config.json, `mcpServers` of stdio servers, nothing expanded.

Source: modelcontextprotocol.io, "Connect to local MCP servers"; on Linux the folder is that of the
unofficial builds.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent_host.config.importers.mcp_servers import server
from agent_host.config.importers.raw import App, Machine, Place, Raw, each, table

FILE = "claude_desktop_config.json"


class ClaudeDesktop:
    """See `raw.App`."""

    name = "claude-desktop"
    title = "Claude Desktop"

    def places(self, machine: Machine) -> Iterator[Place]:
        """Yield its known files."""
        yield Place(machine.application_data("Claude") / FILE)

    def recognizes(self, path: Path, data: Mapping[str, Any]) -> bool:
        """Return whether a file is one of it."""
        return path.name == FILE

    def servers(self, data: Mapping[str, Any], machine: Machine) -> Iterator[Raw]:
        """Yield its servers."""
        for name, said in each(table(data, "mcpServers")):
            yield server(name, said)[1]


APP: App = ClaudeDesktop()
