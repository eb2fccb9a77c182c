"""The conversation that a transcript makes, record by record while the file is read.

Theory of operation: taking a run over reads its file once: what `Transcript.open` checks goes
through `walk`, so that no record is parsed twice, and none is held that the conversation does not
hold. What a compaction leaves out of the results is let go as soon as that is read (`kept`), so
that what is in memory is what the model is sent, and of the rest what was said. Nothing that is
read is garbage in a circle, so nobody looks for it meanwhile.
"""

import contextlib
import gc
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import RecordError, UsageError
from agent_host.core.events import Event, ToolFinished
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.records.decode import typed
from agent_host.records.kept import LONG, KeptResult, Place, reading
from agent_host.records.lines import Scan


class IllegalRunError(RecordError):
    """Records that are sound, and make no legal conversation."""


class Fold:
    """`state` is the conversation of the records so far, `began_by` what model it began with."""

    def __init__(self, path: Path) -> None:
        self.state = Conversation()
        self.began_by = self.state.origin
        self._path = path
        self._name = str(path)
        self._read: Callable[[int, int], bytes] | None = None
        self._long: deque[tuple[int, KeptResult]] = deque()

    def walk(self, scan: Scan) -> None:
        """Go on with all records of an open file. RecordError as iterating it, or naming file and
        line if one is damaged, or not legal there (IllegalRunError)."""
        self._read = reading(self._path, scan.file.fileno())
        with _uncollected():
            for data, number in scan:
                self._take(data, number, scan)

    def _take(self, data: JsonObject, number: int, scan: Scan) -> None:
        event = typed(data, self._name, number).event
        size = scan.end - scan.place
        if size >= LONG and self._read is not None and isinstance(event, ToolFinished):
            result = KeptResult.of(event.result, Place(self._read, scan.place, size))
            event = replace(event, result=result)
            self._long.append((len(self.state.messages), result))
        before = self.state
        self._apply(event, number)
        now = self.state
        if now.messages is not before.messages or now.covered != before.covered:
            self._follow()

    def _apply(self, event: Event, number: int) -> None:
        try:
            self.state = apply(self.state, event)
        except UsageError as error:
            raise IllegalRunError(
                f"{clean_line(self._name, 500)}:{number}: no legal conversation: "
                f"{clean_line(str(error))}; the run can be shown, but not resumed"
            ) from None
        if event.type == "run_started":
            self.began_by = self.state.origin

    def _follow(self) -> None:
        """Forget the results that a user went back behind, and let those go that the model is no
        longer sent."""
        count, covered = len(self.state.messages), self.state.covered
        while self._long and self._long[-1][0] > count:
            self._long.pop()
        while self._long and self._long[0][0] < covered:
            self._long.popleft()[1].let_go()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
