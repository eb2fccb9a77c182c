"""VS Code: `.vscode/mcp.json`, the user's mcp.json, and the key `mcp` of settings.json.

Theory of operation: `servers` (not `mcpServers`) of types stdio, http and sse, `inputs` that the
user is asked for (`${input:id}`), `envFile`, folders; the files are JSON with comments and trailing
commas. An input becomes a reference, one with a default and nothing secret becomes that. Source:
code.visualstudio.com/docs/copilot/reference/mcp-configuration.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent_host.config.importers.mcp_servers import server
from agent_host.config.importers.raw import App, Input, Machine, Place, Raw, Reader, each, table


class VSCode:
    """See `raw.App`."""

    name = "vscode"
    title = "VS Code"

    def places(self, machine: Machine) -> Iterator[Place]:
        """Yield its known files."""
        yield Place(machine.here / ".vscode" / "mcp.json", machine.here)
        for name in ("Code", "Code - Insiders"):
            user = machine.application_data(name) / "User"
            yield Place(user / "mcp.json")
            yield Place(user / "settings.json")

    def recognizes(self, path: Path, data: Mapping[str, Any]) -> bool:
        """Return whether a file is one of it."""
        # Our own servers.toml has tables of that name, too.
        found = table(data, "servers") or table(data, "mcp", "servers")
        return bool(found) and path.suffix != ".toml"

    def servers(self, data: Mapping[str, Any], machine: Machine) -> Iterator[Raw]:
        """Yield its servers."""
        holder = data if "servers" in data else table(data, "mcp")
        inputs = dict(_inputs(holder.get("inputs")))
        for name, said in each(table(holder, "servers")):
            raw = server(name, said)[1]
            raw.inputs = inputs
            yield raw


def _inputs(said: Any) -> Iterator[tuple[str, Input]]:
    for item in said if isinstance(said, list) else ():
        reader = Reader("input", item)
        name = reader.text("id")
        if name is not None:
            password = reader.flag("password") is True
            yield (
                name,
                Input(
                    description=reader.text("description") or "",
                    secret=password or item.get("type") == "command",
                    default=reader.text("default") or "",
                ),
            )


APP: App = VSCode()
