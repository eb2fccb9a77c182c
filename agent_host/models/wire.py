"""What every adapter over HTTP does the same way: connections, sending, reading in time, faults.

Theory of operation: the provider's own SDK gives client, authentication and connections; bodies go
out as prepared bytes (`content=`) and answers come back as the raw byte stream, because the SDKs'
own transform of a request and their object for each event cost more than the network. A dialect is
a `WireModel` that says how a request is written (`_prepare`), who reads its answer, and which SDK
client sends it (`_make_sdk_client`); this file joins them and owns the connections.

Never retries (the engine does), never follows a redirect (it would carry the conversation to
another host), reads a bounded part of an error, and sends nothing from the environment to a host
that is not the SDK's own. Importing this file is heavy: hosts import it in a thread, and may call
`prepare` there.
"""

import asyncio
import contextlib
import importlib
import ssl
import threading
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx2

from agent_host.core.errors import ConfigError
from agent_host.core.events import Delta, ServerLog
from agent_host.core.size import tokens
from agent_host.core.text import clean_line
from agent_host.core.types import ModelFailure, ModelRequest, ModelResponse, Origin, Tool
from agent_host.models import failures
from agent_host.models.chunks import join_chunks
from agent_host.models.failures import Endpoint, RefusedError
from agent_host.models.schemas import ToolTable, tool_table
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import built_in

CONNECT_TIMEOUT = 10.0
"""Seconds for a connection, TLS included."""

_MAX_ERROR = 64 * 1024
_BYTES_OF_A_TOKEN = 8
_MAX_HEAD = 2000
"""Bytes of a request that are no prompt."""
_AFTER_DONE = 0.2
"""Seconds that a server may take to end the stream after it said that it is done: only a stream
that is read to its end leaves its connection for the next request."""
_PER_LANE = 8
"""Requests that one client serves at a time: its pool looks at every connection twice a request,
which a hundred of them would make a third of the request's cost."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NETWORK_FAULTS = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    OSError,
)
"""What the network and a server can do to a client; OSError holds TLS errors too."""

Item = Delta | ServerLog | ModelResponse | ModelFailure

# The part of anyio that is loaded by the first connection: here it delays no request.
with contextlib.suppress(ImportError):
    importlib.import_module("anyio._backends._asyncio")


class AnswerStream(Protocol):
    """Reads one answer, as its dialect streams it."""

    @property
    def done(self) -> bool:
        """True once the provider said that the answer is over."""

    @property
    def events(self) -> int:
        """How many events have come."""

    def feed(self, chunk: bytes) -> list[Delta]:
        """Take the next bytes and return what can be shown. Raises RefusedError."""

    def finish(self) -> list[Delta]:
        """Take the end of the stream and return what is left to show. Raises RefusedError."""

    def result(self, failure: ModelFailure | None = None) -> ModelResponse | ModelFailure:
        """The terminal item. `failure`: why nothing more comes, if the stream did not end."""


class SdkClient(Protocol):
    """What is asked of an SDK's client."""

    async def post(self, path: str, **options: Any) -> Any:
        """Send a request and return what `cast_to` names."""

    async def close(self) -> None:
        """Close its connections."""


@dataclass(slots=True, eq=False)
class _Lane:
    """A client with its connections, the requests that it serves now, and whether it has served
    any: then it may hold connections that the other end has given up."""

    client: SdkClient
    active: int = 0
    used: bool = False


class WireModel:
    """One model behind one base URL; implements `ports.ModelAdapter` for a dialect over HTTP."""

    simulated = False
    adapter: ClassVar[str]
    default_url: ClassVar[str]
    path: ClassVar[str]
    """Of the request, below the base URL, unless the profile says another."""
    own_hosts: ClassVar[tuple[str, ...]]
    """Hosts that get what the SDK adds from the environment."""
    request_id_header: ClassVar[str]
    sdk_error: ClassVar[type[Exception]]
    connection_error: ClassVar[type[Exception]]
    stream_class: ClassVar[Any]
    user_agent: ClassVar[str]

    def __init__(self, settings: AdapterSettings) -> None:
        base, _, query = (settings.base_url or self.default_url).strip().partition("?")
        self._url = base.rstrip("/").removesuffix(self.path).rstrip("/")
        self._query = dict(parse_qsl(query))
        check(settings, self._url)
        self._host = (urlsplit(self._url).hostname or "").lower()
        self._settings = settings
        self._key = (settings.api_key or "").strip()
        self.profile: Profile = settings.profile or built_in().find(
            self._url, settings.model, self.adapter
        )
        self._headers = {**self.profile.headers, **settings.headers}
        self.origin = Origin(provider=settings.provider, model=settings.model, adapter=self.adapter)
        self._endpoint = Endpoint(
            provider=settings.provider,
            model=settings.model,
            url=self._url,
            secrets=failures.secrets(self._key, settings.headers),
        )
        self._faults = (self.sdk_error, *_NETWORK_FAULTS)
        self._table: tuple[tuple[Tool, ...], ToolTable] = ((), tool_table((), "plain"))
        self._lanes: list[_Lane] = []
        self._trust: ssl.SSLContext | None = None
        self._making = threading.Lock()
        self._cut_told = False

    # -- what a dialect says -----------------------------------------------------------------

    def _prepare(self, request: ModelRequest) -> tuple[bytes, AnswerStream]:
        """The request's body, and who reads its answer. May raise RefusedError, and ValueError,
        TypeError or RecursionError for what is no JSON."""
        raise NotImplementedError

    def _make_sdk_client(self, http_client: httpx2.AsyncClient) -> SdkClient:
        """An SDK client for this endpoint that never retries."""
        raise NotImplementedError

    # -- the port ----------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the first client: with TLS that reads the system's certificates, some 50 ms.
        Optional, from any thread; the first request does it otherwise."""
        with self._making:
            if not self._lanes:
                self._lanes.append(_Lane(self._make_client()))

    def withheld(self, tools: tuple[Tool, ...]) -> Mapping[str, str]:
        """Return which tools this wire cannot express, and why; see `ports.ModelAdapter`."""
        return self._tool_table(tools).withheld

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Item, None]:
        """Ask the model; see `ports.ModelAdapter.stream`."""
        try:
            body, answer = self._written(request)
        except RefusedError as refused:
            yield refused.failure
            return
        try:
            if not self._lanes:
                await asyncio.to_thread(self.prepare)
            lane = self._free_lane()
        except OSError as error:
            yield failures.no_certificates(self._endpoint, str(error))
            return
        lane.active += 1
        try:
            response = await self._open(lane, body)
            if isinstance(response, ModelFailure):
                yield response
                return
            async with contextlib.aclosing(self._read(response, answer)) as items:
                async for item in items:
                    if isinstance(item, ModelResponse) and (log := self._cut_log(body, item)):
                        yield log
                    yield item
        finally:
            lane.active -= 1

    async def aclose(self) -> None:
        """Close the connections."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            with contextlib.suppress(*self._faults):
                await lane.client.close()

    # -- for dialects ------------------------------------------------------------------------

    def _tool_table(self, tools: tuple[Tool, ...]) -> ToolTable:
        """The tools as this provider takes them; made once for one tuple."""
        if self._table[0] is not tools:
            profile = self.profile
            self._table = (
                tools,
                tool_table(
                    tools,
                    profile.schema,
                    max_tools=profile.max_tools,
                    max_description=profile.max_description,
                    max_total=profile.max_schema_size,
                ),
            )
        return self._table[1]

    # -- sending -----------------------------------------------------------------------------

    def _written(self, request: ModelRequest) -> tuple[bytes, AnswerStream]:
        try:
            return self._prepare(request)
        except (ValueError, TypeError, RecursionError) as error:
            said = clean_line(str(error), 100)
            raise refused(f"the conversation cannot be written as JSON: {said}") from None

    def _free_lane(self) -> _Lane:
        for lane in self._lanes:
            if lane.active < _PER_LANE:
                return lane
        self._lanes.append(_Lane(self._make_client()))
        return self._lanes[-1]

    async def _open(self, lane: _Lane, body: bytes) -> httpx2.Response | ModelFailure:
        """Send the request and return the answer once its head is there, its body unread.

        A connection that was kept may have been given up by the other end just as the request
        went out on it: then the request goes out once more (RFC 9112, section 9.3.1).
        """
        kept, lane.used = lane.used, True
        answer = await self._send(lane.client, body, kept=kept)
        if answer is None:
            answer = await self._send(lane.client, body, kept=False)
        assert answer is not None  # on a new connection it is a failure
        return answer

    async def _send(
        self, client: SdkClient, body: bytes, *, kept: bool
    ) -> httpx2.Response | ModelFailure | None:
        """Send the request; None: it went out on a connection that was no longer there."""
        try:
            response: object = await client.post(
                self.profile.path.replace("{model}", self._settings.model) or self.path,
                content=body,
                cast_to=httpx2.Response,
                stream=True,
                stream_cls=self.stream_class,
                options={"headers": {"Content-Type": "application/json"}},
            )
        except RefusedError as error:
            return error.failure
        except self._faults as error:
            if kept and self._was_given_up(error):
                return None
            return self._fault(error)
        assert isinstance(response, httpx2.Response)  # what cast_to asked for
        return response

    async def _read(
        self, response: httpx2.Response, answer: AnswerStream
    ) -> AsyncGenerator[Item, None]:
        """Yield what the answer's body says, to its terminal item."""
        request_id = clean_line(response.headers.get(self.request_id_header, ""), 200)
        failure: ModelFailure | None = None
        try:
            try:
                async with contextlib.aclosing(response.aiter_bytes()) as chunks:
                    async for chunk in self._in_time(chunks, answer):
                        for delta in answer.feed(chunk):
                            yield delta
            except self._faults as error:
                failure = self._fault(error, begun=True)
            finally:
                with contextlib.suppress(*self._faults):
                    await response.aclose()
            for delta in answer.finish():
                yield delta
            result = answer.result(failure)
            if isinstance(result, ModelResponse):
                result = replace(result, provider_request_id=request_id)
            yield result
        except RefusedError as error:
            yield error.failure

    async def _in_time(
        self, chunks: AsyncIterator[bytes], answer: AnswerStream
    ) -> AsyncIterator[bytes]:
        """Pass the chunks on while they bring news; comments that keep a connection open are
        none. Once the answer is done, wait only briefly for the end."""
        now = asyncio.get_running_loop().time
        events, last = answer.events, now()
        end = last + self._settings.answer_timeout
        async for chunk in chunks:
            yield chunk
            if answer.done:
                with contextlib.suppress(TimeoutError, *self._faults):
                    async with asyncio.timeout(_AFTER_DONE):
                        async for _ in chunks:
                            pass
                return
            if answer.events != events:
                events, last = answer.events, now()
            elif now() - last > self._settings.timeout:
                raise TimeoutError
            if now() > end:
                raise _NeverEndsError

    def _cut_log(self, body: bytes, response: ModelResponse) -> ServerLog | None:
        """What to say, once, of a prompt that was cut without a word: a token is never eight
        bytes of text on average. Pictures count otherwise, so a request with any is let be."""
        counted = response.usage.input_tokens
        if not (self.profile.silent_cut and counted) or self._cut_told:
            return None
        if counted * _BYTES_OF_A_TOKEN >= len(body) - _MAX_HEAD or b";base64," in body:
            return None
        self._cut_told = True
        text = (
            f"{self._settings.provider} counted {counted:,} tokens of about {tokens(len(body)):,} "
            "that were sent: the beginning was cut without a word; give the model a larger "
            "context where it is served (Ollama: num_ctx, or OLLAMA_CONTEXT_LENGTH)"
        )
        return ServerLog(server="", level="warning", text=text)

    def _was_given_up(self, error: BaseException) -> bool:
        """Whether a kept connection was closed without a byte of an answer."""
        cause = error.__cause__ if isinstance(error, self.connection_error) else error
        return isinstance(cause, httpx2.RemoteProtocolError | httpx2.WriteError)

    def _fault(self, error: BaseException, *, begun: bool = False) -> ModelFailure:
        """What a network fault means."""
        cause = error.__cause__ if isinstance(error, self.connection_error) else error
        if isinstance(cause, httpx2.ConnectTimeout):
            return failures.not_reached(
                self._endpoint, f"no connection within {CONNECT_TIMEOUT:g} s"
            )
        if isinstance(cause, _NeverEndsError):
            return failures.never_ends(self._endpoint, self._settings.answer_timeout)
        if isinstance(cause, httpx2.TimeoutException | TimeoutError):
            return failures.timed_out(self._endpoint, self._settings.timeout)
        if begun:
            return failures.broken(
                self._endpoint, f"broke off in the middle of the answer: {cause}; ask again"
            )
        reason = str(cause) or type(cause).__name__
        return failures.not_reached(self._endpoint, reason, proxy=self._proxy())

    def _proxy(self) -> str:
        """The proxy that requests go through, without its user; empty if there is none."""
        parts = urlsplit(self._url)
        if self._host in _LOOPBACK or urllib.request.proxy_bypass(self._host):
            return ""
        proxies = urllib.request.getproxies()
        found = urlsplit(proxies.get(parts.scheme) or proxies.get("all") or "")
        return found.netloc.rpartition("@")[2]

    # -- clients -----------------------------------------------------------------------------

    def _make_client(self) -> SdkClient:
        local = self._host in _LOOPBACK and self._url.startswith("http:")
        signed = self.profile.auth in ("aws", "google")
        foreign = not signed and not any(
            f".{self._host}".endswith(f".{host}") for host in self.own_hosts
        )
        http_client = httpx2.AsyncClient(
            verify=self._certificates(local=local),
            trust_env=not local,
            follow_redirects=False,
            limits=httpx2.Limits(max_keepalive_connections=_PER_LANE, keepalive_expiry=60),
            event_hooks={
                "request": [self._only_own_headers] if foreign else [],
                "response": [self._refuse_errors],
            },
        )
        join_chunks(http_client)
        return self._make_sdk_client(http_client)

    def _timeouts(self) -> httpx2.Timeout:
        return httpx2.Timeout(self._settings.timeout, connect=CONNECT_TIMEOUT)

    def _certificates(self, *, local: bool) -> ssl.SSLContext:
        """Whom to trust: SSL_CERT_FILE and SSL_CERT_DIR, or the system. Reading that takes 50 ms,
        for which plain HTTP to this machine has no use."""
        if self._trust is None:
            plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._trust = plain if local else httpx2.create_ssl_context()
        return self._trust

    def _credentials(self) -> dict[str, str]:
        """The header that says who asks."""
        if not self._key:
            return {}
        if self.profile.auth in ("x-api-key", "api-key"):
            return {self.profile.auth: self._key}
        return {"Authorization": f"Bearer {self._key}"} if self.profile.auth == "bearer" else {}

    def _dialect_headers(self) -> dict[str, str]:
        """Headers that the dialect needs on each request, wherever it is spoken."""
        return {}

    async def _only_own_headers(self, request: httpx2.Request) -> None:
        """Send what the config says: the SDKs add keys and facts from the environment, which are
        no other provider's business."""
        headers = httpx2.Headers({"Host": request.headers["host"], **self._credentials()})
        headers.update(
            {
                "Content-Type": "application/json",
                "Content-Length": request.headers["content-length"],
                "Accept": "text/event-stream, application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"agent-host {self.user_agent}",
                **self._dialect_headers(),
                **self._headers,
            }
        )
        request.headers = headers

    async def _refuse_errors(self, response: httpx2.Response) -> None:
        """Read a bounded part of an error; the SDK would read all of it."""
        if response.is_success:
            return
        parts: list[bytes] = []
        size = 0
        async with contextlib.aclosing(response.aiter_bytes()) as chunks:
            async for chunk in chunks:
                parts.append(chunk[: _MAX_ERROR - size])
                size += len(chunk)
                if size >= _MAX_ERROR:
                    break
        raise RefusedError(
            failures.from_status(
                self._endpoint, response.status_code, response.headers, b"".join(parts)
            )
        )


class _NeverEndsError(OSError):
    """The answer takes longer than it may."""


def refused(message: str) -> RefusedError:
    """Return what to raise for a request that could not be sent."""
    return RefusedError(ModelFailure(kind="bad_request", message=message))


def check(settings: AdapterSettings, url: str) -> None:
    """Raise ConfigError for what could never be sent."""
    try:
        parts = urlsplit(url)
        legal = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        legal = False
    if not legal:
        raise ConfigError(
            f"models: base_url of {settings.provider} is no http or https URL: "
            f"{clean_line(url, 100)!r}; it looks like http://127.0.0.1:11434/v1"
        )
    for name, value in (("api_key", settings.api_key or ""), *settings.headers.items()):
        if not value.strip().isprintable() or not (name + value).isascii():
            raise ConfigError(
                f"models: {clean_line(name, 60)} of {settings.provider} holds characters that "
                "cannot be sent in a header; copy it again"
            )
