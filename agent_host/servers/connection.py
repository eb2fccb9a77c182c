"""One connection to one server, put together from its parts.

Theory of operation: `connect` opens the streams and begins to read (in one task, which must also
leave it). `requests` sends, `handshake` agrees, `listing` walks lists, `calls` calls tools (`tasks`
those that go on for long), `inputs` answers what the server asks, `news` hears what changed. None
of them lets a payload pass the SDK's models or validators, which one hostile schema can freeze: it
arrives as it came, and is judged by `definitions`, `results`, `offers` and `skills`.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Principal
from agent_host.ports import Answers
from agent_host.servers.frames import Gate
from agent_host.servers.login.person import Person
from agent_host.servers.protocol.calls import Calls
from agent_host.servers.protocol.handshake import SKILLS, Agreed, Handshake, disproved, said_version
from agent_host.servers.protocol.inputs import Inputs
from agent_host.servers.protocol.listing import Listed, walk
from agent_host.servers.protocol.news import News
from agent_host.servers.protocol.patience import Patience
from agent_host.servers.protocol.requests import METHOD_NOT_FOUND, Refusal, Requests
from agent_host.servers.protocol.tasks import Tasks
from agent_host.servers.spec import (
    ConnectFailedError,
    Connection,
    Hooks,
    HttpSpec,
    Known,
    Progress,
    Reply,
    Spec,
)
from agent_host.servers.tools.leaking import leaks, unless_leaking
from agent_host.servers.transports.http import failure_facts
from agent_host.servers.transports.process import ServerProcess
from agent_host.servers.transports.sse import UrlTransport, url_transport
from agent_host.servers.transports.stdio import StdioTransport

_LISTS = {
    "resources": ("resources/list", "resources"),
    "resourceTemplates": ("resources/templates/list", "resources"),
    "prompts": ("prompts/list", "prompts"),
    "skills": ("skills/list", SKILLS),
}

for _name in ("mcp", "client", "httpx2", "httpcore2"):
    # What the SDK logs may hold a server's text; the gate says what matters, cleaned.
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


@asynccontextmanager
async def connect(
    spec: Spec, process: ServerProcess | None, hooks: Hooks, *, person: Person | None = None
) -> AsyncIterator[Connection]:
    """Open streams to a server; see `spec.Connector`. `person`: who logs in, if that is not left to
    `agent-host servers login`."""
    gate = Gate(hooks)
    transport: StdioTransport | UrlTransport
    if isinstance(spec, HttpSpec):
        transport = url_transport(spec, gate, person=person)
    elif process is not None:
        transport = StdioTransport(process, gate)
    else:
        raise ValueError("a stdio server needs its process")
    connection = ServerConnection(spec, hooks, gate, transport)
    async with (
        transport as (inbox, outbox),
        connection.requests.running(inbox, outbox, connection.serve),
    ):
        yield connection


class ServerConnection:
    """See `spec.Connection`."""

    def __init__(
        self, spec: Spec, hooks: Hooks, gate: Gate, transport: StdioTransport | UrlTransport
    ) -> None:
        self._spec = spec
        self._gate = gate
        self._transport = transport
        self.requests = Requests(transport, over_http=isinstance(spec, HttpSpec))
        self._inputs = Inputs(spec, hooks, gate)
        self._handshake = Handshake(self.requests, gate, spec, hooks)
        tasks = Tasks(self.requests, self._inputs, gate)
        self._calls = Calls(spec, self.requests, gate, self._inputs, tasks)
        self._calls.relist = self._list_tools
        self._news = News(self.requests, gate, hooks)
        self._agreed = Agreed(version="", capabilities={})
        self._outdated = self._from_memory = False
        self.title = ""
        self.version = ""
        self.protocol = ""

    async def serve(
        self, method: str, params: JsonObject, request_id: int | str | None
    ) -> JsonObject | Refusal:
        """Answer what the server asks (`requests.Serve`)."""
        return await self._inputs.serve(method, params, self._gate.asked_for(request_id))

    def stderr_tail(self) -> str:
        """The last of what the server logged, cleaned and bounded."""
        return self._transport.stderr_tail()

    @property
    def ended(self) -> bool:
        """See `spec.Connection`."""
        return self._transport.ended

    @property
    def silent(self) -> bool:
        """See `spec.Connection`."""
        return not (self._gate.answered or self._gate.gave_up)

    @property
    def known(self) -> Known:
        """See `spec.Connection`."""
        # One that was exchanged for another version is asked anew next time.
        spoken = "" if self._outdated else self.protocol
        found = self._agreed.discovered
        kept = None if leaks(self._spec, found) else found
        return Known(protocol=spoken, version=self.version, discovered=kept)

    @property
    def instructions(self) -> str:
        """See `spec.Connection`."""
        return unless_leaking(self._spec, self._agreed.instructions)

    @property
    def has_resources(self) -> bool:
        """See `spec.Connection`."""
        return self._agreed.offers("resources")

    async def offers(self, capability: str) -> bool:
        """See `spec.Connection`."""

        def offered() -> bool:
            return self._agreed.offers(capability) or self._agreed.extends(capability)

        if not offered() and self._from_memory:
            await self._look_again()  # it may offer more than when it was last asked
        return offered()

    async def _look_again(self) -> None:
        """Ask again what was remembered."""
        self._from_memory = False
        if (agreed := await self._handshake.refreshed()) is not None:
            self._settle(agreed)

    async def lost(self) -> str:
        """See `spec.Connection`."""
        return await self._transport.lost()

    async def handshake(self, known: Known | None) -> None:
        """See `spec.Connection`."""
        self._settle(await self._handshake.agree(known))
        self._outdated = (
            known is not None
            and known.version not in ("", self.version)
            and not self.requests.modern
        )

    def _settle(self, agreed: Agreed) -> None:
        self._agreed = agreed
        self.title = unless_leaking(self._spec, clean_line(agreed.server_name, 100))
        self.version = unless_leaking(self._spec, clean_line(agreed.server_version, 100))
        self.protocol = agreed.version
        self._news.begin(agreed)

    async def definitions(self) -> tuple[list[Any], tuple[str, ...]]:
        """See `spec.Connection`."""
        if not self._agreed.offers("tools"):
            return [], ()
        listed = await self._list_tools()
        if self._agreed.remembered:
            listed = await self._confirmed(listed)
        if (failed := listed.failed) is not None:
            raise ConnectFailedError(
                clean_line(f"tools/list failed: {failed.text}", 600),
                silent=self.silent,
                **failure_facts(failed.data),
            )
        tools = [tool for tool in listed.items if isinstance(tool, dict)]
        self._calls.as_tasks = self._task_tools(tools)
        return listed.items, tuple(listed.problems)

    async def _list_tools(self) -> Listed:
        """The tools; over HTTP without those whose headers are not sound."""
        listed = await walk(self._page("tools/list"), "tools/list", "tools", "tools")
        if not isinstance(self._spec, HttpSpec) or not self.requests.modern:
            return listed
        dropped = {name for page in listed.pages for name in self._calls.headers.take(page)}
        listed.problems += [f"{clean_line(n, 80)}: its x-mcp-header is invalid" for n in dropped]
        listed.items = [tool for tool in listed.items if not _named_in(tool, dropped)]
        return listed

    async def _confirmed(self, listed: Listed) -> Listed:
        """The list, once it is sure that what was remembered of the server still holds."""
        first = listed.failed or Reply(kind="result", raw=listed.pages[0])
        if disproved(first):
            self._settle(await self._handshake.agree(None))
            return await self._list_tools() if self._agreed.offers("tools") else Listed()
        self._agreed, self._from_memory = replace(self._agreed, remembered=False), True
        if first.kind == "result" and said_version(first.raw) not in ("", self.version):
            await self._look_again()
        return listed

    def _page(self, method: str) -> Callable[[JsonObject], Any]:
        async def page(params: JsonObject) -> Reply:
            return await self.requests.ask(method, params)

        return page

    def _task_tools(self, tools: list[JsonObject]) -> frozenset[str]:
        """The tools that run as tasks if they are asked to (2025-11-25)."""
        held: Any = self._agreed.capabilities.get("tasks")
        for key in ("requests", "tools", "call"):
            held = held.get(key) if isinstance(held, dict) else None
        if self.requests.modern or not isinstance(held, dict):
            return frozenset()
        return frozenset(
            tool["name"]
            for tool in tools
            if isinstance(tool.get("name"), str)
            and isinstance(tool.get("execution"), dict)
            and tool["execution"].get("taskSupport") in ("required", "optional")
        )

    async def watch(self) -> None:
        """See `spec.Connection`."""
        await self._news.follow()

    async def watch_resource(self, uri: str, changed: Callable[[], None] | None) -> Reply:
        """See `spec.Connection`."""
        return await self._news.watch(uri, changed)

    async def call(
        self,
        name: str,
        arguments: JsonObject,
        progress: Progress,
        *,
        principal: Principal | None = None,
        answers: Answers | None = None,
        call_id: str = "",
    ) -> Reply:
        """See `spec.Connection`."""
        return await self._calls.call(
            name, arguments, progress, principal=principal, answers=answers, call_id=call_id
        )

    async def resume(
        self, task: str, progress: Progress, *, principal: Principal | None = None, call_id: str
    ) -> Reply:
        """See `spec.Connection`."""
        return await self._calls.resume(task, progress, principal=principal, call_id=call_id)

    async def listed(self, kind: str) -> tuple[list[Any], tuple[str, ...]]:
        """See `spec.Connection`."""
        if (kept := self._news.kept(kind)) is not None:
            items, problems = kept
            return items, problems
        method, capability = _LISTS[kind]
        if not await self.offers(capability):
            return [], ()
        patience = Patience(self._spec.call_timeout)

        async def page(params: JsonObject) -> Reply:
            reply = await self.requests.ask(method, params)
            patience.heard()
            return reply

        try:
            async with patience:
                listed = await walk(page, method, kind, kind)
        except TimeoutError:
            return [], (f"{method}: no answer within {self._spec.call_timeout:g} s",)
        if (failed := listed.failed) is not None:
            missing = failed.code == METHOD_NOT_FOUND and kind == "resourceTemplates"
            text = clean_line(f"{method} failed: {failed.text}", 600)
            return listed.items, () if missing else (*listed.problems, text)
        self._news.keep(kind, (listed.items, tuple(listed.problems)))
        return listed.items, tuple(listed.problems)

    async def request(
        self, method: str, params: JsonObject, *, principal: Principal | None = None
    ) -> Reply:
        """See `spec.Connection`."""
        return await self._calls.request(method, params, principal=principal)

    async def log_level(self, level: str) -> Reply:
        """See `spec.Connection`."""
        return await self._news.log_level(level)

    async def ping(self) -> Reply:
        """See `spec.Connection`."""
        method = "server/discover" if self.requests.modern else "ping"
        return await self._calls.request(method, {}, principal=None)


def _named_in(tool: Any, names: set[str]) -> bool:
    return isinstance(tool, dict) and tool.get("name") in names
