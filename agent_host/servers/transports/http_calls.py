"""Makes every failure of the network or of HTTP the failure of one call.

Theory of operation: `OneCallTransport` stands between the SDK's transport and the network. What
goes wrong becomes the answer to one request: a JSON-RPC error that keeps the HTTP status, and says
(`fate`) whether the request was surely `not_sent`, may have reached the server (`lost`),
was of a session that the server does not know (`no_session`), or waits for a person
(`needs_login`). Only what surely did not run is sent again: a refused connection, and HTTP 429 when
the wait fits into the call. Redirects are followed on the same origin, so that nothing secret goes
elsewhere. Nothing compressed is asked for or taken, and bodies are counted. The stream for a
server's own messages is opened again for as long as it takes.
Sources: MCP 2025-11-25 basic/transports; RFC 9110 sections 10.2.3 and 15.4; RFC 6585 section 4.
"""

import asyncio
import contextlib
import json
import math
import re
from collections.abc import AsyncIterator, Callable
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpx2

from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject
from agent_host.servers.frames import MAX_LINE
from agent_host.servers.login.errors import LoginFailedError, NeedsLoginError
from agent_host.servers.transports.fate import fated
from agent_host.servers.transports.tickets import CURRENT, Ticket
from agent_host.servers.transports.tls import tls_fault

ATTEMPTS = 3
FIRST_PAUSE = 0.1
"""Seconds until a refused connection is tried again; doubles."""
MAX_ERROR_BODY = 64 * 1024
ERROR_BODY_SECONDS = 2.0
MAX_REDIRECTS = 5
MAX_WAITS = 2
"""Times that a request is sent again after HTTP 429."""
MOST_WAIT = 60.0
"""Seconds of a Retry-After, at most, and never more than the third part of a call's time."""
MAX_RESUMED = 400
"""Times that the answer to one request is picked up again after its stream ended."""
RESUME_PAUSE = 0.2
LISTEN_PAUSE = 1.0
"""Seconds until the stream for a server's own messages is opened again; doubles to:"""
LISTEN_MOST = 60.0
LISTENED = 5.0
"""Seconds that this stream must have lived for the pause to start over."""
NOTE_SECONDS = 10.0
"""Seconds that sending a notification or an answer may take."""
TRANSPORT_ERROR = -32000
BROKEN_OFF = "the answer broke off"
SESSION = "mcp-session-id"
NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)
_REDIRECTS = (301, 302, 303, 307, 308)
_MADE_HERE = "agent-host"
_SECRET_NAMED = re.compile(r"[?#].*")


class _Body(httpx2.AsyncByteStream):
    """A body that is counted and that ends when nobody waits for it any more.

    `cap`: bytes, None for a stream of events, each of which the SDK bounds. `mended`: a stream
    that breaks off just ends, because it is opened again.
    """

    def __init__(
        self, inner: Any, ticket: Ticket | None, *, cap: int | None, mended: bool = False
    ) -> None:
        self._inner = inner
        self._ticket = ticket or Ticket("", None)
        self._cap = cap
        self._mended = mended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, chunks = 0, aiter(self._inner)
        while True:
            chunk = await self._next(chunks)
            if chunk is None:
                return
            size += len(chunk)
            if self._cap is not None and size > self._cap:
                raise httpx2.StreamError("the answer was larger than the host accepts")
            yield chunk

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        with self._ticket.waiting() as scope:
            try:
                return await anext(chunks, None)
            except (httpx2.TransportError, OSError) as error:
                if self._mended:
                    return None
                # The SDK expects no other kind here, and would give up the whole connection.
                raise httpx2.StreamError(f"{BROKEN_OFF} ({network_text(error)})") from None
        if scope.cancelled_caught:
            text = "nobody waits for the answer any more"
            # Of these two the first is never resumed by the SDK, the second is what it expects.
            raise httpx2.SSEError(text) if self._cap is None else httpx2.StreamError(text)
        return None

    async def aclose(self) -> None:
        await self._inner.aclose()


class OneCallTransport(httpx2.AsyncBaseTransport):
    """See the module. `mend`: open the stream for a server's own messages again when it is lost.

    `background`: runs a coroutine function in the connection's own task group. `gone`: is told
    when the server has forgotten the session. `chance` returns a number in [0, 1).
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        call_timeout: float = math.inf,
        *,
        mend: bool = True,
        gone: Callable[[], None] = lambda: None,
        background: Callable[..., object] | None = None,
        chance: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self._inner = inner
        self._most_wait = min(MOST_WAIT, call_timeout / 3)
        self._mend = mend
        self._gone = gone
        self._background = background
        self._chance = chance
        self._listen_pause = 0.0
        self._listened = -math.inf

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2. Never raises for what the network does, but for a GET unless `mend`."""
        ticket = CURRENT.get() or Ticket("", None)
        if request.method == "GET" and ticket.request_id is None:
            return await self._listen(request) if self._mend else await self._opened(request)
        if request.method == "POST" and ticket.request_id is None:
            return await self._note(request, ticket)
        if request.method == "GET":
            ticket.resumed += 1
            if ticket.resumed > MAX_RESUMED:
                ticket.give_up()
        with ticket.waiting():
            if ticket.resumed > 1:
                await asyncio.sleep(RESUME_PAUSE)
            return await self._exchange(request, ticket)
        return rpc_error(request, 504, "nobody waits for the answer", fated("lost"))

    async def _note(self, request: httpx2.Request, ticket: Ticket) -> httpx2.Response:
        """Send what gets no answer. The SDK sends nothing else meanwhile, so all but the note on
        which the session depends is sent beside it."""

        async def send() -> None:
            with anyio.move_on_after(NOTE_SECONDS):
                response = await self._exchange(request, ticket)
                await response.aclose()

        if self._background is None or ticket.method == "notifications/initialized":
            await send()
        else:
            self._background(send)
        return httpx2.Response(202, request=request)

    async def _exchange(self, request: httpx2.Request, ticket: Ticket) -> httpx2.Response:
        """One request and its answer, with what may be tried again; every failure is an answer."""
        waits = 0
        while True:
            response = await self._sent(request)
            if _MADE_HERE in response.extensions:
                return response
            wait = self._wait_asked(response)
            if wait is None or waits >= MAX_WAITS:
                return await _judged(request, response, ticket)
            waits += 1
            await response.aclose()
            await asyncio.sleep(wait)

    def _wait_asked(self, response: httpx2.Response) -> float | None:
        """Seconds after which a request that was turned away is sent again, if that is soon."""
        if response.status_code != 429:
            return None
        seconds = retry_after(response)
        if seconds is None or seconds > self._most_wait:
            return None
        return seconds + 0.25 * self._chance() * max(seconds, 0.2)

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        """The server's answer, or a JSON-RPC error that says what became of the request."""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE * 2**attempt)
            try:
                return await self._redirected(request)
            except (httpx2.TransportError, httpx2.InvalidURL, OSError) as error:
                failed = _failed(request, error)
                if not isinstance(error, httpx2.ConnectError) or tls_fault(error):
                    break  # it may have run, or would go the same way again
        return failed

    async def _redirected(self, request: httpx2.Request) -> httpx2.Response:
        for _ in range(MAX_REDIRECTS):
            response = await self._inner.handle_async_request(request)
            place = response.headers.get("location")
            if response.status_code not in _REDIRECTS or place is None:
                return response
            await response.aclose()
            target = _within_origin(request, response.status_code, place)
            if isinstance(target, str):
                return rpc_error(request, response.status_code, target, _status(response))
            request = _moved(request, target)
        text = f"the server redirects more than {MAX_REDIRECTS} times"
        return rpc_error(request, 508, text, _status(response))

    async def _opened(self, request: httpx2.Request) -> httpx2.Response:
        """A stream that is opened once. Raises httpx2.TransportError."""
        response = await self._redirected(request)
        if _is_compressed(response):
            await response.aclose()
            raise httpx2.RemoteProtocolError("the stream is compressed, which was not asked for")
        response.stream = _Body(response.stream, None, cap=None)
        return response

    async def _listen(self, request: httpx2.Request) -> httpx2.Response:
        """The stream for a server's own messages, opened again and again."""
        now = asyncio.get_running_loop().time
        if now() - self._listened > LISTENED:
            self._listen_pause = 0.0
        while True:
            if self._listen_pause:
                await asyncio.sleep(self._listen_pause * (0.75 + self._chance() / 2))
            self._listen_pause = min(max(2 * self._listen_pause, LISTEN_PAUSE), LISTEN_MOST)
            with contextlib.suppress(httpx2.TransportError, httpx2.InvalidURL, OSError):
                response = await self._redirected(request)
                if response.status_code < 500 and response.status_code != 429:
                    break
                await response.aclose()
        self._listened = now()
        if response.status_code == 404 and SESSION in request.headers:
            self._gone()
        response.stream = _Body(response.stream, None, cap=None, mended=True)
        return response

    async def aclose(self) -> None:
        """See httpx2."""
        await self._inner.aclose()


NOT_SENT: JsonObject = fated("not_sent")
NO_SESSION: JsonObject = fated("no_session")


def _failed(request: httpx2.Request, error: Exception) -> httpx2.Response:
    """A request that did not get its answer, and whether it may have reached the server."""
    if isinstance(error, NeedsLoginError):
        return rpc_error(request, 401, str(error), fated("needs_login"))
    if isinstance(error, LoginFailedError):
        return rpc_error(request, 401, str(error), NOT_SENT)
    if isinstance(error, NEVER_SENT):
        return rpc_error(request, 503, unreached(error, request.url), NOT_SENT)
    return rpc_error(request, 503, network_text(error), fated("lost"))


async def _judged(
    request: httpx2.Request, response: httpx2.Response, ticket: Ticket
) -> httpx2.Response:
    if _is_compressed(response):
        await response.aclose()
        coding = clean_line(response.headers["content-encoding"], 20)
        text = f"the answer is compressed ({coding}), which was not asked for"
        return rpc_error(request, 502, text, fated("lost"))
    if response.status_code >= 400 and request.method == "POST":
        return await _http_error(request, response)
    kind = response.headers.get("content-type", "").lower()
    cap = None if kind.startswith("text/event-stream") else MAX_LINE
    response.stream = _Body(response.stream, ticket, cap=cap)
    return response


def _is_compressed(response: httpx2.Response) -> bool:
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    return coding not in ("", "identity")


async def _http_error(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """An HTTP error as a JSON-RPC error that keeps status and Retry-After."""
    told = await rpc_failure(response)
    await response.aclose()
    data: JsonObject = told["data"]
    if SESSION in request.headers and _knows_no_session(response.status_code, told["message"]):
        data = data | NO_SESSION
    return rpc_error(request, response.status_code, told["message"], data, told["code"])


def _knows_no_session(status: int, message: str) -> bool:
    """HTTP 404 says it (MCP basic/transports, session management); some say HTTP 400 instead."""
    return status == 404 or (status == 400 and "session" in message.lower())


async def rpc_failure(response: httpx2.Response) -> JsonObject:
    """What an HTTP error says, as a JSON-RPC error object; its body is read, in bounds."""
    data = _status(response)
    if retry := response.headers.get("retry-after"):
        data["retryAfter"] = clean_line(retry, 40)
        if (seconds := retry_after(response)) is not None:
            data["retrySeconds"] = seconds
    after = f", retry after {data['retryAfter']}" if "retryAfter" in data else ""
    body = b""
    with contextlib.suppress(httpx2.TransportError, httpx2.StreamError, OSError):
        with anyio.move_on_after(ERROR_BODY_SECONDS):
            async for chunk in response.stream:  # type: ignore[union-attr]
                body = (body + chunk)[:MAX_ERROR_BODY]
                if len(body) >= MAX_ERROR_BODY:
                    break
    reason = clean_line(response.reason_phrase, 60)
    text = f"HTTP {response.status_code} {reason}".strip() + after
    code = TRANSPORT_ERROR
    if (told := _told(body)) is not None:
        text, code = f"{text}: {told[0]}", told[1]
        if isinstance(told[2], dict):
            data = told[2] | data
    return {"code": code, "message": text, "data": data}


def _status(response: httpx2.Response) -> JsonObject:
    return {"httpStatus": response.status_code}


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


def rpc_error(
    request: httpx2.Request, status: int, text: str, data: JsonObject, code: int = TRANSPORT_ERROR
) -> httpx2.Response:
    """An answer made here: a JSON-RPC error for whichever request this was."""
    error = {"code": code, "message": clean_line(text, 600), "data": data}
    return httpx2.Response(
        # What is no error to HTTP would be taken for an answer.
        max(status, 400),
        request=request,
        json={"jsonrpc": "2.0", "id": None, "error": error},
        extensions={_MADE_HERE: True},
    )


def retry_after(response: httpx2.Response) -> float | None:
    """Seconds that a server asks to wait, None if it does not say. A date is measured against
    the server's own clock (its Date header)."""
    text = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", text):
        return float(text)
    try:
        then = parsedate_to_datetime(text)
        now = parsedate_to_datetime(response.headers.get("date", ""))
        return max((then - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _within_origin(request: httpx2.Request, status: int, place: str) -> httpx2.URL | str:
    """Where a redirect leads, or why it is not followed. Not the whole place: its query may hold
    a secret."""
    try:
        target = request.url.join(place)
    except (httpx2.InvalidURL, ValueError):
        return f"HTTP {status}: the server redirects to what is no URL"
    url = request.url
    upgrade = (url.scheme, target.scheme) == ("http", "https") and url.port is target.port is None
    same = (url.scheme, url.port) == (target.scheme, target.port) or upgrade
    shown = _SECRET_NAMED.sub("", str(target.copy_with(userinfo=b"")))
    if not same or url.host != target.host or target.userinfo not in (b"", url.userinfo):
        return (
            f"HTTP {status}: the server redirects to {shown}, another origin, where nothing is "
            "sent; if that is the server, make it the url"
        )
    if request.method != "GET" and status not in (307, 308):
        return (
            f"HTTP {status}: the server redirects to {shown} in a way that drops what was sent; "
            "if that is its endpoint, make it the url"
        )
    return target


def _moved(request: httpx2.Request, target: httpx2.URL) -> httpx2.Request:
    headers = httpx2.Headers(request.headers)
    headers["host"] = target.netloc.decode("ascii")
    return httpx2.Request(
        method=request.method,
        url=target,
        headers=headers,
        stream=request.stream,
        extensions=request.extensions,
    )


def network_text(error: Exception) -> str:
    """A failure of the network in words."""
    if fault := tls_fault(error):
        return clean_line(fault)
    name = type(error).__name__
    return clean_line(f"{name}: {error}" if str(error) else name)


def unreached(error: Exception, url: httpx2.URL) -> str:
    """What could not be reached, and why. Not the whole URL: path and query may hold a secret."""
    in_time = " in time" if isinstance(error, httpx2.ConnectTimeout) else ""
    text = f"cannot connect{in_time} to {url.scheme}://{url.netloc.decode('ascii', 'replace')}"
    why = tls_fault(error) or str(error)
    return clean_line(f"{text}: {why}" if why else text, 600)
