"""What a server is configured as, how it is doing, and what a connection to it offers.

Theory of operation of this room: `process` starts a stdio server (under `keeper`, so that no child
ever outlives the host); `frames` turns hostile bytes into sound JSON-RPC messages without any I/O;
`transport` moves them, for a URL with `http`; `connection` drives the SDK's session over it (`sdk`
is what these take from the SDK); `definitions`, `validation` and `results` judge what a server
sends; `supervisor` keeps one server alive under its own task; `pool` is the `ToolSource` made of
all of them; `lock` remembers their tools. Nothing a server does costs more than its own budget:
sizes and times are bounded where the bytes come in, and each failure is a value with a reason.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agent_host.core.types import JsonObject

ServerState = Literal["starting", "connected", "failed", "stopped"]
"""`failed`: not connected now; the next call, or time, tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioSpec:
    """A server that is a program. All values are resolved; `env` and `args` may hold secrets,
    so `repr` shows neither. Timeouts are in seconds. `identity` is what the config says before
    references and paths are resolved, which is the same on every machine; empty: the values."""

    name: str
    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    connect_timeout: float = 10.0
    call_timeout: float = 30.0
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    trust_annotations: bool = False
    parallel: bool = True
    protocol: str = "auto"
    identity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSpec:
    """A server behind a URL (streamable HTTP). `url` and `headers` may hold secrets, so `repr`
    shows neither. Timeouts are in seconds. `identity` as for StdioSpec."""

    name: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_timeout: float = 10.0
    call_timeout: float = 30.0
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    trust_annotations: bool = False
    parallel: bool = True
    protocol: str = "auto"
    identity: str = ""


Spec = StdioSpec | HttpSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth:
    """How a server is doing. `error` and `stderr` are cleaned and bounded; `connect_seconds` is
    None until the first handshake; `problems` are notes about tools that are withheld."""

    name: str
    state: ServerState
    error: str = ""
    version: str = ""
    protocol: str = ""
    tools: int = 0
    connect_seconds: float | None = None
    restarts: int = 0
    pid: int | None = None
    stderr: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one request: the raw `result` object, or why there is none.

    `error`: the server answered with a JSON-RPC error, `text` is its message. `refused`: the
    request never reached the server. `lost`: the connection ended while the request ran.
    """

    kind: Literal["result", "error", "refused", "lost"]
    raw: JsonObject = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a connection tells its supervisor. Each must be cheap and must not raise. `told` are
    the kinds of misbehaviour that were logged, over all connections to one server."""

    tools_changed: Callable[[], None]
    log: Callable[[str, str], None]
    told: set[str] = field(default_factory=set)


Progress = Callable[[float, float | None, str], None]


class Connection(Protocol):
    """A live connection; made and closed in one task, used from any task of the loop."""

    version: str
    protocol: str

    @property
    def ended(self) -> bool:
        """Whether the server went away."""

    async def handshake(self, known_protocol: str) -> None:
        """Negotiate. Raises ConnectFailedError. `known_protocol` (may be empty) is what this server
        spoke last time, and saves a probe."""

    async def definitions(self) -> tuple[list[Any], tuple[str, ...]]:
        """Every raw tool definition, and what was wrong with the list itself. Raises
        ConnectFailedError."""

    async def watch(self) -> None:
        """Ask for news about the tools, where the protocol version wants to be asked."""

    async def call(self, name: str, arguments: JsonObject, progress: Progress) -> Reply:
        """Call a tool. Cancelling tells the server."""

    async def lost(self) -> str:
        """Return, when the connection has ended by itself, why."""

    def stderr_tail(self) -> str:
        """The last of what the server logged, cleaned and bounded."""


class Connector(Protocol):
    """How a connection is made: `connection.connect`, which is what imports the SDK."""

    def __call__(
        self, spec: Spec, process: Any, hooks: Hooks
    ) -> AbstractAsyncContextManager[Connection]:
        """Open streams to `process` (a ServerProcess) or to the spec's URL, without any
        handshake. Leaving the context ends the server."""


LoadConnector = Callable[[], Awaitable[Connector]]


class ConnectFailedError(Exception):
    """Why a server cannot be used now; the text is clean and for people.

    `silent`: the server went away before it answered anything.
    """

    def __init__(self, text: str, *, silent: bool = False) -> None:
        super().__init__(text)
        self.silent = silent
