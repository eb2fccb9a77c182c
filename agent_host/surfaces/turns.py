"""One terminal, one question at a time: calls to approve, forms, pages to open, requests for the
model stand in one line, and whatever else writes to the terminal waits while one is open.

Theory of operation: who asks takes a turn. So does the user's own line in a chat: a server that
asks out of turn waits until it is sent, or until Enter in an empty line lets it ask. A screen that
stands at the terminal steps aside for a question, and comes back with its draft.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from agent_host.surfaces.outlet import Outlet, held


class Turns:
    """The line in front of one terminal. `screen` shows the questions, `hold` are all the outlets
    of that terminal. `waiting` counts who stands in line; `noticed` is called when somebody comes;
    `aside` is where a question is asked, for whoever has the terminal to make room."""

    def __init__(self, *, screen: Outlet, hold: Sequence[Outlet]) -> None:
        self._hold = tuple(hold)
        self._screen = screen
        self._lock = asyncio.Lock()
        self.waiting = 0
        self.noticed: Callable[[], object] = lambda: None
        self.aside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext

    @asynccontextmanager
    async def write(self) -> AsyncIterator[None]:
        """While inside, the user writes a message, and nobody asks; who asked before is first."""
        async with self._lock:
            yield

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """While inside, nobody else asks and nothing else is written."""
        async with self._next():
            # The other questions of the same turn line up behind this one, and are counted.
            await asyncio.sleep(0)
            for outlet in self._hold:
                outlet.end_line()
            async with self.aside():
                with held([*self._hold, self._screen]):
                    yield

    @asynccontextmanager
    async def _next(self) -> AsyncIterator[None]:
        self.waiting += 1
        if self._lock.locked():
            self.noticed()
        try:
            await self._lock.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._lock.release()
