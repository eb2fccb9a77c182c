"""`agent-host doctor`: is this installation and this config in order, and if not, what to do.

Theory of operation: a check is a row of CHECKS (`doctor_findings`). All run side by side, each with
a bound of its own; one that does not come back in time is a finding itself, and so is one that
fails. Servers that are trusted are connected to and the model's endpoint is asked for its list of
models; `--offline` leaves both. Exit status 1 if any finding is a problem. What is printed holds no
secret: it is meant to be pasted.
"""

import argparse
import json
import os
import re
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import import_module

from agent_host.cli import (
    doctor_config,
    doctor_installation,
    doctor_model,
    doctor_network,
    doctor_records,
    doctor_servers,
    doctor_terminal,
)
from agent_host.cli.doctor_findings import Check, Facts, Finding
from agent_host.cli.progress import Say, progress
from agent_host.config.load import Loaded, load
from agent_host.config.trust import TrustStore, needs_trust
from agent_host.core.errors import AgentHostError, ConfigError, ExitStatus
from agent_host.core.text import clean_line
from agent_host.records.redact import Redactor, without_any

_LIVE = "agent_host.cli.doctor_live"
"""Loads what talks to servers, so only where some are to be connected to."""
_OWN_SECONDS = 15.0
_NARROW = 40
"""Columns that a text must have beside its head, or it goes below."""
_PLACE = re.compile(r"[^\s:]+:\d+(?=: )")

Said = tuple[str, Finding]
"""The name of a check, and what it found."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--offline", action="store_true", help="start no server, and ask no model's endpoint"
    )


def execute(options: argparse.Namespace) -> int:
    """Run every check, print its findings, return the exit status."""
    facts = _facts(options)
    with progress("checking") as say:
        found = _run(_checks(facts), facts, say)
    bad = any(finding.level == "problem" for _, finding in found)
    redactor = Redactor({})
    if options.json:
        document = [_document(name, finding) for name, finding in found]
        text = json.dumps({"ok": not bad, "findings": redactor.value(document)}, indent=2)
        sys.stdout.write(without_any(text) + "\n")
    else:
        sys.stdout.write(without_any(redactor.text("\n".join(_lines(found)))) + "\n")
    return ExitStatus.FAILED if bad else ExitStatus.DONE


def _facts(options: argparse.Namespace) -> Facts:
    loaded, error = None, ""
    try:
        loaded = load(options.config, os.environ)
    except ConfigError as problem:
        error = str(problem)
    untrusted = _untrusted(loaded) if loaded is not None else ()
    return Facts(loaded=loaded, error=error, offline=options.offline, untrusted=untrusted)


def _untrusted(loaded: Loaded) -> tuple[str, ...]:
    try:
        return tuple(item.key for item in needs_trust(loaded, TrustStore.users()))
    except ConfigError:
        return ("servers.toml",)


def _checks(facts: Facts) -> list[Check]:
    """The rows, with what the slowest server may take."""
    servers = facts.loaded.config.servers.values() if facts.loaded is not None else ()
    slowest = max((server.connect_timeout for server in servers), default=0.0)
    live = Check("connections", _connections, slowest + _OWN_SECONDS)
    place = next(i for i, check in enumerate(CHECKS) if check.name == "sandbox")
    return [*CHECKS[:place], live, *CHECKS[place:]]


def _connections(facts: Facts) -> Iterator[Finding]:
    if facts.loaded is None:
        return
    if not any(server.enabled for server in facts.loaded.config.servers.values()):
        return
    if facts.offline:
        yield Finding(id="not-asked", level="ok", text="no server was started (--offline)")
    elif facts.untrusted:
        keys = clean_line(", ".join(facts.untrusted), 300)
        text = f"no server was started: not trusted yet: {keys}"
        yield Finding(id="not-asked", level="note", text=text, fix="agent-host trust")
    else:
        yield from import_module(_LIVE).live(facts)


class _Running(threading.Thread):
    """One check, which nobody waits for longer than it may take."""

    def __init__(self, check: Check, facts: Facts, done: threading.Condition) -> None:
        super().__init__(daemon=True, name=f"check {check.name}")
        self.check = check
        self.findings: list[Finding] | None = None
        self._facts = facts
        self._done = done

    def run(self) -> None:
        found: list[Finding] = []
        try:
            found.extend(self.check.run(self._facts))
        except AgentHostError as error:
            found.append(Finding(id="failed", level="problem", text=str(error)))
        except Exception as error:  # noqa: BLE001 - one check that fails is no end of the others
            text = f"the check itself failed: {type(error).__name__}: {error}"
            fix = "that is a fault of agent-host; report it with this output"
            found.append(Finding(id="failed", level="problem", text=text, fix=fix))
        with self._done:
            self.findings = found
            self._done.notify_all()


def _run(checks: Sequence[Check], facts: Facts, say: Say) -> list[Said]:
    done = threading.Condition()
    running = [_Running(check, facts, done) for check in checks]
    began = time.monotonic()
    for one in running:
        one.start()
    with done:
        while waiting := [
            one
            for one in running
            if one.findings is None and time.monotonic() - began < one.check.seconds
        ]:
            names = ", ".join(one.check.name for one in waiting)
            say(f"checking {names}")
            done.wait(0.2)
    return [(one.check.name, finding) for one in running for finding in _of(one)]


def _of(one: _Running) -> list[Finding]:
    if one.findings is not None:
        return one.findings
    text = f"did not come back within {one.check.seconds:g} s"
    fix = "something it looks at hangs: a disk, a network, the keyring or a server"
    return [Finding(id="no-answer", level="problem", text=text, fix=fix)]


def _document(name: str, finding: Finding) -> dict[str, str]:
    text = clean_line(finding.text, 600)
    place = _PLACE.match(text)
    return {
        "id": f"{name.replace(' ', '-')}.{finding.id}",
        "check": name,
        "level": finding.level,
        "text": text,
        "where": clean_line(finding.where, 300) or (place.group(0) if place else ""),
        "fix": clean_line(finding.fix, 600),
    }


def _lines(found: Sequence[Said]) -> Iterator[str]:
    width = max(len(name) for name, _ in found)
    columns = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else 0
    for name, finding in found:
        level = finding.level if finding.level != "problem" else "PROBLEM"
        head = f"{level:<7}  {name:<{width}}  "
        yield from _folded(head, clean_line(finding.text, 600), columns)
        if finding.fix:
            fix = f"-> {clean_line(finding.fix, 600)}"
            yield from _folded(" " * len(head), fix, columns)
    problems = sum(finding.level == "problem" for _, finding in found)
    notes = sum(finding.level == "note" for _, finding in found)
    yield ""
    yield f"{_many(problems, 'problem')}, {_many(notes, 'note')}"


def _folded(head: str, text: str, columns: int) -> Iterator[str]:
    """Yield a finding as lines of at most `columns` (0: any number), below its head where the
    window is narrow."""
    if not columns or len(head) + len(text) <= columns:
        yield head + text
        return
    if columns < len(head) + _NARROW:
        if head.strip():
            yield head.rstrip()
        head = "  "
        yield from textwrap.wrap(text, columns, initial_indent=head, subsequent_indent=head)
        return
    after = " " * len(head)
    yield from textwrap.wrap(text, columns, initial_indent=head, subsequent_indent=after)


def _many(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


CHECKS: tuple[Check, ...] = (
    Check("python", doctor_installation.python_findings),
    Check("packages", doctor_installation.packages_findings),
    Check("system", doctor_installation.system_findings),
    Check("limits", doctor_installation.limits_findings),
    Check("clock", doctor_records.clock_findings),
    Check("environment", doctor_installation.environment_findings),
    Check("network", doctor_network.network_findings),
    Check("keyring", doctor_network.keyring_findings),
    Check("files", doctor_config.files_findings),
    Check("config", doctor_config.config_findings),
    Check("policy", doctor_config.policy_findings),
    Check("servers", doctor_servers.servers_findings),
    Check("sandbox", doctor_servers.sandbox_findings),
    Check("programs", doctor_servers.programs_findings, 20.0),
    Check("versions", doctor_servers.pins_findings),
    Check("pins", doctor_servers.lock_findings),
    Check("secrets", doctor_config.secrets_findings),
    Check("trust", doctor_config.trust_findings),
    Check("model", doctor_model.model_findings),
    Check("endpoint", doctor_network.reach_findings, 15.0),
    Check("local model", doctor_model.local_findings),
    Check("folders", doctor_records.folders_findings),
    Check("transcripts", doctor_records.transcripts_findings, 30.0),
    Check("state", doctor_records.state_findings),
    Check("audit", doctor_records.audit_findings, 30.0),
    Check("telemetry", doctor_installation.telemetry_findings),
    Check("terminal", doctor_terminal.terminal_findings),
    Check("terminal.toml", doctor_terminal.wishes_findings),
)
"""Every check, in the order in which it is shown; the servers' connections come after `servers`."""
