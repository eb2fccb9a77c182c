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
    written(f"{line}\n" for line in lines)


def written(pieces: Iterable[str]) -> None:
    """As `write`, for pieces of text that have their line ends."""
    encoding = sys.stdout.encoding or "utf-8"
    for piece in pieces:
        sys.stdout.write(piece.encode(encoding, "backslashreplace").decode(encoding))
