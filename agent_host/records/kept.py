"""A tool result whose content is read from the transcript again when somebody asks for it.

Theory of operation: most of a long run is what its tools answered, and once a compaction left that
out nothing but a search for it ever looks there again. So such a result is the value that it was,
without its content in memory: the content is where the record is, in a file that only grows and
that is held open. `let_go` is what makes it so. If the file can no longer be read there (a disk
that fails, somebody who overwrites it), the content says so.
"""

import os
import stat
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_host.core.errors import RecordError
from agent_host.core.types import Content, Text, ToolResult
from agent_host.records.decode import decode

LONG = 4096
"""Bytes of a record whose result is worth to be let go."""

_LOST = "[this result can no longer be read from the transcript]"


class Place:
    """Where a record is: `size` bytes from `start` on of what `read` reads."""

    __slots__ = ("read", "size", "start")

    def __init__(self, read: Callable[[int, int], bytes], start: int, size: int) -> None:
        self.read, self.start, self.size = read, start, size


class KeptResult(ToolResult):
    """See the theory. A copy with other fields is a ToolResult."""

    __slots__ = ("_held", "_place")

    _held: tuple[tuple[Content, ...], tuple[Content, ...]] | None
    _place: Place

    def __new__(cls, *values: Any, **fields: Any) -> Any:  # noqa: D102  # of `replace`
        return ToolResult(*values, **fields)

    @classmethod
    def of(cls, result: ToolResult, place: Place) -> "KeptResult":
        """Return the result, which is in the record at that place."""
        made: KeptResult = object.__new__(cls)
        for name in ("call_id", "error", "artifact", "labels", "type"):
            object.__setattr__(made, name, getattr(result, name))
        object.__setattr__(made, "_held", (result.content, result.for_user))
        object.__setattr__(made, "_place", place)
        return made

    def let_go(self) -> None:
        """Hold the content no longer."""
        object.__setattr__(self, "_held", None)

    @property
    def content(self) -> tuple[Content, ...]:
        """As in ToolResult."""
        return (self._held or self._read())[0]

    @property
    def for_user(self) -> tuple[Content, ...]:
        """As in ToolResult."""
        return (self._held or self._read())[1]

    def _read(self) -> tuple[tuple[Content, ...], tuple[Content, ...]]:
        place = self._place
        try:
            event = decode(place.read(place.start, place.size)).event
        except (OSError, RecordError):
            event = None
        found = getattr(event, "result", None)
        if not isinstance(found, ToolResult) or found.call_id != self.call_id:
            return (Text(text=_LOST),), ()
        return found.content, found.for_user

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ToolResult):
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))


def _values(result: ToolResult) -> tuple[object, ...]:
    return tuple(getattr(result, name) for name in ToolResult.__dataclass_fields__)


def reading(path: Path, fd: int) -> Callable[[int, int], bytes] | None:
    """Return what reads bytes (from, how many) of an open file as long as it is referred to; None
    if another file is at that path, or it cannot be opened once more. (A duplicate of `fd` would
    hold its lock.)"""
    try:
        own = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not (stat.S_ISREG(os.fstat(own).st_mode) and os.path.samestat(os.fstat(own), os.fstat(fd))):
        os.close(own)
        return None
    return _Reading(own)


class _Reading:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        weakref.finalize(self, os.close, fd)

    def __call__(self, start: int, size: int) -> bytes:
        return os.pread(self._fd, size, start)
