"""Fan-out of what happens: the journal first, then everyone who watches.

Theory of operation: a fact is stamped, handed to the journal, and only then shown; so nobody can
have seen what a crash forgets. What is ephemeral goes to the sinks alone. A sink that raises is
dropped and named in `dropped`; it never stops a run. A journal that raises does: without a record
nothing may happen.
"""

from collections.abc import Callable, Iterable

from agent_host.core.events import Ephemeral, Event, Record
from agent_host.ports import EventSink, Journal


class Feed:
    """One run's stream of facts. `clock` returns the time as `Record.at` wants it."""

    def __init__(
        self,
        *,
        run_id: str,
        journal: Journal,
        sinks: Iterable[EventSink],
        clock: Callable[[], str],
        next_seq: int = 0,
    ) -> None:
        self.run_id = run_id
        self.journal = journal
        self.dropped: list[str] = []
        self._sinks = list(sinks)
        self._clock = clock
        self._seq = next_seq

    def record(self, event: Event) -> Record:
        """Record a fact and show it. Raises RecordError if it cannot be recorded."""
        record = Record(seq=self._seq, at=self._clock(), run_id=self.run_id, event=event)
        self.journal.append(record)
        self._seq += 1
        self._emit(record)
        return record

    def show(self, item: Ephemeral) -> None:
        """Show what is not recorded."""
        self._emit(item)

    def _emit(self, item: Record | Ephemeral) -> None:
        for sink in tuple(self._sinks):
            try:
                sink.emit(item)
            except Exception as error:  # noqa: BLE001 - a watcher's fault is not the run's
                self._sinks.remove(sink)
                self.dropped.append(f"{type(sink).__name__}: {error!r}")
