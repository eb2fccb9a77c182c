"""Follow the chain, and name the first entry that is not as it was written.

Theory of operation: one pass over the lines, in constant memory; a line is hashed, not parsed. The
first thing that is wrong ends the pass, because behind it nothing can be told for certain. What it
is follows from what the neighbours say: a line that lacks the hash it names was changed; a sound
one that the next does not name was changed and sealed anew, or inserted; a number that is skipped
was removed, or stands further down. That the end was cut off shows only against a checkpoint that
was kept elsewhere (`anchors`).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from agent_host.audit.anchors import Anchor
from agent_host.audit.chain import ZERO, Link, NoLink, unseal
from agent_host.audit.files import files, first_seq, lines
from agent_host.audit.keys import key_id, statement, verified
from agent_host.audit.retention import Retired, retired
from agent_host.core.text import clean_line

Kind = Literal["changed", "removed", "reordered", "inserted", "cut_off", "signature"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first thing that is wrong. `file` and `line` (from 1): where; `seq`: the entry."""

    kind: Kind
    text: str
    file: str = ""
    line: int = 0
    seq: int = 0


@dataclass(slots=True, kw_only=True)
class Report:
    """What a pass found. `first` and `last`: numbers of entries; `hash`: of the last. `signed`:
    checkpoints with a sound signature; `keys`: who signed. `notes`: what is worth knowing."""

    entries: int = 0
    files: int = 0
    first: int = 0
    last: int = 0
    hash: str = ZERO
    signed: int = 0
    unsigned: int = 0
    keys: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    number: int
    link: Link | NoLink

    @property
    def name(self) -> str:
        return f"{self.path.name}:{self.number}"


def verify(
    folder: Path,
    *,
    since: str | None = None,
    anchors: Collection[Anchor] = (),
    keys: Collection[str] = (),
) -> Report:
    """Check a log. `since`: the name of the file to begin with. `keys`: who may have signed
    (public keys in base64); empty: anybody. Raises OSError."""
    there = [path for path in files(folder) if since is None or path.name >= since]
    walk = _Walk(there, anchors, keys, None if since else retired(folder))
    report = walk.report
    report.files = len(there)
    for finding in chain(walk.steps(), walk.end()):
        report.finding = finding
        break
    return report


class _Walk:
    """One pass. `steps` and `end` yield what is wrong."""

    def __init__(
        self,
        paths: list[Path],
        anchors: Collection[Anchor],
        keys: Collection[str],
        stubs: list[Retired] | None,
    ) -> None:
        self.report = Report()
        self._paths = paths
        self._anchors = set(anchors)
        self._by_seq = {a.seq: a for a in anchors if a.seq is not None}
        self._hashes = {a.hash: a for a in anchors if a.seq is None}
        self._keys = keys
        self._stubs = stubs
        self._last: _Place | None = None
        self._before = ZERO

    def steps(self) -> Iterator[Finding]:
        """Take one line after another."""
        report = self.report
        places = _places(self._paths)
        for place in places:
            link = place.link
            if isinstance(link, NoLink):
                yield self._no_link(place, link, places)
                return
            expected, prev = report.last + 1, report.hash
            if self._last is None:
                yield from self._beginning(place, link)
            elif link.prev != prev or link.seq != expected:
                yield self._broken(place, link, self._last, places)
                return
            if link.type in _TOLD:
                yield from self._told(place, link)
            if self._anchors:
                yield from self._anchored(place, link)
            self._before, self._last = prev, place
            report.first = report.first or link.seq
            report.last, report.hash = link.seq, link.hash
            report.entries += 1

    def end(self) -> Iterator[Finding]:
        """What only shows once all was read."""
        report = self.report
        place = self._last
        for anchor in sorted(self._anchors, key=lambda a: (a.seq or 0, a.hash)):
            if anchor.seq is not None and anchor.seq < report.first:
                report.notes.append(
                    f"the checkpoint of entry {anchor.seq} cannot be compared: the log begins at "
                    f"entry {report.first}"
                )
                continue
            what = f"entry {anchor.seq}" if anchor.seq is not None else "an entry"
            yield Finding(
                kind="cut_off",
                text=f"the log ends at entry {report.last}, but the checkpoint says that there was "
                f"{what} with the hash {anchor.hash[:16]}…: what followed was cut off, or the log "
                "was written anew",
                file=place.path.name if place else "",
                line=place.number if place else 0,
                seq=report.last,
            )

    # -- what is wrong -----------------------------------------------------------------------

    def _no_link(self, place: _Place, link: NoLink, rest: Iterator[_Place]) -> Finding:
        expected = self.report.last + 1 if self._last else link.seq or first_seq(place.path)
        after = next(rest, None)
        if after is None and link.why == "is cut off":
            return _finding(
                "cut_off",
                place,
                expected,
                f"the last line {link.why}: a crash, or somebody cut the file; the next process "
                "that writes sets it aside",
            )
        if after and isinstance(after.link, Link) and after.link.seq == expected:
            return _finding(
                "inserted",
                place,
                expected,
                f"a line that {link.why} stands before entry {expected}: it was inserted",
            )
        return _finding(
            "changed",
            place,
            expected,
            f"entry {expected} was changed after it was written: its line {link.why}",
        )

    def _broken(self, place: _Place, link: Link, last: _Place, rest: Iterator[_Place]) -> Finding:
        """A sound line that does not continue the one before."""
        report = self.report
        expected = report.last + 1
        if link.seq == report.last and link.prev == self._before and link.hash != report.hash:
            return _finding(
                "inserted",
                last,
                report.last,
                f"entry {report.last} at {last.name} was inserted: {place.name} continues from the "
                "entry before it",
            )
        if link.seq == expected:
            return _finding(
                "changed",
                last,
                report.last,
                f"entry {report.last} was changed and sealed anew: entry {link.seq} at "
                f"{place.name} names another hash for it",
            )
        if link.seq < expected:
            return _finding(
                "inserted",
                place,
                link.seq,
                f"entry {link.seq} stands here again, after entry {report.last}: it was inserted",
            )
        found = _find(rest, expected, report.hash)
        if found is not None:
            return _finding(
                "reordered",
                place,
                expected,
                f"entry {link.seq} stands where entry {expected} belongs, which stands at "
                f"{found.name}: entries were reordered",
            )
        many = (
            f"entries {expected} to {link.seq - 1} are"
            if link.seq - 1 > expected
            else (f"entry {expected} is")
        )
        return _finding("removed", place, expected, f"{many} missing before this line: removed")

    def _beginning(self, place: _Place, link: Link) -> Iterator[Finding]:
        """The first line: of a new log, after what retention removed, or where `--since` says."""
        if self._stubs is None:
            self.report.notes.append(f"entries before {link.seq} were not looked at (--since)")
            return
        if link.seq == 1 and link.prev == ZERO:
            return
        for stub in self._stubs:
            if stub.last == link.seq - 1 and stub.hash == link.prev:
                yield from self._stub(place, stub)
                return
        if link.seq == 1:
            text = "entry 1 names an entry before it, and there is none: what was before is gone"
        else:
            text = (
                f"the log begins at entry {link.seq}, and nothing says that retention removed what "
                "was before: it was removed by somebody"
            )
        yield _finding("removed", place, 1, text)

    def _stub(self, place: _Place, stub: Retired) -> Iterator[Finding]:
        signed = verified(stub.signature, stub.key, statement(stub.last, stub.hash))
        if not signed or not self._is_known(stub.key):
            yield _finding(
                "signature",
                place,
                stub.last,
                f"the note that retention removed entries up to {stub.last} has no signature of a "
                "known key: somebody may have removed them",
            )
        self.report.notes.append(
            f"entries up to {stub.last} were removed by retention at {clean_line(stub.time, 40)}"
        )

    def _told(self, place: _Place, link: Link) -> Iterator[Finding]:
        """What entries of the log about itself say."""
        try:
            fields = link.fields()
        except (ValueError, RecursionError):  # its hash is right, and nobody here wrote it so
            yield _finding(
                "changed", place, link.seq, f"entry {link.seq} is no JSON: it was sealed anew"
            )
            return
        if link.type == "checkpoint":
            yield from self._checkpoint(place, link)
        elif link.type == "entries_missing":
            yield _finding(
                "cut_off",
                place,
                link.seq,
                f"a process that was writing found entries missing up to "
                f"{fields.get('expected_seq')} (entry {link.seq} notes it): the log's end was cut "
                "off while it ran",
            )
        elif link.type == "torn_end":
            self.report.notes.append(
                f"{place.name}: a torn line of {fields.get('size')} bytes was set aside in "
                f"{clean_line(str(fields.get('kept')), 100)} (a crash, or a full disk)"
            )

    def _checkpoint(self, place: _Place, link: Link) -> Iterator[Finding]:
        fields, report = link.fields(), self.report
        signature, key = str(fields.get("signature", "")), str(fields.get("key", ""))
        if not signature:
            report.unsigned += 1
            return
        if not verified(signature, key, statement(link.seq - 1, link.prev)):
            yield _finding(
                "signature",
                place,
                link.seq,
                f"the checkpoint at entry {link.seq} has a signature that is not its key's",
            )
        elif not self._is_known(key):
            yield _finding(
                "signature",
                place,
                link.seq,
                f"the checkpoint at entry {link.seq} was signed with another key "
                f"({key_id(key)}) than the known one",
            )
        report.signed += 1
        if key not in report.keys:
            report.keys.append(key)

    def _is_known(self, key: str) -> bool:
        return not self._keys or key in self._keys

    def _anchored(self, place: _Place, link: Link) -> Iterator[Finding]:
        anchor = self._by_seq.get(link.seq) or self._hashes.get(link.hash)
        if anchor is None:
            return
        self._anchors.discard(anchor)
        if anchor.hash != link.hash:
            yield _finding(
                "changed",
                place,
                link.seq,
                f"entry {link.seq} is not the one of the checkpoint ({anchor.hash[:16]}…): the log "
                "was written anew, up to here at least",
            )


_TOLD = frozenset({"checkpoint", "entries_missing", "torn_end"})


def _places(paths: Iterable[Path]) -> Iterator[_Place]:
    for path in paths:
        for number, line in enumerate(lines(path), start=1):
            yield _Place(path, number, unseal(line))


def _find(rest: Iterator[_Place], seq: int, prev: str) -> _Place | None:
    for place in rest:
        link = place.link
        if isinstance(link, Link) and link.seq == seq and link.prev == prev:
            return place
    return None


def _finding(kind: Kind, place: _Place, seq: int, text: str) -> Finding:
    return Finding(kind=kind, text=text, file=place.path.name, line=place.number, seq=seq)
