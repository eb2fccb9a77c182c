"""What `doctor` sees of the servers by connecting to each, as a run would.

Theory of operation: nothing is called, nothing is learned (servers.lock is not written), and
nothing is started that nobody has trusted. This file is loaded only when servers are to be
connected to.
"""

import asyncio
from collections.abc import Iterator

from agent_host.cli.advice import advice
from agent_host.cli.doctor_findings import Facts, Finding
from agent_host.cli.live import enabled, live_pool
from agent_host.config.load import Loaded
from agent_host.core.errors import AgentHostError
from agent_host.core.text import clean_line
from agent_host.host.known import LOCK_FILE
from agent_host.records.redact import Redactor
from agent_host.servers.lock import Lock
from agent_host.servers.spec import ServerHealth

_BELOW = "see its stderr below; "
"""What is said where all of its stderr follows."""


def live(facts: Facts) -> Iterator[Finding]:
    """Connect to every enabled server and say what came of it."""
    if facts.loaded is None:
        return
    redactor = Redactor({})
    try:
        health = asyncio.run(_health(facts.loaded, enabled(facts.loaded), redactor))
    except AgentHostError as error:
        text = clean_line(redactor.text(str(error)), 500)
        yield Finding(id="not-started", level="problem", text=text)
        return
    for server in redactor.value(health):
        yield from _of(facts.loaded, server)


async def _health(
    loaded: Loaded, names: tuple[str, ...], redactor: Redactor
) -> tuple[ServerHealth, ...]:
    lock = Lock.read(loaded.folder / LOCK_FILE, writes=False)
    async with live_pool(loaded, names, redactor, lock=lock) as pool:
        return pool.health()


def _of(loaded: Loaded, health: ServerHealth) -> Iterator[Finding]:
    name = clean_line(health.name, 80)
    place = loaded.where("servers", health.name)
    if health.state == "connected":
        parts = [
            f"connected in {health.connect_seconds or 0.0:.2f} s",
            health.version and f"version {clean_line(health.version, 80)}",
            health.protocol and f"protocol {clean_line(health.protocol, 40)}",
            f"{health.tools} tools",
        ]
        text = f"{name}: {', '.join(part for part in parts if part)}"
        yield Finding(id="connected", level="ok", text=text, where=place)
        for problem in health.problems:
            text = f"{name}: {clean_line(problem, 300)}"
            fix = f"agent-host servers test {name}"
            yield Finding(id="tool-withheld", level="note", text=text, where=place, fix=fix)
        return
    server = loaded.config.servers[health.name]
    fix = advice(
        health.name, server, health, lambda *keys: loaded.where("servers", health.name, *keys)
    )
    if health.state == "needs_login":
        text = f"{name}: wants a login: {clean_line(health.error, 300)}"
        yield Finding(id="needs-login", level="problem", text=text, where=place, fix=fix)
        return
    why = health.error or f"no answer within {server.connect_timeout:g} s"
    text = f"{name}: {clean_line(why, 300)}"
    fix = fix.replace(_BELOW, "")
    yield Finding(id="failed", level="problem", text=text, where=place, fix=fix)
