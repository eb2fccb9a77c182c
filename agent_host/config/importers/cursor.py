"""Cursor: `.cursor/mcp.json` of a project and of the user.

Theory of operation: `mcpServers` with `envFile`, `${env:NAME}` and folders; `url` is streamable
HTTP or SSE, which Cursor finds out by itself; `auth` holds CLIENT_ID, CLIENT_SECRET and scopes of a
registered client. Source: cursor.com/docs/mcp.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent_host.config.importers.mcp_servers import server
from agent_host.config.importers.raw import App, Machine, Place, Raw, Reader, each, table


class Cursor:
    """See `raw.App`."""

    name = "cursor"
    title = "Cursor"

    def places(self, machine: Machine) -> Iterator[Place]:
        """Yield its known files."""
        yield Place(machine.here / ".cursor" / "mcp.json", machine.here)
        yield Place(machine.home / ".cursor" / "mcp.json")

    def recognizes(self, path: Path, data: Mapping[str, Any]) -> bool:
        """Return whether a file is one of it."""
        return path.parent.name == ".cursor"

    def servers(self, data: Mapping[str, Any], machine: Machine) -> Iterator[Raw]:
        """Yield its servers."""
        for name, said in each(table(data, "mcpServers")):
            reader, raw = server(name, said)
            auth = reader.get("auth")
            if raw.url is not None and isinstance(auth, Mapping):
                inner = Reader(name, auth)
                raw.auth |= {
                    "client_id": inner.text("CLIENT_ID"),
                    "client_secret": inner.text("CLIENT_SECRET"),
                    "scopes": inner.texts("scopes"),
                }
            if raw.url is not None and raw.url.rstrip("/").endswith("/sse"):
                raw.sse = True
            yield raw


APP: App = Cursor()
