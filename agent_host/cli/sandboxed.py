"""What is said of sandboxes: of one server's in `servers test`, of the machine's in `doctor`."""

import os
from importlib import import_module
from typing import Any

from agent_host.cli.steps import Found
from agent_host.config.load import Loaded
from agent_host.config.server_tables import ServerConfig
from agent_host.core.errors import ConfigError

_HOST = "agent_host.host.sandboxes"
"""Tries what the machine has, so it is only imported where that is asked."""


def server_sandbox(loaded: Loaded, name: str, server: ServerConfig) -> Found:
    """What a program that is a server is confined to."""
    if server.sandbox.mode == "off":
        where = loaded.where("servers", name)
        text = f"unsandboxed: all of the user's rights; `sandbox = true` ({where}) confines it"
        return Found(text=text)
    try:
        sandbox: Any = import_module(_HOST).sandbox_of(name, server, loaded, os.environ)
    except ConfigError as error:
        return Found(ok=False, text=str(error), fix="correct it in that line")
    if sandbox.refusal:
        text = f"its sandbox is required, and this machine lacks {'; '.join(sandbox.missing)}"
        return Found(ok=False, text=text, fix=sandbox.remedy)
    if sandbox.kind == "none":
        return Found(text=f"unsandboxed: it {sandbox.warning}", fix=sandbox.remedy)
    parts = [f"{sandbox.kind}: {_granted(server)}"]
    parts += [f"not enforced: {what}" for what in sandbox.missing]
    return Found(text="; ".join(parts), fix=_gaps(sandbox))


def _granted(server: ServerConfig) -> str:
    table = server.sandbox
    parts = [f"network {table.network}"]
    parts += [f"reads {', '.join(table.read)}"] if table.read else []
    parts += [f"writes {', '.join(table.write)}"] if table.write else []
    parts += [f"{table.memory} MB a process"] if table.memory is not None else []
    parts += [f"{table.processes} processes"] if table.processes is not None else []
    return ", ".join(parts)


def _gaps(sandbox: Any) -> str:
    if not sandbox.gaps:
        return ""
    return f"{'; '.join(sandbox.gaps)}: {sandbox.remedy}"


def machine_sandboxes() -> Found:
    """What this machine can confine programs with."""
    machine: Any = import_module("agent_host.sandbox.machine").available(os.environ)
    confine: Any = import_module("agent_host.sandbox.confine")
    has = []
    if machine.bubblewrap:
        has.append(f"bubblewrap ({machine.bubblewrap})")
    if machine.landlock:
        has.append(f"Landlock {machine.landlock}")
    if machine.filters:
        has.append("seccomp")
    kind = confine.choose(machine)
    text = ", ".join(has) or "nothing"
    if kind == "bubblewrap":
        return Found(text=text)
    says = f"{text}; {machine.why_not}" if machine.why_not else text
    return Found(ok=kind != "none", text=says, fix=machine.remedy)
