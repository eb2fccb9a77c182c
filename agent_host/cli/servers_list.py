"""`agent-host servers list`: how the configured servers are doing."""

import argparse
import json
import os
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


def _list(loaded: Loaded, health: Sequence[ServerHealth], *, as_json: bool) -> int:
    servers = loaded.config.servers
    states = {h.name: h for h in health}
    bad = any(h.state != "connected" for h in health)
    status = ExitStatus.SERVER_UNAVAILABLE if bad else ExitStatus.DONE
    if as_json:
        rows = [
            {"name": n, "transport": _transport(s), **_facts(states.get(n))}
            for n, s in servers.items()
        ]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return status
    if not servers:
        sys.stderr.write(f"{loaded.name} has no servers; add a [servers.NAME] table\n")
        return status
    table = [_row(n, s, states.get(n)) for n, s in servers.items()]
    headers = ("name", "transport", "state", "version", "tools", "seconds", "")
    sys.stdout.write(columns(headers, table) + "\n")
    for h in health:
        for problem in h.problems:
            sys.stderr.write(f"{clean_line(h.name)}: {clean_line(problem)}\n")
    if bad:
        sys.stderr.write("`agent-host servers test NAME` tells what to do\n")
    return status


def _transport(server: ServerConfig) -> str:
    return "stdio" if server.command is not None else "http"


def _facts(health: ServerHealth | None) -> dict[str, object]:
    if health is None:
        return {"state": "disabled"}
    return {key: value for key, value in asdict(health).items() if key != "name"}


def _row(name: str, server: ServerConfig, health: ServerHealth | None) -> tuple[object, ...]:
    if health is None:
        return (name, _transport(server), "disabled", "", "", "", "")
    seconds = "" if health.connect_seconds is None else f"{health.connect_seconds:.2f}"
    tools = health.tools if health.state == "connected" else ""
    version = clean_line(health.version, 24)
    return (name, _transport(server), health.state, version, tools, seconds, health.error)
