"""One server, kept alive under its own task.

Theory of operation: `run` is the only task that opens, uses and closes the server's connections,
one after another. An attempt is: start the process (or take the one that was started early), open
the streams, shake hands, list the tools; all within the connect timeout. Then it waits: for news
about the tools (coalesced, then listed again), for the end of the connection, or to be stopped.
After a failure it waits as the `breaker` says, so that a crash loop costs next to nothing; how the
server does is in its `health`. A second way of connecting belongs to the same attempt: a program
that says nothing is started again for the older handshake, a URL that takes no POST is asked for
the older transport. Calls come from other tasks: they wait for the connection within its budget,
and every way a call can go wrong is a value. A server that lets call after call time out is asked
whether it is there; one that does not answer that either is started anew.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from agent_host.core.events import ServerConnected, ServerLog, ServerLost
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Principal, Tool
from agent_host.ports import Answers
from agent_host.servers.breaker import QUICK
from agent_host.servers.changes import Changes
from agent_host.servers.confinement import Confinement
from agent_host.servers.health import Health
from agent_host.servers.offer import Offer
from agent_host.servers.reasons import explained, flat, with_last_words
from agent_host.servers.spec import (
    ConnectFailedError,
    Connection,
    Connector,
    Hooks,
    HttpSpec,
    Known,
    Progress,
    Relations,
    Reply,
    ServerHealth,
    Spec,
    StdioSpec,
)
from agent_host.servers.transports.process import ServerProcess, SpawnFailure, start
from agent_host.servers.ways import Ways, transport_of
from agent_host.servers.world import World

STALL_SECONDS = 5.0
"""Seconds in which a server whose calls time out must answer a ping, or be started anew."""
UNUSED_GRACE = 2.0
"""Seconds that ending a process may take which nobody ever talked to."""
LOGS_KEPT = 200
"""Log lines of one server that are shown in one connection; the rest is counted."""


class _NotStartedError(ConnectFailedError):
    """The command cannot be started, or the config does not say enough to."""


@dataclass(slots=True)
class _Life:
    """One connection's life; `tools` is None until they were listed."""

    connection: Connection
    changes: Changes
    stalled: asyncio.Event
    tools: dict[str, Tool] | None = None


class Supervisor:
    """Keeps one server; made before the event loop runs, used inside it. `offer`: its tools."""

    def __init__(self, spec: Spec, world: World, remembered: tuple[Tool, ...] | None) -> None:
        self.spec = spec
        self.known_as: Known | None = None
        self._world = world
        self.offer = Offer(
            spec,
            world.observe,
            world.monotonic,
            lambda: world.tools_changed(self),
            remembered=remembered,
            judge=world.judge,
        )
        self._process: ServerProcess | SpawnFailure | None = None
        self._life: _Life | None = None
        self._health = Health(spec.name, world.monotonic)
        self._confinement = Confinement(spec, lambda text: self._log("warning", text))
        self._attempts = 0
        self._failures = 0
        self._over = False
        self._stopping = False
        self._ways = Ways(spec)
        self._was_up = False
        self._began = 0.0
        self._logged = 0
        self._calling = 0
        self._told_lost = False
        self._relations = Relations()
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()
        self._news = asyncio.Condition()

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What the server offers, as far as the config includes it."""
        return self.offer.tools

    def judge_again(self) -> None:
        """Judge what it listed anew: pins changed."""
        self.offer.judge_again()
        if self._life is not None and self._life.tools is not None:
            self._life.tools = {tool.tool: tool for tool in self.tools}

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
            began = self._world.monotonic()
            self._process = start(self.spec, self._world.environ)
            held = self._confinement
            self._health.note(
                start_seconds=self._world.monotonic() - began,
                sandbox=held.kind,
                warning=held.warning,
            )
            if isinstance(self._process, ServerProcess):
                held.started()

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
        tail = self._life.connection.stderr_tail() if self._life else self._health.now.stderr
        return self._health.report(tools=len(self.tools), stderr=tail)

    async def known(self) -> None:
        """Return once the tools are known or the first attempt is over."""
        if not self.offer.is_known:
            await self.settled()

    @property
    def is_known(self) -> bool:
        """Whether the tools are known or the first attempt is over."""
        return self.offer.is_known or self._attempts > 0

    async def settled(self) -> None:
        """Return once there is a connection or the first attempt is over."""
        async with self._news:
            await self._news.wait_for(lambda: self._attempts > 0 or self.live is not None)

    async def run(self) -> None:
        """Keep the server until cancelled; never raises for what the server does."""
        try:
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(self._keep())
                try:
                    await asyncio.wait({keeping})
                finally:
                    # A cancellation can get lost among those by which a connection is closed.
                    self._stopping = True
                    keeping.cancel()
        finally:
            self._health.note(state="stopped", pid=None)
            await self._end_unused()
            self._attempts += 1
            self._failures += 1
            async with self._news:
                self._news.notify_all()

    async def _keep(self) -> None:
        while True:
            await self._attempt()
            if self._stopping:
                return
            await self._pause()
            self._health.note(restarts=self._health.now.restarts + 1)

    async def connected(self) -> bool:
        """Wait for a connection, asking for one if the server rests; False if there is none
        once the attempt that runs or is asked for is over, or at once while it keeps failing."""
        if self.live is None and self._health.state != "stopped":
            if self._health.breaker.calls_fail():
                return False
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
            return await self._counted(send)
        async with self._turn:
            return await self._counted(send)

    async def _counted(self, send: Callable[[], Awaitable[Reply]]) -> Reply:
        """Make a call, if calls are made at all, and note what came of it and how long it took."""
        calls, now = self._health.calls, self._world.monotonic
        if why := calls.refuses():
            return Reply(kind="refused", text=why)
        life, began, reply = self._life, calls.began(), None
        self._calling += 1
        try:
            reply = await send()
        finally:
            self._calling -= 1
            if reply is None or reply.kind in ("refused", "lost"):
                calls.over()
        self._health.count(reply, now() - began)
        self._health.note(hint=self._confinement.heard(reply))
        if reply.kind in ("result", "error", "paused"):
            calls.answered()
            if life is not None:
                await life.changes.caught_up()
        elif reply.kind == "timeout" and calls.timed_out(began) and life is not None:
            life.stalled.set()
        return reply

    def reason(self) -> str:
        """Why there is no connection, with what the server logged last; clean and bounded."""
        health = self.health()
        reason = health.error or "it has not connected yet"
        # Nothing that only a person can mend is mended by time.
        waits = health.state != "needs_login" and not self.spec.unusable
        if waits and health.retry_seconds is not None and health.retry_seconds >= 1:
            reason = f"{reason}; it is tried again in {health.retry_seconds:.0f} s at the earliest"
        more = health.stderr and not reason.endswith(health.stderr)
        return f"{reason}\nIts last log lines:\n{health.stderr}" if more else reason

    async def _attempt(self) -> None:
        """One connection, from its start to its end."""
        self._wanted.clear()
        self._over = self._was_up = False
        self._logged = 0
        self._health.breaker.trying()
        self._health.note(state="starting")
        self._began = self._world.monotonic()
        try:
            end: str | ConnectFailedError = await self._live_once()
        except ConnectFailedError as error:
            end = error
        except Exception as error:  # noqa: BLE001  # the SDK raises groups of anything; it is told
            end = flat(error)
        await self._lost(end)

    async def _live_once(self) -> str:
        """Connect and serve; return why the connection ended."""
        if self.spec.unusable:
            raise _NotStartedError(clean_line(self.spec.unusable, 600))
        connect = await self._world.load()
        deadline = self._world.monotonic() + self.spec.connect_timeout
        spec = self._ways.first()
        try:
            return await self._one_life(connect, spec, deadline)
        except ConnectFailedError as error:
            first, again = error, self._second_way(error, spec, deadline)
        if again is None:
            raise first
        try:
            return await self._one_life(connect, again, deadline)
        except ConnectFailedError as error:
            if self._was_up or self._ways.explains(error, again):
                raise
            raise first from None

    def _second_way(self, error: ConnectFailedError, spec: Spec, deadline: float) -> Spec | None:
        if self._was_up:
            return None
        left = deadline - self._world.monotonic()
        return self._ways.second(error, spec, left, new=self._health.breaker.failures == 0)

    async def _one_life(self, connect: Connector, spec: Spec, deadline: float) -> str:
        process = self._take_process()
        pid = process.pid if process else None
        self._health.note(pid=pid, stderr="", transport=transport_of(spec))
        began = self._world.monotonic()
        changes = Changes(lambda text: self._log("warning", text))
        hooks = Hooks(
            tools_changed=changes.told,
            log=self._log,
            resources_changed=lambda: self._world.resources_changed(self),
            relations=self._relations,
            answer=self._world.answer,
            elicitation=self._world.elicitation,
        )
        failed: ConnectFailedError | None = None
        why = ""
        async with connect(spec, process, hooks) as connection:
            life = self._life = _Life(connection, changes, asyncio.Event())
            try:
                async with asyncio.timeout(spec.connect_timeout):
                    await connection.handshake(self.known_as)
                    await self._list(life)
                self._ways.worked(spec)
                await self._tell_connected(life, self._world.monotonic() - began)
                why = with_last_words(await self._serve(life), connection)
            except ConnectFailedError as error:
                # Kept, because the SDK's task group would wrap it.
                failed = await explained(error, connection)
            except TimeoutError:
                text = f"it was not ready within {self.spec.connect_timeout:g} s (connect_timeout)"
                failed = ConnectFailedError(text, silent=connection.silent)
            finally:
                self._life = None
                self._health.note(stderr=connection.stderr_tail())
            if failed is None or self._second_way(failed, spec, deadline) is None:
                await self._lost(failed or why)
        if failed is not None:
            raise failed
        return why

    def _take_process(self) -> ServerProcess | None:
        if isinstance(self.spec, HttpSpec):
            return None
        self.spawn()
        process, self._process = self._process, None
        if isinstance(process, SpawnFailure):
            raise _NotStartedError(clean_line(process.reason))
        return process

    async def _serve(self, life: _Life) -> str:
        """Wait for the end of the connection; return why it ended."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(life.connection.watch())
            ends = {
                group.create_task(life.connection.lost()),
                group.create_task(self._follow_news(life)),
                group.create_task(self._stalls(life)),
            }
            try:
                done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (watch, *ends):
                    task.cancel()
        return done.pop().result()

    async def _follow_news(self, life: _Life) -> str:
        """List the tools again when they changed; return why that failed."""
        return await life.changes.follow(
            lambda: self._list(life), self.spec.connect_timeout, lambda: self._calling > 0
        )

    async def _stalls(self, life: _Life) -> str:
        """Ask a server whose calls time out whether it is there; return that it is not."""
        while True:
            await life.stalled.wait()
            life.stalled.clear()
            answers = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALL_SECONDS):
                    answers = (await life.connection.ping()).kind != "timeout"
            if not answers:
                calls = self._health.calls.timeouts
                return f"it does not answer any more: {calls} calls timed out, and a ping did"

    async def _list(self, life: _Life) -> None:
        """Take over what the server says its tools are."""
        asked = self._world.monotonic()
        raw, noted = await life.connection.definitions()
        self._health.note(list_seconds=self._world.monotonic() - asked)
        await self.offer.take(raw, noted)
        self._health.note(problems=self.offer.problems)
        life.tools = {tool.tool: tool for tool in self.tools}
        async with self._news:
            self._news.notify_all()

    async def _tell_connected(self, life: _Life, seconds: float) -> None:
        connection = life.connection
        self.known_as = connection.known
        self._told_lost = False
        self._was_up = True
        self._health.breaker.connected()
        self._health.calls.renewed()
        self._health.note(
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

    async def _lost(self, end: str | ConnectFailedError) -> None:
        """Tell that the attempt is over, once; closing the server may still go on after it."""
        if self._over:
            return
        self._over = True
        login = isinstance(end, ConnectFailedError) and end.needs_login
        why = str(end)
        if login:  # what failed does not matter: everything would
            why = why.removeprefix("handshake failed: ").removeprefix("tools/list failed: ")
        why = self._confinement.explained(why, self._health.now.stderr)
        self._count_failure(end, login=login)
        if not self._was_up:
            self._failures += 1
        self._health.note(state="needs_login" if login else "failed", error=why, pid=None)
        self._attempts += 1
        if not self._told_lost:
            self._told_lost = True
            again = not self._health.breaker.is_open
            self._world.observe(ServerLost(server=self.spec.name, reason=why, will_restart=again))
        async with self._news:
            self._news.notify_all()

    def _count_failure(self, end: str | ConnectFailedError, *, login: bool) -> None:
        breaker = self._health.breaker
        if login:
            breaker.give_up(steady=True)
        elif isinstance(end, _NotStartedError):
            breaker.give_up()
        else:
            lived = self._world.monotonic() - self._began
            asked = end.retry_after if isinstance(end, ConnectFailedError) else None
            breaker.failed(quick=lived < QUICK + self.spec.connect_timeout, asked=asked)

    async def _pause(self) -> None:
        """Wait before the next attempt: shortly, or after quick failures until it is wanted."""
        breaker = self._health.breaker
        seconds = breaker.pause(self._world.chance())
        if not breaker.is_open:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()

    def _log(self, level: str, text: str) -> None:
        self._logged += 1
        if self._logged > LOGS_KEPT:
            return
        if self._logged == LOGS_KEPT:
            text = "it logs a lot; the rest is not shown"
        self._world.observe(ServerLog(server=self.spec.name, level=level, text=text))
