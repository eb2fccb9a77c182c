"""A server behind a URL: the SDK's streamable HTTP transport over a client of ours.

Theory of operation: what the network does must fail one call and never the connection; see
`http_calls` for that, `http_client` for the client and `tickets` for how a call that was given up
ends what goes on for it. What arrives passes the gate like a line of a program does. A session that
the server has forgotten (HTTP 404) ends the connection, shortly after the call that noticed has
its answer, so that other calls under way get theirs; the supervisor then opens a new one.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Any

import anyio
from mcp_types import JSONRPCError, JSONRPCResponse

from agent_host.core.types import JsonObject
from agent_host.servers.frames import MAX_LINE, Gate
from agent_host.servers.sdk import SessionMessage, streamable_http_client
from agent_host.servers.spec import HttpSpec
from agent_host.servers.transports.fate import fate_of
from agent_host.servers.transports.http_client import http_client
from agent_host.servers.transports.stdio import Inbox, note_sent, to_message
from agent_host.servers.transports.streams import Stream
from agent_host.servers.transports.tickets import CURRENT, Tickets

CLOSE_GRACE = 0.8
"""Seconds that ending the session at the server may take."""
GONE_GRACE = 0.2
"""Seconds that other calls of a forgotten session have to hear the same."""
FORGOTTEN = "the server has forgotten the session"


class Ending:
    """How a connection over HTTP ends: `gone` at once for new calls, `over` a little later."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._gone = False
        self._why = ""

    @property
    def gone(self) -> bool:
        """Whether no new call may use the connection."""
        return self._gone or self._over.is_set()

    def end(self, why: str, *, grace: float = 0.0) -> None:
        """End the connection, once; calls under way have `grace` seconds to end by themselves."""
        if self.gone:
            return
        self._why, self._gone = why, True
        if grace:
            asyncio.get_running_loop().call_later(grace, self._over.set)
        else:
            self._over.set()

    async def over(self) -> str:
        """Return, once the connection is over, why."""
        await self._over.wait()
        return self._why or "the connection ended"


def session_lost(message: str, data: JsonObject) -> str:
    """Why an error means that the connection is of no use any more; empty if it does not."""
    match fate_of(data):
        case "needs_login":
            return message
        case "no_session":
            return FORGOTTEN
        case _:
            return ""


def failure_facts(data: JsonObject) -> dict[str, Any]:
    """What the data of a JSON-RPC error tells a ConnectFailedError about HTTP."""
    status, seconds = data.get("httpStatus"), data.get("retrySeconds")
    return {
        "needs_login": fate_of(data) == "needs_login",
        "status": status if isinstance(status, int) else None,
        "retry_after": float(seconds) if isinstance(seconds, int | float) else None,
    }


class HttpTransport:
    """A URL as the SDK's transport."""

    def __init__(self, spec: HttpSpec, gate: Gate, *, person: Any = None) -> None:
        self._spec = spec
        self._gate = gate
        self._person = person
        self._inbox = Inbox()
        self._ending = Ending()
        self._tickets = Tickets()
        self._stack = contextlib.AsyncExitStack()

    @property
    def ended(self) -> bool:
        """Whether the connection is over."""
        return self._ending.gone

    def stderr_tail(self) -> str:
        """Nothing: a remote server's log is not ours to see."""
        return ""

    def session_gone(self, code: int, message: str, data: JsonObject) -> bool:
        """Whether an error means that the server forgot the session (then the connection ends)."""
        why = session_lost(message, data)
        if why:
            self._ending.end(why, grace=GONE_GRACE)
        return bool(why)

    async def lost(self) -> str:
        """Wait until the connection is over; return why."""
        return await self._ending.over()

    async def __aenter__(self) -> tuple[Inbox, "_GatedWriter"]:
        stack = self._stack
        await stack.__aenter__()
        try:
            group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(group.cancel_scope.cancel)
            client = await stack.enter_async_context(
                http_client(
                    self._spec,
                    gone=self._forgotten,
                    background=group.start_soon,
                    person=self._person,
                )
            )
            read, write = await stack.enter_async_context(
                streamable_http_client(
                    self._spec.url, http_client=client, max_sse_event_size=MAX_LINE
                )
            )
            group.start_soon(self._pump, read)
        except BaseException:
            await stack.aclose()
            raise
        return self._inbox, _GatedWriter(self._gate, self._tickets, write)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        self._inbox.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_GRACE):
                await self._stack.aclose()
        return None

    def _forgotten(self) -> None:
        self._ending.end(FORGOTTEN, grace=GONE_GRACE)

    async def _pump(self, read: Any) -> None:
        """Move what the SDK's transport received through the gate."""
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for item in read:
                if isinstance(item, SessionMessage):
                    self._received(_frame(item), _came_on(read))
                else:
                    self._gate.junk += 1
        self._inbox.close()
        self._ending.end("the connection ended")

    def _received(self, frame: JsonObject, on: int | str | None) -> None:
        if "method" not in frame:
            self._tickets.answered(frame.get("id"))
        for sound in self._gate.frames(frame, on):
            self._inbox.put(to_message(sound))


class _GatedWriter(Stream):
    """Tells the gate what goes out, and who waits for it."""

    def __init__(self, gate: Gate, tickets: Tickets, inner: Any) -> None:
        self._gate = gate
        self._tickets = tickets
        self._inner = inner

    async def send(self, item: SessionMessage) -> None:
        """See the SDK's WriteStream."""
        note_sent(self._gate, item)
        before = CURRENT.set(self._tickets.of(item))
        try:
            await self._inner.send(item)
        finally:
            CURRENT.reset(before)
            self._tickets.sent(item)

    async def aclose(self) -> None:
        """See the SDK's WriteStream."""
        await self._inner.aclose()


def _came_on(read: Any) -> int | str | None:
    """The request on whose stream the message came that was read last: the SDK keeps the context
    in which it was received, and with it the ticket."""
    context = getattr(read, "last_context", None)
    ticket = context.get(CURRENT) if context is not None else None
    return ticket.request_id if ticket is not None else None


def _frame(item: SessionMessage) -> JsonObject:
    message = item.message
    if isinstance(message, JSONRPCResponse):
        return {"jsonrpc": "2.0", "id": message.id, "result": message.result}
    if isinstance(message, JSONRPCError):
        return {"jsonrpc": "2.0", "id": message.id, "error": message.error.model_dump()}
    return message.model_dump(by_alias=True, exclude_unset=True)
