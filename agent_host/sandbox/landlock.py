"""A sandbox of rules: what Landlock refuses, where bubblewrap cannot be had.

Theory of operation: the server sees the machine's own file system, but opens nothing in it that no
rule grants (Landlock), and a filter keeps it from the network and from what Landlock does not
look at: sockets in the file system, memory that is shared by number, the modes of files. What the
kernel's version of Landlock lacks is asked of the filter, and what neither can refuse is told (see
`gaps`). The server gets a folder of its own for temporary files. Capabilities are dropped.
"""

import os
from collections.abc import Iterable, Iterator

from agent_host.sandbox import seccomp, system
from agent_host.sandbox.wish import Wish, beside, reached

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_FIRST = (1 << 13) - 1
_SPECIAL = 1 << 6 | 1 << 11
"""Making devices, which is never granted."""
READ = EXECUTE | READ_FILE | READ_DIR
TCP = 0b11
SCOPES = 0b11
"""Abstract sockets and signals stay inside."""


def handled(version: int, network: str) -> tuple[int, int, int]:
    """Return what this version of Landlock can refuse and is told to: rights over files, TCP,
    scopes."""
    files = _FIRST
    if version >= 2:
        files |= REFER
    if version >= 3:
        files |= TRUNCATE
    if version >= 5:
        files |= IOCTL_DEVICE
    tcp = TCP if version >= 4 and network == "none" else 0
    return files, tcp, scopes(version)


def scopes(version: int) -> int:
    """Return the scopes that this version knows."""
    return SCOPES if version >= 6 else 0


def rules(wish: Wish, parts: Iterable[str], scratch: str) -> Iterator[tuple[int, str]]:
    """Yield every rule: rights and the path that they are for. `parts`: what belongs to the
    program; `scratch`: its folder for temporary files."""
    every = (_FIRST | REFER | TRUNCATE) & ~_SPECIAL
    readable = [*system.readable(network=wish.network == "all"), *system.folders()]
    for path in dict.fromkeys([*readable, *parts, *wish.program]):
        yield READ, path
    for path in ("/proc/self", *(f"/proc/{name}" for name in system.FACTS)):
        if os.path.exists(path):  # noqa: PTH110
            yield READ_FILE | READ_DIR, path
    for path in system.DEVICES:
        yield READ_FILE | WRITE_FILE | TRUNCATE, path
    yield every, scratch
    for grant in wish.read:
        yield READ, grant.real
    for grant in wish.write:
        yield every, grant.real


def wanted(wish: Wish, version: int) -> seccomp.Filter:
    """Return the filter that goes with the rules."""
    sockets: dict[str, seccomp.Sockets] = {
        "none": "none",
        "loopback": "notify",
        "all": "internet",
    }
    return seccomp.Filter(
        shared=True,
        metadata=not wish.write,
        truncate=version < 3,
        others=True,
        sockets=sockets[wish.network],
    )


def gaps(wish: Wish, version: int) -> Iterator[str]:
    """Yield what is not refused, that bubblewrap would refuse."""
    yield "it sees which files and processes there are (not what is in them)"
    if version < 6:
        yield "it can send signals to the user's other processes"
    if wish.write:
        yield "it can change the modes of the user's files"
    for path in wish.guarded:
        if reached(path, wish.write) and os.path.exists(path):  # noqa: PTH110
            yield f"it can change {path}"
    for path in wish.hidden:
        if beside(path, (*wish.read, *wish.write)):
            yield f"it can read {path}"
