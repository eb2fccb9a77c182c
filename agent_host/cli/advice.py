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
    if status in (401, 403):
        if server.headers:
            return f"the server does not take what is sent; check {where('headers')}"
        return f'it wants a key: headers = {{ Authorization = "Bearer ${{env:KEY}}" }} ({where()})'
    if status in (404, 405, 410):
        return f"is that its MCP endpoint? many end in /mcp or /sse; correct {where('url')}"
    if status == 407:
        return f"the proxy wants a user and password: http://USER:PASSWORD@HOST ({where('proxy')})"
    if status == 429:
        return "it wants fewer requests; wait, then try again"
    if status >= 500:
        return "the fault is the server's; ask whoever runs it, with the time of this test"
    if "redirects" in error:
        return f"make the place that it names the url ({where('url')}), if you trust it"
    if "text/html" in error or "event stream there" in error:
        return f"that is no MCP endpoint; correct {where('url')}"
    if "tls." in error:
        return f"see {where('tls')}"
    return f"is the server running, and {where('url')} its MCP endpoint? then check headers"


def _shell(server: ServerConfig) -> str:
    return shlex.join([server.command or "", *server.args])
