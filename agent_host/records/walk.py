"""A transcript from its first record to its last, with one of them in memory at a time.

Theory of operation: what shows or exports a run passes over its file, and does so twice if what it
writes first is known only at the end (a count, an outcome). The first pass notes where it ended,
and later ones end there, too, though the run may have gone on in between. A torn or damaged end is
reported as `reader.salvage` reports it, and what is no legal run as `reader.summary` does.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from agent_host.core.errors import RecordError
from agent_host.core.events import Record
from agent_host.core.text import clean_line
from agent_host.records.decode import typed
from agent_host.records.lines import Scan
from agent_host.records.reader import Counting, Summary, opened, torn_end


class Walk:
    """The sound records of a file, in their order, each time it is iterated.

    Iterating raises RecordError if there is not even one. Once it has been iterated to its end,
    `torn`, `damaged` and `found` are what Reading and `reader.summary` say; before that they are
    empty, and `found` is no summary yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = ""
        self.damaged = ""
        self.found = Summary(run_id=path.name.removesuffix(".jsonl"), path=path)
        self._end = -1

    @property
    def problem(self) -> str:
        """What is wrong with the file, for people; empty: nothing."""
        return self.found.broken or self.damaged or self.torn

    def finish(self) -> Summary:
        """Pass over the file once, if nothing has; return what a list says of it."""
        if self._end < 0:
            for _ in self:
                pass
        return self.found

    def __iter__(self) -> Iterator[Record]:
        return self._first() if self._end < 0 else self._again()

    def _first(self) -> Iterator[Record]:
        name, counting = str(self.path), Counting(self.path)
        end, illegal = 0, ""
        with opened(self.path) as file:
            scan = Scan(file, name)
            try:
                for data, number in scan:
                    record = typed(data, name, number)
                    illegal = illegal or _counted(counting, record, number)
                    end = scan.end
                    yield record
            except RecordError as error:
                if not end:
                    raise
                self.damaged = str(error)
            else:
                self.torn = torn_end(name, scan.whole)
        self._end = end
        if illegal:
            self.found = replace(self.found, broken=illegal)
        else:
            self.found = counting.summary(self.damaged)

    def _again(self) -> Iterator[Record]:
        name = str(self.path)
        with opened(self.path) as file:
            scan = Scan(file, name)
            try:
                for data, number in scan:
                    if scan.end > self._end:
                        return
                    yield typed(data, name, number)
            except RecordError as error:
                self.damaged = self.damaged or str(error)
            if scan.end < self._end and not self.damaged:
                self.damaged = (
                    f"{clean_line(name, 500)}: changed by somebody while it was read; do it again"
                )


def _counted(counting: Counting, record: Record, number: int) -> str:
    """Count a record; return why it is not legal."""
    try:
        counting.take(record, number)
    except RecordError as error:
        return str(error)
    return ""
