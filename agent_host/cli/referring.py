"""From the secrets of a table to where they are kept."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from agent_host.cli.keeping import Kept, Where, default_reference, place, typed
from agent_host.cli.trusting import at_terminal
from agent_host.config.importers.taken import Secret


def referred(
    server: str, table: Mapping[str, Any], secrets: Iterable[Secret], where: Where
) -> tuple[dict[str, Any], tuple[Kept, ...], tuple[str, ...]]:
    """Return a table with references to where its secrets will be, what to keep, and notes.

    A secret without a value is asked for at a terminal; one that is not given stays a reference to
    the environment, and it is said that it has to be set.
    """
    text = json.dumps(table)
    kept: list[Kept] = []
    notes: list[str] = []
    for secret in secrets:
        value = secret.value
        if not value and where != "env" and at_terminal(sys.stdin, sys.stderr):
            value = typed(secret.variable, secret.description, hidden=secret.hidden)
        if value and where != "env":
            one = place(server, secret.variable, value, where)
            text = text.replace(default_reference(secret.variable), json.dumps(one.reference)[1:-1])
            kept.append(one)
        else:
            about = f": {secret.description}" if secret.description else ""
            notes.append(f"set the variable {secret.variable} where agent-host runs{about}")
    return json.loads(text), tuple(kept), tuple(notes)
