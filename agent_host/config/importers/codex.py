"""Codex: `[mcp_servers.NAME]` of ~/.codex/config.toml and of a project's .codex/config.toml.

Theory of operation: nothing is expanded; secrets are named by variables: `env_vars` are handed on,
`bearer_token_env_var` and `env_http_headers` fill headers. Timeouts are in seconds
(`startup_timeout_ms` is the old spelling). Source: openai/codex,
codex-rs/config/src/mcp_types.rs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent_host.config.importers.raw import App, Machine, Place, Raw, Reader, each, table

_UNTOLD = {
    "default_tools_approval_mode": "its approval mode has no counterpart; see [policy]",
    "tools": "the approval modes of its tools have no counterpart; see [policy]",
    "required": "required has no counterpart here: a server that fails delays nobody",
    "oauth_resource": "oauth_resource is taken from the URL here",
    "experimental_environment": "experimental_environment has no counterpart here",
}


class Codex:
    """See `raw.App`."""

    name = "codex"
    title = "Codex"

    def places(self, machine: Machine) -> Iterator[Place]:
        """Yield its known files."""
        yield Place(machine.here / ".codex" / "config.toml", machine.here)
        home = machine.environ.get("CODEX_HOME")
        yield Place((Path(home) if home else machine.home / ".codex") / "config.toml")

    def recognizes(self, path: Path, data: Mapping[str, Any]) -> bool:
        """Return whether a file is one of it."""
        return "mcp_servers" in data

    def servers(self, data: Mapping[str, Any], machine: Machine) -> Iterator[Raw]:
        """Yield its servers."""
        for name, said in each(table(data, "mcp_servers")):
            yield _one(name, said)


def _one(name: str, said: Any) -> Raw:
    reader = Reader(name, said)
    raw = reader.raw
    if raw.problem:
        return raw
    raw.command = reader.text("command")
    raw.args = reader.texts("args")
    raw.env = reader.pairs("env")
    raw.cwd = reader.text("cwd")
    raw.forwarded = list(_names(reader.get("env_vars")))
    raw.url = reader.text("url")
    raw.headers = reader.pairs("http_headers")
    raw.header_variables = reader.pairs("env_http_headers")
    raw.bearer_variable = reader.text("bearer_token_env_var")
    token = reader.text("bearer_token")
    if token is not None:
        raw.headers.setdefault("Authorization", f"Bearer {token}")
    raw.connect_timeout = reader.seconds("startup_timeout_sec")
    if raw.connect_timeout is None:
        raw.connect_timeout = reader.milliseconds("startup_timeout_ms")
    raw.timeout = reader.seconds("tool_timeout_sec")
    raw.include = reader.texts("enabled_tools")
    raw.exclude = reader.texts("disabled_tools")
    raw.enabled = reader.flag("enabled") is not False
    if raw.url is not None and raw.bearer_variable is None:
        client = Reader(name, reader.get("oauth") or {})
        raw.auth = {"client_id": client.text("client_id"), "scopes": reader.texts("scopes")}
    reader.untold(_UNTOLD)
    return raw


def _names(said: Any) -> Iterator[str]:
    for item in said if isinstance(said, list) else ():
        name = item.get("name") if isinstance(item, Mapping) else item
        if isinstance(name, str):
            yield name


APP: App = Codex()
