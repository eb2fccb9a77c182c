"""What has to happen before a session, at the same time and in the right order.

Theory of operation: server processes start by themselves; the host's own cost is importing SDKs.
`Loader` imports them one after another in one thread, in the order in which they are needed, so
that the event loop goes on meanwhile. `Gate` holds back what the first request does not need.
`Relay` keeps what servers do until there is a session to tell.
"""

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import ModuleType

from agent_host.core.events import (
    Ephemeral,
    ModelRequested,
    Record,
    RunResumed,
    RunStarted,
    UserSaid,
)
from agent_host.ports import Observation, Observer


class Loader:
    """Imports modules one after another in a thread of its own.

    Until those that are `expected` are there the garbage collector rests: it would find nothing to
    free, and an import takes a fifth less without it. What was imported it never looks at again.
    """

    def __init__(self) -> None:
        self.expected: set[str] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="import")
        self._under_way: dict[str, asyncio.Future[ModuleType]] = {}
        gc.disable()

    def start(self, name: str) -> None:
        """Begin to import a module, after those that were begun before."""
        if name not in self._under_way:
            loop = asyncio.get_running_loop()
            self._under_way[name] = loop.run_in_executor(self._thread, import_module, name)

    async def load(self, name: str) -> ModuleType:
        """Return a module. Must be called where `start` was, in the loop's own thread."""
        self.start(name)
        module = await asyncio.shield(self._under_way[name])
        self.expected.discard(name)
        if not self.expected and not gc.isenabled():
            gc.freeze()
            gc.enable()
        return module

    async def call(self, work: Callable[[], None]) -> None:
        """Do what an adapter can do before its first request, in the same thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Let the thread end with what it is importing."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        gc.enable()


class Gate:
    """Lets the import of the MCP SDK begin: with a warm lock only once the first request is out,
    because the two would share one interpreter. A sink, which sees when an answer begins."""

    LONGEST = 0.15
    """Seconds after which it opens by itself: a chat waits for its user much longer."""

    def __init__(self) -> None:
        self._open = asyncio.Event()

    def emit(self, item: Record | Ephemeral) -> None:
        """Open on the first sign of an answer, or of a call that is taken up again."""
        quiet = RunStarted | RunResumed | UserSaid | ModelRequested
        if not (isinstance(item, Record) and isinstance(item.event, quiet)):
            self.open()

    def open(self) -> None:
        """Open for good."""
        self._open.set()

    async def wait(self) -> None:
        """Return once it is open."""
        await self._open.wait()


class Relay:
    """Passes on what servers do, also what they did before there was a session."""

    def __init__(self) -> None:
        self._early: list[Observation] = []
        self._target: Observer | None = None

    def __call__(self, item: Observation) -> None:
        """Pass one item on, or keep it."""
        if self._target is None:
            self._early.append(item)
        else:
            self._target(item)

    def connect(self, target: Observer) -> None:
        """Hand over to `target`, from the first item on."""
        self._target = target
        for item in self._early:
            target(item)
        self._early.clear()
