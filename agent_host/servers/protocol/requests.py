"""Requests and notifications of one connection, as raw JSON.

Theory of operation: the SDK's dispatcher pairs answers with requests, carries cancellations both
ways and traces (OpenTelemetry). Results do not pass the SDK's models, which one odd or hostile
object can make fail or freeze: they are judged by whoever asked for them. Once the handshake agreed
on a version, each request carries what that version wants: before 2026-07-28 a header over HTTP,
from then on who asks and what it can do in `_meta`, and the headers that gateways route by.
Every way a request can go wrong is a `Reply`. Sources: JSON-RPC 2.0; MCP 2026-07-28, basic.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio

from agent_host import __version__
from agent_host.core.text import clean
from agent_host.core.types import JsonObject
from agent_host.servers.sdk import (
    MODERN_VERSIONS,
    JSONRPCDispatcher,
    MCPError,
    encode_header_value,
)
from agent_host.servers.spec import Reply
from agent_host.servers.transports.fate import fate_of
from agent_host.servers.transports.http_calls import BROKEN_OFF

CLIENT: JsonObject = {"name": "agent-host", "version": __version__}
CONNECTION_CLOSED = -32000
CLOSED_HERE = "Connection closed"
"""What the SDK says to whoever still waits when the host itself lets a connection go, and to
whoever writes to a server that went away a moment ago."""
_END_SECONDS = 2.5
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020
URL_NEEDED = -32042
UNREADABLE = "Failed to parse JSON response"
"""How the SDK's transport says that a body cannot be used; what follows may be a page of text."""
META = "io.modelcontextprotocol/"
_NAMED = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The parameter that a request is routed by (header `Mcp-Name`; 2026-07-28, basic/transports, and
SEP-2663 for tasks)."""
_HANDSHAKES = ("initialize", "server/discover")
"""Requests that may not be cancelled."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a server's request gets an error: the protocol's code, and a text for the server."""

    code: int
    text: str


Serve = Callable[[str, JsonObject, int | str | None], Awaitable[JsonObject | Refusal]]
"""Answers a server's own request: its method, its params, and its id. Never raises."""


class Transport(Protocol):
    """What is asked of a transport when a request fails."""

    @property
    def ended(self) -> bool:
        """Whether the connection is over."""

    async def lost(self) -> str:
        """Return, once the connection is over, why."""

    def session_gone(self, code: int, message: str, data: JsonObject) -> bool:
        """Whether an error means that the connection is of no use any more."""


class Requests:
    """The host's requests over one connection; `running` must be entered first."""

    def __init__(self, transport: Transport, *, over_http: bool) -> None:
        self._transport = transport
        self._over_http = over_http
        self._dispatcher: JSONRPCDispatcher[Any] | None = None
        self._meta: JsonObject = {}
        self._leaving = False
        self.version = ""
        self.called = False
        """Whether a tool was called, which may have changed anything."""

    @property
    def modern(self) -> bool:
        """Whether the agreed version has no handshake (2026-07-28 and later)."""
        return self.version in MODERN_VERSIONS

    @property
    def ended(self) -> bool:
        """Whether the connection is over."""
        return self._transport.ended

    @asynccontextmanager
    async def running(self, inbox: Any, outbox: Any, serve: Serve) -> AsyncIterator[None]:
        """Read what the server sends, and have its requests answered by `serve`."""

        async def on_request(
            context: Any, method: str, params: Mapping[str, Any] | None
        ) -> JsonObject:
            answer = await serve(method, dict(params or {}), context.request_id)
            if isinstance(answer, Refusal):
                raise MCPError(code=answer.code, message=answer.text)
            return answer

        async def on_notification(*_: Any) -> None:
            pass  # the gate has taken what the host hears

        self._dispatcher = JSONRPCDispatcher(inbox, outbox)
        async with anyio.create_task_group() as group:
            await group.start(self._dispatcher.run, on_request, on_notification)
            try:
                yield
            finally:
                self._leaving = True
                group.cancel_scope.cancel()

    def speak(self, version: str, capabilities: JsonObject) -> None:
        """From here on, requests are of that version; `capabilities` are the host's."""
        self.version = version
        self._meta = stamped(version, capabilities) if self.modern else {}

    def want_logs(self, level: str) -> None:
        """Have the server log from that level on, where each request says so (2026-07-28)."""
        if self.modern:
            self._meta = {**self._meta, META + "logLevel": level}

    async def ask(
        self,
        method: str,
        params: JsonObject | None = None,
        *,
        meta: JsonObject | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = "",
        request_id: str | None = None,
    ) -> Reply:
        """Send a request and wait for what comes of it. `version`: as which a request that is
        part of the agreement is sent. Cancelling tells the server."""
        body = dict(params or {})
        self.called = self.called or method == "tools/call"
        if marks := {**body.get("_meta", {}), **self._meta, **(meta or {})}:
            body["_meta"] = marks
        options: Any = {
            "headers": self._headers(method, body, version) | dict(headers or {}),
            "cancel_on_abandon": method not in _HANDSHAKES,
        }
        if request_id is not None:
            options["request_id"] = request_id
        if self._dispatcher is None:
            raise RuntimeError("requests are sent while they are running")
        try:
            # What cannot be sent must not get as far as the transport, which it would end.
            json.dumps(body, allow_nan=False, ensure_ascii=not self._over_http).encode()
            raw = await self._dispatcher.send_raw_request(method, body, options)
        except MCPError as error:
            return await self._failed(error)
        except (ValueError, TypeError, RecursionError) as error:
            why = clean(str(error)[:300])
            return Reply(kind="error", text=f"the request cannot be sent: {why}")
        return Reply(kind="result", raw=raw)

    async def tell(self, method: str, params: JsonObject | None = None) -> None:
        """Send a notification."""
        if self._dispatcher is not None:
            options: Any = {"headers": self._headers(method, {}, "")}
            await self._dispatcher.notify(method, params, options)

    def _headers(self, method: str, params: JsonObject, version: str) -> dict[str, str]:
        spoken = version or self.version
        if not self._over_http or not spoken:
            return {}
        headers = {"mcp-protocol-version": spoken}
        if spoken in MODERN_VERSIONS:
            headers["mcp-method"] = method
            name = params.get(_NAMED.get(method, ""))
            if isinstance(name, str):
                headers["mcp-name"] = encode_header_value(name)
        return headers

    async def _failed(self, error: MCPError) -> Reply:
        data: JsonObject = error.data if isinstance(error.data, dict) else {}
        text = clean(error.message[:4000])
        if text.startswith(UNREADABLE) and "validation error" in text:
            text = f"{UNREADABLE}: it is no JSON-RPC message"

        def reply(kind: Any, text: str) -> Reply:
            return Reply(kind=kind, text=text, code=error.code, data=data)

        if fate_of(data) == "not_sent":
            return reply("refused", text)
        if self._transport.session_gone(error.code, error.message, data):
            return reply("refused", text)
        broken = error.code == CONNECTION_CLOSED and text.startswith("SSE stream")
        if broken or fate_of(data) == "lost" or BROKEN_OFF in text:
            return reply("lost", text)
        if error.code == CONNECTION_CLOSED and self._transport.ended:
            return reply("lost", await self._transport.lost())
        if (error.code, text) == (CONNECTION_CLOSED, CLOSED_HERE):
            return reply("lost", await self._closed())
        return reply("error", text)

    async def _closed(self) -> str:
        """Why a request could not be sent any more, or was not waited for."""
        if self._leaving:
            return "the host ended the connection"
        # That a pipe takes nothing more is seen before the end that it comes from.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                return await self._transport.lost()
        return "it takes no more requests"


def stamped(version: str, capabilities: JsonObject) -> JsonObject:
    """What each request of a version without a handshake says of who asks."""
    return {
        META + "protocolVersion": version,
        META + "clientInfo": CLIENT,
        META + "clientCapabilities": capabilities,
    }
