"""A sink that keeps what comes until there is somebody to take it."""

from collections.abc import Callable
from time import time_ns

from agent_host.core.events import Ephemeral, ReasoningDelta, Record, TextDelta

MAX_EARLY = 10_000
"""Records that wait for the SDK; what comes after that is not traced."""

Taker = Callable[[Record | int], None]
"""Takes a record, or the time (nanoseconds since the epoch) of the first piece of an answer."""


class TelemetrySink:
    """Implements `ports.EventSink`. `clock` returns nanoseconds since the epoch."""

    def __init__(self, clock: Callable[[], int] = time_ns) -> None:
        self._clock = clock
        self._early: list[Record | int] = []
        self._take: Taker | None = None
        self._waits_for_piece = True
        self.dropped = 0

    def emit(self, item: Record | Ephemeral) -> None:
        """Take one item; of what is streamed only the time of the first piece counts."""
        if isinstance(item, Record):
            self._waits_for_piece = True
            self._pass(item)
        elif self._waits_for_piece and isinstance(item, TextDelta | ReasoningDelta):
            self._waits_for_piece = False
            self._pass(self._clock())

    def connect(self, take: Taker) -> None:
        """Hand over to `take`, from the first item on."""
        early, self._early = self._early, []
        for item in early:
            take(item)
        self._take = take

    def _pass(self, item: Record | int) -> None:
        if self._take is not None:
            self._take(item)
        elif len(self._early) < MAX_EARLY:
            self._early.append(item)
        else:
            self.dropped += 1
