"""A servers.toml that changes while a chat goes on.

Theory of operation: the file is looked at when the user has written, by its stamp alone; a change
is told once. Nothing of it is used until the user says so (`/reload`) and, if it names what nobody
has trusted, until that was settled elsewhere: `--trust` was said of the file as it was, and a tool
may have written to it since. Servers are taken over; model, policy and limits stay the chat's.
"""

import argparse
import os

from agent_host.cli.live import enabled
from agent_host.cli.run import overrides
from agent_host.config.load import Loaded, load
from agent_host.config.trust import TrustStore, needs_trust
from agent_host.core.errors import AgentHostError
from agent_host.core.text import clean_line
from agent_host.host import HostSession


class Reload:
    """Takes over the servers of a changed servers.toml."""

    def __init__(self, options: argparse.Namespace, loaded: Loaded, host: HostSession) -> None:
        self._options = options
        self._path = loaded.path
        self._host = host
        self._seen = self._stamp()

    def notice(self) -> str:
        """Return what to tell if the file changed since it was last looked at, else nothing."""
        stamp = self._stamp()
        if stamp == self._seen:
            return ""
        self._seen = stamp
        return f"{clean_line(self._path.name)} changed; /reload takes over its servers"

    async def __call__(self) -> str:
        """Take over what the file names now; return what came of it. Never raises for the world."""
        self._seen = self._stamp()
        try:
            loaded = load(self._options.config, os.environ, overrides(self._options))
            only = enabled(loaded, self._options.server or ())
            items = needs_trust(loaded, TrustStore.users())
            if items:
                keys = ", ".join(item.key for item in items[:5]) + (", ..." if items[5:] else "")
                return (
                    f"{loaded.name}: not trusted yet: {keys}; nothing was changed; read it, run "
                    "`agent-host trust` in its folder, then /reload"
                )
            replaced = await self._host.replace_servers(loaded, only)
        except AgentHostError as error:
            return f"nothing was changed: {error}"
        told = [
            f"{what}: {', '.join(clean_line(name, 64) for name in names)}"
            for what, names in (
                ("added", replaced.added),
                ("removed", replaced.removed),
                ("started anew", replaced.changed),
            )
            if names
        ]
        return "; ".join(told) or "the servers are the same"

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
