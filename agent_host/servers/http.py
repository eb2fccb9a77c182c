"""A server behind a URL: the SDK's streamable HTTP transport over a client of ours.

Theory of operation: what the network does must fail one call and never the connection, so
`OneCallTransport` turns each network error, each HTTP error and each unwanted body into a JSON-RPC
error, which keeps the HTTP status and says whether the request can have reached the server. Only a
connection that was refused is tried again, because nothing was sent. Nothing compressed is asked
for or taken, and bodies are counted, so that a small answer cannot become a large one.
"""

import asyncio
import contextlib
import json
import math
import re
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import anyio
import httpx2
from mcp_types import JSONRPCError, JSONRPCResponse

from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.servers.frames import MAX_LINE, Gate
from agent_host.servers.sdk import SessionMessage, streamable_http_client
from agent_host.servers.spec import HttpSpec
from agent_host.servers.transport import Inbox, note_sent, to_message

ATTEMPTS = 3
FIRST_PAUSE = 0.1  # seconds
MAX_ERROR_BODY = 64 * 1024
CLOSE_GRACE = 0.8
"""Seconds that ending the session at the server may take."""
TRANSPORT_ERROR = -32000
INVALID_REQUEST = -32600
BROKEN_OFF = "the answer broke off"
_CALL = re.compile(rb'"method" ?: ?"tools/call"')


class _Counted(httpx2.AsyncByteStream):
    """A body that ends with an error once it is larger than the cap, or comes for longer than
    `seconds`."""

    def __init__(self, inner: Any, cap: int | None, seconds: float | None = None) -> None:
        self._inner = inner
        self._cap = cap
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, now = 0, asyncio.get_running_loop().time
        end = None if self._seconds is None else now() + self._seconds
        try:
            async for chunk in self._inner:
                size += len(chunk)
                if end is not None and now() > end:
                    raise httpx2.StreamError("the answer took longer than a call may take")
                if self._cap is not None and size > self._cap:
                    raise httpx2.StreamError("the answer was larger than the host accepts")
                yield chunk
        except httpx2.TransportError as error:
            # The SDK expects no other kind here, and would give up the whole connection.
            raise httpx2.StreamError(f"{BROKEN_OFF} ({_network(error)})") from None

    async def aclose(self) -> None:
        await self._inner.aclose()


class OneCallTransport(httpx2.AsyncBaseTransport):
    """Makes every failure of the network or of HTTP the failure of one call."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, call_timeout: float = math.inf) -> None:
        self._inner = inner
        self._call_timeout = call_timeout

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE * 2**attempt)
            try:
                response = await self._inner.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                text = _unreached(error, request.url)
                failed = _rpc_error(request, 503, text, {"agentHost": "not_sent"})
            except httpx2.TransportError as error:
                return _rpc_error(request, 503, _network(error), {"agentHost": "lost"})
            else:
                return await self._judge(request, response)
        return failed

    async def _judge(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            await response.aclose()
            text = f"the answer is compressed ({clean_line(coding, 20)}), which was not asked for"
            return _rpc_error(request, 502, text, {"agentHost": "lost"})
        kind = response.headers.get("content-type", "").lower()
        if response.status_code >= 400 and request.method == "POST":
            return await _http_error(request, response)
        # An SSE stream has no length; the SDK bounds each of its events.
        cap = None if kind.startswith("text/event-stream") else MAX_LINE
        # Nobody waits any more for the answer to a call that timed out: a server that goes on
        # sending it would be read for ever, beside every later call.
        seconds = self._call_timeout if _CALL.search(request.content) else None
        response.stream = _Counted(response.stream, cap, seconds)
        return response

    async def aclose(self) -> None:
        """See httpx2."""
        await self._inner.aclose()


async def _http_error(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """An HTTP error as a JSON-RPC error that keeps status and Retry-After."""
    data: JsonObject = {"httpStatus": response.status_code}
    if retry := response.headers.get("retry-after"):
        data["retryAfter"] = clean_line(retry, 40)
    after = f", retry after {data['retryAfter']}" if "retryAfter" in data else ""
    body = b""
    with contextlib.suppress(httpx2.TransportError, httpx2.StreamError):
        async for chunk in response.stream:  # type: ignore[union-attr]
            body = (body + chunk)[:MAX_ERROR_BODY]
            if len(body) >= MAX_ERROR_BODY:
                break
    await response.aclose()
    text = f"HTTP {response.status_code} {response.reason_phrase}".strip() + after
    code = TRANSPORT_ERROR
    if (told := _told(body)) is not None:
        text, code = f"{text}: {told[0]}", told[1]
        if isinstance(told[2], dict):
            data = told[2] | data
    return _rpc_error(request, response.status_code, text, data, code)


def _told(body: bytes) -> tuple[str, int, Any] | None:
    """Message, code and data of a JSON-RPC error in a body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return None
    return str(error.get("message", ""))[:2000], error["code"], error.get("data")


def _rpc_error(
    request: httpx2.Request, status: int, text: str, data: JsonObject, code: int = TRANSPORT_ERROR
) -> httpx2.Response:
    error = {"code": code, "message": clean_line(text), "data": data}
    return httpx2.Response(
        status, request=request, json={"jsonrpc": "2.0", "id": None, "error": error}
    )


def _network(error: Exception) -> str:
    name = type(error).__name__
    return clean_line(f"{name}: {error}" if str(error) else name)


def _unreached(error: Exception, url: httpx2.URL) -> str:
    """What could not be reached. Not the whole URL: path and query may hold a secret."""
    in_time = " in time" if isinstance(error, httpx2.ConnectTimeout) else ""
    text = f"cannot connect{in_time} to {url.scheme}://{url.netloc.decode('ascii', 'replace')}"
    return clean_line(f"{text}: {error}" if str(error) else text)


class HttpTransport:
    """A URL as the SDK's transport."""

    def __init__(self, spec: HttpSpec, gate: Gate) -> None:
        self._spec = spec
        self._gate = gate
        self._inbox = Inbox()
        self._ended = asyncio.Event()
        self._why = ""
        self._stack = contextlib.AsyncExitStack()

    @property
    def ended(self) -> bool:
        """Whether the connection is over."""
        return self._ended.is_set()

    def stderr_tail(self) -> str:
        """Nothing: a remote server's log is not ours to see."""
        return ""

    def session_gone(self, code: int, message: str, data: JsonObject) -> bool:
        """Whether an error means that the server forgot the session (then the connection ends)."""
        status = data.get("httpStatus")
        gone = status == 404 or (code == INVALID_REQUEST and "ession" in message)
        if gone:
            self._why = "the server has forgotten the session"
            self._ended.set()
        return gone

    async def lost(self) -> str:
        """Wait until the connection is over; return why."""
        await self._ended.wait()
        return self._why or "the connection ended"

    async def __aenter__(self) -> tuple[Inbox, "_GatedWriter"]:
        stack = self._stack
        await stack.__aenter__()
        try:
            client = await stack.enter_async_context(self._client())
            read, write = await stack.enter_async_context(
                streamable_http_client(
                    self._spec.url, http_client=client, max_sse_event_size=MAX_LINE
                )
            )
            group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(group.cancel_scope.cancel)
            group.start_soon(self._pump, read)
        except BaseException:
            await stack.aclose()
            raise
        return self._inbox, _GatedWriter(self._gate, write)

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

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={**self._spec.headers, "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(30, connect=self._spec.connect_timeout, read=None),
            transport=OneCallTransport(httpx2.AsyncHTTPTransport(), self._spec.call_timeout),
        )

    async def _pump(self, read: Any) -> None:
        """Move what the SDK's transport received through the gate."""
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for item in read:
                if isinstance(item, SessionMessage):
                    for frame in self._gate.frames(_frame(item)):
                        self._inbox.put(to_message(frame))
                else:
                    self._gate.junk += 1
        self._inbox.close()
        self._ended.set()


class _GatedWriter:
    """Tells the gate what goes out."""

    def __init__(self, gate: Gate, inner: Any) -> None:
        self._gate = gate
        self._inner = inner

    async def send(self, item: SessionMessage) -> None:
        """See the SDK's WriteStream."""
        note_sent(self._gate, item)
        await self._inner.send(item)

    async def aclose(self) -> None:
        """See the SDK's WriteStream."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        await self.aclose()
        return None


def _frame(item: SessionMessage) -> JsonObject:
    message = item.message
    if isinstance(message, JSONRPCResponse):
        return {"jsonrpc": "2.0", "id": message.id, "result": message.result}
    if isinstance(message, JSONRPCError):
        return {"jsonrpc": "2.0", "id": message.id, "error": message.error.model_dump()}
    return message.model_dump(by_alias=True, exclude_unset=True)
