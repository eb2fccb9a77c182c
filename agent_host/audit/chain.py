"""An entry as a line of the log, and what makes it a link of the chain.

Theory of operation: a line begins with what every entry has (`seq`, `prev`, `time`, `type`, `run`),
goes on with its other members sorted by name, and ends with `hash`: the SHA-256 (FIPS 180-4) of
the line's bytes before `,"hash"`. `prev` is the hash of the entry before, so whoever changes,
removes, inserts or moves an entry has to make every later one anew. Nothing has to be parsed to
check a line: its bytes are what is hashed, and `seal` writes them in one way only. The very first
entry has ZERO as `prev`, and `seq` counts from 1 without holes, over all files.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from agent_host.audit.canonical import canonical

ZERO = "0" * 64
"""What the first entry of a log names as the one before."""

MAX_LINE = 128 * 1024
"""Bytes of the longest line; `entries` keeps every entry well below."""

Fields = dict[str, Any]
"""An entry before it is sealed: `type`, `time`, perhaps `run`, and whatever else it says."""

_HEAD = ("seq", "prev", "time", "type", "run")
_LINE = re.compile(
    rb'\{"seq":([1-9]\d{0,17}),"prev":"([0-9a-f]{64})","time":"([0-9TZ:.+-]{20,32})",'
    rb'"type":"([a-z_]{1,40})","run":"([A-Za-z0-9._-]{0,100})"'
)
_TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n\Z')
_TAIL_SIZE = len(b',"hash":""}\n') + 64
_NO_RUN_ID = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What of a line the chain needs. `line`: its bytes, with the newline."""

    seq: int
    prev: str
    time: str
    type: str
    run: str
    hash: str
    line: bytes

    def fields(self) -> Fields:
        """Return the whole entry. ValueError if it is no JSON, which its hash cannot rule out."""
        found: Fields = json.loads(self.line)
        return found


@dataclass(frozen=True, slots=True)
class NoLink:
    """A line that is not as it was written; `why` is for people. `seq`: what it says it is."""

    why: str
    seq: int | None = None


def seal(fields: Fields, seq: int, prev: str) -> tuple[bytes, str]:
    """Return the line of an entry, with the newline, and its hash."""
    rest = {key: value for key, value in fields.items() if key not in _HEAD}
    body = canonical(rest)[1:-1]
    run = _NO_RUN_ID.sub("_", fields.get("run", ""))[:100]
    start = (
        f'{{"seq":{seq},"prev":"{prev}","time":"{fields["time"]}","type":"{fields["type"]}",'
        f'"run":"{run}"'
    )
    text = f"{start},{body}" if body else start
    data = text.encode("ascii")
    own = hashlib.sha256(data).hexdigest()
    return data + f',"hash":"{own}"}}\n'.encode("ascii"), own


def unseal(line: bytes) -> Link | NoLink:
    """Return what a line says of itself if its hash is right, else why it is no entry."""
    head = _LINE.match(line)
    seq = int(head[1]) if head else None
    if not line.endswith(b"\n"):
        what = "is longer than any entry" if len(line) > MAX_LINE else "is cut off"
        return NoLink(what, seq)
    tail = _TAIL.match(line, max(len(line) - _TAIL_SIZE, 0))
    if head is None or tail is None:
        return NoLink("does not have the form of an entry", seq)
    own = hashlib.sha256(line[: tail.start()]).hexdigest()
    if own.encode("ascii") != tail[1]:
        return NoLink("does not have the hash that it names", seq)
    return Link(
        seq=int(head[1]),
        prev=head[2].decode("ascii"),
        time=head[3].decode("ascii"),
        type=head[4].decode("ascii"),
        run=head[5].decode("ascii"),
        hash=own,
        line=line,
    )
