"""What a server is configured as, how it is doing, and what a connection to it offers.

Theory of operation of this room: `frames` turns hostile bytes into sound JSON-RPC messages without
any I/O; `transports` move them, to a program or a URL; `protocol` is what a client says and hears
over them; `tools` judges what servers say that their tools are, and what these answer; `login` gets
tokens. `connection` is one of these made of all of them (`sdk` is all that is taken from the SDK).
`supervisor` keeps one server alive under its own task (`breaker`, `health`, `reasons`, `ways`);
`pool` is the `ToolSource` of all servers, `offers` their prompts and resources; `lock` remembers
them. Nothing a server does costs more than its own budget: sizes and times are bounded where the
bytes come in, and each failure is a value with a reason.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from agent_host.core.types import JsonObject, Principal, ServerRequest
from agent_host.ports import Answer, Answers, RequestRefused, Sandbox

ServerState = Literal["starting", "connected", "failed", "needs_login", "stopped"]
"""`failed`: not connected now; the next call, or time, tries again. `needs_login`: the same, and
only a person can mend it (`agent-host servers login NAME`)."""

AuthType = Literal["oauth", "client-credentials", "enterprise", "workload"]
"""How a token for a server is got: by a person's login (authorization code with PKCE), by the
host's own client id, by an identity provider's assertion (ID-JAG), or by a workload's token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSpec:
    """How a server is logged in to. All values are resolved; what is secret is not in `repr`.

    `store`: the folder (0700) where tokens are kept if there is no keyring. `issuer`: the only
    authorization server that is believed; empty: the one that the resource names. `private_key`:
    PEM. `assertion`: read anew for each exchange, because such tokens are short-lived: the
    workload's token, or (enterprise) the user's ID token. `idp_*`: the identity provider of
    enterprise-managed authorization. `keep_secret`: is told each token, so that no record holds it.
    """

    type: AuthType
    store: Path
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    client_metadata_url: str = ""
    private_key: str = field(default="", repr=False)
    algorithm: str = "ES256"
    scopes: tuple[str, ...] = ()
    issuer: str = ""
    redirect_port: int = 0
    dpop: bool = False
    assertion: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    idp_token_url: str = ""
    idp_client_id: str = ""
    idp_client_secret: str = field(default="", repr=False)
    keep_secret: Callable[[str], None] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSpec:
    """Paths of PEM files: a bundle of authorities to believe instead of the system's, and a
    client's certificate with its key (mTLS). Empty: none."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpec:
    """How a server is told for whom a call is made.

    `headers`: header name -> template with `{user.id}`, `{user.issuer}` or `{user.claims.NAME}`
    (HTTP); `meta`: the key of `_meta` that carries the principal (any transport); `exchange`:
    the user's ID token, which `subject` returns (empty: there is none), is exchanged for a token
    of this server (RFC 8693), for this `audience`.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    meta: str = ""
    exchange: bool = False
    audience: str = ""
    subject: Callable[[Principal], str] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioSpec:
    """A server that is a program. All values are resolved; `env` and `args` may hold secrets,
    so `repr` shows neither. Timeouts are in seconds. `identity` is what the config says before
    references and paths are resolved, which is the same on every machine; empty: the values.
    `roots`: file:// URIs that the server is told of. `sampling`: it may ask for the model.
    `resources`: the model may read its resources. `labels`: globs over own tool names, each with
    what is said of those. `unusable`: why the config does not say enough to start it, for people;
    such a server is failed, and is not started. `sandbox`: what it is confined to; None for the
    user's own rights. It does not make it another server."""

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
    roots: tuple[str, ...] = ()
    sampling: bool = False
    resources: bool = True
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    user: UserSpec = UserSpec()
    unusable: str = ""
    leaks: Callable[[str], bool] | None = field(default=None, repr=False, compare=False)
    sandbox: Sandbox | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSpec:
    """A server behind a URL: streamable HTTP, or with `sse` the transport before it. `url` and
    `headers` may hold secrets, so `repr` shows neither. Timeouts are in seconds. `identity`,
    `roots`, `sampling`, `resources`, `labels` and `unusable` as for StdioSpec. `proxy`: a URL,
    empty for none, None for what the environment says (`proxies`)."""

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
    roots: tuple[str, ...] = ()
    sampling: bool = False
    resources: bool = True
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    user: UserSpec = UserSpec()
    unusable: str = ""
    leaks: Callable[[str], bool] | None = field(default=None, repr=False, compare=False)
    sse: bool = False
    auth: AuthSpec | None = None
    tls: TlsSpec = TlsSpec()
    proxy: str | None = None


Spec = StdioSpec | HttpSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth:
    """How a server is doing. `error` and `stderr` are cleaned and bounded; `connect_seconds` is
    None until the first handshake; `problems` are notes about tools that are withheld.

    `start_seconds`: what starting the process took; `list_seconds`: listing the tools. `calls` and
    `errors`: since the host started; an error is a call that the server did not answer with a
    result. `call_seconds` and `slowest_seconds`: the median and the longest of the last hundred
    calls. `breaker`: `open` while
    calls fail at once, because it keeps failing, `half-open` while one attempt may show otherwise.
    `since_seconds`: how long it has been in this state; `retry_seconds`: until it is tried again.
    `sandbox`: what a program is confined by, as `bubblewrap`, or `unsandboxed`; empty for a URL.
    `warning`: what its sandbox does not enforce though the config asks for it. `hint`: which line
    of the config would grant what the last call was refused by it, if that seems so.
    """

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
    start_seconds: float | None = None
    list_seconds: float | None = None
    calls: int = 0
    errors: int = 0
    call_seconds: float | None = None
    slowest_seconds: float | None = None
    breaker: Literal["closed", "open", "half-open"] = "closed"
    since_seconds: float = 0.0
    retry_seconds: float | None = None
    transport: Literal["stdio", "http", "sse"] = "stdio"
    sandbox: str = ""
    warning: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one request: the raw `result` object, or why there is none.

    `error`: the server answered with a JSON-RPC error: `text` is its message, `code` and `data`
    are the protocol's. `refused`: the request never reached the server. `lost`: the connection
    ended while the request ran; `task` names what may still run there. `timeout`: it was given
    up. `paused`: the server wants answers to `requests` first, and then `state` back.
    """

    kind: Literal["result", "error", "refused", "lost", "timeout", "paused"]
    raw: JsonObject = field(default_factory=dict)
    text: str = ""
    code: int = 0
    data: JsonObject = field(default_factory=dict)
    requests: tuple[ServerRequest, ...] = ()
    state: str | None = None
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a server said of itself when it was last seen: what it spoke, its own version, and (of
    protocol versions without a handshake) its answer to `server/discover`."""

    protocol: str
    version: str = ""
    discovered: JsonObject | None = None


async def decline(_: str, request: ServerRequest, __: str) -> JsonObject | RequestRefused:
    """The `ports.Answer` of a command in which nobody answers."""
    if request.method == "elicitation/create":
        return {"action": "decline"}
    return RequestRefused("the user is not there to be asked")


@dataclass(slots=True)
class Relations:
    """What all connections to one server share: `told`, the kinds of misbehaviour that were
    logged; `watched`, the resources whose updates are wanted, and whom to tell."""

    told: set[str] = field(default_factory=set)
    watched: dict[str, Callable[[], None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a connection tells its supervisor, and asks of the host. The first three must be cheap
    and must not raise. `elicitation`: somebody is there whom `answer` can ask."""

    tools_changed: Callable[[], None]
    log: Callable[[str, str], None]
    resources_changed: Callable[[], None] = lambda: None
    relations: Relations = field(default_factory=Relations)
    answer: Answer = decline
    elicitation: bool = False


Progress = Callable[[float, float | None, str], None]


class Connection(Protocol):
    """A live connection; made and closed in one task, used from any task of the loop."""

    title: str
    version: str
    protocol: str

    @property
    def ended(self) -> bool:
        """Whether the server went away."""

    @property
    def silent(self) -> bool:
        """Whether the server has not answered anything yet."""

    @property
    def known(self) -> Known:
        """What to remember of the server for the next start."""

    @property
    def instructions(self) -> str:
        """What the server says about its use; as it came."""

    @property
    def has_resources(self) -> bool:
        """Whether the server says that it offers resources, as far as that is known now."""

    async def offers(self, capability: str) -> bool:
        """Whether the server has a capability, as `resources`, or an extension."""

    async def handshake(self, known: Known | None) -> None:
        """Negotiate. Raises ConnectFailedError. `known`: what is remembered of the server, which
        saves a probe; where it turns out wrong, the rest is found out anew."""

    async def definitions(self) -> tuple[list[Any], tuple[str, ...]]:
        """Every raw tool definition, and what was wrong with the list itself. Raises
        ConnectFailedError."""

    async def watch(self) -> None:
        """Ask for news about what the server offers, where that wants to be asked."""

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
        """Call a tool, within the server's call timeout. Cancelling tells the server."""

    async def resume(
        self, task: str, progress: Progress, *, principal: Principal | None = None, call_id: str
    ) -> Reply:
        """Go on waiting for a task (`Reply.task`) that an earlier connection began."""

    async def request(
        self, method: str, params: JsonObject, *, principal: Principal | None = None
    ) -> Reply:
        """Send any other request and answer what the server asks for meanwhile."""

    async def listed(self, kind: str) -> tuple[list[Any], tuple[str, ...]]:
        """Every raw item of a list (`resources`, `resourceTemplates`, `prompts`, `skills`), and
        what was wrong with it; empty if the server offers none."""

    async def watch_resource(self, uri: str, changed: Callable[[], None] | None) -> Reply:
        """Ask to be told when a resource changes, or (None) no more."""

    async def log_level(self, level: str) -> Reply:
        """Have the server log from that level on (`debug` to `emergency`)."""

    async def ping(self) -> Reply:
        """Ask whether the server is there."""

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

    `silent`: the server went away before it answered anything. `needs_login`: only a person can
    mend it. `status`: the HTTP status that it answered with, if that was an error, and
    `retry_after`: the seconds that it asked to wait.
    """

    def __init__(
        self,
        text: str,
        *,
        silent: bool = False,
        needs_login: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.silent = silent
        self.needs_login = needs_login
        self.status = status
        self.retry_after = retry_after
