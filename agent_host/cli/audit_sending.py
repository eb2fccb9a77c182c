"""`agent-host audit send`: bring what waits to the collector, from cron or a CI job.

Theory of operation: what a run could not send waits in the log. Status 0: the collector has
everything; 1: it has not, and why is said, as is whatever it refused for good.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.audit.sender import Sender
from agent_host.audit.spool import State, states
from agent_host.cli.audit_folder import folder_of, write
from agent_host.cli.trusting import ensure_trusted
from agent_host.config.load import load
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.core.text import clean_line


def send(options: argparse.Namespace) -> int:
    """Send what waits, and say how the collector stands."""
    if options.status:
        return _status(folder_of(options))
    loaded = load(options.config, os.environ)
    if loaded.config.audit.send_to is None:
        raise UsageError(
            f"{loaded.where('audit', 'send_to')}: no collector is named; write send_to in [audit]"
        )
    ensure_trusted(loaded, flag=options.trust)
    folder_of(options)
    room: Any = import_module("agent_host.host.audit")
    secrets: Any = import_module("agent_host.host.secrets").Secrets(os.environ)
    sender: Sender = room.sender_of(loaded, os.environ, secrets)
    problem = _send(sender, options.wait)
    state = sender.spool.state()
    waiting = sender.spool.waiting(state)
    write(map(secrets.redactor.text, _lines(state, waiting)))
    if problem:
        sys.stderr.write(f"agent-host: {clean_line(secrets.redactor.text(problem), 600)}\n")
    return ExitStatus.FAILED if problem or state.refused else ExitStatus.DONE


def _send(sender: Sender, seconds: float) -> str:
    """Send until all is sent or the time is over; return why not all was."""
    until = time.monotonic() + seconds
    while True:
        sent = sender.send(at_once=True)
        if not sent.busy and not sent.problem:
            return ""
        left = until - time.monotonic()
        if left <= 0 or (sent.problem and sent.wait > left):
            return sent.problem or "another process is sending"
        time.sleep(min(sent.wait, left))


def _status(folder: Path) -> int:
    found = states(folder)
    if not found:
        write(["nothing was ever sent from this log"])
    for state in found:
        write(_lines(state, 0))
    bad = any(state.problem or state.refused or state.lost for state in found)
    return ExitStatus.FAILED if bad else ExitStatus.DONE


def _lines(state: State, waiting: int) -> Iterator[str]:
    wait = f", {waiting:,} wait" if waiting else ""
    whose = f" (entries of {state.project})" if state.project else ""
    upto = f"up to entry {state.cursor.seq}"
    yield clean_line(f"{state.to}: {state.sent:,} sent, {upto}{wait}{whose}", 600)
    if state.problem:
        yield f"  since {clean_line(state.problem_since, 40)}: {clean_line(state.problem, 400)}"
    if state.refused:
        yield f"  {state.refused:,} were refused for good; refused-*.jsonl beside the log says why"
    if state.lost:
        yield f"  {state.lost:,} were gone before they were sent"
