"""What `doctor` says of the servers: can they be started, what confines them, what is pinned.

Theory of operation: here is what can be seen without starting any; `doctor_live` starts them.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator

from agent_host.cli.commands import FIXES, resolve_command
from agent_host.cli.doctor_findings import Facts, Finding
from agent_host.cli.sandboxed import machine_sandboxes
from agent_host.config.trust import is_demo
from agent_host.core.text import clean_line
from agent_host.host.known import LOCK_FILE, known_tools
from agent_host.servers.lock import Lock

_PROGRAMS = ("node", "npx", "uv", "uvx", "docker", "deno", "bun", "python3")
"""Programs that servers are started with, and whose version a support person asks for."""
_BEHIND = {"npx": "node", "npm": "node"}
_VERSION_SECONDS = 4.0


def servers_findings(facts: Facts) -> Iterator[Finding]:
    """Whether each server's command is there."""
    if facts.loaded is None:
        return
    for name, server in facts.loaded.config.servers.items():
        place = facts.loaded.where("servers", name)
        where = f"{place}: {name}"
        if not server.enabled:
            yield Finding(id="disabled", level="note", text=f"{where} is disabled", where=place)
        elif server.command is None:
            test = f"`agent-host servers test {name}` asks it"
            text = f"{where} is at a URL; {test}"
            yield Finding(id="at-url", level="ok", text=text, where=place)
        else:
            fix, text = resolve_command(facts.loaded, server)
            kind, level = ("no-command", "problem") if fix else ("command", "ok")
            yield Finding(
                id=kind,
                level="problem" if level == "problem" else "ok",
                text=f"{where}: {text}",
                where=place,
                fix=fix,
            )


def sandbox_findings(facts: Facts) -> Iterator[Finding]:
    """What this machine can confine servers with, and which are not confined."""
    found = machine_sandboxes()
    yield Finding(id="machine", level="ok" if found.ok else "note", text=found.text, fix=found.fix)
    if facts.loaded is None:
        return
    servers = facts.loaded.config.servers.items()
    bare = [
        name
        for name, server in servers
        if server.enabled
        and server.command
        and server.sandbox.mode == "off"
        and not is_demo(server)
    ]
    if bare:
        yield Finding(
            id="unsandboxed",
            level="note",
            text=f"unsandboxed, with all of the user's rights: {', '.join(bare)}",
            fix="`sandbox = true` in a server's table confines it",
        )


def programs_findings(facts: Facts) -> Iterator[Finding]:
    """The versions of the programs that servers are started with."""
    if facts.loaded is None:
        return
    commands = {s.command for s in facts.loaded.config.servers.values() if s.enabled}
    wanted = [name for name in _PROGRAMS if name in commands]
    wanted += [_BEHIND[name] for name in wanted if name in _BEHIND and _BEHIND[name] not in wanted]
    for name in wanted:
        path = shutil.which(name)
        if path is None and name in commands:
            continue  # the check of the servers says so
        if path is None:
            fix = dict(FIXES).get(name, "install it")
            yield Finding(id="missing", level="problem", text=f"{name} is not there", fix=fix)
            continue
        yield Finding(id="version", level="ok", text=f"{name} {_version(path)}")


def _version(path: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a program of the user's own PATH
            [path, "--version"],
            capture_output=True,
            timeout=_VERSION_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return "does not say its version"
    said = clean_line(done.stdout.decode("utf-8", "replace"), 80)
    found = re.search(r"\d+(\.\d+)+\S*", said)
    return found.group(0) if found else said or "says no version"


def lock_findings(facts: Facts) -> Iterator[Finding]:
    """What servers.lock remembers of each server."""
    if facts.loaded is None:
        return
    path = facts.loaded.folder / LOCK_FILE
    if not path.exists():
        text = f"no {LOCK_FILE} yet: what tools are is pinned when a server is first met"
        yield Finding(id="none", level="ok", text=text)
        return
    lock = Lock.read(path, writes=False)
    if lock.problem:
        yield Finding(
            id="lost",
            level="problem",
            text=clean_line(lock.problem, 500),
            where=LOCK_FILE,
            fix="bring it back from version control, or accept anew: agent-host servers lock",
        )
        return
    for name, tools in known_tools(facts.loaded).items():
        if name in facts.loaded.config.servers and tools is None:
            text = f"{name} is not pinned as it is configured now"
            fix = "agent-host servers lock shows and accepts what it offers"
            yield Finding(id="not-pinned", level="note", text=text, where=LOCK_FILE, fix=fix)
        elif name in facts.loaded.config.servers:
            yield Finding(id="pinned", level="ok", text=f"{name}: {len(tools or ())} tools pinned")


def pins_findings(facts: Facts) -> Iterator[Finding]:
    """Which servers run whatever version is the newest."""
    if facts.loaded is None:
        return
    for name, server in facts.loaded.config.servers.items():
        if server.command not in ("npx", "uvx") or not server.enabled:
            continue
        package = next((arg for arg in server.args if not arg.startswith("-")), "")
        version = re.split(r"(?<=.)@|==", package)[1:]
        if package and version in ([], ["latest"]):
            place = facts.loaded.where("servers", name, "args")
            yield Finding(
                id="unpinned",
                level="note",
                text=f"{place}: {name} runs whatever version of {package} is the newest that day",
                where=place,
                fix=f"name one, as in {package.partition('@latest')[0]}@1.2.3",
            )
