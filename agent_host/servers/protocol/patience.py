"""How long one call is waited for.

Theory of operation: a server may be silent for the configured time (`timeout` of servers.toml, 30
seconds unless it says otherwise); each sign of life, which is a progress report or the answer to a
poll, gives it that time again, up to `MOST` times of it in all, because a server that reports
progress for ever is no better than one that hangs. Neither clock runs while a person answers what
the server asked for. A task has a limit of its own (see `tasks`).
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

MOST = 10.0
"""How many times the configured timeout a call may take in all, however often it reports."""


class Patience:
    """A timeout that can be renewed and can stand still; leaving it raises TimeoutError once it is
    spent. `silence` and `most` are in seconds."""

    def __init__(self, silence: float, most: float | None = None) -> None:
        self._silence = silence
        self._quiet = silence
        self._left = most if most is not None else MOST * silence
        self._since = 0.0
        self._still = 0
        self._on = False
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._on = True
        self._since = self._now()
        self._set()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._account()
        self._on = False
        await self._timeout.__aexit__(exc_type, exc_val, exc_tb)

    def heard(self, pause: float = 0.0) -> None:
        """The server shows that it is at work. `pause`: seconds in which the host asks nothing."""
        self._account()
        self._quiet = self._silence + pause
        self._set()

    def allow(self, seconds: float) -> None:
        """What is waited for may take so long in all, from now on, if that is more."""
        self._account()
        self._left = max(self._left, seconds)
        self._quiet = self._silence
        self._set()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Neither clock runs inside."""
        self._account()
        self._still += 1
        self._set()
        try:
            yield
        finally:
            self._account()
            self._still -= 1
            self._quiet = max(self._quiet, self._silence)
            self._set()

    @property
    def tired(self) -> bool:
        """Whether it was the total that was spent, not the silence."""
        return self._left <= self._quiet

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _account(self) -> None:
        now = self._now()
        if self._on and not self._still:
            self._quiet -= now - self._since
            self._left -= now - self._since
        self._since = now

    def _set(self) -> None:
        if not self._on or self._timeout.expired():
            return  # not begun, or over, and the call is being ended
        left = None if self._still else self._now() + max(min(self._quiet, self._left), 0.0)
        self._timeout.reschedule(left)
