"""Running totals that are in no file: given ones, for one question, and those of a simulation.

Theory of operation: both stand in for `state.totals.Totals` and touch no state.db. A simulation
hands in its calls in the order of time, so what has left a total's window leaves it for good, and a
sum is kept, not computed: ten thousand calls of one total cost as much as ten thousand of none.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_host.policy.totals import units_of
from agent_host.state.totals import Book, Call, Share, Totals

_NOWHERE = Path("/nonexistent/state.db")


@dataclass(slots=True)
class _Row:
    at: float
    units: int


class GivenTotals(Totals):
    """Totals that stand where somebody said, by the id under which they are kept; others as they
    are `behind`, or 0. Nothing is counted."""

    def __init__(self, said: Mapping[str, float], behind: Totals | None = None) -> None:
        super().__init__(_NOWHERE)
        self._said = {name: units_of(value) for name, value in said.items()}
        self._behind = behind

    def sums(self, wanted: Iterable[Share], *, now: float) -> Mapping[str, int]:
        """See `Totals`."""
        shares = tuple(wanted)
        found = dict.fromkeys((share.total for share in shares), 0)
        if self._behind is not None:
            rest = [share for share in shares if share.total not in self._said]
            found |= self._behind.sums(rest, now=now)
        return found | {n: u for n, u in self._said.items() if n in found and isinstance(u, int)}


class SimulatedTotals(Totals):
    """Totals of calls that come in the order of time."""

    def __init__(self) -> None:
        super().__init__(_NOWHERE)
        self._rows: dict[tuple[str, str], deque[_Row]] = {}
        self._sums: dict[tuple[str, str], int] = {}
        self._of_call: dict[Call, dict[tuple[str, str], _Row]] = {}

    @contextmanager
    def book(self) -> Iterator[Book]:
        """See `Totals`: there is nobody else."""
        yield _SimulatedBook(self)

    def sums(
        self, wanted: Iterable[Share], *, now: float, apart: Call | None = None
    ) -> Mapping[str, int]:
        """See `Totals`."""
        mine = self._of_call.get(apart, {}) if apart is not None else {}
        found = {}
        for share in wanted:
            key = (share.total, share.key)
            rows = self._rows.setdefault(key, deque())
            while rows and rows[0].at <= now - share.window:
                self._take(key, rows.popleft())
            own = mine.get(key)
            found[share.total] = self._sums.get(key, 0) - (own.units if own else 0)
        return found

    def put(self, call: Call, shares: Iterable[Share], *, now: float) -> None:
        """Count a call with these shares, and with nothing else."""
        self.remove(call)
        counted: dict[tuple[str, str], _Row] = {}
        for share in shares:
            key = (share.total, share.key)
            counted[key] = _Row(now, share.units)
            self._rows.setdefault(key, deque()).append(counted[key])
            self._sums[key] = self._sums.get(key, 0) + share.units
        self._of_call[call] = counted

    def remove(self, call: Call) -> None:
        """See `Totals`."""
        for key, row in self._of_call.pop(call, {}).items():
            self._take(key, row)

    def prune(self, now: float) -> None:
        """See `Totals`: what has left its window is gone already."""

    def _take(self, key: tuple[str, str], row: _Row) -> None:
        self._sums[key] = self._sums.get(key, 0) - row.units
        row.units = 0


class _SimulatedBook(Book):
    def __init__(self, totals: SimulatedTotals) -> None:
        self._totals = totals

    def sums(self, wanted: Iterable[Share], *, now: float, apart: Call) -> Mapping[str, int]:
        return self._totals.sums(wanted, now=now, apart=apart)

    def put(self, call: Call, shares: Iterable[Share], *, now: float) -> None:
        self._totals.put(call, shares, now=now)
