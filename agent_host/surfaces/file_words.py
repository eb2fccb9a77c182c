"""Files that may stand behind an @ in a message, as far as it is written.

Theory of operation: the folder that the path names so far is looked into; a name without a folder
is also looked for in the folders below, the nearest first. Names that begin so come first, then
those that hold it. Hidden names are offered only to who writes the dot. However large a tree is,
only so many names are looked at: this runs with every key, in a thread of its own.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from agent_host.surfaces.completion import Candidate

_LOOKED_AT = 4000
_OFFERED = 40
_LEAST = 2
"""Characters from which a name is looked for in the folders below."""
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "target", "venv"})
"""Folders that hold what nobody wrote."""


class FileWords:
    """Completes paths from a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def candidates(self, typed: str) -> list[Candidate]:
        """Return what may stand in the place of `typed`, which stands behind an @."""
        return await asyncio.to_thread(file_candidates, typed, self._folder)


def file_candidates(typed: str, folder: Path) -> list[Candidate]:
    """See FileWords; reads the disk."""
    written = typed.removeprefix('"')
    head, slash, tail = written.rpartition("/")
    try:
        place = folder / Path(head + slash).expanduser()
    except RuntimeError:  # a home that nobody knows
        return []
    below = not slash and len(tail) >= _LEAST and not tail.startswith(".")
    found: list[tuple[int, int, str]] = []
    for path, is_folder in _names(place, below=below, hidden=tail.startswith(".")):
        name = path.rpartition("/")[2].lower()
        if tail.lower() not in name:
            continue
        if not name.startswith(tail.lower()) and len(tail) < _LEAST:
            continue
        rank = (not name.startswith(tail.lower()), path.count("/"))
        found.append((rank[0], rank[1], f"{head}{slash}{path}{'/' if is_folder else ''}"))
    return [
        Candidate(_quoted(path), len(typed) + 1, "folder" if path.endswith("/") else "")
        for _, _, path in sorted(found)[:_OFFERED]
    ]


def _names(place: Path, *, below: bool, hidden: bool) -> Iterator[tuple[str, bool]]:
    """Paths from `place` on, the nearest first, and whether each is a folder."""
    open_folders, looked = deque([""]), 0
    while open_folders:
        inside = open_folders.popleft()
        try:
            with os.scandir(place / inside) as entries:
                for entry in entries:
                    looked += 1
                    if looked > _LOOKED_AT:
                        return
                    if entry.name.startswith(".") and not hidden:
                        continue
                    path = f"{inside}{entry.name}"
                    is_folder = entry.is_dir(follow_symlinks=False)
                    yield path, is_folder or entry.is_dir()
                    if below and is_folder and entry.name not in _PASSED_OVER:
                        open_folders.append(f"{path}/")
        except (OSError, ValueError):  # also for a name that no file can have
            continue


def _quoted(path: str) -> str:
    """A path as it is written in a message."""
    return f'@"{path}"' if " " in path else f"@{path}"
