"""What the rooms need from each other: the few Protocols between engine and adapters.

Theory of operation: a Protocol lives here, with its consumer, and implementations do not inherit
from it. Each method's contract is in its docstring. What goes wrong in the world comes back as a
value; an exception through a port is a bug of ours and ends the session with a report.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent_host.core.approvals import Yes
from agent_host.core.conversation import Conversation
from agent_host.core.events import (
    ApprovalGiven,
    ApprovalRequested,
    Delta,
    Ephemeral,
    InputGiven,
    InputRequested,
    Record,
    ServerConnected,
    ServerLog,
    ServerLost,
    ToolProgress,
    ToolsChanged,
)
from agent_host.core.types import (
    ApprovalTerms,
    Decision,
    JsonObject,
    LabelSeen,
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Origin,
    Principal,
    ServerRequest,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)


class ModelAdapter(Protocol):
    """One wire dialect, bound to one endpoint and model."""

    @property
    def origin(self) -> Origin:
        """Who answers; stamped on every message it makes."""

    @property
    def simulated(self) -> bool:
        """True if no AI answers (offline, script, replay); said aloud and recorded."""

    def withheld(self, tools: tuple[Tool, ...]) -> Mapping[str, str]:
        """Return the exposed names of the tools that cannot be offered on this wire, and why, in
        one sentence each. Must be cheap for a tuple that it was asked about before. A request
        that holds one of them all the same is sent without it."""

    def stream(
        self, request: ModelRequest
    ) -> AsyncGenerator[Delta | ServerLog | ModelResponse | ModelFailure, None]:
        """Yield deltas (and what the user should know, as a ServerLog of no server), then exactly
        one ModelResponse or ModelFailure, and end.

        Must never raise for the world's faults, never retry, never yield after the terminal item,
        never report a call that was cut off as sound. Closing the iterator early must end the
        request. Adapters for one endpoint may serve several sessions at once.
        """

    async def aclose(self) -> None:
        """Release connections. Must never raise, and may be called twice."""


class Pricing(Protocol):
    """What models cost."""

    def begin(self, origin: Origin) -> None:
        """Begin to read what `cost` needs for that model, beside everything else. Must be cheap,
        and may be called often."""

    async def ready(self, origin: Origin) -> None:
        """Return once `cost` may be asked of that model: its price is read, or there is none.
        Must never raise."""

    def cost(self, origin: Origin, usage: Usage, served: str = "") -> float | None:
        """Return US dollars, None if the price is not known: never a guess, and 0 only for what
        costs nothing. `served`: the model as the provider called it. Must be cheap."""


class Fallback(Protocol):
    """Who answers when a model does not."""

    @property
    def waiting(self) -> bool:
        """True while there may be another model."""

    async def next(self) -> ModelAdapter | None:
        """Return the next model to ask, each at most once, or None when there is no other. Must
        never raise: one that cannot be made is passed over, and the user told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPaused:
    """A call did not end: the server wants answers first; see `ToolPaused`."""

    requests: tuple[ServerRequest, ...]
    state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a paused call goes on with: the server's own state, its requests, and the answers by
    the requests' keys, as the protocol has results. Requests for roots have none: the tool source
    answers those itself."""

    state: str | None
    requests: tuple[ServerRequest, ...]
    given: Mapping[str, JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What a tool call carries besides its arguments. `progress` must be cheap and never raise.
    `answers`: what the server asked for when the same call paused."""

    call_id: str
    principal: Principal
    progress: Callable[[float, float | None, str], None]
    answers: Answers | None = None


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """A server's request gets no result. `text` is for the server, clean."""

    text: str


Answer = Callable[[str, ServerRequest, str], Awaitable[JsonObject | RequestRefused]]
"""How a tool source has a server's request answered: the server's name, the request, and the id of
the call that it is for ("" if unknown). Never raises; may be cancelled. A request for input that
nobody can answer comes back declined, one for the model refused."""


class ToolSource(Protocol):
    """The tools of every server, and the way to call them."""

    async def ready(self) -> None:
        """Return once each server's tools are known, from `servers.lock` or live, or its own
        connect budget is spent. Where some are known, one that has not answered must not hold
        them up for long: its tools come when they come. Must never raise for a server's fault."""

    def tools(self) -> Mapping[str, Tool]:
        """The tools by exposed name, in stable order. Must be cheap, and must return the same
        object until something changed."""

    def withheld(self, name: str) -> str | None:
        """Why the tool with that exposed name, which its server has, is not among `tools`, for the
        model, or None. Must never raise."""

    def validate(self, tool: Tool, arguments: JsonObject) -> str | None:
        """What is wrong with the arguments, for the model, or None. Must be bounded in time
        whatever the schema says, and must never fetch anything."""

    async def call(
        self, tool: Tool, arguments: JsonObject, context: CallContext
    ) -> ToolResult | CallPaused:
        """Run the tool and return its result, or what has to be answered before there can be one.
        Must never raise for the world's faults, must end
        within the server's call timeout, must refuse (`changed`) a tool whose live definition
        has another fingerprint. Cancelling it must tell the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswer:
    """What policy says of a call, by which rule, and why (for people and for the model). `rules`
    are all that say the same, `origin` is where `rule` stands, as `servers.toml:12`; `terms`: whose
    yes it takes, if it asks."""

    decision: Decision
    rule: str
    reason: str = ""
    rules: tuple[str, ...] = ()
    origin: str = ""
    terms: ApprovalTerms | None = None


class Policy(Protocol):
    """Who may do what."""

    def decide(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> PolicyAnswer:
        """Judge a call with the arguments that would run. Must never raise and never allow
        because of an error: it fails closed. What it allows counts in the running totals at once,
        so that no other call, of any process, can count on the same rest."""

    @property
    def fingerprint(self) -> str:
        """The hash of all rules in force."""

    def begin(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> str | None:
        """Count a call that is about to run, with the arguments that run, whoever allowed it; a
        call that counts already is counted anew. Return why that is not possible, and then the
        call must not run. Must never raise."""

    def end(self, conversation: Conversation, call_id: str) -> None:
        """A call that was allowed certainly did not run: it does not count. Must never raise."""


class Vault(Protocol):
    """Secrets that were found in what tools return, kept from the model."""

    def conceal(self, result: ToolResult) -> ToolResult:
        """Return a result as the model may see it. Must be bounded in time, and never raise."""

    def reveal(self, tool: Tool, arguments: JsonObject) -> JsonObject:
        """Return a call's arguments with the secrets that this tool may get where the model wrote
        their placeholders. Must never raise."""

    def missing(self, tool: Tool, arguments: JsonObject) -> str | None:
        """Return why a call cannot run with these arguments (they hold the placeholder of a secret
        that is not known any more), for the model, or None. Must never raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalQuestion:
    """What a human is asked. `waiting` counts the questions behind this one. `invalid` says
    what is wrong with edited arguments (as `ToolSource.validate`), so that they can be asked
    again; None means that they may run. `asked` is the question as it is recorded: its terms, its
    rules, when it expires, what an answer from outside is bound to. `origin`: where the rule
    stands, as `servers.toml:12`. `not_you`: why the run's own user cannot approve it, None if they
    can. `yeses`: those so far. `labels`: of the data in the conversation, and where it came
    from."""

    call_id: str
    tool: Tool
    arguments: JsonObject
    rule: str
    reason: str
    in_doubt: bool
    invalid: Callable[[JsonObject], str | None]
    waiting: Callable[[], int]
    asked: ApprovalRequested | None = None
    not_you: str | None = None
    yeses: tuple[Yes, ...] = ()
    labels: tuple[LabelSeen, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Nobody can answer now; the run parks once nothing else can be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingQuestion:
    """A server's request for an answer of the model, before it is made. `model` names who would
    answer; `messages` and `system` are the server's, `max_tokens` the most that the answer may
    have. `waiting` counts the questions behind this one."""

    server: str
    model: str
    messages: tuple[Message, ...]
    system: str
    max_tokens: int
    waiting: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingAnswer:
    """Whether a server gets its answer. `always`: as all that this server asks for in this run;
    `by`: who said so."""

    allowed: bool
    by: str
    always: bool = False


class Respondent(Protocol):
    """Who answers what servers ask for."""

    async def answer(
        self, question: InputRequested, waiting: Callable[[], int]
    ) -> InputGiven | Deferred:
        """Ask, and return the answer, which fits `question.requested_schema` if it accepts. Must
        never accept by itself, never open a URL without a yes; end of input means cancel. May be
        called for several questions at once and must then ask them one after another. Must stop
        asking when cancelled."""

    async def allow(self, question: SamplingQuestion) -> SamplingAnswer | Deferred:
        """Ask whether a server may have the model's answer. The same rules."""


class Approver(Protocol):
    """Who answers questions about calls."""

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        """Ask, and return the answer. Must never answer yes by itself unless it was configured
        to; end of input means no. May be called for several calls at once and must then ask
        them one after another. Must stop asking when cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confined:
    """How a program is started in its sandbox: `argv` stands before its own (executable, argv[0],
    arguments), `environ` is changed in its environment. `scratch`: a folder of its own, removed
    once all its processes ended; empty for none. `shields`: how many processes stand between the
    one that is started and the program, each of which ends as the one below it does."""

    argv: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    scratch: str = ""
    shields: int = 0


class Sandbox(Protocol):
    """What one server's program is confined to."""

    @property
    def kind(self) -> str:
        """What it is made of, for people (`bubblewrap`, `landlock`), or `none`."""

    @property
    def warning(self) -> str:
        """What it does not enforce though it was asked for; empty if nothing."""

    def wrap(
        self, executable: str, args: Sequence[str], environ: Mapping[str, str], cwd: str
    ) -> Confined | str:
        """Return how to start a program (its absolute path) in `cwd`, or why it must not be
        started, for people. Must never put a value of `environ` into a command line."""

    def grant(self, said: str) -> str:
        """Return which line of the config would grant what a server says that it was refused, or
        empty. `said` is cleaned, and may be anything."""


class Journal(Protocol):
    """Where records are kept, in order."""

    def append(self, record: Record) -> None:
        """Hand the record to the operating system before returning, whole or not at all.
        Raises RecordError when that is not possible (disk full): the engine then stops."""

    def sync(self) -> None:
        """Return once all that was appended is on disk. Blocking: the engine calls it in a
        thread. Raises RecordError."""

    def keep(self, name: str, data: bytes) -> str:
        """Store an artifact whole beside the transcript and return its name there, which no
        other artifact has. Raises RecordError."""


class EventSink(Protocol):
    """Someone who watches: a terminal, a JSON stream, telemetry."""

    def emit(self, item: Record | Ephemeral) -> None:
        """Take one item. Must not block; if it raises, the feed drops the sink and goes on."""


Observation = ServerConnected | ServerLost | ToolsChanged | ToolProgress | ServerLog
"""What a tool source has to say of its servers: the first three are recorded, the rest shown."""

Observer = Callable[[Observation], None]
"""How a tool source tells the session what its servers do. Never raises."""
