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
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from agent_host.core.catalogue import build_catalogue, look_alikes
from agent_host.core.events import ServerLog
from agent_host.core.types import (
    Content,
    JsonObject,
    Message,
    Principal,
    ServerRequest,
    Tool,
    ToolResult,
)
from agent_host.ports import Answer, CallContext, CallPaused, Observer, RequestRefused
from agent_host.servers import resource_tools
from agent_host.servers.lock import Lock, ToolState
from agent_host.servers.offers import Failed, Labelled, Offers, PromptInfo, ResourceInfo
from agent_host.servers.pins import HeldBack, Pins, difference
from agent_host.servers.review import Review
from agent_host.servers.spec import (
    Connection,
    Known,
    LoadConnector,
    Progress,
    Reply,
    ServerHealth,
    Spec,
    decline,
)
from agent_host.servers.supervisor import Supervisor
from agent_host.servers.tools.labelling import READ
from agent_host.servers.tools.outcome import failed, outcome
from agent_host.servers.tools.validation import Validation
from agent_host.servers.world import World

if TYPE_CHECKING:
    from agent_host.servers.protocol.skills import Skill

PATIENCE = 4.0
"""Seconds without any newcomer after which the first request leaves with the tools there are: a
server that never answers must not hold up those that did."""
PROGRESS_SHOWN = 0.1
"""Seconds between two progress reports of one call that are passed on."""
RESUMES = 3
"""Connections over which a task is waited for, after the one that began it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """Which servers a pool no longer has, or has anew."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


class Pool:
    """See `ports.ToolSource`. Made, and its servers spawned, before the event loop runs; entered
    and left in one task. `environ` is what a server may inherit of; `monotonic` is in seconds;
    `chance` returns a number in [0, 1). `principal` is for whom a command without a session
    calls."""

    principal = Principal(id="")

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
        self.pins = Pins(lock, observe)
        self._respond: Answer = decline
        self._observe = observe
        self._monotonic = monotonic
        self._validation = Validation()
        self._table: Mapping[str, Tool] = {}
        self._readers = resource_tools.Readers()
        self._problems: tuple[str, ...] = ()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looks: list[asyncio.Task[None]] = []
        self._world = World(
            observe=observe,
            load=connector,
            environ=environ,
            monotonic=monotonic,
            chance=chance,
            tools_changed=self._tools_changed,
            resources_changed=self._up,
            connected=self._up,
            answer=self._ask,
            elicitation=elicitation,
            judge=self.pins.judge,
        )
        self._servers = {spec.name: self._supervisor(spec) for spec in specs}
        self._offers = Offers(self._servers, self.pins)
        self._rebuild()

    def _supervisor(self, spec: Spec) -> Supervisor:
        known = self.pins.recall(spec)
        server = Supervisor(spec, self._world, known.tools if known is not None else None)
        if known is not None:
            server.known_as = Known(
                protocol=known.protocol,
                version=known.version,
                discovered=known.discovered or None,
            )
            self._readers.recall(spec.name, known)
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
        self.pins.begin()
        self._group = await asyncio.TaskGroup().__aenter__()
        for server in self._servers.values():
            self._start(self._group, server)
        return self

    def _start(self, group: asyncio.TaskGroup, server: Supervisor) -> None:
        self._tasks[server.spec.name] = group.create_task(server.run())

    async def replace(self, specs: Sequence[Spec]) -> Replaced:
        """Keep exactly these servers from here on: what is gone is ended, what differs is ended
        and started anew, and what is the same goes on undisturbed. Only while entered."""
        group, wanted = self._group, {spec.name: spec for spec in specs}
        if group is None:
            raise RuntimeError("servers are replaced while the pool is entered")
        before = {name: server.spec for name, server in self._servers.items()}
        ended = [self._tasks.pop(name) for name in before if wanted.get(name) != before[name]]
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended)
        kept = {n: s for n, s in self._servers.items() if wanted.get(n) == before[n]}
        self._readers.keep(kept)
        self._servers.clear()  # whoever holds this table goes on with it
        for name, spec in wanted.items():
            self._servers[name] = kept.get(name) or self._supervisor(spec)
        for name, server in self._servers.items():
            if name not in kept:
                server.spawn()
                self._start(group, server)
        self._rebuild()
        self.pins.judge_again(self._servers.values())
        return Replaced(
            added=tuple(name for name in wanted if name not in before),
            removed=tuple(name for name in before if name not in wanted),
            changed=tuple(name for name in wanted if name in before and name not in kept),
        )

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        for server in self._servers.values():
            self._connected(server)
        for task in (*self._tasks.values(), *self._looks):
            task.cancel()
        group, self._group = self._group, None
        if group is not None:
            try:
                # Without the body's exception, which would come out wrapped in a group.
                await group.__aexit__(None, None, None)
            finally:
                self.pins.save(tuple(self._servers.values()))

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
        self.pins.save(tuple(self._servers.values()))

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
        """Names that clash, whose tools are left out, and names that look alike."""
        return self._problems

    def notes(self) -> tuple[str, ...]:
        """What was told the observer that a person has to know and no health says: about
        servers.lock, about names, and about definitions, of which it is told only once."""
        held = (f"{n}: {text}" for n, s in self._servers.items() for text in s.offer.notes)
        return (*self._problems, *self.pins.told, *held)

    def states(self) -> Mapping[str, ToolState]:
        """By exposed name: whether a tool is as it was when servers.lock first saw it. Only tools
        of servers that are up."""
        own = self.pins.states(self._servers.values())
        return {
            name: own[pair]
            for name, tool in self._table.items()
            if (pair := (tool.server, tool.tool)) in own
        }

    def withheld(self, name: str) -> str | None:
        """See `ports.ToolSource`."""
        self.pins.judge_again(self._servers.values())
        return self.pins.refusal(self._servers, name)

    def held_back(self) -> tuple[HeldBack, ...]:
        """Every tool that its server has and nobody is offered until a person accepts it."""
        return self.pins.held_back(self._servers)

    def signs(self) -> Mapping[str, tuple[str, ...]]:
        """By exposed name: what to look at in a tool, as clean sentences."""
        found = {name: self.pins.signs(tool) for name, tool in self._table.items()}
        return {name: texts for name, texts in found.items() if texts}

    async def review(self, server: str) -> Review | None:
        """Put a server that is up beside its pins; its prompts are listed for it."""
        supervisor = self._servers.get(server)
        if supervisor is None:
            return None
        prompts = await self._offers.all_prompts(server)
        return self.pins.review(supervisor, prompts)

    def health(self) -> tuple[ServerHealth, ...]:
        """How every server is doing, in the order of the config."""
        return tuple(server.health() for server in self._servers.values())

    def connection(self, server: str) -> Connection | None:
        """The live connection to a server, for whoever looks into that alone."""
        return self._servers[server].connection if server in self._servers else None

    async def settled(self) -> None:
        """Return once every server is connected or its first attempt is over, lock or not."""
        await asyncio.gather(*(server.settled() for server in self._servers.values()))

    def validate(self, tool: Tool, arguments: JsonObject) -> str | None:
        """See `ports.ToolSource`."""
        return self._validation.arguments(tool, arguments)

    async def call(
        self, tool: Tool, arguments: JsonObject, context: CallContext
    ) -> ToolResult | CallPaused:
        """See `ports.ToolSource`."""
        server = self._servers.get(tool.server)
        if server is None:
            return failed(context, "unknown_tool", f"There is no server {tool.server!r}.")
        if tool.tool in (resource_tools.LIST, READ):
            return await resource_tools.call(self._offers, tool, arguments, context)
        progress = self._throttled(context)
        reply = await self._reply(server, tool, arguments, context, progress)
        if isinstance(reply, str):
            return failed(context, "changed", reply)
        return outcome(tool, context, reply, self._validation)

    async def _reply(
        self,
        server: Supervisor,
        tool: Tool,
        arguments: JsonObject,
        context: CallContext,
        progress: Progress,
    ) -> Reply | str:
        """The reply, or how the live definition differs from `tool`."""
        reply = Reply(kind="refused", text="")
        # A request that surely never ran is sent once more, over a new connection.
        for _ in range(2):
            if not await server.connected():
                return Reply(kind="refused", text=server.reason())
            if (other := difference(server, tool)) is not None:
                return other
            reply = await server.call(
                tool,
                arguments,
                progress,
                principal=context.principal,
                answers=context.answers,
                call_id=context.call_id,
            )
            if reply.kind != "refused":
                break
        return await self._resumed(server, reply, context, progress) if reply.task else reply

    async def _resumed(
        self, server: Supervisor, reply: Reply, context: CallContext, progress: Progress
    ) -> Reply:
        """What becomes of a task whose connection was lost: the server may still know it."""
        for _ in range(RESUMES):
            if reply.kind != "lost" or not await server.connected():
                break
            if (connection := server.connection) is not None:
                again = await connection.resume(
                    reply.task, progress, principal=context.principal, call_id=context.call_id
                )
                # One that the new server does not know may have run to its end all the same.
                if again.kind == "error":
                    break
                reply = again
        return reply

    async def resources(
        self, server: str | None = None
    ) -> tuple[tuple[ResourceInfo, ...], tuple[str, ...]]:
        """The resources and templates of a server, or of all that are up, and what is wrong with
        the lists. Never raises for a server's fault, like all that follow."""
        return await self._offers.resources(server)

    async def prompts(
        self, server: str | None = None
    ) -> tuple[tuple[PromptInfo, ...], tuple[str, ...]]:
        """The same for prompts."""
        return await self._offers.prompts(server)

    async def skills(
        self, server: str | None = None
    ) -> "tuple[tuple[Skill, ...], tuple[str, ...]]":
        """The same for skills; none of their files is read."""
        return await self._offers.skills(server)

    async def read_resource(
        self, server: str, uri: str, principal: Principal | None = None
    ) -> tuple[Content, ...] | Failed:
        """What a resource holds, whole as far as the host takes it (see `results`)."""
        read = await self._offers.read(server, uri, principal)
        return read if isinstance(read, Failed) else read[0]

    async def attachment(
        self, server: str, uri: str, principal: Principal | None = None
    ) -> Labelled[tuple[Content, ...]] | Failed:
        """The same, with the labels that it brings into a conversation."""
        return await self._offers.read(server, uri, principal)

    async def read_skill(
        self, server: str, name: str, principal: Principal | None = None, *, uri: str = ""
    ) -> str | Failed:
        """The text of a skill's SKILL.md, or of another of its files (`uri`), once it is verified
        to be what the server listed."""
        return await self._offers.read_skill(server, name, uri, principal)

    async def get_prompt(
        self,
        server: str,
        name: str,
        arguments: Mapping[str, str],
        principal: Principal | None = None,
    ) -> tuple[Message, ...] | Failed:
        """The messages that a prompt makes of its arguments."""
        made = await self._offers.get_prompt(server, name, arguments, principal)
        return made if isinstance(made, Failed) else made[0]

    async def filled_prompt(
        self,
        server: str,
        name: str,
        arguments: Mapping[str, str],
        principal: Principal | None = None,
    ) -> Labelled[tuple[Message, ...]] | Failed:
        """The same, with the labels that they bring into a conversation."""
        return await self._offers.get_prompt(server, name, arguments, principal)

    async def complete(
        self,
        ref: ResourceInfo | PromptInfo,
        argument: str,
        value: str,
        others: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[str, ...]:
        """How the value of an argument of a prompt or template may go on. `others`: the arguments
        that are known. Empty if the server does not know."""
        return await self._offers.complete(ref, argument, value, others)

    async def watch_resource(
        self, server: str, uri: str, changed: Callable[[], None] | None
    ) -> Failed | None:
        """Have `changed` called when a resource may have changed, over all connections to its
        server, or (None) no more. `changed` must be cheap and must not raise."""
        return await self._offers.watch(server, uri, changed)

    async def log_level(self, server: str, level: str) -> Failed | None:
        """Have a server log from that level on: `debug` to `emergency`."""
        return await self._offers.log_level(server, level)

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

    def _up(self, server: Supervisor) -> None:
        unknown = self.pins.lock is not None and self._readers.is_unknown(server)
        if unknown and self._group is not None:
            under_way = [task for task in self._looks if not task.done()]
            self._looks = [*under_way, self._group.create_task(self._look(server))]
        self._connected(server)

    async def _look(self, server: Supervisor) -> None:
        """Find out whether a server has resources, beside everything else."""
        if await self._readers.look(server, self._offers):
            self._rebuild()
        self._connected(server)

    def _connected(self, server: Supervisor) -> None:
        if server.health().state == "connected":
            self.pins.tell_signs(self._servers.values())
            self.pins.note(server, self._readers.has(server.spec.name))

    def _rebuild(self) -> None:
        # By name, live as from the lock: another order would cost a provider's prompt cache.
        every = (
            tool
            for server in self._servers.values()
            for tool in (
                *sorted(server.tools, key=lambda tool: tool.tool),
                *self._readers.tools(server.spec),
            )
        )
        table, left_out = build_catalogue(every)
        self._table = self.pins.looked_at(table)
        problems = (*left_out, *look_alikes(self._table.values()))
        for text in problems:
            if text not in self._problems:
                self._observe(ServerLog(server="", level="warning", text=text))
        self._problems = problems
