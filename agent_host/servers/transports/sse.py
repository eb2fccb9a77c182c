"""A server behind a URL that speaks the transport before streamable HTTP.

Theory of operation: one GET stays open and carries everything that the server says, first the
`endpoint` to which messages are posted. The SDK's client for this ends the whole connection on one
failed POST and waits for the endpoint without end, so the exchange is made here: events are parsed
by httpx2, messages are judged by the gate like lines of a program, a POST that fails fails its own
call, and the endpoint must be of the same origin, because everything that is posted (also tokens)
goes there. The stream is the session: when it ends, the connection is over. Source: MCP 2024-11-05
basic/transports, HTTP with SSE.
"""

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any

import anyio
import httpx2
from mcp_types import JSONRPCNotification, JSONRPCRequest

from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.servers.frames import MAX_LINE, Gate
from agent_host.servers.login.errors import LoginFailedError, NeedsLoginError
from agent_host.servers.sdk import SessionMessage
from agent_host.servers.spec import ConnectFailedError, HttpSpec
from agent_host.servers.transports.fate import fate_of
from agent_host.servers.transports.http import (
    CLOSE_GRACE,
    FORGOTTEN,
    GONE_GRACE,
    Ending,
    HttpTransport,
    failure_facts,
)
from agent_host.servers.transports.http_calls import (
    TRANSPORT_ERROR,
    network_text,
    rpc_failure,
    unreached,
)
from agent_host.servers.transports.http_client import http_client
from agent_host.servers.transports.stdio import Inbox, note_sent, to_message
from agent_host.servers.transports.streams import Stream
from agent_host.servers.transports.tickets import CURRENT, Tickets

NO_STREAM = "it offers no event stream there (HTTP+SSE)"


class SseTransport:
    """A URL as the SDK's transport, over HTTP+SSE. Same interface as `http.HttpTransport`."""

    def __init__(self, spec: HttpSpec, gate: Gate, *, person: Any = None) -> None:
        self._spec = spec
        self._gate = gate
        self._person = person
        self._inbox = Inbox()
        self._ending = Ending()
        self._tickets = Tickets()
        self._stack = contextlib.AsyncExitStack()
        self._endpoint: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def ended(self) -> bool:
        """Whether the connection is over."""
        return self._ending.gone

    def stderr_tail(self) -> str:
        """Nothing: a remote server's log is not ours to see."""
        return ""

    def session_gone(self, code: int, message: str, data: JsonObject) -> bool:
        """Whether an error means that the connection is of no use any more."""
        if fate_of(data) == "needs_login":
            self._ending.end(message, grace=GONE_GRACE)
        elif data.get("httpStatus") == 404:
            self._ending.end(FORGOTTEN, grace=GONE_GRACE)
        else:
            return False
        return True

    async def lost(self) -> str:
        """Wait until the connection is over; return why."""
        return await self._ending.over()

    async def __aenter__(self) -> tuple[Inbox, "_Writer"]:
        stack = self._stack
        await stack.__aenter__()
        try:
            group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(group.cancel_scope.cancel)
            client = await stack.enter_async_context(
                http_client(
                    self._spec,
                    mend=False,
                    background=group.start_soon,
                    person=self._person,
                )
            )
            with anyio.fail_after(self._spec.connect_timeout):
                response = await self._open(client)
                stack.push_async_callback(response.aclose)
                group.start_soon(self._read, response)
                endpoint = await self._endpoint
        except TimeoutError:
            await stack.aclose()
            text = f"{NO_STREAM}: no endpoint within {self._spec.connect_timeout:g} s"
            raise ConnectFailedError(text) from None
        except BaseException:
            await stack.aclose()
            raise
        return self._inbox, _Writer(self, client, endpoint, group)

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

    async def _open(self, client: httpx2.AsyncClient) -> httpx2.Response:
        """The event stream. Raises ConnectFailedError."""
        request = client.build_request(
            "GET",
            self._spec.url,
            headers={"Accept": "text/event-stream", "Cache-Control": "no-store"},
        )
        try:
            response = await client.send(request, stream=True, follow_redirects=False)
        except LoginFailedError as error:
            raise ConnectFailedError(
                str(error), needs_login=isinstance(error, NeedsLoginError)
            ) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise ConnectFailedError(unreached(error, request.url)) from None
        except (httpx2.TransportError, httpx2.InvalidURL, OSError) as error:
            raise ConnectFailedError(network_text(error)) from None
        kind = response.headers.get("content-type", "").lower()
        if response.status_code == 200 and kind.startswith("text/event-stream"):
            return response
        failure = await rpc_failure(response)
        what = failure["message"] if response.status_code != 200 else f"{kind or 'no type'} instead"
        hint = "if it speaks streamable HTTP, remove sse = true"
        await response.aclose()
        raise ConnectFailedError(
            clean_line(f"{NO_STREAM}: {what}; {hint}", 600), **failure_facts(failure["data"])
        )

    async def _read(self, response: httpx2.Response) -> None:
        """Take what the server says, until it says no more."""
        why = "it ended its event stream"
        try:
            async for event in httpx2.EventSource(response, max_event_size=MAX_LINE):
                if event.event == "endpoint" and not self._endpoint.done():
                    self._point(event.data)
                elif event.event == "message" and event.data:
                    self._received(event.data)
                if self._gate.flooded:
                    self._gate.gave_up = True
                    why = "it flooded its event stream with what is no message"
                    break
        except ConnectFailedError as error:
            self._endpoint.set_exception(error)
        except httpx2.SSEError as error:
            why = f"its event stream cannot be read: {clean_line(str(error))}"
        except (httpx2.StreamError, httpx2.TransportError, OSError) as error:
            why = f"its event stream broke off: {network_text(error)}"
        if not self._endpoint.done():
            self._endpoint.set_exception(ConnectFailedError(f"{NO_STREAM}: {why}"))
        self._inbox.close()
        self._ending.end(why)

    def _point(self, place: str) -> None:
        """Take the endpoint's URL. Raises ConnectFailedError for another origin."""
        url = httpx2.URL(self._spec.url)
        try:
            target = url.join(place.strip())
        except (httpx2.InvalidURL, ValueError):
            raise ConnectFailedError("the endpoint that it names is no URL") from None
        same = (url.scheme, url.host, url.port) == (target.scheme, target.host, target.port)
        if not same or target.userinfo not in (b"", url.userinfo):
            shown = clean_line(str(target.copy_with(userinfo=b"", query=None, fragment=None)), 200)
            raise ConnectFailedError(
                f"the endpoint that it names ({shown}) is of another origin; nothing is sent there"
            )
        self._endpoint.set_result(str(target))

    def _received(self, text: str) -> None:
        for frame in self._gate.line(text.encode("utf-8", "replace")):
            self.deliver(frame)

    def deliver(self, frame: JsonObject) -> None:
        """Hand a frame to the session."""
        if "method" not in frame:
            self._tickets.answered(frame.get("id"))
        with contextlib.suppress(ValueError):
            self._inbox.put(to_message(frame))

    def fail(self, request_id: int | str, error: JsonObject) -> None:
        """Answer a request that could not be posted."""
        frame = {"jsonrpc": "2.0", "id": request_id, "error": error}
        for sound in self._gate.frames(frame):
            self.deliver(sound)

    def noted(self, item: SessionMessage) -> Tickets:
        """Note what goes out; return the open tickets."""
        note_sent(self._gate, item)
        return self._tickets


class _Writer(Stream):
    """Posts what the session sends: each request beside the others, notes in their order."""

    def __init__(
        self, owner: SseTransport, client: httpx2.AsyncClient, endpoint: str, group: Any
    ) -> None:
        self._owner = owner
        self._client = client
        self._endpoint = endpoint
        self._group = group

    async def send(self, item: SessionMessage) -> None:
        """See the SDK's WriteStream. Raises anyio.ClosedResourceError."""
        if self._owner.ended:
            raise anyio.ClosedResourceError
        message = item.message
        data = message.model_dump(mode="python", by_alias=True, exclude_unset=True)
        body = json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
        tickets = self._owner.noted(item)
        before = CURRENT.set(tickets.of(item))
        try:
            if isinstance(message, JSONRPCNotification):
                await self._post(body, None)
            else:
                request_id = message.id if isinstance(message, JSONRPCRequest) else None
                self._group.start_soon(self._post, body, request_id)
        finally:
            CURRENT.reset(before)
            tickets.sent(item)

    async def _post(self, body: bytes, request_id: int | str | None) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = self._client.build_request("POST", self._endpoint, content=body, headers=headers)
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            if response.status_code >= 400 and request_id is not None:
                self._owner.fail(request_id, await _error(response))
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """See the SDK's WriteStream."""


async def _error(response: httpx2.Response) -> JsonObject:
    """The JSON-RPC error into which `http_calls` made a failed POST."""
    error: JsonObject = json.loads(await response.aread())["error"]
    return {"code": TRANSPORT_ERROR} | error


UrlTransport = HttpTransport | SseTransport


def url_transport(spec: HttpSpec, gate: Gate, *, person: Any = None) -> UrlTransport:
    """The transport that the spec says."""
    kind = SseTransport if spec.sse else HttpTransport
    return kind(spec, gate, person=person)
