"""Servers for the length of one command: started, waited for, closed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from typing import TextIO, TypeVar, cast

from agent_host.cli.progress import progress
from agent_host.config.load import Loaded
from agent_host.config.near import nearest
from agent_host.core.errors import AgentHostError, UsageError
from agent_host.core.events import Ephemeral, Event
from agent_host.core.text import clean_line
from agent_host.host import open_pool
from agent_host.records.redact import Redactor
from agent_host.servers.lock import Lock
from agent_host.servers.pool import Pool

_LOOK_SECONDS = 0.2
_OWN_SECONDS = 5.0
"""What our own imports and the start of the processes may take beside a server's budget."""
_Result = TypeVar("_Result")


def enabled(loaded: Loaded, asked: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of the servers to start: those asked for, by default all enabled ones.

    Raises UsageError for a name that the config does not have, or has disabled.
    """
    servers = loaded.config.servers
    for name in asked:
        if name not in servers:
            raise UsageError(
                f'{loaded.name} has no server "{clean_line(name, 80)}"{nearest(name, [*servers])}'
            )
        if not servers[name].enabled:
            where = loaded.where("servers", name, "enabled")
            raise UsageError(
                f"{where}: servers.{clean_line(name)} has enabled = false; change that"
            )
    return tuple(n for n, s in servers.items() if s.enabled and (n in asked or not asked))


@asynccontextmanager
async def live_pool(
    loaded: Loaded,
    only: Collection[str],
    redactor: Redactor,
    *,
    elicitation: bool = False,
    acting: bool = False,
    lock: Lock | None = None,
) -> AsyncIterator[Pool]:
    """Yield a pool whose servers have each connected, failed, or spent their connect budget.

    Other than `Pool.ready` this does not take the word of servers.lock. `redactor` is told the
    servers' secrets. `elicitation`: servers are told that they may ask for input. `acting`: calls
    are made, for `pool.principal`.
    """
    changed = asyncio.Event()

    def observe(_: Event | Ephemeral) -> None:
        changed.set()

    budget = max((loaded.config.servers[name].connect_timeout for name in only), default=0.0)
    async with open_pool(
        loaded,
        os.environ,
        only=only,
        observe=observe,
        redactor=redactor,
        elicitation=elicitation,
        acting=acting,
        lock=lock,
    ) as pool:
        with progress(_under_way(only)) as say:
            try:
                async with asyncio.timeout(budget + _OWN_SECONDS):
                    await pool.ready()
                    while waiting := [h.name for h in pool.health() if h.state == "starting"]:
                        say(_under_way(waiting, len(only)))
                        changed.clear()
                        try:
                            async with asyncio.timeout(_LOOK_SECONDS):
                                await changed.wait()
                        except TimeoutError:
                            continue
            except TimeoutError:
                pass  # what is still starting is shown as that
        yield pool


def _under_way(waiting: Collection[str], all_: int = 0) -> str:
    done = f" ({all_ - len(waiting)} of {all_} done)" if all_ > 1 else ""
    return f"connecting{done} to {', '.join(clean_line(name, 40) for name in waiting)}"


def with_servers(
    loaded: Loaded,
    only: Collection[str],
    use: Callable[[Pool], Awaitable[_Result]],
    *,
    elicitation: bool = False,
    acting: bool = False,
    redactor: Redactor | None = None,
    lock: Lock | None = None,
) -> _Result:
    """Return what `use` makes of the live servers; they are gone when this returns. `elicitation`,
    `acting` and `redactor` as for `live_pool`. `lock`: another reading of servers.lock, whose
    caller says itself what there is to say of definitions.

    What is worth a look in the servers' tools is said on stderr first: a definition is told of
    once, so whoever sees it first has to tell. An AgentHostError of `use` is raised as it is, not
    in the group of the pool's tasks. What `use` writes and what it returns is without the secrets
    that the servers got.
    """
    redactor = redactor or Redactor({})

    async def body() -> _Result | AgentHostError:
        pool_of = live_pool(
            loaded, only, redactor, elicitation=elicitation, acting=acting, lock=lock
        )
        async with pool_of as pool:
            for note in pool.notes() if lock is None else ():
                sys.stderr.write(f"{clean_line(note, 600)}\n")
            for health in pool.health():
                if health.warning:
                    sys.stderr.write(f"{clean_line(f'{health.name} {health.warning}', 600)}\n")
            try:
                return await use(pool)
            except AgentHostError as error:
                return error

    with (
        redirect_stdout(_redacted(sys.stdout, redactor)),
        redirect_stderr(_redacted(sys.stderr, redactor)),
    ):
        outcome = asyncio.run(body())
    if isinstance(outcome, AgentHostError):
        raise outcome
    return redactor.value(outcome)


class _Redacted:
    """A stream that writes no secret."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor

    def write(self, text: str) -> int:
        return self._stream.write(self._redactor.text(text))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _redacted(stream: TextIO, redactor: Redactor) -> TextIO:
    return cast(TextIO, _Redacted(stream, redactor))


def complain(pool: Pool) -> None:
    """Say on stderr which servers are not up, and what is wrong with tools."""
    for health in pool.health():
        name = clean_line(health.name)
        if health.state != "connected":
            why = health.error or "it has not answered yet"
            sys.stderr.write(f"{name}: {health.state}: {clean_line(why)}\n")
        for problem in health.problems:
            sys.stderr.write(f"{name}: {clean_line(problem)}\n")
