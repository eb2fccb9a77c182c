"""Where servers come from, for rules: a name is what a config gives, a source is what is reached.

Theory of operation: the URL as it is dialled, with what says the same in other words taken away
(case, a dot at the end of the host, user and password, the usual port), or the command line. A
reference that cannot be resolved leaves the source unknown, and what is not known allows nothing
(see `policy.facts`). A URL cannot be disguised but by another server that passes calls on; a
command line can, by a script.
"""

import shlex
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from agent_host.config.load import Loaded
from agent_host.config.secrets import resolve
from agent_host.core.errors import ConfigError
from agent_host.core.offering import HOST

_USUAL = {"http": 80, "https": 443}


class Sources:
    """The sources of a config's servers, looked up when they are asked for. `loaded` may be
    replaced when the config was read anew."""

    def __init__(self, loaded: Loaded, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: dict[str, str | None] = {}
        self._loaded = loaded

    def replace(self, loaded: Loaded) -> None:
        """Go on with another reading of the config."""
        self._loaded = loaded
        self._known = {}

    def __call__(self, server: str) -> str | None:
        """Return the source of a server, None if it is not known."""
        if server not in self._known:
            self._known[server] = self._found(server)
        return self._known[server]

    def _found(self, name: str) -> str | None:
        if name == HOST:
            return HOST
        server = self._loaded.config.servers.get(name)
        if server is None:
            return None
        if server.url is None:
            return shlex.join([server.command or "", *server.args])
        try:
            return plain_url(resolve(server.url, self._environ, self._loaded.folder))
        except (ConfigError, ValueError):
            return None


def plain_url(url: str) -> str:
    """Return a URL as rules compare it. Raises ValueError for what is none."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower().rstrip(".")
    if not host:
        raise ValueError("no host")
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, _USUAL.get(scheme)} else f":{parts.port}"
    return urlunsplit((scheme, f"{shown}{port}", parts.path or "/", parts.query, ""))
