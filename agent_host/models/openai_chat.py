"""The Chat Completions wire, as OpenAI and every compatible server speaks it.

Theory of operation: the `openai` package gives client, authentication and connections; bodies go
out as prepared bytes (`content=`) and answers come back as the raw byte stream, because its own
transform of a request costs a time that grows with the conversation, and its own objects for each
event cost more than the network. `chat_messages` makes the bytes, `chat_stream` reads them,
`failures` says what went wrong; this file joins them and owns the connection.

Never retries (the engine does), never follows a redirect (it would carry the conversation to
another host), reads a bounded part of an error, and sends nothing from the environment to a server
that is not OpenAI's. Importing this file is heavy (the package and its HTTP client): hosts import
it in a thread, and may call `prepare` there.
"""

import asyncio
import contextlib
import importlib
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx2

from agent_host.core.errors import ConfigError
from agent_host.core.events import Delta
from agent_host.core.text import clean_line
from agent_host.core.types import ModelFailure, ModelRequest, ModelResponse, Origin
from agent_host.models import failures
from agent_host.models.chat_messages import ChatEncoder, encode
from agent_host.models.chat_stream import ChatStream, RefusedError
from agent_host.models.chunks import join_chunks
from agent_host.models.failures import Endpoint
from agent_host.models.openai_sdk import openai
from agent_host.models.profiles import find
from agent_host.models.settings import AdapterSettings

ADAPTER = "openai-chat"
DEFAULT_URL = "https://api.openai.com/v1"
CONNECT_TIMEOUT = 10.0
"""Seconds for a connection, TLS included."""

_MAX_ERROR = 64 * 1024
_AFTER_DONE = 0.2
"""Seconds that a server may take to end the stream after it said that it is done: only a stream
that is read to its end leaves its connection for the next request."""
_PER_LANE = 8
"""Requests that one client serves at a time: its pool looks at every connection twice a request,
which a hundred of them would make a third of the request's cost."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FAULTS = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    OSError,
)
"""What the network and a server can do to a client; OSError holds TLS errors too."""

_Item = Delta | ModelResponse | ModelFailure

# The part of anyio that is loaded by the first connection: here it delays no request.
with contextlib.suppress(ImportError):
    importlib.import_module("anyio._backends._asyncio")


def create(settings: AdapterSettings) -> "OpenAIChat":
    """Return the adapter for a model. Cheap: connects to nothing. Raises ConfigError."""
    return OpenAIChat(settings)


@dataclass(slots=True, eq=False)
class _Lane:
    """A client with its connections, and the requests that it serves now."""

    client: openai.AsyncOpenAI
    active: int = 0


class OpenAIChat:
    """One model behind one base URL; implements `ports.ModelAdapter`."""

    simulated = False

    def __init__(self, settings: AdapterSettings) -> None:
        base, _, query = (settings.base_url or DEFAULT_URL).strip().partition("?")
        self._url = base.rstrip("/").removesuffix("/chat/completions")
        self._query = dict(parse_qsl(query))
        _check(settings, self._url)
        self._host = (urlsplit(self._url).hostname or "").lower()
        self._settings = settings
        self._key = (settings.api_key or "").strip()
        self._profile = find(self._url, settings.model)
        self.origin = Origin(provider=settings.provider, model=settings.model, adapter=ADAPTER)
        self._endpoint = Endpoint(
            provider=settings.provider,
            model=settings.model,
            url=self._url,
            secrets=failures.secrets(self._key, settings.headers),
        )
        self._encoder = ChatEncoder(self.origin, self._profile)
        self._head = b'{"model":%b,"stream":true,"stream_options":{"include_usage":true}' % encode(
            settings.model
        )
        self._lanes: list[_Lane] = []
        self._trust: ssl.SSLContext | None = None
        self._making = threading.Lock()

    def prepare(self) -> None:
        """Make the first client: with TLS that reads the system's certificates, some 50 ms.
        Optional, from any thread; the first request does it otherwise."""
        with self._making:
            if not self._lanes:
                self._lanes.append(_Lane(self._make_client()))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[_Item, None]:
        """Ask the model; see `ports.ModelAdapter.stream`."""
        try:
            body, taken = self._body(request)
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
            response = await self._open(lane.client, body)
            if isinstance(response, ModelFailure):
                yield response
                return
            async with contextlib.aclosing(self._read(response, taken)) as items:
                async for item in items:
                    yield item
        finally:
            lane.active -= 1

    async def aclose(self) -> None:
        """Close the connections."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            with contextlib.suppress(*_FAULTS):
                await lane.client.close()

    def _free_lane(self) -> "_Lane":
        for lane in self._lanes:
            if lane.active < _PER_LANE:
                return lane
        self._lanes.append(_Lane(self._make_client()))
        return self._lanes[-1]

    def _body(self, request: ModelRequest) -> tuple[bytes, AbstractSet[str]]:
        """The request as bytes, and the ids of the calls in it. Raises RefusedError."""
        most = self._profile.max_tools
        if most and len(request.tools) > most:
            raise _refused(
                f"{self._settings.provider} takes at most {most} tools and {len(request.tools)} "
                "are offered; choose with `tools = { include = [...] }` in servers.toml"
            )
        try:
            messages, taken = self._encoder.messages(request.system, request.messages)
            parts = [self._head, b',"messages":', messages]
            if request.tools:
                parts += (b',"tools":', self._encoder.tools(request.tools))
        except (ValueError, TypeError, RecursionError) as error:
            said = clean_line(str(error), 100)
            raise _refused(f"the conversation cannot be written as JSON: {said}") from None
        limit = request.max_output_tokens or self._settings.max_output_tokens
        if limit:
            parts.append(b',"%b":%d' % (self._profile.max_tokens_field.encode(), limit))
        parts.append(b"}")
        return b"".join(parts), taken

    async def _open(
        self, client: openai.AsyncOpenAI, body: bytes
    ) -> httpx2.Response | ModelFailure:
        """Send the request and return the answer once its head is there, its body unread."""
        try:
            response: object = await client.post(
                "/chat/completions",
                content=body,
                cast_to=httpx2.Response,
                stream=True,
                stream_cls=openai.AsyncStream[Any],
                options={"headers": {"Content-Type": "application/json"}},
            )
        except RefusedError as refused:
            return refused.failure
        except _FAULTS as error:
            return self._fault(error)
        assert isinstance(response, httpx2.Response)  # what cast_to asked for
        return response

    async def _read(
        self, response: httpx2.Response, taken: AbstractSet[str]
    ) -> AsyncGenerator[_Item, None]:
        """Yield what the answer's body says, to its terminal item."""
        response_id = clean_line(response.headers.get("x-request-id", ""), 200)
        answer = ChatStream(self._endpoint, self.origin, response_id)
        failure: ModelFailure | None = None
        try:
            try:
                async with contextlib.aclosing(response.aiter_bytes()) as chunks:
                    async for chunk in self._in_time(chunks, answer):
                        for delta in answer.feed(chunk):
                            yield delta
            except _FAULTS as error:
                failure = self._fault(error, begun=True)
            finally:
                await _close(response)
            for delta in answer.finish():
                yield delta
            yield answer.result(taken, failure)
        except RefusedError as refused:
            yield refused.failure

    async def _in_time(
        self, chunks: AsyncIterator[bytes], answer: ChatStream
    ) -> AsyncIterator[bytes]:
        """Pass the chunks on while they bring news; comments that keep a connection open are
        none. Once the answer is done, wait only briefly for the end."""
        now = asyncio.get_running_loop().time
        events, last = answer.events, now()
        async for chunk in chunks:
            yield chunk
            if answer.done:
                with contextlib.suppress(TimeoutError, *_FAULTS):
                    async with asyncio.timeout(_AFTER_DONE):
                        async for _ in chunks:
                            pass
                return
            if answer.events != events:
                events, last = answer.events, now()
            elif now() - last > self._settings.timeout:
                raise TimeoutError

    def _fault(self, error: BaseException, *, begun: bool = False) -> ModelFailure:
        """What a network fault means."""
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        if isinstance(cause, httpx2.ConnectTimeout):
            return failures.not_reached(
                self._endpoint, f"no connection within {CONNECT_TIMEOUT:g} s"
            )
        if isinstance(cause, httpx2.TimeoutException | TimeoutError):
            return failures.timed_out(self._endpoint, self._settings.timeout)
        if begun:
            return failures.broken(
                self._endpoint, f"broke off in the middle of the answer: {cause}; ask again"
            )
        return failures.not_reached(self._endpoint, str(cause) or type(cause).__name__)

    def _make_client(self) -> openai.AsyncOpenAI:
        local = self._host in _LOOPBACK and self._url.startswith("http:")
        foreign = not f".{self._host}".endswith(".api.openai.com")
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
        client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self._url,
            default_headers={"Accept-Encoding": "identity", **self._settings.headers},
            default_query=self._query,
            max_retries=0,
            timeout=httpx2.Timeout(self._settings.timeout, connect=CONNECT_TIMEOUT),
            http_client=http_client,
        )
        # Not asked for, and finding it out takes 15 ms of the first request.
        client._platform = "Unknown"  # noqa: SLF001
        return client

    def _certificates(self, *, local: bool) -> ssl.SSLContext:
        """Whom to trust: SSL_CERT_FILE and SSL_CERT_DIR, or the system. Reading that takes 50 ms,
        for which plain HTTP to this machine has no use."""
        if self._trust is None:
            plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._trust = plain if local else httpx2.create_ssl_context()
        return self._trust

    async def _only_own_headers(self, request: httpx2.Request) -> None:
        """Send what the config says: the package adds OPENAI_ORG_ID, OPENAI_CUSTOM_HEADERS and
        facts about this machine, which are no other provider's business."""
        headers = httpx2.Headers({"Host": request.headers["host"]})
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        headers.update(
            {
                "Content-Type": "application/json",
                "Content-Length": request.headers["content-length"],
                "Accept": "text/event-stream, application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"agent-host openai-python/{openai.__version__}",
                **self._settings.headers,
            }
        )
        request.headers = headers

    async def _refuse_errors(self, response: httpx2.Response) -> None:
        """Read a bounded part of an error; the package would read all of it."""
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


async def _close(response: httpx2.Response) -> None:
    with contextlib.suppress(*_FAULTS):
        await response.aclose()


def _refused(message: str) -> RefusedError:
    return RefusedError(ModelFailure(kind="bad_request", message=message))


def _check(settings: AdapterSettings, url: str) -> None:
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
