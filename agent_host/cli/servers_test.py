"""`agent-host servers test`: why one server does not work, step by step, each timed.

Theory of operation: first what needs no server (config, references, the command or the way to the
URL), then one connection as a run would make it, looked at from its handshake to its end. The first
step that fails ends it, with what to do about it.
"""

import argparse
import asyncio
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any

from agent_host.cli.advice import advice
from agent_host.cli.commands import resolve_command
from agent_host.cli.live import enabled, with_servers
from agent_host.cli.sandboxed import server_sandbox
from agent_host.cli.steps import Diagnosis, Found
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.load import Loaded, load
from agent_host.config.secrets import resolve
from agent_host.config.server_tables import ServerConfig
from agent_host.config.show import mask_url
from agent_host.core.errors import ConfigError, ExitStatus
from agent_host.core.text import clean, clean_line
from agent_host.servers.pool import Pool
from agent_host.servers.spec import Connection, ServerHealth

_LOOK_SECONDS = 5.0
"""What one look at a connected server may take."""
_SLOW_CLOSE = 2.5
_CAPABILITIES = (
    "tools",
    "resources",
    "prompts",
    "completions",
    "logging",
    "tasks",
    "io.modelcontextprotocol/tasks",
    "io.modelcontextprotocol/skills",
)
_REACH = "agent_host.cli.reach"
"""Loads the HTTP client, so only for URLs."""
_STDERR_LINES = 20


@dataclass(kw_only=True)
class _Seen:
    """What one connection showed. `ping` is in seconds, or why there is none; `ended`: the server
    went away meanwhile, `waited`: what it took (seconds) until there was a connection or none."""

    health: ServerHealth | None = None
    capabilities: list[str] = field(default_factory=list)
    offers: dict[str, int | str] = field(default_factory=dict)
    signs: list[str] = field(default_factory=list)
    ping: float | str = ""
    ended: bool = False
    waited: float = 0.0
    left: float = 0.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_trust_option(parser)


def execute(options: argparse.Namespace) -> int:
    """Diagnose one server and return the exit status."""
    loaded = load(options.config, os.environ)
    enabled(loaded, [options.name])
    ensure_trusted(loaded, flag=options.trust)
    diagnosis, seen = Diagnosis(), _Seen()
    sound = _before(loaded, options.name, diagnosis) and _connection(
        loaded, options.name, diagnosis, seen
    )
    if options.json:
        document = {
            "name": options.name,
            "ok": sound,
            "steps": [asdict(step) for step in diagnosis.steps],
            "capabilities": seen.capabilities,
            "offers": seen.offers,
            "signs": seen.signs,
            "health": _facts(seen.health),
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        signs = [f"           !: {sign}" for sign in seen.signs]
        lines = [*diagnosis.lines(), *signs, *_details(seen.health)]
        sys.stdout.write("\n".join(lines) + "\n")
    if seen.health is not None and seen.health.state == "needs_login":
        return ExitStatus.NEEDS_LOGIN
    return ExitStatus.DONE if sound else ExitStatus.SERVER_UNAVAILABLE


def _before(loaded: Loaded, name: str, diagnosis: Diagnosis) -> bool:
    """Everything that can be seen without a connection."""
    server = loaded.config.servers[name]
    diagnosis.add("config", Found(text=_says(loaded, name, server)))
    if not diagnosis.step("references", partial(_references, loaded, name, server)):
        return False
    if server.command is not None:
        return diagnosis.step("command", partial(_command, loaded, server)) and diagnosis.step(
            "sandbox", partial(server_sandbox, loaded, name, server)
        )
    where = partial(loaded.where, "servers", name)
    steps = import_module(_REACH).reach(_spec(loaded, name), where)
    return all(diagnosis.step(step, check) for step, check in steps)


def _spec(loaded: Loaded, name: str) -> Any:
    """The spec of a server behind a URL, with its references resolved."""
    secrets = import_module("agent_host.host.secrets").Secrets(os.environ)
    return import_module("agent_host.host.servers").server_specs(loaded, secrets, [name])[0]


def _connection(loaded: Loaded, name: str, diagnosis: Diagnosis, seen: _Seen) -> bool:
    """One connection, from its start to its end."""
    server = loaded.config.servers[name]
    seen.waited = -time.monotonic()
    seen.health = health = with_servers(loaded, [name], partial(_look, name, seen))
    closed = time.monotonic() - seen.left
    if health.state == "connected":
        _connected(loaded, name, diagnosis, seen, health)
    else:
        where = partial(loaded.where, "servers", name)
        needs = health.state == "needs_login"
        diagnosis.add(
            "login" if needs else "handshake",
            Found(
                ok=False,
                text=_why_not(health, server),
                fix=advice(name, server, health, where),
                seconds=health.connect_seconds or seen.waited,
            ),
        )
        return False
    diagnosis.add("close", _closed(closed), closed)
    return all(step.ok for step in diagnosis.steps)


async def _look(name: str, seen: _Seen, pool: Pool) -> ServerHealth:
    """Look at what a connected server offers, and at how fast it answers."""
    seen.waited += time.monotonic()
    (health,) = pool.health()
    connection = pool.connection(name)
    if health.state == "connected" and connection is not None:
        seen.capabilities = [c for c in _CAPABILITIES if await connection.offers(c)]
        for kind, ask in (("resources", pool.resources), ("prompts", pool.prompts)):
            seen.offers[kind] = await _counted(ask, name)
        seen.signs = [sign for signs in pool.signs().values() for sign in signs]
        seen.offers["skills"] = await _counted(pool.skills, name)
        seen.ping = await _pinged(connection)
        seen.ended = connection.ended
        health = replace(health, stderr=connection.stderr_tail())
    seen.left = time.monotonic()
    return health


async def _counted(ask: Callable[[str], Any], name: str) -> int | str:
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            items, problems = await ask(name)
    except TimeoutError:
        return f"no answer within {_LOOK_SECONDS:g} s"
    return clean_line(problems[0]) if problems and not items else len(items)


async def _pinged(connection: Connection) -> float | str:
    began = time.monotonic()
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            reply = await connection.ping()
    except TimeoutError:
        return f"no answer within {_LOOK_SECONDS:g} s"
    took = time.monotonic() - began
    # An error is an answer as well: not every server knows the method.
    return took if reply.kind in ("result", "error") else clean_line(reply.text)


def _connected(
    loaded: Loaded, name: str, diagnosis: Diagnosis, seen: _Seen, health: ServerHealth
) -> None:
    server = loaded.config.servers[name]
    if server.command is not None:
        started = Found(text=f"process {health.pid}", seconds=health.start_seconds)
        diagnosis.add("start", started)
    listed = health.list_seconds or 0.0
    shook = max((health.connect_seconds or 0.0) - listed, 0.0)
    diagnosis.add("handshake", _shaken(loaded, name, server, health), shook)
    if server.url is not None:
        where = loaded.where("servers", name, "headers")
        found = import_module(_REACH).login_found(_spec(loaded, name), where)
        diagnosis.add("login", found)
    diagnosis.add("tools", _tools(loaded, name, health), listed)
    counts = [f"{n} {kind}" for kind, n in seen.offers.items() if isinstance(n, int) and n]
    wrong = [f"{kind}: {why}" for kind, why in seen.offers.items() if isinstance(why, str)]
    can = ", ".join(seen.capabilities) or "nothing"
    diagnosis.add("offers", Found(text="; ".join([can, *counts, *wrong])))
    answered = isinstance(seen.ping, float)
    diagnosis.add(
        "ping",
        Found(
            ok=answered,
            text="it answers" if answered else str(seen.ping),
            fix="" if answered else _idle(seen),
            seconds=seen.ping if isinstance(seen.ping, float) else None,
        ),
    )


def _idle(seen: _Seen) -> str:
    """What to do about a server that connected and then does not answer."""
    if seen.ended:
        return "it ends by itself once it is connected; see its stderr below, ask whoever makes it"
    return "it hangs once it is idle; ask whoever makes it"


def _shaken(loaded: Loaded, name: str, server: ServerConfig, health: ServerHealth) -> Found:
    era = "server/discover" if health.protocol >= "2026" else "initialize"
    parts = [f"protocol {health.protocol} ({era})"] if health.protocol else []
    parts += [health.version and f"version {health.version}", _over(health.transport)]
    fix = ""
    if health.transport == "sse" and not server.sse:
        fix = (
            f"it speaks only the older HTTP+SSE transport: `sse = true` "
            f"({loaded.where('servers', name)}) saves two requests at each start"
        )
    return Found(text=", ".join(part for part in parts if part), fix=fix)


def _over(transport: str) -> str:
    return {"http": "over streamable HTTP", "sse": "over HTTP+SSE"}.get(transport, "")


def _tools(loaded: Loaded, name: str, health: ServerHealth) -> Found:
    problems = len(health.problems)
    text = f"{health.tools} tools" + (f", {problems} with problems" if problems else "")
    if health.tools:
        return Found(text=text)
    where = loaded.where("servers", name, "tools")
    return Found(text=text, fix=f"it offers nothing that passes `tools` ({where})")


def _closed(seconds: float) -> Found:
    slow = seconds > _SLOW_CLOSE
    fix = "it does not end by itself when its input ends, so it was killed" if slow else ""
    return Found(text="nothing is left of it", fix=fix)


def _why_not(health: ServerHealth, server: ServerConfig) -> str:
    if health.state == "starting":
        return f"no answer within {server.connect_timeout:g} s"
    return health.error or "it failed without saying why"


def _details(health: ServerHealth | None) -> list[str]:
    """What is said below the steps."""
    if health is None:
        return []
    lines = [f"        tool: {clean_line(problem)}" for problem in health.problems]
    tail = clean(health.stderr).rstrip().split("\n")[-_STDERR_LINES:]
    if tail != [""]:
        lines.append("its stderr ended with:")
        lines += [f"  {line}" for line in tail]
    return lines


def _facts(health: ServerHealth | None) -> dict[str, object] | None:
    if health is None:
        return None
    return {key: value for key, value in asdict(health).items() if key != "name"}


def _says(loaded: Loaded, name: str, server: ServerConfig) -> str:
    where = loaded.where("servers", name)
    if server.command is None:
        return f"{where}: contacts {mask_url(server.url or '')}"
    return f"{where}: starts {shlex.join([server.command, *server.args])}"


def _references(loaded: Loaded, name: str, server: ServerConfig) -> Found:
    """Resolve every reference, and keep nothing of it."""
    values: list[tuple[tuple[str, ...], str]]
    values = [(("env", key), text) for key, text in server.env.items()]
    values += [(("headers", key), text) for key, text in server.headers.items()]
    urls = {"url": server.url, "proxy": server.proxy}
    values += [((key,), text) for key, text in urls.items() if text]
    if server.auth is not None:
        kept = server.auth.model_dump(include={"client_secret", "private_key", "idp_client_secret"})
        values += [(("auth", key), text) for key, text in kept.items() if text]
    try:
        for path, text in values:
            at = loaded.at("servers", name, *path)
            resolve(text, os.environ, loaded.folder, key=at)
    except ConfigError as error:
        return Found(ok=False, text=str(error), fix="set what it names where agent-host runs")
    found = sum("${" in text for _, text in values)
    return Found(text=f"{found} resolved" if found else "none")


def _command(loaded: Loaded, server: ServerConfig) -> Found:
    problem, text = resolve_command(loaded, server)
    return Found(ok=not problem, text=text, fix=problem)
