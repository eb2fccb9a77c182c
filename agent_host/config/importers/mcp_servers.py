"""The `mcpServers` object that most applications share, key by key.

Theory of operation: one reader for it; the applications' files say what is special about theirs.
`url` without `type` is streamable HTTP; `serverUrl` and `httpUrl` are the same key elsewhere. A
timeout of a thousand or more is in milliseconds: nobody waits for twenty minutes by default.
"""

from collections.abc import Mapping
from typing import Any

from agent_host.config.importers.raw import Raw, Reader

_UNTOLD = {
    "alwaysAllow": "tools that run without a question there (alwaysAllow) are asked about here",
    "autoApprove": "tools that run without a question there (autoApprove) are asked about here",
    "trust": "runs without questions there (trust); here a rule of policy would say so",
    "sandboxEnabled": "runs in a sandbox there (sandboxEnabled), and without one here",
    "dev": "its development mode (dev) has no counterpart here",
}
_STREAMING = ("http", "streamable-http", "streamable_http", "streamableHttp", "streamableHTTP")


def server(name: str, said: Any) -> tuple[Reader, Raw]:
    """Return what the common keys of one server say."""
    reader = Reader(name, said)
    raw = reader.raw
    if raw.problem:
        return reader, raw
    kind = reader.text("type", "transport", "transportType") or ""
    raw.command = reader.text("command")
    raw.args = reader.texts("args")
    raw.env = reader.pairs("env")
    raw.env_file = reader.text("envFile")
    raw.cwd = reader.text("cwd")
    url = reader.text("url", "serverUrl", "httpUrl")
    if url is not None and raw.command is not None:
        raw.notes.append("has a command and a URL; the command is taken")
    elif url is not None:
        raw.url = url
    raw.headers = reader.pairs("headers", "requestInit")
    raw.sse = kind == "sse"
    if kind and kind not in ("stdio", "sse", *_STREAMING):
        raw.problem = f"has the transport {kind}, which is not known here"
    timeout = reader.number("timeout")
    raw.timeout = timeout / 1000 if timeout is not None and timeout >= 1000 else timeout
    raw.enabled = reader.flag("disabled") is not True and reader.flag("enabled") is not False
    raw.exclude = reader.texts("disabledTools", "excludeTools")
    raw.include = reader.texts("enabledTools", "includeTools")
    reader.untold(_UNTOLD)
    return reader, raw


def is_server(said: Any) -> bool:
    """Return whether a value looks like one server's object."""
    return isinstance(said, Mapping) and any(
        isinstance(said.get(key), str) for key in ("command", "url", "httpUrl", "serverUrl")
    )
