"""One server, kept alive under its own task.

Theory of operation: `run` is the only task that opens, uses and closes the server's connections,
one after another. An attempt is: start the process (or take the one that was started early), open
the streams, shake hands, list the tools; all within the connect timeout. Then it waits: for news
about the tools (coalesced, then listed again), for the end of the connection, or to be stopped.
After a failure it waits longer and longer, and after three quick ones it stays failed until a call
or half a minute asks again, so that a crash loop costs next to nothing. Calls come from other
tasks: they wait for the connection within its budget, and every way a call can go wrong is a value.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from textwrap import shorten

from agent_host.core.catalogue import changes
from agent_host.core.events import ServerConnected, ServerLog, ServerLost, ToolsChanged
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Principal, Tool
from agent_host.ports import Answer, Answers, Observer
from agent_host.servers.definitions import PROBLEMS_KEPT, read_definitions
from agent_host.servers.process import ServerProcess, SpawnFailure, start
from agent_host.servers.spec import (
    ConnectFailedError,
    Connection,
    Connector,
    Hooks,
    HttpSpec,
    Known,
    LoadConnector,
    Progress,
    Relations,
    Reply,
    ServerHealth,
    Spec,
    StdioSpec,
)

QUICK = 10.0
"""Seconds of life below which the end of a connection counts as a quick failure."""
PATIENCE = 3
"""Quick failures in a row after which a server stays failed."""
REST = 30.0
"""Seconds until a server that stays failed is tried again by itself."""
FIRST_PAUSE = 0.2
LEGACY_NEEDS = 1.0
"""Seconds of the connect timeout that must be left for a second start within one attempt."""
UNUSED_GRACE = 2.0
"""Seconds that ending a process may take which nobody ever talked to."""
RELIST_PAUSE = 0.1
"""Seconds in which further list_changed notices are one."""
PROBLEMS_TOLD = 3
"""Problems with a server's tools, above which only the first and their number are told."""
LAST_WORDS = 160
"""Characters of the last line that a server logged which are told when it ends."""
LOGS_KEPT = 200
"""Log lines of one server that are shown in one connection; the rest is counted."""
VET_SLICE = 0.005
"""Seconds for which definitions are judged before other tasks get a turn."""


@dataclass(slots=True)
class World:
    """What every supervisor shares: the injected clock, chance, environment and observer;
    `answer` and `elicitation` as in `spec.Hooks`."""

    observe: Observer
    load: LoadConnector
    environ: Mapping[str, str]
    monotonic: Callable[[], float]
    chance: Callable[[], float]
    tools_changed: Callable[["Supervisor"], None]
    connected: Callable[["Supervisor"], None]
    answer: Answer
    elicitation: bool = False


@dataclass(slots=True)
class _Life:
    """One connection's life; `tools` is None until they were listed."""

    connection: Connection
    changed: asyncio.Event
    tools: dict[str, Tool] | None = None


class Supervisor:
    """Keeps one server; made before the event loop runs, used inside it."""

    def __init__(self, spec: Spec, world: World, remembered: tuple[Tool, ...] | None) -> None:
        self.spec = spec
        self.tools: tuple[Tool, ...] = self._offered(remembered or ())
        self.listed: tuple[Tool, ...] = ()
        self.known_as: Known | None = None
        self._world = world
        self._warm = remembered is not None
        self._process: ServerProcess | SpawnFailure | None = None
        self._life: _Life | None = None
        self._health = ServerHealth(name=spec.name, state="starting")
        self._attempts = 0
        self._failures = 0
        self._over = False
        self._legacy_next = False
        self._was_up = False
        self._began = 0.0
        self._quick = 0
        self._logged = 0
        self._told_lost = False
        self._relations = Relations()
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        self._news = asyncio.Condition()

    @property
    def live(self) -> Mapping[str, Tool] | None:
        """The tools of the live connection by own name, or None when there is none."""
        if self._life is None or self._life.connection.ended:
            return None
        return self._life.tools

    @property
    def connection(self) -> Connection | None:
        """The live connection, if there is one."""
        return self._life.connection if self._life is not None and self.live is not None else None

    def spawn(self) -> None:
        """Start the process now, before the event loop and the SDK are there."""
        if isinstance(self.spec, StdioSpec) and self._process is None:
            self._process = start(self.spec, self._world.environ)

    def discard(self) -> None:
        """End a process that was started but is not in use; blocks for a moment."""
        process, self._process = self._process, None
        if isinstance(process, ServerProcess):
            process.discard()
            process.wait(UNUSED_GRACE)

    async def _end_unused(self) -> None:
        process, self._process = self._process, None
        if isinstance(process, ServerProcess):
            process.discard()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UNUSED_GRACE):
                    while process.exit_code() is None:  # noqa: ASYNC110  # a rare, short end
                        await asyncio.sleep(0.01)

    def health(self) -> ServerHealth:
        """How the server is doing."""
        tail = self._life.connection.stderr_tail() if self._life else self._health.stderr
        return replace(self._health, tools=len(self.tools), stderr=tail)

    async def known(self) -> None:
        """Return once the tools are known or the first attempt is over."""
        if not self._warm:
            await self.settled()

    @property
    def is_known(self) -> bool:
        """Whether the tools are known or the first attempt is over."""
        return self._warm or self._attempts > 0

    async def settled(self) -> None:
        """Return once there is a connection or the first attempt is over."""
        async with self._news:
            await self._news.wait_for(lambda: self._attempts > 0 or self.live is not None)

    async def run(self) -> None:
        """Keep the server until cancelled; never raises for what the server does."""
        try:
            while True:
                await self._attempt()
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError  # closing failed while being cancelled
                await self._pause()
                self._health = replace(self._health, restarts=self._health.restarts + 1)
        finally:
            self._health = replace(self._health, state="stopped", pid=None)
            await self._end_unused()
            self._attempts += 1
            self._failures += 1
            async with self._news:
                self._news.notify_all()

    async def connected(self) -> bool:
        """Wait for a connection, asking for one if the server rests; False if there is none
        once the attempt that runs or is asked for is over."""
        if self.live is None and self._health.state != "stopped":
            before = self._failures
            self._wanted.set()
            async with self._news:
                await self._news.wait_for(lambda: self._failures > before or self.live is not None)
        return self.live is not None

    async def call(
        self,
        tool: Tool,
        arguments: JsonObject,
        progress: Progress,
        *,
        principal: Principal | None = None,
        answers: Answers | None = None,
        call_id: str = "",
    ) -> Reply:
        """Call a tool on the live connection; cancelling tells the server."""

        async def send() -> Reply:
            if (connection := self.connection) is None:
                return Reply(kind="refused", text=self.reason())
            return await connection.call(
                tool.tool,
                arguments,
                progress,
                principal=principal,
                answers=answers,
                call_id=call_id,
            )

        if self.spec.parallel:
            return await send()
        async with self._turn:
            return await send()

    def reason(self) -> str:
        """Why there is no connection, with what the server logged last; clean and bounded."""
        health = self.health()
        reason = health.error or "it has not connected yet"
        more = health.stderr and not reason.endswith(health.stderr)
        return f"{reason}\nIts last log lines:\n{health.stderr}" if more else reason

    async def _attempt(self) -> None:
        """One connection, from its start to its end."""
        self._wanted.clear()
        self._over = self._was_up = False
        self._logged = 0
        self._health = replace(self._health, state="starting")
        self._began = self._world.monotonic()
        try:
            why = await self._live_once()
        except ConnectFailedError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001  # the SDK raises groups of anything; it is told
            why = _flat(error)
        await self._lost(why)

    async def _live_once(self) -> str:
        """Connect and serve; return why the connection ended."""
        connect = await self._world.load()
        deadline = self._world.monotonic() + self.spec.connect_timeout
        spec = replace(self.spec, protocol="legacy") if self._legacy_next else self.spec
        self._legacy_next = False
        try:
            return await self._one_life(connect, spec)
        except ConnectFailedError as error:
            if not self._tries_legacy(error, spec):
                raise
            # Some servers leave, or fall silent, at a first message that is not `initialize`.
            left = deadline - self._world.monotonic()
            if left < LEGACY_NEEDS:
                self._legacy_next = True
                raise
        again = replace(self.spec, protocol="legacy", connect_timeout=left)
        return await self._one_life(connect, again)

    async def _one_life(self, connect: Connector, spec: Spec) -> str:
        process = self._take_process()
        pid = process.pid if process else None
        self._health = replace(self._health, pid=pid, stderr="")
        began = self._world.monotonic()
        changed = asyncio.Event()
        hooks = Hooks(
            tools_changed=changed.set,
            log=self._log,
            relations=self._relations,
            answer=self._world.answer,
            elicitation=self._world.elicitation,
        )
        failed: ConnectFailedError | None = None
        why = ""
        async with connect(spec, process, hooks) as connection:
            life = self._life = _Life(connection, changed)
            try:
                async with asyncio.timeout(spec.connect_timeout):
                    await connection.handshake(self.known_as)
                    await self._list(life)
                await self._tell_connected(life, self._world.monotonic() - began)
                why = _last_words(await self._serve(life), connection)
            except ConnectFailedError as error:
                # Kept, because the SDK's task group would wrap it.
                failed = await _explained(error, connection)
            except TimeoutError:
                text = f"it was not ready within {self.spec.connect_timeout:g} s (connect_timeout)"
                failed = ConnectFailedError(text, silent=connection.silent)
            finally:
                self._life = None
                tail = connection.stderr_tail()
                self._health = replace(self._health, state="failed", stderr=tail)
            if failed is None or not self._tries_legacy(failed, spec):
                await self._lost(why or str(failed))
        if failed is not None:
            raise failed
        return why

    def _tries_legacy(self, error: ConnectFailedError, spec: Spec) -> bool:
        """Whether to start a server again that said nothing at all, once in a row of failures."""
        first = self._quick == 0 and error.silent
        return first and spec.protocol == "auto" and isinstance(spec, StdioSpec)

    def _take_process(self) -> ServerProcess | None:
        if isinstance(self.spec, HttpSpec):
            return None
        self.spawn()
        process, self._process = self._process, None
        if isinstance(process, SpawnFailure):
            self._quick = PATIENCE
            raise ConnectFailedError(clean_line(process.reason))
        return process

    async def _serve(self, life: _Life) -> str:
        """Wait for the end of the connection; return why it ended."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(life.connection.watch())
            ends = {
                group.create_task(life.connection.lost()),
                group.create_task(self._follow_news(life)),
            }
            try:
                done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (watch, *ends):
                    task.cancel()
        return done.pop().result()

    async def _follow_news(self, life: _Life) -> str:
        """List the tools again when they changed; return why that failed."""
        pause = RELIST_PAUSE
        while True:
            await life.changed.wait()
            await asyncio.sleep(pause)
            life.changed.clear()
            try:
                async with asyncio.timeout(self.spec.connect_timeout):
                    await self._list(life)
            except ConnectFailedError as error:
                return str(error)
            except TimeoutError:
                return f"tools/list did not answer within {self.spec.connect_timeout:g} s"
            pause = min(pause * 2, REST) if life.changed.is_set() else RELIST_PAUSE

    async def _list(self, life: _Life) -> None:
        """Take over what the server says its tools are."""
        raw, noted = await life.connection.definitions()
        problems = list(noted)
        listed: list[Tool] = []
        since = self._world.monotonic()
        for tool in read_definitions(self.spec, raw, problems):
            listed.append(tool)
            if self._world.monotonic() - since > VET_SLICE:
                await asyncio.sleep(0)
                since = self._world.monotonic()
        self._take_tools(life, tuple(listed), tuple(dict.fromkeys(problems)))
        async with self._news:
            self._news.notify_all()

    def _take_tools(self, life: _Life, listed: tuple[Tool, ...], problems: tuple[str, ...]) -> None:
        first = not self._warm
        before = {tool.tool: tool.fingerprint for tool in self.tools}
        problems = problems[:PROBLEMS_KEPT]
        self._tell_problems([text for text in problems if text not in self._health.problems])
        self._health = replace(self._health, problems=problems)
        self.listed, self.tools, self._warm = listed, self._offered(listed), True
        life.tools = {tool.tool: tool for tool in self.tools}
        after = {tool.tool: tool.fingerprint for tool in self.tools}
        added, removed, changed = changes(before, after)
        if first or added or removed or changed:
            self._world.tools_changed(self)
        if not first and (added or removed or changed):
            self._world.observe(
                ToolsChanged(server=self.spec.name, added=added, removed=removed, changed=changed)
            )

    def _tell_problems(self, problems: list[str]) -> None:
        if len(problems) > PROBLEMS_TOLD:
            more = f"and {len(problems) - 1} more; `agent-host servers test {self.spec.name}`"
            problems = [f"{problems[0]} ({more} shows them)"]
        for text in problems:
            self._world.observe(ServerLog(server=self.spec.name, level="warning", text=text))

    def _offered(self, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        """The tools that the config includes, with what the config says of their server."""
        spec = self.spec
        return tuple(
            replace(tool, trusted=spec.trust_annotations, parallel=spec.parallel)
            for tool in tools
            if any(fnmatchcase(tool.tool, glob) for glob in spec.include)
            and not any(fnmatchcase(tool.tool, glob) for glob in spec.exclude)
        )

    async def _tell_connected(self, life: _Life, seconds: float) -> None:
        connection = life.connection
        self.known_as = connection.known
        self._told_lost = False
        self._was_up = True
        self._health = replace(
            self._health,
            state="connected",
            error="",
            version=connection.version,
            protocol=connection.protocol,
            connect_seconds=seconds,
        )
        self._world.observe(
            ServerConnected(
                server=self.spec.name,
                version=connection.version,
                protocol=connection.protocol,
                seconds=round(seconds, 3),
            )
        )
        self._world.connected(self)

    async def _lost(self, why: str) -> None:
        """Tell that the attempt is over, once; closing the server may still go on after it."""
        if self._over:
            return
        self._over = True
        lived = self._world.monotonic() - self._began
        self._quick = self._quick + 1 if lived < QUICK + self.spec.connect_timeout else 1
        if not self._was_up:
            self._failures += 1
        again = self._quick < PATIENCE
        self._health = replace(self._health, state="failed", error=why, pid=None)
        self._attempts += 1
        if not self._told_lost:
            self._told_lost = True
            self._world.observe(ServerLost(server=self.spec.name, reason=why, will_restart=again))
        async with self._news:
            self._news.notify_all()

    async def _pause(self) -> None:
        """Wait before the next attempt: shortly, or after quick failures until it is wanted."""
        if self._quick < PATIENCE:
            await asyncio.sleep(FIRST_PAUSE * 2**self._quick * (0.5 + self._world.chance()))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REST):
                await self._wanted.wait()

    def _log(self, level: str, text: str) -> None:
        self._logged += 1
        if self._logged > LOGS_KEPT:
            return
        if self._logged == LOGS_KEPT:
            text = "it logs a lot; the rest is not shown"
        self._world.observe(ServerLog(server=self.spec.name, level=level, text=text))


async def _explained(error: ConnectFailedError, connection: Connection) -> ConnectFailedError:
    """The error, or how the server ended if that is what was behind it."""
    if not connection.ended:
        return error
    text = f"it ended before it was ready: {await connection.lost()}"
    return ConnectFailedError(_last_words(text, connection), silent=error.silent)


def _last_words(why: str, connection: Connection) -> str:
    """Why a server ended, with the last line that it logged: most often the actual reason."""
    last = connection.stderr_tail().rstrip().rpartition("\n")[2]
    # Cut between words: what redacts a secret later does not know a part of it.
    words = shorten(clean_line(last, len(last)), LAST_WORDS, placeholder=" …") if last else ""
    return f"{why}; its last words: {words}" if words.strip(" …") else why


def _flat(error: BaseException) -> str:
    """The first real reason in a group of exceptions, on one clean line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error).partition("\n")[0]
    return clean_line(f"{type(error).__name__}: {text}" if text else type(error).__name__)
