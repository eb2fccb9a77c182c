"""Claude Code: `.mcp.json` of a project, and ~/.claude.json with the user's and each project's own.

Theory of operation: types stdio, http (streamable-http) and sse; `${VAR}` and `${VAR:-default}`;
`oauth` with clientId, callbackPort and scopes; `headersHelper` is a program that prints headers,
which becomes a reference to be filled. Of ~/.claude.json only the project that is worked in counts.
`timeout` is in milliseconds. Source: code.claude.com/docs/en/mcp.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent_host.config.importers.mcp_servers import is_server, server
from agent_host.config.importers.raw import App, Machine, Place, Raw, Reader, each, table


class ClaudeCode:
    """See `raw.App`."""

    name = "claude-code"
    title = "Claude Code"

    def places(self, machine: Machine) -> Iterator[Place]:
        """Yield its known files."""
        yield Place(machine.here / ".mcp.json", machine.here)
        folder = machine.environ.get("CLAUDE_CONFIG_DIR")
        yield Place((Path(folder) if folder else machine.home) / ".claude.json")

    def recognizes(self, path: Path, data: Mapping[str, Any]) -> bool:
        """Return whether a file is one of it."""
        # Any other file with the object that all share, or a snippet of it, is read as this one is.
        return "mcpServers" in data or bool(data and all(is_server(said) for said in data.values()))

    def servers(self, data: Mapping[str, Any], machine: Machine) -> Iterator[Raw]:
        """Yield its servers."""
        own = data.get("mcpServers")
        if own is None and "projects" not in data:
            own = data
        off: set[str] = set()
        project = table(data, "projects", str(machine.here))
        for key in ("disabledMcpServers", "disabledMcpjsonServers"):
            listed = project.get(key)
            off |= {str(name) for name in listed} if isinstance(listed, list) else set()
        seen = set()
        for said, folder in ((project.get("mcpServers"), machine.here), (own, None)):
            for name, inner in each(said):
                if name in seen:  # the project's own comes first
                    continue
                seen.add(name)
                raw = _one(name, inner)
                raw.enabled = raw.enabled and name not in off
                if folder is not None and raw.command is not None and raw.cwd is None:
                    raw.cwd = str(folder)
                yield raw


def _one(name: str, said: Any) -> Raw:
    reader, raw = server(name, said)
    if raw.problem:
        return raw
    raw.timeout = reader.milliseconds("timeout")
    if raw.timeout is not None and raw.timeout < 1:
        raw.timeout = None
    raw.auth |= oauth(reader)
    helper = reader.text("headersHelper")
    if helper is not None:
        raw.header_variables["Authorization"] = f"{_upper(name)}_AUTHORIZATION"
        raw.notes.append(
            "its headers are printed by a program there (headersHelper); put the value of "
            f"Authorization into {_upper(name)}_AUTHORIZATION"
        )
    return raw


def oauth(reader: Reader) -> dict[str, Any]:
    """Return what the key `oauth` says of a registered client."""
    said = reader.get("oauth")
    if not isinstance(said, Mapping):
        return {}
    inner = Reader("oauth", said)
    scopes = [scope for text in inner.texts("scopes") for scope in text.split()]
    port = inner.number("callbackPort")
    return {
        "client_id": inner.text("clientId", "client_id"),
        "client_secret": inner.text("clientSecret", "client_secret"),
        "scopes": scopes,
        "redirect_port": int(port) if port and port <= 65535 else 0,
    }


def _upper(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()


APP: App = ClaudeCode()
