"""What the actions of `agent-host transcripts` print, in common."""

import sys
from collections.abc import Iterable

from agent_host.core.types import JsonObject
from agent_host.records.codec import members
from agent_host.records.reader import Summary


def count(number: int, what: str) -> str:
    """Return a number of things, as `3 calls`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def document(run: Summary) -> JsonObject:
    """Return what `--json` says of a run."""
    return {**members(run), "path": str(run.path)}


def write(lines: Iterable[str]) -> None:
    """Print lines; what the terminal's encoding cannot show becomes an escape, not an error."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
