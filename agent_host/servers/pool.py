"""The tools of every configured server, and the way to call them: the room's `ToolSource`.

Theory of operation: one supervisor a server, each under its own task of one task group; entering
starts them all, leaving cancels them all, so that closing is concurrent and bounded. The table of
tools is rebuilt only when a server's tools changed, and is otherwise the same object. A call goes
to the live definition only: if that has another fingerprint than the tool which policy and human
saw, the call is refused. Nothing here imports the SDK; `connector` brings it when it is there.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from agent_host.core.catalogue import build_catalogue
from agent_host.core.events import ServerLog
from agent_host.core.text import clip
from agent_host.core.types import (
    Content,
    JsonObject,
    ServerRequest,
    Text,
    Tool,
    ToolErrorKind,
    ToolResult,
)
from agent_host.ports import Answer, CallContext, Observer, RequestRefused
from agent_host.servers.lock import Lock
from agent_host.servers.results import content_of
from agent_host.servers.spec import (
    Known,
    LoadConnector,
    Progress,
    Reply,
    ServerHealth,
    Spec,
    decline,
)
from agent_host.servers.supervisor import Supervisor, World
from agent_host.servers.validation import Validation

PATIENCE = 4.0
"""Seconds without any newcomer after which the first request leaves with the tools there are: a
server that never answers must not hold up those that did."""
PROGRESS_SHOWN = 0.1
"""Seconds between two progress reports of one call that are passed on."""
MAX_REASON = 3000


class Pool:
    """See `ports.ToolSource`. Made, and its servers spawned, before the event loop runs; entered
    and left in one task. `environ` is what a server may inherit of; `monotonic` is in seconds;
    `chance` returns a number in [0, 1)."""

    def __init__(
        self,
        specs: Sequence[Spec],
        *,
        lock: Lock | None,
        observe: Observer,
        connector: LoadConnector,
        monotonic: Callable[[], float],
        environ: Mapping[str, str],
        chance: Callable[[], float] = random.random,
        elicitation: bool = False,
    ) -> None:
        self._lock = lock
        self._respond: Answer = decline
        self._observe = observe
        self._monotonic = monotonic
        self._validation = Validation()
        self._table: Mapping[str, Tool] = {}
        self._problems: tuple[str, ...] = ()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        world = World(
            observe=observe,
            load=connector,
            environ=environ,
            monotonic=monotonic,
            chance=chance,
            tools_changed=self._tools_changed,
            connected=self._connected,
            answer=self._ask,
            elicitation=elicitation,
        )
        self._servers = {spec.name: self._supervisor(spec, world) for spec in specs}
        self._rebuild()

    def _supervisor(self, spec: Spec, world: World) -> Supervisor:
        known = self._lock.recall(spec) if self._lock is not None else None
        server = Supervisor(spec, world, known.tools if known is not None else None)
        if known is not None:
            server.known_as = Known(
                protocol=known.protocol,
                version=known.version,
                discovered=known.discovered or None,
            )
        return server

    def answer_with(self, answer: Answer) -> None:
        """Say who answers what servers ask for; until then it is declined."""
        self._respond = answer

    async def _ask(
        self, server: str, request: ServerRequest, call_id: str
    ) -> JsonObject | RequestRefused:
        return await self._respond(server, request, call_id)

    def spawn(self) -> None:
        """Start every stdio process at once; call it from the main thread."""
        for server in self._servers.values():
            server.spawn()

    def discard(self) -> None:
        """End processes that were started, if the pool is never entered."""
        for server in self._servers.values():
            server.discard()

    async def __aenter__(self) -> Self:
        if self._lock is not None and self._lock.problem:
            self._observe(ServerLog(server="", level="warning", text=self._lock.problem))
        self._group = await asyncio.TaskGroup().__aenter__()
        self._tasks = [self._group.create_task(s.run()) for s in self._servers.values()]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        group, self._group = self._group, None
        if group is not None:
            try:
                # Without the body's exception, which would come out wrapped in a group.
                await group.__aexit__(None, None, None)
            finally:
                self._save_lock()

    async def ready(self) -> None:
        """See `ports.ToolSource`."""
        async with asyncio.TaskGroup() as group:
            waiting = {
                group.create_task(server.known())
                for server in self._servers.values()
                if not server.is_known
            }
            told = False
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    continue
                go_on = any(server.tools for server in self._servers.values())
                if go_on or not told:
                    self._tell_slow(go_on=go_on)
                    told = True
                if go_on:
                    break
            for task in waiting:
                task.cancel()
        self._save_lock()

    def _tell_slow(self, *, go_on: bool) -> None:
        """Say who has not answered, lest it looks as if nothing happens."""
        for server in self._servers.values():
            if server.is_known:
                continue
            most = f"{server.spec.connect_timeout:g} s (connect_timeout)"
            what = (
                "the run goes on, its tools are offered when it answers"
                if go_on
                else f"it is waited for, {most} at most"
            )
            text = f"has not answered yet; {what}"
            self._observe(ServerLog(server=server.spec.name, level="warning", text=text))

    def tools(self) -> Mapping[str, Tool]:
        """See `ports.ToolSource`."""
        return self._table

    def problems(self) -> tuple[str, ...]:
        """What the catalogue leaves out because names clash."""
        return self._problems

    def health(self) -> tuple[ServerHealth, ...]:
        """How every server is doing, in the order of the config."""
        return tuple(server.health() for server in self._servers.values())

    async def settled(self) -> None:
        """Return once every server is connected or its first attempt is over, lock or not."""
        await asyncio.gather(*(server.settled() for server in self._servers.values()))

    def validate(self, tool: Tool, arguments: JsonObject) -> str | None:
        """See `ports.ToolSource`."""
        return self._validation.arguments(tool, arguments)

    async def call(self, tool: Tool, arguments: JsonObject, context: CallContext) -> ToolResult:
        """See `ports.ToolSource`."""
        server = self._servers.get(tool.server)
        if server is None:
            return _failed(context, "unknown_tool", f"There is no server {tool.server!r}.")
        progress = self._throttled(context)
        reply = await self._reply(server, tool, arguments, progress)
        if isinstance(reply, str):
            return _failed(context, "changed", reply)
        return self._result(tool, context, reply)

    async def _reply(
        self, server: Supervisor, tool: Tool, arguments: JsonObject, progress: Progress
    ) -> Reply | str:
        """The reply, or how the live definition differs from `tool`."""
        reply = Reply(kind="refused", text="")
        # A request that surely never ran is sent once more, over a new connection.
        for _ in range(2):
            if not await server.connected():
                return Reply(kind="refused", text=server.reason())
            if (other := _changed(server, tool)) is not None:
                return other
            reply = await server.call(tool, arguments, progress)
            if reply.kind != "refused":
                return reply
        return reply

    def _result(self, tool: Tool, context: CallContext, reply: Reply) -> ToolResult:
        match reply.kind:
            case "result":
                return self._answer(tool, context, reply.raw)
            case "error":
                return _failed(
                    context, "tool_error", f"The server answered with an error: {reply.text}"
                )
            case "refused":
                text = f"Server {tool.server} is not available: {reply.text}"
                return _failed(context, "server_unavailable", text)
            case "lost":
                if tool.repeatable:
                    text = f"Server {tool.server} went away during the call: {reply.text}"
                    return _failed(context, "server_unavailable", text)
                text = (
                    f"Server {tool.server} went away during the call ({reply.text}). Whether the "
                    "tool took effect is unknown: check before trying again."
                )
                return _failed(context, "outcome_unknown", text)
            case "timeout":
                most = self._servers[tool.server].spec.call_timeout
                text = f"No answer within {most:g} s; whether the tool ran to its end is unknown."
                return _failed(context, "timeout", text)
            case "paused":
                return _failed(context, "tool_error", "The server wants input.")

    def _answer(self, tool: Tool, context: CallContext, raw: JsonObject) -> ToolResult:
        content, is_error = content_of(raw)
        structured = raw.get("structuredContent")
        if structured is not None and not is_error:
            note = self._validation.result(tool, structured)
            if note is not None:
                content = (*content, Text(text=note))
        error: ToolErrorKind | None = "tool_error" if is_error else None
        return ToolResult(call_id=context.call_id, content=content, error=error)

    def _throttled(self, context: CallContext) -> Progress:
        last = -1e9

        def progress(amount: float, total: float | None, message: str) -> None:
            nonlocal last
            now = self._monotonic()
            if now - last >= PROGRESS_SHOWN:
                last = now
                context.progress(amount, total, message)

        return progress

    def _tools_changed(self, server: Supervisor) -> None:
        self._rebuild()
        self._connected(server)

    def _connected(self, server: Supervisor) -> None:
        health = server.health()
        if self._lock is not None and health.state == "connected":
            self._lock.remember(server.spec, health.version, health.protocol, server.listed)

    def _save_lock(self) -> None:
        if self._lock is not None and (problem := self._lock.save()) is not None:
            self._observe(ServerLog(server="", level="warning", text=problem))

    def _rebuild(self) -> None:
        # By name, live as from the lock: another order would cost a provider's prompt cache.
        every = (
            tool
            for server in self._servers.values()
            for tool in sorted(server.tools, key=lambda tool: tool.tool)
        )
        self._table, problems = build_catalogue(every)
        for text in problems:
            if text not in self._problems:
                self._observe(ServerLog(server="", level="warning", text=text))
        self._problems = problems


def _changed(server: Supervisor, tool: Tool) -> str | None:
    live = (server.live or {}).get(tool.tool)
    if live is None:
        return f"The server no longer offers {tool.tool}; the call was not made."
    if live.fingerprint != tool.fingerprint:
        return f"The definition of {tool.tool} changed since it was offered; the call was not made."
    return None


def _failed(context: CallContext, kind: ToolErrorKind, text: str) -> ToolResult:
    content: tuple[Content, ...] = (Text(text=clip(text, MAX_REASON)),)
    return ToolResult(call_id=context.call_id, content=content, error=kind)
