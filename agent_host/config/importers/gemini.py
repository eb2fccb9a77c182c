"""Gemini CLI: `mcpServers` of settings.json, the user's and a project's .gemini/settings.json.

Theory of operation: `httpUrl` is streamable HTTP; `url` alone is SSE unless `type` says http;
`timeout` is in milliseconds; `$NAME` and `${NAME}` are variables; `mcp.allowed` and `mcp.excluded`
switch servers on and off. Source: docs/tools/mcp-server.md of google-gemini/gemini-cli.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent_host.config.importers.claude_code import oauth
from agent_host.config.importers.mcp_servers import server
from agent_host.config.importers.raw import App, Machine, Place, Raw, each, table

_MARKS = {"httpUrl", "includeTools", "excludeTools", "trust", "authProviderType"}


class Gemini:
    """See `raw.App`."""

    name = "gemini"
    title = "Gemini CLI"

    def places(self, machine: Machine) -> Iterator[Place]:
        """Yield its known files."""
        yield Place(machine.here / ".gemini" / "settings.json", machine.here)
        yield Place(machine.home / ".gemini" / "settings.json")

    def recognizes(self, path: Path, data: Mapping[str, Any]) -> bool:
        """Return whether a file is one of it."""
        listed = [said for _, said in each(table(data, "mcpServers"))]
        marked = any(isinstance(said, Mapping) and _MARKS & said.keys() for said in listed)
        return marked or (path.parent.name == ".gemini" and "mcpServers" in data)

    def servers(self, data: Mapping[str, Any], machine: Machine) -> Iterator[Raw]:
        """Yield its servers."""
        mcp = table(data, "mcp")
        allowed, excluded = mcp.get("allowed"), mcp.get("excluded")
        for name, said in each(table(data, "mcpServers")):
            raw = _one(name, said)
            if isinstance(allowed, list) and name not in allowed:
                raw.enabled = False
            if isinstance(excluded, list) and name in excluded:
                raw.enabled = False
            yield raw


def _one(name: str, said: Any) -> Raw:
    reader, raw = server(name, said)
    if raw.problem:
        return raw
    raw.bare = True
    raw.timeout = reader.milliseconds("timeout")
    streaming = reader.text("httpUrl")
    if raw.url is not None:
        raw.url = streaming or raw.url
        raw.sse = streaming is None and reader.text("type") != "http"
        raw.auth |= oauth(reader)
    provider = reader.text("authProviderType")
    if provider not in (None, "dynamic_discovery"):
        raw.notes.append(f"logs in by {provider} there, which has no counterpart here; see auth")
    if reader.text("tcp") is not None and raw.url is None and raw.command is None:
        raw.problem = "is reached by a WebSocket (tcp), which is not known here"
    return raw


APP: App = Gemini()
