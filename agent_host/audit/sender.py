"""Entries are brought to a collector, at least once each, in order.

Theory of operation: a pass takes batches from the spool until nothing waits or the collector does
not take one; then the next waits longer each time, or as long as the collector asks. A batch that
is refused is halved until what is refused stands alone; it is set aside (`refused-<id>.jsonl`) if
the collector took others of the batch, else the collector is at fault and everything waits. Every
failure is kept in the spool's state, which `audit send` and `doctor` show. In a run, a thread of
its own sends; it delays nothing, and gets a short time at the end.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from agent_host.audit.chain import Fields
from agent_host.audit.collector import Answer
from agent_host.audit.otel import encoded
from agent_host.audit.spool import Batch, Spool, State
from agent_host.core.errors import RecordError

ALONE = 8
"""How many entries one after another may be refused alone before the collector is at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds: of the first wait after a failure, of the longest, of the longest that a collector
    may ask for, and between two looks when another process sends."""

    first: float = 1.0
    longest: float = 60.0
    asked: float = 300.0
    busy: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a pass did. `busy`: another process sends. `problem`: why it ended early; `wait`:
    seconds until the next try."""

    entries: int = 0
    busy: bool = False
    problem: str = ""
    wait: float = 0.0


class Takes(Protocol):
    """A collector; see `collector.Collector`."""

    def post(self, body: bytes) -> Answer:
        """Send a request; never raises for the world's faults."""

    def close(self) -> None:
        """Let go of the connection."""


@dataclass(slots=True)
class _Tried:
    """What became of a batch: how many were taken, which were refused alone, what stopped it."""

    taken: int = 0
    refused: list[tuple[Fields, str]] = field(default_factory=list)
    rejected: int = 0
    stopped: Answer | None = None


class Sender:
    """Sends what waits in a spool. `wall`: seconds since the epoch."""

    def __init__(
        self,
        spool: Spool,
        collector: Takes,
        version: str,
        *,
        pace: Pace = Pace(),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.spool = spool
        self._collector = collector
        self._version = version
        self._pace = pace
        self._wall = wall

    def send(self, *, at_once: bool = False, going: Callable[[], bool] = lambda: True) -> Sent:
        """Send until nothing waits, the collector does not take it, or `going` says no. `at_once`:
        do not wait for the end of a wait. Raises RecordError if the spool cannot be kept."""
        with self.spool.alone() as may:
            if not may:
                return Sent(busy=True, wait=self._pace.busy)
            state = self.spool.state()
            left = min(state.not_before - self._wall(), self._pace.asked)
            if left > 0 and not at_once:
                return Sent(problem=state.problem, wait=left)
            count = 0
            while going():
                batch = self.spool.batch(state.cursor)
                before = state
                state, answer = self._one(batch, state)
                if state != before:
                    self.spool.save(state)
                if answer is not None:
                    wait = max(state.not_before - self._wall(), 0.0)
                    return Sent(entries=count, problem=answer.text, wait=wait)
                count += len(batch.entries)
                if not batch.more:
                    break
            return Sent(entries=count)

    def _one(self, batch: Batch, state: State) -> tuple[State, Answer | None]:
        """Send a batch; return the state after it, and what stopped it, if anything did."""
        tried = _Tried()
        if batch.entries:
            self._try(batch.entries, tried)
        if tried.refused and not tried.taken and tried.stopped is None:
            tried.stopped = Answer(kind="refused", text=tried.refused[0][1])
        if tried.stopped is not None:
            return self._failed(state, tried.stopped), tried.stopped
        for entry, why in tried.refused:
            self.spool.refuse(entry, why)
        after = State(
            to=self.spool.to,
            project=self.spool.project,
            cursor=batch.cursor,
            sent=state.sent + tried.taken - tried.rejected,
            refused=state.refused + len(tried.refused) + tried.rejected,
            lost=state.lost + batch.lost,
        )
        return after, None

    def _try(self, entries: list[Fields], tried: _Tried) -> None:
        answer = self._collector.post(encoded(entries, self._version))
        if answer.kind == "taken":
            tried.taken += len(entries)
            tried.rejected += answer.rejected
            return
        if answer.kind != "refused":
            tried.stopped = answer
            return
        if len(entries) == 1:
            tried.refused.append((entries[0], answer.text))
            if len(tried.refused) >= ALONE and not tried.taken:
                tried.stopped = answer
            return
        half = len(entries) // 2
        for part in (entries[:half], entries[half:]):
            if tried.stopped is None:
                self._try(part, tried)

    def _failed(self, state: State, answer: Answer) -> State:
        failures = state.failures + 1
        wait = min(self._pace.first * 2 ** min(failures - 1, 20), self._pace.longest)
        wait *= random.uniform(0.75, 1.0)  # noqa: S311 - so that many hosts do not come back at once
        wait = max(wait, min(answer.retry_after, self._pace.asked))
        now = self._wall()
        since = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        return replace(
            state,
            to=self.spool.to,
            project=self.spool.project,
            problem=answer.text,
            problem_since=state.problem_since or since.replace("+00:00", "Z"),
            failures=failures,
            not_before=now + wait,
        )


class Background:
    """Sends in a thread of its own, from the first `wake` on. `gather`: seconds in which entries
    may come together to one request."""

    def __init__(self, sender: Sender, *, gather: float = 0.2) -> None:
        self._sender = sender
        self._gather = gather
        self._more = threading.Event()
        self._closing = threading.Event()
        self._until = 0.0
        self._thread: threading.Thread | None = None
        self.problem = ""

    def wake(self) -> None:
        """There is more to send. Costs nothing."""
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._run, name="audit-sender", daemon=True)
            self._thread.start()
        self._more.set()

    def close(self, seconds: float) -> str:
        """Send what is left, for at most so long; return why not all was sent, or ""."""
        self._until = time.monotonic() + seconds
        self._closing.set()
        self._more.set()
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                self.problem = self.problem or "the collector did not answer in time"
        return self.problem

    def _run(self) -> None:
        try:
            while self._pass():
                pass
        except RecordError as error:
            self.problem = str(error)

    def _pass(self) -> bool:
        """Wait for something to send and send it; return whether to go on."""
        self._more.wait()
        last = self._closing.wait(self._gather)
        self._more.clear()
        sent = self._sender.send(going=self._is_in_time)
        self.problem = sent.problem
        if sent.busy:
            self._closing.wait(sent.wait)
            self._more.set()
            return self._is_in_time()
        if last:
            return False
        if sent.problem:
            self._closing.wait(sent.wait)
            self._more.set()
        return True

    def _is_in_time(self) -> bool:
        return not self._closing.is_set() or time.monotonic() < self._until
