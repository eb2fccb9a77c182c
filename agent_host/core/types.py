"""The values the whole house speaks in.

Theory of operation: frozen, slotted, keyword-only standard-library dataclasses without
behaviour beyond arithmetic. Nothing here reads a clock, a file or the environment. A value
is compared by content and shared freely between rooms; caches that must tell two equal
messages apart do so by identity, which is safe because nothing is ever changed in place.
Arguments and schemas are plain JSON values that nobody may mutate after construction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = Any
"""A JSON value: None, bool, int, float (finite), str, list[Json] or dict[str, Json]."""

JsonObject = dict[str, Any]
"""A JSON object."""

Decision = Literal["allow", "ask", "deny"]
"""What a policy answers; deny is stricter than ask, ask is stricter than allow."""

StopReason = Literal[
    "end_turn",
    "tool_use",
    "max_tokens",
    "stop_sequence",
    "refusal",
    "context_window_exceeded",
    "interrupted",
    "unknown",
]
"""Why a model stopped. `unknown`: the stream ended without saying so (its calls are not run)."""

FailureKind = Literal[
    "auth",
    "bad_request",
    "cancelled",
    "context_window_exceeded",
    "not_found",
    "overloaded",
    "protocol",
    "rate_limit",
    "script",
    "timeout",
    "unavailable",
]
"""Why a model call failed. `script`: a scripted or replayed expectation did not hold."""

ToolErrorKind = Literal[
    "cancelled",
    "changed",
    "denied",
    "invalid_arguments",
    "limit",
    "malformed_call",
    "outcome_unknown",
    "oversized",
    "server_unavailable",
    "timeout",
    "tool_error",
    "truncated_call",
    "unknown_tool",
]
"""Why a tool result is an error. `tool_error`: the tool itself said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Plain text. `opaque` is the provider's own data, sent back only to the message's origin."""

    text: str
    opaque: JsonObject | None = None
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image: `data` is base64 (RFC 4648, section 4), `media_type` as `image/png` (IANA)."""

    data: str
    media_type: str
    type: Literal["image"] = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """A sound: `data` is base64 (RFC 4648, section 4), `media_type` as `audio/wav` (IANA)."""

    data: str
    media_type: str
    type: Literal["audio"] = "audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An MCP resource, embedded (`text` or base64 `data`) or only linked (neither)."""

    uri: str
    name: str = ""
    media_type: str = ""
    text: str | None = None
    data: str | None = None
    type: Literal["resource"] = "resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """What a model thought. `opaque` carries signatures and the like for the message's origin."""

    text: str
    opaque: JsonObject | None = None
    type: Literal["reasoning"] = "reasoning"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that a model asks for.

    `name` is the exposed name (`server__tool`). `fault` says why the call cannot be executed as
    it was received, and `raw` then holds what came instead of arguments. `opaque` is the
    provider's own data, sent back only to the message's origin.
    """

    id: str
    name: str
    arguments: JsonObject
    fault: Literal["malformed_call", "truncated_call"] | None = None
    raw: str | None = None
    opaque: JsonObject | None = None
    type: Literal["tool_call"] = "tool_call"


Content = Text | Image | Audio | Resource
"""What a tool result holds, and a user may say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The one result of a tool call. `error` is None when the tool succeeded.

    `artifact` names the file beside the transcript that holds the whole of an oversized result;
    `content` is then its head and tail. `for_user` is what the server meant for the user alone:
    shown, never sent to a model. `labels`: what it brings into the conversation, sorted: the
    tool's labels, and those that a trusted server gave this result.
    """

    call_id: str
    content: tuple[Content, ...]
    error: ToolErrorKind | None = None
    artifact: str | None = None
    for_user: tuple[Content, ...] = ()
    labels: tuple[str, ...] = ()
    type: Literal["tool_result"] = "tool_result"


Block = Text | Image | Audio | Resource | Reasoning | ToolCall | ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who wrote a message: provider (who serves), model (which), adapter (wire dialect)."""

    provider: str
    model: str
    adapter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `tool` messages hold ToolResult blocks only, one for each call before them."""

    role: Literal["user", "assistant", "tool"]
    content: tuple[Block, ...]
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one or more model calls.

    `input_tokens` counts all input, cached or not; `cache_read_tokens` and
    `cache_write_tokens` say how much of it was read from or written to a prompt cache.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a run acts for, and how that is known (`authenticated_by`: `os` or an OIDC issuer)."""

    id: str
    authenticated_by: str = "os"
    roles: tuple[str, ...] = ()
    claims: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesNeeded:
    """How many different people with one of these roles (empty: anybody) have to approve."""

    roles: tuple[str, ...] = ()
    needed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalTerms:
    """Whose yes a question needs. `approvers`: roles, one of which whoever approves must have
    (empty: anybody); `needed`: how many different people; `self_approval`: whether the user for
    whom the run acts is one; `seconds`: how long the question can be answered, and the answer be
    used (None: without end). `also`: what other rules demand beside that, where several ask; a
    person with roles of several counts for each."""

    approvers: tuple[str, ...] = ()
    needed: int = 1
    self_approval: bool = True
    seconds: float | None = None
    also: tuple[RolesNeeded, ...] = ()

    @property
    def anybody(self) -> bool:
        """Whether one yes of whoever sits there is enough; only then may it be for more than
        once."""
        return not self.approvers and not self.also and self.needed == 1 and self.self_approval

    @property
    def demands(self) -> tuple[RolesNeeded, ...]:
        """All that has to be met."""
        return (RolesNeeded(roles=self.approvers, needed=self.needed), *self.also)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSeen:
    """A label of the data in a conversation's context, and whose tool first brought it."""

    label: str
    server: str
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """A server's hints about a tool (MCP `ToolAnnotations`); None: the server did not say.

    Hints of an untrusted party: only `Tool.read_only`, `Tool.repeatable` and `Tool.labels` may be
    acted on. `labels`: what the definition says of its data (`_meta["agent-host/labels"]`), sorted.
    """

    title: str | None = None
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool as the model is offered it.

    `name` is the exposed name; the identity for policy, pins and audit is the pair
    (`server`, `tool`) with `fingerprint`, the hash of the definition. `trusted` is the config's
    `trust_annotations` of that server. `labels`: what the config (or a trusted server) says of its
    data, sorted. `is_new`: no earlier run has seen this tool.
    """

    name: str
    server: str
    tool: str
    description: str
    input_schema: JsonObject
    output_schema: JsonObject | None = None
    annotations: Annotations = Annotations()
    trusted: bool = False
    fingerprint: str = ""
    parallel: bool = True
    labels: tuple[str, ...] = ()
    is_new: bool = False

    @property
    def read_only(self) -> bool:
        """True only if a trusted server says that the tool changes nothing."""
        return self.trusted and self.annotations.read_only is True

    @property
    def repeatable(self) -> bool:
        """True only if a trusted server says that a second execution does no harm."""
        return self.trusted and (
            self.annotations.read_only is True or self.annotations.idempotent is True
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRequest:
    """What a server asks of the host, as the protocol has it (MCP, client features): untrusted and
    bounded. `method`: `elicitation/create`, `sampling/createMessage` or `roots/list`; `key`: the
    server's name for it among the requests that hold up one call, else empty."""

    method: str
    params: JsonObject
    key: str = ""


ToolChoice = str
"""`auto`: as the model likes; `none`: no call; `required`: at least one; else the exposed name of
the tool that must be called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """What a model is asked. `messages` and `tools` keep their identity from turn to turn, so
    that an adapter may serialize each of them once.

    `tool_choice` is a wish where a provider cannot be told. `output_schema` (JSON Schema): what
    the text of the final answer has to be; the adapter says it as strictly as its wire can, and
    whoever asks validates. `conversation` names the run, for a provider's prompt cache.
    `log`: every message of the conversation, also those that `messages` leaves out, for what
    answers by the place in a conversation (scripts, recordings); empty: there are no others.
    """

    request_id: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    max_output_tokens: int | None = None
    tool_choice: ToolChoice = "auto"
    output_schema: JsonObject | None = None
    conversation: str = ""
    log: Sequence[Message] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponse:
    """A model's whole answer: the terminal item of a stream that worked.

    `response_id` is the answer's own id, `provider_request_id` what the provider's support asks
    for (a response header)."""

    message: Message
    stop_reason: StopReason
    usage: Usage = Usage()
    response_id: str = ""
    model_served: str = ""
    provider_request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFailure:
    """Why there is no answer: the terminal item of a stream that failed.

    `message` is for people: what failed and what to do next, without secrets. `retry_after` is
    in seconds, as the provider asked. `retryable`: the same request may work later.
    """

    kind: FailureKind
    message: str
    retryable: bool = False
    retry_after: float | None = None
