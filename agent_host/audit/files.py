"""The files of a log: `audit-<seq>.jsonl`, named after the number of their first entry.

Theory of operation: a log is a folder of files that continue each other; the one with the highest
number is written. Only whole lines count: a file's end without a newline was torn, by a crash or
a full disk. Folders have mode 0700 and files 0600.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent_host.audit.chain import MAX_LINE, Link, NoLink, unseal

_NAME = re.compile(r"audit-(\d{12})\.jsonl")
_BLOCK = 64 * 1024
_REACHES = (8 * 1024, 2 * MAX_LINE)


def name_of(seq: int) -> str:
    """Return the name of the file that begins with that entry."""
    return f"audit-{seq:012}.jsonl"


def first_seq(path: Path) -> int:
    """Return the number of a file's first entry, as its name says; 0 for another file."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def files(folder: Path) -> list[Path]:
    """Return the files of a log, in order; none if there is no folder. Raises OSError."""
    try:
        with os.scandir(folder) as items:
            names = [item.name for item in items if _NAME.fullmatch(item.name)]
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names)]


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a file. `size`: of its bytes; `whole`: of its whole lines; `link`: its last entry
    that is sound, None if there is none in reach; `damaged`: whole lines after that one."""

    size: int
    whole: int
    link: Link | None
    damaged: int = 0


def read_tail(fd: int, size: int) -> Tail:
    """Read the end of an open file. Cost: that of its last entry, unless that is damaged."""
    tail = Tail(size, 0, None)
    for reach in _REACHES:
        start = max(size - reach, 0)
        data = os.pread(fd, size - start, start)
        tail = _tail(data, start, size)
        if tail.link is not None or start == 0:
            return tail
    if tail.whole < size:
        return tail
    end = _last_newline(fd, size)  # a torn end that is longer than any entry
    before = read_tail(fd, end) if end else Tail(0, 0, None)
    return Tail(size, end, before.link, before.damaged)


def _last_newline(fd: int, size: int) -> int:
    """Return the place behind the last newline; 0 if there is none."""
    while size:
        start = max(size - _BLOCK, 0)
        found = os.pread(fd, size - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        size = start
    return 0


def _tail(data: bytes, start: int, size: int) -> Tail:
    cut = data.rfind(b"\n") + 1
    whole = start + cut if cut or not start else size  # no newline in reach: nobody knows yet
    lines = data[:cut].split(b"\n")[: -1 if cut else 0]
    damaged = 0
    for line in reversed(lines[1:] if start else lines):
        link = unseal(line + b"\n")
        if isinstance(link, Link):
            return Tail(size, whole, link, damaged)
        damaged += 1
    return Tail(size, whole, None, damaged)


def lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield a file's lines from a byte on, each with its newline if it has one; one that is longer
    than any entry in pieces. Raises OSError."""
    with path.open("rb", buffering=1 << 20) as file:
        file.seek(offset)
        while line := file.readline(MAX_LINE + 1):
            yield line


def links(path: Path) -> Iterator[Link | NoLink]:
    """Yield what each line of a file says of itself. Raises OSError."""
    return map(unseal, lines(path))


def lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield a file's whole lines from its end. Raises OSError."""
    with path.open("rb") as file:
        place = file.seek(0, os.SEEK_END)
        rest = b""
        torn = True
        while place > 0:
            step = min(_BLOCK, place)
            place -= step
            file.seek(place)
            block = file.read(step) + rest
            parts = block.split(b"\n")
            rest = parts[0]
            for part in reversed(parts[1:]):
                if torn:
                    torn = False  # what follows the last newline
                    continue
                yield part + b"\n"
        if rest and not torn:
            yield rest + b"\n"
