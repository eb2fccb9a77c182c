"""When a server that fails is tried again, and when calls are not even tried.

Theory of operation: a circuit breaker, pure but for an injected clock. After a failure the next
attempt waits a little; after three quick ones in a row the breaker is open: calls fail at once,
with the reason, until a pause is over; then the one attempt that a call asks for (half-open)
decides. Each attempt that fails makes the pause longer. Without any call a server is still tried
now and then. A second breaker watches calls: a server that is up but lets three of them in a row
time out gets no more for a while, then one.
"""

from collections.abc import Callable
from typing import Literal

QUICK = 10.0
"""Seconds of life, beside the connect timeout, below which an end counts as a quick failure."""
PATIENCE = 3
"""Quick failures, or calls that timed out, in a row after which the breaker opens."""
FIRST_PAUSE = 0.2
"""Seconds until the attempt after a first failure; doubles."""
FIRST_REST = 1.0
"""Seconds in which calls fail at once after the breaker opened; doubles to MOST_REST."""
MOST_REST = 30.0
IDLE_REST = 30.0
"""Seconds until an open breaker is tried without any call; doubles to MOST_IDLE_REST."""
MOST_IDLE_REST = 300.0
CALL_REST = 5.0
"""Seconds without calls after some timed out; doubles to MOST_CALL_REST."""
MOST_CALL_REST = 60.0
MOST_ASKED = 60.0
"""Seconds that a server may ask to be left alone (Retry-After)."""

BreakerState = Literal["closed", "open", "half-open"]


class Breaker:
    """Watches the connections to one server. `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._trying = False
        self._trips = 0
        self._until = 0.0
        self._asked = 0.0
        self._steady = False
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """Whether enough has failed that calls fail at once."""
        return self.failures >= PATIENCE

    @property
    def state(self) -> BreakerState:
        """For people."""
        if not self.is_open:
            return "closed"
        return "half-open" if self._trying else "open"

    def trying(self) -> None:
        """An attempt begins."""
        self._trying = True

    def connected(self) -> None:
        """An attempt got a connection; whether it lasts is not known yet."""
        self._asked = 0.0

    def failed(self, *, quick: bool, asked: float | None = None) -> None:
        """An attempt failed or a connection ended. `asked`: for how long (seconds) the server
        wants to be left alone."""
        self._trying = self._steady = False
        if not quick:
            self.failures = self._trips = 0
        self.failures += 1
        self._asked = min(asked or 0.0, MOST_ASKED)
        if self.is_open:
            self._trips += 1
        rest = _doubled(FIRST_REST, self._trips, MOST_REST) if self.is_open else 0.0
        self._until = self._now() + max(rest, self._asked)

    def give_up(self, *, steady: bool = False) -> None:
        """Trying again at once is of no use: the command is not there, or (`steady`) only a person
        can mend it, which may be done at any moment, so that the pause does not grow."""
        self._trying = False
        self.failures = PATIENCE
        self._steady = steady
        self._trips = 1 if steady else self._trips + 1
        self._until = self._now() + _doubled(FIRST_REST, self._trips, MOST_REST)

    def calls_fail(self) -> bool:
        """Whether a call is not to wait for a new attempt."""
        return not self._trying and self._now() < self._until

    def retry_seconds(self) -> float:
        """Seconds until a call may ask for the next attempt."""
        return max(self._until - self._now(), 0.0)

    def pause(self, chance: float) -> float:
        """Seconds until the next attempt if nobody asks for one. `chance` is in [0, 1)."""
        if not self.is_open:
            return max(_doubled(2 * FIRST_PAUSE, self.failures, 1.0) * (0.5 + chance), self._asked)
        if self._steady:
            return IDLE_REST
        return max(_doubled(IDLE_REST, self._trips, MOST_IDLE_REST), self._asked)


class CallBreaker:
    """Watches the calls to one server that is up."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._trips = 0
        self._last = float("-inf")
        self._until = 0.0
        self._probing = False
        self.timeouts = 0

    @property
    def state(self) -> BreakerState:
        """For people."""
        if self.timeouts < PATIENCE:
            return "closed"
        return "half-open" if self._probing else "open"

    def refuses(self) -> str:
        """Why a call is not made now; empty if it is. Then `began` must follow."""
        if self.timeouts < PATIENCE or (self._now() >= self._until and not self._probing):
            return ""
        many = f"the last {self.timeouts} calls got no answer in time"
        if self._probing:
            return f"{many}; one more is being tried"
        return f"{many}; it is tried again in {self.retry_seconds():.0f} s"

    def retry_seconds(self) -> float:
        """Seconds until the next call is made."""
        return max(self._until - self._now(), 0.0)

    def began(self) -> float:
        """A call is made; return what `timed_out` wants to be told."""
        self._probing = self.timeouts >= PATIENCE
        return self._now()

    def answered(self) -> None:
        """A call was answered, with whatever, so the server is well."""
        self.timeouts = self._trips = 0
        self._probing = False

    def over(self) -> None:
        """A call ended in a way that says nothing: cancelled, or the connection went away."""
        self._probing = False

    def timed_out(self, began: float) -> bool:
        """A call got no answer in time; return whether that opens the breaker. Calls that ran at
        the same time count as one."""
        probe, self._probing = self._probing, False
        if began < self._last and not probe:
            return False
        self._last = self._now()
        self.timeouts += 1
        if self.timeouts < PATIENCE:
            return False
        self._trips += 1
        self._until = self._now() + _doubled(CALL_REST, self._trips, MOST_CALL_REST)
        return True

    def renewed(self) -> None:
        """There is a new connection, which nothing is known of."""
        self.timeouts = self._trips = 0
        self._probing = False


def _doubled(first: float, times: int, most: float) -> float:
    return float(min(first * 2 ** min(max(times - 1, 0), 20), most))
