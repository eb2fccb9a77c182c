"""What `agent-host` says when nothing is asked of it: what is here, and the next step.

Theory of operation: ten lines, and less than a tenth of a second: the config's text is looked at,
not checked, no server is started, nobody is asked. Where nothing is configured and a person is at
the terminal, the next step is offered.
"""

import os
import sys
import tomllib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from agent_host.cli.next_steps import sentence, steps
from agent_host.config import paths
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean_line

_WHAT = (
    "agent-host connects MCP servers with a language model, asks before it acts, "
    "and records everything."
)
_ALL = "agent-host --help lists every command; agent-host COMMAND --help tells more."
_NOTHING = "Nothing is configured yet: no servers.toml here, and none of your own."
_NAMED = 6
_FIRST = (
    (
        "agent-host config init",
        "makes one; it looks for keys of providers, for model servers, and at other applications",
    ),
    ("agent-host chat", "then: talk, with the tools of your servers"),
    ("agent-host doctor", "when something does not work: what, and what to do"),
)
_NEXT = (
    ("agent-host chat", "talk, with the tools of these servers"),
    ('agent-host run "..."', "answer one prompt and leave"),
    ("agent-host servers list", "how the servers are"),
    ("agent-host transcripts list", "what was said and done before"),
    ("agent-host doctor", "is everything in order, and if not, what to do"),
)


def greet(config: str | None) -> ExitStatus:
    """Say what is here and what to do next, and offer it where nothing is configured."""
    there = paths.anything_to_use(config, os.environ, paths.working_folder())
    state = _summary(config) if there else _NOTHING
    lines = [sentence(_WHAT), "", sentence(state), *steps(_NEXT if there else _FIRST)]
    sys.stdout.write("\n".join((*lines, "", sentence(_ALL))) + "\n")
    return ExitStatus.DONE if there else _offer()


def _offer() -> ExitStatus:
    """Make the first config here and now, if a person says so."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return ExitStatus.DONE
    sys.stdout.write("\nMake one now? [Y/n] ")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if answer.strip().lower() not in {"", "y", "yes"} or not answer:
        return ExitStatus.DONE
    return ExitStatus(import_module("agent_host.cli.config_init").ask_and_write(None))


def _summary(config: str | None) -> str:
    """The model and the servers that the file names, as far as it can be read at a glance."""
    path = paths.find(config, os.environ, paths.working_folder())
    name = paths.shown(path)
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return f"{name}: it cannot be read; agent-host doctor says why"
    model = said.get("model", "auto")
    servers = _keys(said.get("servers"))
    names = ", ".join(clean_line(name, 40) for name in servers[:_NAMED])
    more = f" and {len(servers) - _NAMED} more" if len(servers) > _NAMED else ""
    shown = clean_line(model, 60) if isinstance(model, str) else "?"
    return f"{name}: model {shown}, servers: {names or 'none'}{more}"


def _keys(table: Any) -> list[str]:
    return list(table) if isinstance(table, Mapping) else []
