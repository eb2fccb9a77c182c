"""The first connection to a server that was just configured: what it offers, or what to do."""

import sys
from dataclasses import replace

from agent_host.cli.live import with_servers
from agent_host.config.load import Loaded
from agent_host.config.schema import Config
from agent_host.config.trust import TrustStore, needs_trust
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean, clean_line
from agent_host.servers.pool import Pool
from agent_host.servers.spec import ServerHealth

_SHOWN = 12
_STDERR = 8

PATIENCE = 60.0
"""Seconds that a server has for its first connection."""


def _alone(loaded: Loaded, name: str) -> Loaded:
    """Return the config with this one server, patient, and with nothing that nobody trusted."""
    server = loaded.config.servers[name]
    seconds = max(server.connect_timeout, PATIENCE)
    patient = server.model_copy(update={"connect_timeout": seconds})
    config = loaded.config.model_copy(update={"servers": {name: patient}})
    items = needs_trust(loaded, TrustStore.users())
    if any(item.key == "identity" for item in items):
        # Only the server was confirmed; where a user's identity is checked was not.
        config = config.model_copy(update={"identity": Config().identity})
    return replace(loaded, config=config)


async def _look(pool: Pool) -> tuple[ServerHealth, tuple[str, ...]]:
    return pool.health()[0], tuple(sorted(tool.tool for tool in pool.tools().values()))


def first_look(loaded: Loaded, name: str) -> ExitStatus:
    """Connect to one server, say on stdout what it offers, on stderr what is wrong and what to do.

    Only this server is started. It gets PATIENCE to connect: the first start of a package is its
    download.
    """
    health, tools = with_servers(_alone(loaded, name), [name], _look)
    if health.state == "connected":
        _say_connected(health, tools)
        return ExitStatus.DONE
    shown = clean_line(name)
    if health.state == "needs_login":
        why = clean_line(health.error, 600)
        sys.stderr.write(f"it wants a login: {why}\nnext: agent-host servers login {shown}\n")
        return ExitStatus.NEEDS_LOGIN
    why = "no answer in time" if health.state == "starting" else health.error
    sys.stderr.write(f"it does not work yet: {clean_line(why or 'it did not say why', 600)}\n")
    tail = [line for line in clean(health.stderr).rstrip().split("\n") if line][-_STDERR:]
    for line in tail:
        sys.stderr.write(f"  its stderr: {line}\n")
    sys.stderr.write(f"next: agent-host servers test {shown} says what to do\n")
    return ExitStatus.SERVER_UNAVAILABLE


def _say_connected(health: ServerHealth, tools: tuple[str, ...]) -> None:
    seconds = f" in {health.connect_seconds:.1f} s" if health.connect_seconds is not None else ""
    version = f": {clean_line(health.version, 80)}" if health.version else ""
    sys.stdout.write(f"connected{seconds}{version}, {len(tools)} tools\n")
    for tool in tools[:_SHOWN]:
        sys.stdout.write(f"  {clean_line(tool, 100)}\n")
    if len(tools) > _SHOWN:
        sys.stdout.write(f"  and {len(tools) - _SHOWN} more: agent-host tools list\n")
    for problem in health.problems:
        sys.stderr.write(f"  {clean_line(problem)}\n")
