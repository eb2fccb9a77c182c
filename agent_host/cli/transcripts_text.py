"""What the actions of `agent-host transcripts` print, in common."""

import sys
from collections.abc import Iterable
from dataclasses import replace

from agent_host.core.types import JsonObject
from agent_host.records.codec import members
from agent_host.records.holder import holder
from agent_host.records.reader import Summary
from agent_host.records.tally import OUTCOMES

UNDER_WAY = "under way"


def count(number: int, what: str) -> str:
    """Return a number of things, as `3 calls`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def as_it_stands(run: Summary) -> Summary:
    """Return a run with, if a process is at it, that as its outcome: what its last record says
    (`cut off`, `waiting for the user`) is then no more than where that process is."""
    if run.broken or run.outcome not in OUTCOMES.values():
        return run
    who = holder(run.path)
    return replace(run, outcome=f"{UNDER_WAY} in {who}") if who else run


def document(run: Summary) -> JsonObject:
    """Return what `--json` says of a run."""
    return {**members(run), "path": str(run.path)}


def write(lines: Iterable[str]) -> None:
    """Print lines; what the terminal's encoding cannot show becomes an escape, not an error."""
    written(f"{line}\n" for line in lines)


def written(pieces: Iterable[str]) -> None:
    """As `write`, for pieces of text that have their line ends."""
    encoding = sys.stdout.encoding or "utf-8"
    for piece in pieces:
        sys.stdout.write(piece.encode(encoding, "backslashreplace").decode(encoding))
