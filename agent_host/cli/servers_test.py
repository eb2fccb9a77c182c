"""`agent-host servers test`: why one server does not work, step by step, each timed."""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from agent_host.cli.commands import resolve_command
from agent_host.cli.live import enabled, with_servers
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.load import Loaded, load
from agent_host.config.secrets import resolve
from agent_host.config.server_tables import ServerConfig
from agent_host.config.show import mask_url
from agent_host.core.errors import ConfigError, ExitStatus
from agent_host.core.text import clean, clean_line
from agent_host.servers.pool import Pool
from agent_host.servers.spec import ServerHealth


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
    return _test(loaded, options.name, as_json=options.json)


async def _health(pool: Pool) -> tuple[ServerHealth, ...]:
    return pool.health()


def _facts(health: ServerHealth | None) -> dict[str, object]:
    if health is None:
        return {"state": "disabled"}
    return {key: value for key, value in asdict(health).items() if key != "name"}


@dataclass(kw_only=True)
class _Step:
    """One step of a diagnosis. `fix`: what to do if it failed."""

    name: str
    ok: bool
    text: str
    seconds: float
    fix: str = ""


@dataclass(kw_only=True)
class _Diagnosis:
    """The steps so far; the first that fails ends it."""

    steps: list[_Step] = field(default_factory=list)

    def step(self, name: str, check: Callable[[], tuple[bool, str, str]]) -> bool:
        start = time.perf_counter()
        ok, text, fix = check()
        took = time.perf_counter() - start
        self.steps.append(_Step(name=name, ok=ok, text=text, seconds=took, fix=fix))
        return ok


def _test(loaded: Loaded, name: str, *, as_json: bool) -> int:
    server = loaded.config.servers[name]
    diagnosis = _Diagnosis()
    health: list[ServerHealth] = []

    def connect() -> tuple[bool, str, str]:
        health.extend(with_servers(loaded, [name], _health))
        return _connected(health[0], server)

    sound = (
        diagnosis.step("config", lambda: (True, _says(loaded, name, server), ""))
        and diagnosis.step("references", lambda: _references(loaded, name, server))
        and (server.command is None or diagnosis.step("command", lambda: _command(loaded, server)))
        and diagnosis.step("handshake", connect)
        and diagnosis.step("tools", lambda: _tools(health[0]))
    )
    for step in diagnosis.steps:
        if step.name == "handshake" and health and health[0].connect_seconds is not None:
            step.seconds = health[0].connect_seconds  # without our own imports and the goodbye
    if as_json:
        document = {
            "name": name,
            "ok": sound,
            "steps": [asdict(step) for step in diagnosis.steps],
            "health": _facts(health[0] if health else None),
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stdout.write(_report(diagnosis, health) + "\n")
    return ExitStatus.DONE if sound else ExitStatus.SERVER_UNAVAILABLE


def _report(diagnosis: _Diagnosis, health: Sequence[ServerHealth]) -> str:
    lines = []
    for step in diagnosis.steps:
        mark = "ok    " if step.ok else "FAILED"
        lines.append(
            f"{mark}  {step.name:<10}  {step.seconds:5.2f} s  {clean_line(step.text, 600)}"
        )
        if step.fix:
            lines.append(f"        {'fix' if not step.ok else 'note'}: {clean_line(step.fix, 600)}")
    for h in health:
        lines += [f"        tool: {clean_line(problem)}" for problem in h.problems]
        tail = clean(h.stderr).rstrip().split("\n")[-20:]
        if tail != [""]:
            lines.append("its stderr ended with:")
            lines += [f"  {line}" for line in tail]
    return "\n".join(lines)


def _says(loaded: Loaded, name: str, server: ServerConfig) -> str:
    where = loaded.where("servers", name)
    if server.command is None:
        return f"{where}: contacts {mask_url(server.url or '')}"
    return f"{where}: starts {shlex.join([server.command, *server.args])}"


def _references(loaded: Loaded, name: str, server: ServerConfig) -> tuple[bool, str, str]:
    """Resolve every reference, and keep nothing of it."""
    values: list[tuple[tuple[str, ...], str]]
    values = [(("env", key), text) for key, text in server.env.items()]
    values += [(("headers", key), text) for key, text in server.headers.items()]
    values += [(("url",), server.url)] if server.url else []
    try:
        for path, text in values:
            at = loaded.at("servers", name, *path)
            resolve(text, os.environ, loaded.folder, key=at)
    except ConfigError as error:
        return False, str(error), "set what it names where agent-host runs"
    found = sum("${" in text for _, text in values)
    return True, f"{found} resolved" if found else "none", ""


def _command(loaded: Loaded, server: ServerConfig) -> tuple[bool, str, str]:
    problem, text = resolve_command(loaded, server)
    return not problem, text, problem


def _connected(health: ServerHealth, server: ServerConfig) -> tuple[bool, str, str]:
    if health.state == "connected":
        parts = (health.version, f"protocol {health.protocol}" if health.protocol else "")
        return True, ", ".join(part for part in parts if part) or "connected", ""
    if health.state == "starting":
        return (
            False,
            f"no answer within {server.connect_timeout:g} s",
            "is it an MCP server on this transport? else raise connect_timeout",
        )
    return False, health.error or "it failed without saying why", _advice(health, server)


def _advice(health: ServerHealth, server: ServerConfig) -> str:
    if server.command is None:
        return "check url and headers; is the server running, and is that its MCP endpoint?"
    if health.stderr:
        return "see its stderr below; try the same command in a shell"
    return "try the same command in a shell; it gets only the env that servers.toml names"


def _tools(health: ServerHealth) -> tuple[bool, str, str]:
    problems = len(health.problems)
    text = f"{health.tools} tools" + (f", {problems} with problems" if problems else "")
    if health.tools:
        return True, text, ""
    return True, text, "it offers nothing that passes `tools` (include, exclude) in servers.toml"
