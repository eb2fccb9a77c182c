"""News that a server's tools changed, and the list that is asked for then.

Theory of operation: notices that come together are one, and while they go on the pauses between two
lists grow. Whoever made a call waits a moment for the list that the call brought about, so that a
model can use at once what it has just had enabled. A list that fails is one request that failed: it
is asked for again, and calls under way go on; only a server that keeps failing while no call runs
is given up.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from agent_host.servers.spec import ConnectFailedError

RELIST_PAUSE = 0.1
"""Seconds in which further notices are one; doubles while they go on, or lists fail, up to:"""
RELIST_MOST = 30.0
RELIST_TRIES = 5
"""Lists in a row that may fail before a server without any call under way is given up."""
CATCH_UP = 1.0
"""Seconds that a call which is done waits for the list that it brought about."""


class Changes:
    """What was heard over one connection. `tell` is given what goes wrong, once in a row."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told = asyncio.Event()
        self._current = asyncio.Event()
        self._current.set()
        self._failures = 0
        self._often = False

    def told(self) -> None:
        """The server says that its tools changed."""
        self._told.set()
        if not self._often:
            self._current.clear()

    async def caught_up(self) -> None:
        """Return when the list is that of the last notice, or will not be soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                await self._current.wait()

    async def follow(
        self, relist: Callable[[], Awaitable[None]], seconds: float, busy: Callable[[], bool]
    ) -> str:
        """List again whenever that is told, each time within `seconds`; return why the server is
        given up. `busy`: whether calls are under way."""
        pause = RELIST_PAUSE
        try:
            while True:
                await self._told.wait()
                await asyncio.sleep(pause)
                self._told.clear()
                why, final = await self._list(relist, seconds)
                if final or (self._failures >= RELIST_TRIES and not busy()):
                    return why
                self._often = self._told.is_set()
                pause = min(pause * 2, RELIST_MOST) if self._often else RELIST_PAUSE
                self._current.set()
        finally:
            self._current.set()

    async def _list(
        self, relist: Callable[[], Awaitable[None]], seconds: float
    ) -> tuple[str, bool]:
        """Why the list failed, if it did, and whether asking again is of no use."""
        try:
            async with asyncio.timeout(seconds):
                await relist()
        except ConnectFailedError as error:
            why, final = str(error), error.needs_login
        except TimeoutError:
            why, final = f"tools/list did not answer within {seconds:g} s", False
        else:
            self._failures = 0
            return "", False
        self._failures += 1
        self._told.set()
        if self._failures == 1:
            self._tell(f"{why}; its tools stay as they were until it answers that again")
        return why, final
