"""Facts, in the past tense: a transcript is a list of these and of nothing else.

Theory of operation: one frozen dataclass a fact, told apart by its `type` literal. No time and
no sequence number inside: `Record` is the envelope that the engine stamps, so a replayed run
compares equal. `Event` is a closed union; every `match` over it ends in `assert_never`, and mypy
then lists each place that a new fact must be handled. What is shown but never recorded is
`Ephemeral`. Fields may be added with a default; none is renamed or removed without a new SCHEMA.
"""

from dataclasses import dataclass
from typing import Literal

from agent_host.core.types import (
    ApprovalTerms,
    Decision,
    FailureKind,
    JsonObject,
    LabelSeen,
    Message,
    Principal,
    ServerRequest,
    StopReason,
    ToolResult,
    Usage,
)

SCHEMA = 1
"""The version of the events in a transcript, written in its first record."""

ApprovalScope = Literal["once", "session_call", "session_tool"]
"""How far a yes reaches: this call; the same tool with the same arguments for the rest of the
session; the same tool with any arguments for the rest of the session."""

EndReason = Literal["done", "failed", "limit", "refused", "model_unavailable", "interrupted"]
"""Why a run ended; see `ExitStatus`."""

LimitName = Literal["turns", "tool_calls", "tokens", "seconds", "cost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The first fact of every transcript. `simulated`: no AI answers (offline, script, replay)."""

    run_id: str
    principal: Principal
    provider: str
    model: str
    adapter: str
    simulated: bool = False
    parent: str | None = None
    config_fingerprint: str = ""
    system: str = ""
    schema: int = SCHEMA
    type: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """Another process took the run over: an intent without an outcome is in doubt from here on."""

    principal: Principal
    type: Literal["run_resumed"] = "run_resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSaid:
    """A user's message. `labels`: of what was attached to it from servers."""

    message: Message
    labels: tuple[LabelSeen, ...] = ()
    type: Literal["user_said"] = "user_said"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequested:
    """Intent: the model is about to be asked."""

    request_id: str
    provider: str
    model: str
    type: Literal["model_requested"] = "model_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponded:
    """Outcome: the model's whole answer. `model_asked` and `model_served` may differ. `cost`: of
    this answer in US dollars, None if the price is not known. `provider_request_id`: what the
    provider's support asks for."""

    request_id: str
    message: Message
    stop_reason: StopReason
    usage: Usage = Usage()
    response_id: str = ""
    model_asked: str = ""
    model_served: str = ""
    cost: float | None = None
    provider_request_id: str = ""
    type: Literal["model_responded"] = "model_responded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFailed:
    """Outcome: no answer. `retry_after` in seconds; `final`: the engine does not try again."""

    request_id: str
    kind: FailureKind
    message: str
    final: bool = True
    retry_after: float | None = None
    type: Literal["model_failed"] = "model_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDecided:
    """What policy answered about a call. `rule` names the rule, or the session grant; `rules` are
    all that say the same, `origin` is where that rule stands. `terms`: whose yes it takes.
    `policy`: the hash of all rules in force."""

    call_id: str
    decision: Decision
    rule: str
    reason: str = ""
    rules: tuple[str, ...] = ()
    origin: str = ""
    terms: ApprovalTerms | None = None
    server: str = ""
    tool: str = ""
    fingerprint: str = ""
    principal_id: str = ""
    policy: str = ""
    type: Literal["policy_decided"] = "policy_decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested:
    """A human is asked about a call: exactly these arguments of exactly this definition.

    `rules` are those that ask, `terms` whose yes it takes; `requester` and `requester_from` say
    for whom the run acts and who vouches for that; `expires_at` is UTC as RFC 3339, empty: never.
    `binding`: see `approvals`.
    """

    call_id: str
    server: str
    tool: str
    fingerprint: str
    arguments: JsonObject
    in_doubt: bool = False
    rules: tuple[str, ...] = ()
    reason: str = ""
    terms: ApprovalTerms | None = None
    requester: str = ""
    requester_from: str = ""
    expires_at: str = ""
    binding: str = ""
    type: Literal["approval_requested"] = "approval_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGiven:
    """The answer to a request for approval.

    `arguments`: the edited arguments that run instead of the proposed ones, if any.
    `feedback`: a reason, for the model. `by`: the principal's id, or what answered in its place;
    `authenticated_by` and `roles`: who vouches for that, and the roles it has. `binding`: which
    question is answered, if it was answered from outside; `via`: from where.
    """

    call_id: str
    decision: Literal["approve", "deny"]
    by: str
    scope: ApprovalScope = "once"
    arguments: JsonObject | None = None
    feedback: str = ""
    authenticated_by: str = ""
    roles: tuple[str, ...] = ()
    binding: str = ""
    via: str = ""
    type: Literal["approval_given"] = "approval_given"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalExpired:
    """The time for a question, or for the use of its answer, is over; the call does not run."""

    call_id: str
    type: Literal["approval_expired"] = "approval_expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    """Intent: the tool is about to run, with these arguments, for the principal of that id."""

    call_id: str
    server: str
    tool: str
    fingerprint: str
    arguments: JsonObject
    principal_id: str = ""
    type: Literal["tool_started"] = "tool_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPaused:
    """The server answered a call with requests instead of a result: it does not run now, and goes
    on when they are answered (MCP 2026-07-28, basic/patterns/mrtr). `state`: what the server
    wants back with the answers, opaque to the host."""

    call_id: str
    requests: tuple[ServerRequest, ...]
    state: str | None = None
    type: Literal["tool_paused"] = "tool_paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished:
    """Outcome: the one result of a call, whatever happened to it."""

    result: ToolResult
    type: Literal["tool_finished"] = "tool_finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRequested:
    """A server asks the user for input (MCP elicitation). `call_id`: the call that it is for, if
    that is known; `key`: the server's name for it, if it holds up that call."""

    input_id: str
    server: str
    mode: Literal["form", "url"]
    message: str
    requested_schema: JsonObject | None = None
    url: str = ""
    call_id: str = ""
    key: str = ""
    type: Literal["input_requested"] = "input_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputGiven:
    """The answer to a server's request for input."""

    input_id: str
    action: Literal["accept", "decline", "cancel"]
    by: str
    content: JsonObject | None = None
    type: Literal["input_given"] = "input_given"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingRequested:
    """A server asks for an answer of the model (MCP sampling/createMessage); `params` as it sent
    them. `call_id` and `key` as for InputRequested."""

    sampling_id: str
    server: str
    params: JsonObject
    call_id: str = ""
    key: str = ""
    type: Literal["sampling_requested"] = "sampling_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingFinished:
    """What became of a server's request for the model. `by`: who allowed or refused it;
    `result`: what the server got; `error`: why it got nothing; `cost` in US dollars, None if the
    price is not known."""

    sampling_id: str
    outcome: Literal["answered", "refused", "failed"]
    by: str
    result: JsonObject | None = None
    error: str = ""
    usage: Usage = Usage()
    cost: float | None = None
    type: Literal["sampling_finished"] = "sampling_finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRequested:
    """Intent: a model is about to be asked for a summary of the first `messages` messages.
    `instructions`: what a person wants kept."""

    request_id: str
    provider: str
    model: str
    messages: int
    by: str = ""
    instructions: str = ""
    type: Literal["summary_requested"] = "summary_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryFinished:
    """Outcome: what the model wrote, or why there is nothing (`error`). `cost` in US dollars, None
    if the price is not known."""

    request_id: str
    text: str = ""
    error: str = ""
    usage: Usage = Usage()
    cost: float | None = None
    model_served: str = ""
    type: Literal["summary_finished"] = "summary_finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextCompacted:
    """The view of the log that the model gets was shortened: `summary` stands for the first
    `messages` messages (0: as before), and of the first `results` messages the long tool results
    are left out (0: as before). The log itself is unchanged. `reason`: the provider refused, the
    window was nearly full, or somebody asked (`by`). `before` and `after`: about how many tokens a
    request was and is, 0 if that is not known. `summary_by`: who wrote the summary."""

    messages: int
    summary: str
    results: int = 0
    reason: Literal["overflow", "window", "asked"] = "overflow"
    by: str = ""
    before: int = 0
    after: int = 0
    summary_by: Literal["extract", "model"] = "extract"
    type: Literal["context_compacted"] = "context_compacted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRewound:
    """The conversation went back to its first `messages` messages, which end before a message of
    the user. What it cost, what was granted and the labels of what was read stay."""

    messages: int
    by: str = ""
    type: Literal["conversation_rewound"] = "conversation_rewound"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChanged:
    """From here on another model answers. `reason`: why, if nobody asked for it (a fallback)."""

    provider: str
    model: str
    adapter: str
    by: str
    simulated: bool = False
    reason: str = ""
    type: Literal["model_changed"] = "model_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConnected:
    """A server answered the handshake. `seconds`: how long that took."""

    server: str
    version: str
    protocol: str
    seconds: float
    type: Literal["server_connected"] = "server_connected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLost:
    """A server is not available. `will_restart`: it is being started again."""

    server: str
    reason: str
    will_restart: bool = False
    type: Literal["server_lost"] = "server_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsChanged:
    """A server's live tools differ from what was known; own tool names of that server.

    `withheld`: those that are not offered because they are not as servers.lock has them.
    """

    server: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    type: Literal["tools_changed"] = "tools_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReached:
    """A limit of the run stops the step; `limit` is the configured value."""

    name: LimitName
    limit: float
    type: Literal["limit_reached"] = "limit_reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The user stopped the step."""

    by: str
    type: Literal["interrupted"] = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The run is over; it can be resumed all the same."""

    reason: EndReason
    detail: str = ""
    type: Literal["run_ended"] = "run_ended"


Event = (
    RunStarted
    | RunResumed
    | UserSaid
    | ModelRequested
    | ModelResponded
    | ModelFailed
    | PolicyDecided
    | ApprovalRequested
    | ApprovalGiven
    | ApprovalExpired
    | ToolStarted
    | ToolPaused
    | ToolFinished
    | InputRequested
    | InputGiven
    | SamplingRequested
    | SamplingFinished
    | SummaryRequested
    | SummaryFinished
    | ContextCompacted
    | ConversationRewound
    | ModelChanged
    | ServerConnected
    | ServerLost
    | ToolsChanged
    | LimitReached
    | Interrupted
    | RunEnded
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The envelope of a fact: `seq` counts from 0 in a run, `at` is UTC as RFC 3339 with
    microseconds."""

    seq: int
    at: str
    run_id: str
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """A piece of the answer."""

    text: str
    type: Literal["text_delta"] = "text_delta"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """A piece of the model's reasoning."""

    text: str
    type: Literal["reasoning_delta"] = "reasoning_delta"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolArgumentsDelta:
    """A piece of the JSON text of a call's arguments; `index` is the call's place in the answer."""

    index: int
    name: str
    text: str
    type: Literal["tool_arguments_delta"] = "tool_arguments_delta"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgress:
    """How far a running tool says it is (MCP `notifications/progress`)."""

    call_id: str
    progress: float
    total: float | None = None
    message: str = ""
    type: Literal["tool_progress"] = "tool_progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLog:
    """A line that a server logged (MCP `notifications/message`) or the host noticed about it."""

    server: str
    level: str
    text: str
    type: Literal["server_log"] = "server_log"


Delta = TextDelta | ReasoningDelta | ToolArgumentsDelta
"""What a model adapter yields before its terminal item."""

Ephemeral = Delta | ToolProgress | ServerLog
"""Shown, never recorded; may be dropped."""
