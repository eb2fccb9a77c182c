"""A checkpoint that was kept elsewhere: number and hash of an entry, as `audit checkpoint` prints.

Theory of operation: within the log nothing shows that its end was cut off, or that all of it was
written anew by somebody with the key. Whoever noted a checkpoint where the log's owner cannot
write (a ticket, another machine, a printout) can tell.
"""

import re
from dataclasses import dataclass

from agent_host.core.errors import UsageError
from agent_host.core.text import clean_line

_ANCHOR = re.compile(r"(?:([1-9]\d{0,17})[ :\t]+)?([0-9a-f]{64})\b")


@dataclass(frozen=True, slots=True)
class Anchor:
    """Entry `seq` (None: not known) has that hash."""

    seq: int | None
    hash: str


def anchors(text: str) -> list[Anchor]:
    """Return every checkpoint in a text: `SEQ HASH`, `SEQ:HASH` or `HASH`. UsageError if there is
    none."""
    found = [Anchor(int(m[1]) if m[1] else None, m[2]) for m in _ANCHOR.finditer(text)]
    if not found:
        raise UsageError(
            f'"{clean_line(text, 80)}" is no checkpoint; give what `agent-host audit checkpoint` '
            "printed (a number and a hash of 64 digits), or the file that holds it"
        )
    return found
