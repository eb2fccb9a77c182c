"""One connection to one server, driven through the SDK's session.

Theory of operation: `connect` opens the streams and enters the SDK's `ClientSession` (in one task,
which must also leave it). The handshake probes `server/discover` with a budget of its own and
falls back to `initialize`; what a server spoke last time skips the probe. Payloads do not pass the
SDK's models or validators, which one hostile schema can freeze: the gate puts the raw object into
`_meta` of a stub, and it is judged by `definitions` and `results`. No capability that needs a
human or a model (elicitation, sampling, roots) is advertised.
"""

import asyncio
import itertools
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp_types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    DiscoverResult,
    Implementation,
    PaginatedRequestParams,
)
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from agent_host import __version__
from agent_host.core.text import clean, clean_line
from agent_host.core.types import JsonObject, Principal
from agent_host.ports import Answers
from agent_host.servers.frames import RAW, Gate
from agent_host.servers.http import failure_facts
from agent_host.servers.http_calls import BROKEN_OFF
from agent_host.servers.process import ServerProcess
from agent_host.servers.sdk import (
    ClientSession,
    MCPDeprecationWarning,
    MCPError,
    SubscriptionLost,
    listen,
)
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
from agent_host.servers.sse import UrlTransport, url_transport
from agent_host.servers.transport import StdioTransport

warnings.filterwarnings("ignore", category=MCPDeprecationWarning)

MAX_PAGES = 100
MAX_TOOLS = 2000
PROBE_SHARE = 0.4
"""The part of the connect budget that the probe for a modern server may use, and at most: """
PROBE_MOST = 3.0
RELISTEN_PAUSE = 1.0
"""Seconds until a subscription that ended is opened again; doubles up to RELISTEN_MOST."""
RELISTEN_MOST = 60.0
CONNECTION_CLOSED = -32000
CLIENT = Implementation(name="agent-host", version=__version__)
UNSUPPORTED_VERSION = -32022

for _name in ("mcp", "client", "httpx2", "httpcore2"):
    # What the SDK logs may hold a server's text; the gate says what matters, cleaned.
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


@asynccontextmanager
async def connect(
    spec: Spec, process: ServerProcess | None, hooks: Hooks
) -> AsyncIterator[Connection]:
    """Open streams to a server; see `spec.Connector`."""
    gate = Gate(hooks, keep_headers=isinstance(spec, HttpSpec))
    transport: StdioTransport | UrlTransport
    if isinstance(spec, HttpSpec):
        transport = url_transport(spec, gate)
    elif process is not None:
        transport = StdioTransport(process, gate)
    else:
        raise ValueError("a stdio server needs its process")
    async with (
        transport as (inbox, outbox),
        ClientSession(inbox, outbox, client_info=CLIENT) as session,
    ):
        yield SdkConnection(spec, session, gate, transport, hooks)


class SdkConnection:
    """See `spec.Connection`."""

    def __init__(
        self,
        spec: Spec,
        session: ClientSession,
        gate: Gate,
        transport: StdioTransport | UrlTransport,
        hooks: Hooks,
    ) -> None:
        self._hooks = hooks
        self._spec = spec
        self._session = session
        self._gate = gate
        self._transport = transport
        self._tokens = itertools.count(1)
        self.version = ""
        self.protocol = ""

    def stderr_tail(self) -> str:
        """The last of what the server logged, cleaned and bounded."""
        return self._transport.stderr_tail()

    @property
    def ended(self) -> bool:
        """See `spec.Connection`."""
        return self._transport.ended

    async def lost(self) -> str:
        """See `spec.Connection`."""
        return await self._transport.lost()

    @property
    def silent(self) -> bool:
        """See `spec.Connection`."""
        return not (self._gate.answered or self._gate.gave_up)

    @property
    def known(self) -> Known:
        """See `spec.Connection`."""
        return Known(protocol=self.protocol, version=self.version)

    async def handshake(self, known: Known | None) -> None:
        """See `spec.Connection`."""
        try:
            await self._negotiate(known.protocol if known else "")
        except MCPError as error:
            raise ConnectFailedError(
                clean_line(f"handshake failed: {error.message}"),
                silent=not (self._gate.answered or self._gate.gave_up),
                **failure_facts(_data(error)),
            ) from None
        except (RuntimeError, ValueError) as error:
            raise ConnectFailedError(
                clean_line(f"handshake failed: {_first_line(error)}")
            ) from None
        info = self._session.server_info
        self.version = clean_line(info.version, 100) if info else ""
        self.protocol = self._session.protocol_version or ""

    async def _negotiate(self, known: str) -> None:
        wanted = self._spec.protocol
        if isinstance(self._spec, HttpSpec) and self._spec.sse and wanted == "auto":
            wanted = "legacy"  # that transport is older than the probe
        if wanted == "auto" and known and known not in MODERN_PROTOCOL_VERSIONS:
            wanted = "legacy"
        if wanted == "auto":
            await self._probe(LATEST_MODERN_VERSION)
        elif wanted in MODERN_PROTOCOL_VERSIONS:
            raw = await self._session.send_discover(wanted)
            self._session.adopt(DiscoverResult.model_validate(raw))
        else:
            await self._session.initialize()

    async def _probe(self, version: str, *, again: bool = True) -> None:
        """Ask whether the server is a modern one; whatever is no clear yes means `initialize`."""
        try:
            budget = min(self._spec.connect_timeout * PROBE_SHARE, PROBE_MOST)
            async with asyncio.timeout(budget):
                raw = await self._session.send_discover(version)
            found = DiscoverResult.model_validate(raw)
            if any(v in MODERN_PROTOCOL_VERSIONS for v in found.supported_versions):
                self._session.adopt(found)
                return
        except ValidationError:
            pass
        except TimeoutError:
            self._gate.forget("server/discover")
        except MCPError as error:
            if again and (mutual := _mutual_version(error)):
                await self._probe(mutual, again=False)
                return
        await self._initialize(again=again)

    async def _initialize(self, *, again: bool) -> None:
        try:
            await self._session.initialize()
        except MCPError as error:
            # The late answer to a probe can lock a slow server to the modern protocol.
            if not again or (mutual := _mutual_version(error)) is None:
                raise
            await self._probe(mutual, again=False)

    async def definitions(self) -> tuple[list[Any], tuple[str, ...]]:
        """See `spec.Connection`."""
        capabilities = self._session.server_capabilities
        if capabilities is None or capabilities.tools is None:
            return [], ()
        tools: list[Any] = []
        problems: list[str] = []
        seen: set[str] = set()
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            raw, dropped = await self._page(cursor)
            page = raw.get("tools")
            if not isinstance(page, list):
                raise ConnectFailedError("tools/list: the server's answer holds no list of tools")
            tools.extend(tool for tool in page if not _named_in(tool, dropped))
            problems.extend(f"{clean_line(n, 80)}: its x-mcp-header is invalid" for n in dropped)
            cursor = raw.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return tools, tuple(problems)
            if len(tools) > MAX_TOOLS:
                return tools, (
                    *problems,
                    f"it has more than {MAX_TOOLS} tools; the rest is left out",
                )
            if cursor in seen:
                return tools, (*problems, "tools/list repeats a cursor; the rest is left out")
            seen.add(cursor)
        return tools, (
            *problems,
            f"tools/list has more than {MAX_PAGES} pages; the rest is left out",
        )

    async def _page(self, cursor: str | None) -> tuple[JsonObject, set[str]]:
        params = PaginatedRequestParams(cursor=cursor) if cursor else None
        try:
            result = await self._session.list_tools(params=params)
        except MCPError as error:
            raise ConnectFailedError(
                clean_line(f"tools/list failed: {error.message}"), **failure_facts(_data(error))
            ) from None
        except ValueError as error:
            raise ConnectFailedError(clean_line(f"tools/list: {_first_line(error)}")) from None
        raw: JsonObject = (result.meta or {}).get(RAW) or {}
        shown = {tool.name for tool in result.tools}
        asked = self._gate.header_names(raw)
        return raw, asked - shown

    async def watch(self) -> None:
        """See `spec.Connection`."""
        capabilities = self._session.server_capabilities
        changes = capabilities is not None and capabilities.tools is not None
        if not changes or self.protocol not in MODERN_PROTOCOL_VERSIONS:
            return
        pause = RELISTEN_PAUSE
        while True:
            try:
                async with listen(self._session, tools_list_changed=True) as subscription:
                    pause = RELISTEN_PAUSE
                    async for _ in subscription:
                        pass  # the gate has already told the supervisor
            except MCPError as error:
                if self.ended or "agentHost" not in _data(error):
                    return  # the server does not offer it
            except SubscriptionLost:
                if self.ended:
                    return
            except (RuntimeError, ValueError):
                return  # an answer that makes no sense is no reason to lose the connection
            await asyncio.sleep(pause)
            pause = min(2 * pause, RELISTEN_MOST)
            self._hooks.tools_changed()  # what happened meanwhile was not heard

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
        try:
            async with asyncio.timeout(self._spec.call_timeout):
                return await self._call(name, arguments, progress)
        except TimeoutError:
            return Reply(kind="timeout")

    async def _call(self, name: str, arguments: JsonObject, progress: Progress) -> Reply:
        token = f"p{next(self._tokens)}"
        self._gate.watch_progress(token, progress)
        meta: Any = {"progressToken": token}
        params = CallToolRequestParams(name=name, arguments=arguments, _meta=meta)
        try:
            result = await self._session.send_request(
                CallToolRequest(params=params), CallToolResult
            )
        except MCPError as error:
            return await self._failed(error)
        except ValueError as error:
            return Reply(kind="error", text=clean_line(_first_line(error)))
        finally:
            self._gate.forget_progress(token)
        return Reply(kind="result", raw=(result.meta or {}).get(RAW) or {})

    async def _failed(self, error: MCPError) -> Reply:
        data = _data(error)
        text = clean(error.message[:4000])
        if data.get("agentHost") == "not_sent":
            return Reply(kind="refused", text=text)
        if self._transport.session_gone(error.code, error.message, data):
            return Reply(kind="refused", text=text)
        broken = error.code == CONNECTION_CLOSED and text.startswith("SSE stream")
        if broken or data.get("agentHost") == "lost" or BROKEN_OFF in text:
            return Reply(kind="lost", text=text)
        if error.code == CONNECTION_CLOSED and self._transport.ended:
            return Reply(kind="lost", text=await self._transport.lost())
        return Reply(kind="error", text=f"{text} (error {error.code})")


def _mutual_version(error: MCPError) -> str | None:
    """The newest modern version that a server names when it refuses ours (-32022)."""
    supported = _data(error).get("supported")
    if error.code != UNSUPPORTED_VERSION or not isinstance(supported, list):
        return None
    return next((v for v in reversed(MODERN_PROTOCOL_VERSIONS) if v in supported), None)


def _data(error: MCPError) -> JsonObject:
    return error.data if isinstance(error.data, dict) else {}


def _named_in(tool: Any, names: set[str]) -> bool:
    return isinstance(tool, dict) and tool.get("name") in names


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return f"the answer is not as the protocol wants it ({error.error_count()} problems)"
    return str(error).partition("\n")[0]
