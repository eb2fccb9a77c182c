"""An event loop in which no time passes, and which notices when nothing can go on.

Theory of operation: a replay waits for nothing outside of the process, so its clock stands still.
What has to come before anything else (the recorded answer that is due) is put at the front of the
loop's queue. When nothing is left to do, `idle` is asked what now: it may give somebody an answer,
let the clock jump to the next timer, or end it all. Work for threads is done at once, in place, but
for what a stop had come before the end of.
"""

import asyncio
import contextlib
import selectors
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, TypeVarTuple

_Given = TypeVarTuple("_Given")


class TimelessLoop(asyncio.SelectorEventLoop):
    """See the module. `idle` is told whether there are timers, and returns whether the clock may
    jump to the next of them; it must have given somebody something to do otherwise."""

    def __init__(self) -> None:
        self.now = 0.0
        self.idle: Callable[[bool], bool] = lambda timers: timers
        self.behind: Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]] = _at_once
        self.instead: Callable[[], Coroutine[Any, Any, Any] | None] = _nothing
        self.urgent: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        """Tasks of which all that they schedule comes at the front, too."""
        self._front = False
        self._timers: list[tuple[asyncio.TimerHandle, Callable[..., object], tuple[Any, ...]]] = []
        super().__init__(_Waitless(self))

    def time(self) -> float:
        """Seconds that the jumps came to."""
        return self.now

    @contextlib.contextmanager
    def at_the_front(self) -> Iterator[None]:
        """What is scheduled inside runs before what is scheduled already."""
        before, self._front = self._front, True
        try:
            yield
        finally:
            self._front = before

    def call_soon(
        self,
        callback: Callable[[*_Given], object],
        *args: *_Given,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """See `asyncio.AbstractEventLoop`."""
        handle = super().call_soon(callback, *args, context=context)
        if self._front or (self.urgent and _current(self) in self.urgent):
            self._ready: Any
            self._ready.rotate(1)
        return handle

    def create_task(
        self, coro: Any, *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """See `asyncio.AbstractEventLoop`. The work begins as `behind` has it."""
        task = super().create_task(self.behind(coro), name=name, context=context)
        task.add_done_callback(lambda _: coro.close())  # one that never began is not awaited
        return task

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Given], object],
        *args: *_Given,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See `asyncio.AbstractEventLoop`."""
        handle = super().call_later(delay, callback, *args, context=context)
        self._timers = [known for known in self._timers if not known[0].cancelled()]
        self._timers.append((handle, callback, args))
        return handle

    def hasten(self, *args: Any) -> bool:
        """Let the timer that has these arguments be due now, before anything else; False if there
        is none."""
        for handle, callback, given in self._timers:
            if given == args and not handle.cancelled() and handle.when() >= self.now:
                handle.cancel()
                with self.at_the_front():
                    self.call_soon(self._at_once, callback, *args)
                return True
        return False

    def _at_once(self, callback: Callable[..., object], *args: object) -> None:
        with self.at_the_front():
            callback(*args)

    def run_in_executor(  # type: ignore[override]  # what is awaited there may be any of these
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Awaitable[Any]:
        """Do the work at once, or what is to be waited for instead."""
        other = self.instead()
        if other is not None:
            return other
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is raised where the work is awaited
            done.set_exception(error)
        return done


def _nothing() -> None:
    """All work is done at once."""


def _current(loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any] | None:
    return asyncio.current_task(loop) if loop.is_running() else None


def _at_once(work: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    return work


class _Waitless(selectors.DefaultSelector):
    """A selector that asks the loop instead of waiting."""

    def __init__(self, loop: TimelessLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors`."""
        if timeout is None or timeout > 0:
            jump = self._loop.idle(timeout is not None)
            self._loop.now += (timeout or 0.0) if jump else 0.0
        return super().select(0)
