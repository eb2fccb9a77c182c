"""`agent-host servers list`: how the configured servers are doing."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict

from agent_host.cli.columns import columns
from agent_host.cli.live import enabled, with_servers
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.load import Loaded, load
from agent_host.config.server_tables import ServerConfig
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean_line
from agent_host.servers.pool import Pool
from agent_host.servers.spec import ServerHealth


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_trust_option(parser)


def execute(options: argparse.Namespace) -> int:
    """Start every enabled server, print the list, return the exit status."""
    loaded = load(options.config, os.environ)
    only = enabled(loaded)
    if only:
        ensure_trusted(loaded, flag=options.trust)
    health = with_servers(loaded, only, _health) if only else ()
    return _list(loaded, health, as_json=options.json)


async def _health(pool: Pool) -> tuple[ServerHealth, ...]:
    return pool.health()


_HEADERS = (
    "name", "transport", "state", "sandbox", "version", "protocol", "tools", "connect", "answer",
    "calls", "restarts", "",
)  # fmt: skip
_KEPT = ("name", "transport", "state", "tools", "")
"""Columns that stay also when they hold nothing."""


def _status(health: Sequence[ServerHealth]) -> int:
    states = {h.state for h in health} - {"connected"}
    if not states:
        return ExitStatus.DONE
    return ExitStatus.NEEDS_LOGIN if states == {"needs_login"} else ExitStatus.SERVER_UNAVAILABLE


def _list(loaded: Loaded, health: Sequence[ServerHealth], *, as_json: bool) -> int:
    servers = loaded.config.servers
    states = {h.name: h for h in health}
    status = _status(health)
    if as_json:
        rows = [{"name": n, **_facts(s, states.get(n))} for n, s in servers.items()]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return status
    if not servers:
        sys.stderr.write(f"{loaded.name} has no servers; add a [servers.NAME] table\n")
        return status
    rows_ = [_row(n, s, states.get(n)) for n, s in servers.items()]
    kept = [i for i, h in enumerate(_HEADERS) if h in _KEPT or any(row[i] for row in rows_)]
    table = [[row[i] for i in kept] for row in rows_]
    sys.stdout.write(columns([_HEADERS[i] for i in kept], table) + "\n")
    _explain(health)
    return status


def _explain(health: Sequence[ServerHealth]) -> None:
    """Say on stderr what is wrong with tools, and what to do about servers that are not up."""
    for h in health:
        for problem in h.problems:
            sys.stderr.write(f"{clean_line(h.name)}: {clean_line(problem)}\n")
    for h in health:
        if h.state == "needs_login":
            name = clean_line(shlex.quote(h.name), 80)
            sys.stderr.write(f"`agent-host servers login {name}` logs in\n")
    if any(h.state not in ("connected", "needs_login") for h in health):
        sys.stderr.write("`agent-host servers test NAME` tells what to do\n")


def _transport(server: ServerConfig, health: ServerHealth | None) -> str:
    if health is not None:
        return health.transport
    if server.command is not None:
        return "stdio"
    return "sse" if server.sse else "http"


def _facts(server: ServerConfig, health: ServerHealth | None) -> dict[str, object]:
    transport = _transport(server, health)
    if health is None:
        return {"transport": transport, "state": "disabled"}
    facts = {key: value for key, value in asdict(health).items() if key != "name"}
    return {"transport": transport, **facts}


def _row(name: str, server: ServerConfig, health: ServerHealth | None) -> tuple[object, ...]:
    transport = _transport(server, health)
    if health is None:
        return (name, transport, "disabled", *[""] * (len(_HEADERS) - 3))
    return (
        name,
        transport,
        health.state.replace("_", " "),
        health.sandbox,
        clean_line(health.version, 24),
        health.protocol,
        health.tools if health.state == "connected" else "",
        _seconds(health.connect_seconds),
        _seconds(health.list_seconds),
        _calls(health),
        health.restarts or "",
        health.error or (_last_line(health.stderr) if health.state == "starting" else ""),
    )


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"


def _calls(health: ServerHealth) -> str:
    """How many calls there were, how long the middle one took, and what part of them failed."""
    if not health.calls:
        return ""
    failed = f", {health.errors / health.calls:.0%} failed" if health.errors else ""
    return f"{health.calls} of {_seconds(health.call_seconds)}{failed}"


def _last_line(text: str) -> str:
    return clean_line(text.rstrip().rpartition("\n")[2])
