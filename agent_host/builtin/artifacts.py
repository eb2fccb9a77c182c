"""A run's artifacts, opened for reading by a name that a model gave.

Theory of operation: only what lies directly in the folder of this run is opened: a name is one file
name, optionally behind the name of that folder; neither the folder nor the file may be a link, and
the file has to be a regular one. Nothing is read into memory here.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from agent_host.core.text import clean_line

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_LISTED = 20
_LOOKED_AT = 8192
"""Bytes at the beginning that tell text from something else."""


class UnreadableError(Exception):
    """Why an artifact is not read; the text is for the model, clean."""


class Artifacts:
    """The artifacts of one run. `folder` need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self, name: str) -> Iterator[TextIO]:
        """Open an artifact as text (UTF-8, what is none is replaced). Raises UnreadableError."""
        fd = self._open(name)
        with os.fdopen(fd, encoding="utf-8", errors="replace", newline="\n") as file:
            if b"\0" in os.pread(fd, _LOOKED_AT, 0):
                size = os.fstat(fd).st_size
                raise UnreadableError(
                    f"{clean_line(name, 200)} is no text ({size:,} bytes); a person can open it"
                )
            yield file

    def names(self) -> list[str]:
        """Return the names of what can be opened."""
        try:
            with os.scandir(self._folder) as entries:
                return sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
        except OSError:
            return []

    def _open(self, name: str) -> int:
        own = name.removeprefix(f"{self._folder.name}/")
        if not _NAME.fullmatch(own):
            raise self._unknown(name)
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            folder = os.open(self._folder, flags | os.O_DIRECTORY)
        except OSError:
            raise self._unknown(name) from None
        try:
            # A FIFO would wait for a writer.
            fd = os.open(own, flags | os.O_NONBLOCK, dir_fd=folder)
        except OSError:
            raise self._unknown(name) from None
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._unknown(name)
        return fd

    def _unknown(self, name: str) -> UnreadableError:
        names = self.names()
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        there = f"; there is {', '.join(names[:_LISTED])}{more}" if names else "; there is none"
        return UnreadableError(f"This run has no artifact {clean_line(name, 100)!r}{there}.")
