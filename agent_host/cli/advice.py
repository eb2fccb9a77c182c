"""What to do about a server that does not connect: from what it said to what to type or change."""

import re
import shlex
from collections.abc import Callable

from agent_host.config.server_tables import ServerConfig
from agent_host.servers.spec import ServerHealth

_STATUS = re.compile(r"HTTP (\d{3})")
_LACKS = re.compile(
    r"ModuleNotFoundError: No module named '?([\w.]+)|Cannot find (?:module|package) '([^']+)'"
)
_VARIABLE = re.compile(r"\b([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)\b")


def advice(name: str, server: ServerConfig, health: ServerHealth, where: Callable[..., str]) -> str:
    """Return what to do. `where` returns where a key of the server stands in servers.toml."""
    if health.state == "needs_login":
        return f"agent-host servers login {shlex.quote(name)}"
    if "`protocol` asks for" in health.error or "protocol = " in health.error:
        return f"correct it, or leave it out ({where('protocol')})"
    if "not ready within" in health.error or health.state == "starting":
        return _slow(server, where)
    if server.command is not None:
        return _program(server, health, where)
    return _url(server, health.error, where)


def _slow(server: ServerConfig, where: Callable[..., str]) -> str:
    budget = f"connect_timeout = {server.connect_timeout * 3:g} ({where('connect_timeout')})"
    if server.command is None:
        return f"is {where('url')} its MCP endpoint? if it is only slow: {budget}"
    return (
        f"try it in a shell: `{_shell(server)}` must print nothing and wait for input; if it is "
        f"only slow: {budget}"
    )


def _program(server: ServerConfig, health: ServerHealth, where: Callable[..., str]) -> str:
    said = f"{health.stderr}\n{health.error}"
    if lacks := _LACKS.search(said):
        return f"install what it lacks: {lacks[1] or lacks[2]}"
    missing = [v for v in _VARIABLE.findall(said) if v not in server.env]
    if missing:
        return (
            f'if it wants {missing[0]}: env = {{ {missing[0]} = "${{env:{missing[0]}}}" }} '
            f"({where('env')}); it gets only what servers.toml names"
        )
    see = "see its stderr below; " if health.stderr else ""
    return (
        f"{see}try it in a shell: `{_shell(server)}`; it gets only the env that servers.toml names"
        f" ({where('env')})"
    )


def _url(server: ServerConfig, error: str, where: Callable[..., str]) -> str:
    found = _STATUS.search(error)
    status = int(found[1]) if found else 0
    if status in (401, 403) and server.headers:
        return f"the server does not take what is sent; check {where('headers')}"
    for about, said, key in _OF_URLS:
        if status in about if isinstance(about, range | tuple) else about in error:
            return said.format(where(key) if key else where())
    return f"is the server running, and {where('url')} its MCP endpoint? then check headers"


_OF_URLS: tuple[tuple[range | tuple[int, ...] | str, str, str], ...] = (
    ("redirects", "make the place that it names the url ({}), if you trust it", "url"),
    ((401, 403), 'it wants a key: headers = {{ Authorization = "Bearer ${{env:KEY}}" }} ({})', ""),
    ((404, 405, 410), "is that its MCP endpoint? many end in /mcp or /sse; correct {}", "url"),
    ((407,), "the proxy wants a user and password: http://USER:PASSWORD@HOST ({})", "proxy"),
    ((429,), "it wants fewer requests; wait, then try again", ""),
    (range(500, 600), "the fault is the server's; tell whoever runs it the time of this test", ""),
    ("text/html", "that is a web page and no MCP endpoint; correct {}", "url"),
    ("event stream there", "that is no MCP endpoint; correct {}", "url"),
    (
        "wants a client certificate",
        'tls = {{ cert = "FILE", key = "FILE" }} ({}), from whoever runs it',
        "tls",
    ),
    ("tls", "correct the file that it names ({})", "tls"),
)
"""HTTP statuses, or words of an error -> what to do, and the key where it is done."""


def _shell(server: ServerConfig) -> str:
    return shlex.join([server.command or "", *server.args])
