"""The messages of a run, in order: a sequence that grows by one without being copied.

Theory of operation: a conversation is immutable, and each event makes the next one; with a tuple, a
run of n messages would copy n * n / 2 of them. All states of one run share a list; each sees as
many of its items as there were when it was made. To grow, a state appends to the list if it is the
newest, and copies it if another one has gone on from here already (an event that could not be
recorded; a conversation that went back).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Self, overload

from agent_host.core.types import Message


class Log(Sequence[Message]):
    """An immutable sequence of messages; a slice of it is a tuple. Equal to any sequence of the
    same messages."""

    __slots__ = ("_items", "_size")

    def __init__(
        self, messages: Iterable[Message] = (), *, shared: list[Message] | None = None
    ) -> None:
        """`shared`: the list itself, of which this is all; otherwise a copy is made."""
        self._items = list(messages) if shared is None else shared
        self._size = len(self._items)

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "Log":
        """Return the messages as a log."""
        return messages if isinstance(messages, Log) else cls(messages)

    def then(self, message: Message) -> Self:
        """Return the log with one more message, of the same kind."""
        items = self._items if len(self._items) == self._size else self._items[: self._size]
        items.append(message)
        return type(self)(shared=items)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Message]:
        return islice(self._items, self._size)

    @overload
    def __getitem__(self, place: int) -> Message: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Message, ...]: ...
    def __getitem__(self, place: int | slice) -> Message | tuple[Message, ...]:
        if isinstance(place, slice):
            start, stop, step = place.indices(self._size)
            return tuple(self._items[start:stop:step] if step > 0 else tuple(self)[place])
        return self._items[range(self._size)[place]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Log | tuple):
            return NotImplemented
        return len(self) == len(other) and all(map(_same, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def _same(one: Message, other: Message) -> bool:
    return one is other or one == other
