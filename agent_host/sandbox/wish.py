"""What a server's table asks of its sandbox, with every path resolved.

Theory of operation: a path is resolved when the config is read, through every symlink, and what is
granted is the file that stands there then. A path that lies in a folder that the server may write
to is not resolved but left to that folder's grant: the server could have put a symlink there.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mode = Literal["auto", "required"]
Network = Literal["none", "loopback", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A file or folder that is granted: as the config names it (absolute), and what it is."""

    named: str
    real: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one server is granted, and what not. `command`: as the config names it.

    `memory`: megabytes (2**20 bytes) of private memory for each process; `processes`: how many
    there may be, threads included. `program`: files and folders that belong to the program beside
    what `program` finds. `guarded`: files that stay read-only also in a folder that is granted for
    writing, and `hidden`: folders that are empty in one that is granted. `private`: folders that
    are never taken for a part of the program. `where` returns `servers.toml:12` for a key of the
    table.
    """

    server: str
    command: str = ""
    mode: Mode = "auto"
    read: tuple[Grant, ...] = ()
    write: tuple[Grant, ...] = ()
    network: Network = "none"
    memory: int | None = None
    processes: int | None = None
    program: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    home: str = ""
    where: Callable[[str], str] = lambda _: "servers.toml"


class MissingPathError(Exception):
    """A path that is granted is not there, or may not be granted; the text says which, and why."""


def grants(paths: Iterable[str], folder: Path, writable: Iterable[Grant] = ()) -> tuple[Grant, ...]:
    """Resolve paths, which are relative to `folder` or start with `~`; see the module's text about
    those in a `writable` folder. Raises MissingPathError."""
    found = []
    for path in paths:
        named = os.path.normpath(folder / Path(path).expanduser())
        if any(inside(named, grant.named) or inside(named, grant.real) for grant in writable):
            continue
        try:
            real = os.path.realpath(named, strict=True)
        except OSError as error:
            reason = "does not exist" if isinstance(error, FileNotFoundError) else error.strerror
            raise MissingPathError(f"{path} {reason}; create it or correct the path") from None
        found.append(Grant(named=named, real=real))
    return tuple(found)


def reached(path: str, grants: Iterable[Grant]) -> bool:
    """Whether a path lies in what is granted."""
    return any(inside(path, grant.named) or inside(path, grant.real) for grant in grants)


def beside(path: str, grants: Iterable[Grant]) -> bool:
    """Whether a path lies in what is granted without being granted itself, or what is in it."""
    named = {p for grant in grants for p in (grant.named, grant.real)}
    return any(inside(path, p) for p in named) and not any(inside(p, path) for p in named)


def inside(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it; of words alone, both absolute and normal."""
    return folder in (path, "/") or path.startswith(folder + "/")
