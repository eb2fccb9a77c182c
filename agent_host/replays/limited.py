"""A session whose limits hold where the record says that one did.

Theory of operation: that a run has come to a limit is an event, with its name. Where a limit kept a
server from asking the model, only that is recorded; so at that event, and nowhere else, one holds.
"""

from dataclasses import replace
from typing import Any

from agent_host.core.events import SamplingFinished
from agent_host.core.limits import Limits
from agent_host.engine.session import Session
from agent_host.replays.cursor import Cursor

_LIMITED = "a limit of this run is reached"


class LimitedSession(Session):
    """See the module. `options` are those of a Session."""

    def __init__(self, cursor: Cursor, **options: Any) -> None:
        self._cursor = cursor
        super().__init__(**options)

    @property
    def limits(self) -> Limits:
        """What the run may use."""
        event = self._cursor.event
        limited = isinstance(event, SamplingFinished) and event.error == _LIMITED
        return replace(self._limits, max_turns=0) if limited else self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
