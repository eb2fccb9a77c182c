"""What is known of how one server is doing: its state and since when, its calls and how long they
took.

Theory of operation: the supervisor changes it, `report` makes the value that others see. The last
hundred calls are kept, so that one slow start does not colour a day.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

from agent_host.servers.breaker import Breaker, CallBreaker
from agent_host.servers.spec import Reply, ServerHealth, ServerState

KEPT = 100
"""Durations of calls that are kept."""


class Health:
    """The health of server `name`. `now` is a monotonic clock in seconds."""

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self._now = now
        self._health = ServerHealth(name=name, state="starting")
        self._since = now()
        self._took: deque[float] = deque(maxlen=KEPT)
        self._calls = 0
        self._errors = 0
        self.breaker = Breaker(now)
        self.calls = CallBreaker(now)

    @property
    def state(self) -> ServerState:
        """The state now."""
        return self._health.state

    @property
    def now(self) -> ServerHealth:
        """What was noted last, without what `report` adds."""
        return self._health

    def note(self, **changes: Any) -> None:
        """Change fields of the health."""
        if changes.get("state", self._health.state) != self._health.state:
            self._since = self._now()
        self._health = replace(self._health, **changes)

    def count(self, reply: Reply, seconds: float) -> None:
        """Note what came of a call that was made."""
        if reply.kind == "refused":
            return
        self._calls += 1
        self._errors += reply.kind not in ("result", "paused")
        self._took.append(seconds)

    def report(self, *, tools: int, stderr: str) -> ServerHealth:
        """How the server is doing."""
        up = self._health.state == "connected"
        watching = self.calls if up else self.breaker
        retry = 0.0 if watching.state == "half-open" else watching.retry_seconds()
        return replace(
            self._health,
            tools=tools,
            stderr=stderr,
            calls=self._calls,
            errors=self._errors,
            call_seconds=median(self._took) if self._took else None,
            slowest_seconds=max(self._took) if self._took else None,
            breaker=watching.state,
            since_seconds=self._now() - self._since,
            retry_seconds=retry or None,
        )
