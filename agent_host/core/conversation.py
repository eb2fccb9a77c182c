"""A conversation is a fold over its events, and nothing else can make one.

Theory of operation: `apply(conversation, event)` returns the next conversation, or raises
UsageError when the event is not legal in that state. `LEGAL` says in which states an event may
come; what an event says of a single call is checked beside it (a tool starts only if policy or a
human allowed it; a call has one result). Since live state is made by the same fold that reads a
transcript back, resume, replay and audit see what the engine saw. After `RunResumed`, an intent
without an outcome is in doubt.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from types import MappingProxyType
from typing import Literal, assert_never

from agent_host.core.approvals import Yes, counted, refused, same_json, terms_of
from agent_host.core.calls import (
    CallState,
    Grant,
    may_start,
    paused,
    reopened,
    with_input,
    with_sampling,
)
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    ContextCompacted,
    Event,
    InputGiven,
    InputRequested,
    Interrupted,
    LimitReached,
    ModelChanged,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PolicyDecided,
    RunEnded,
    RunResumed,
    RunStarted,
    SamplingFinished,
    SamplingRequested,
    ServerConnected,
    ServerLost,
    ToolFinished,
    ToolPaused,
    ToolsChanged,
    ToolStarted,
    UserSaid,
)
from agent_host.core.size import characters
from agent_host.core.types import (
    JsonObject,
    LabelSeen,
    Message,
    Origin,
    Principal,
    StopReason,
    Text,
    ToolCall,
    Usage,
)

Awaiting = Literal["start", "user", "model", "tools", "approval", "input", "nothing"]
"""What a conversation waits for. `start`: its first event; `nothing`: it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The state of a run.

    `phase` is where the dialogue stands; `calls` are those of the open turn, in source order, and
    empty between turns; `turns` and `tool_calls` count from the user's last message, `usage` over
    the whole run, as `answers` and `cost` do (US dollars; of `unpriced` answers it is not known);
    `refusals` are the denied calls since the user's last message; `requested` is the model request
    under way; `failure` is why the model did not answer; `questions` are the approval requests of
    the open turn (what a yes binds to); `labels` are those of the data in the context, in the order
    in which they came, and `asks` the questions since the user's last message. `stop_reason` is the
    last answer's, `summary` is the message that stands for what was `compacted`. `silent` says that
    it held neither text nor calls.
    `counted` are the tokens of prompt and answer that the provider counted last, 0 for none, and
    `uncounted` the characters that came after that.
    """

    run_id: str = ""
    principal: Principal = Principal(id="")
    origin: Origin = Origin(provider="", model="", adapter="")
    simulated: bool = False
    system: str = ""
    messages: tuple[Message, ...] = ()
    calls: tuple[CallState, ...] = ()
    questions: tuple[ApprovalRequested, ...] = ()
    grants: tuple[Grant, ...] = ()
    labels: tuple[LabelSeen, ...] = ()
    asks: int = 0
    inputs: tuple[InputRequested, ...] = ()
    samplings: tuple[SamplingRequested, ...] = ()
    sampled: int = 0
    phase: Literal["start", "user", "model", "tools"] = "start"
    requested: str | None = None
    failure: ModelFailed | None = None
    limit: LimitReached | None = None
    interrupted: bool = False
    compacted: ContextCompacted | None = None
    summary: Message | None = None
    turns: int = 0
    tool_calls: int = 0
    refusals: int = 0
    requests: int = 0
    answers: int = 0
    usage: Usage = Usage()
    cost: float = 0.0
    unpriced: int = 0
    stop_reason: StopReason | None = None
    silent: bool = False
    counted: int = 0
    uncounted: int = 0
    ended: RunEnded | None = None

    @property
    def awaiting(self) -> Awaiting:
        """What has to come next; questions to a human outrank running tools."""
        if self.ended is not None:
            return "nothing"
        if self.inputs:
            return "input"
        if any(s.asked and s.approval is None and s.result is None for s in self.calls):
            return "approval"
        return self.phase

    def call(self, call_id: str) -> CallState | None:
        """Return the state of an open turn's call, or None."""
        return next((s for s in self.calls if s.call.id == call_id), None)


_ANY = frozenset[Awaiting]({"user", "model", "tools", "approval", "input", "nothing"})
_OPEN = _ANY - {"nothing"}
_CALLS = frozenset[Awaiting]({"tools", "approval", "input"})

LEGAL: Mapping[type[Event], frozenset[Awaiting]] = MappingProxyType(
    {
        RunStarted: frozenset({"start"}),
        RunResumed: _ANY,
        UserSaid: frozenset({"user", "model"}),
        ModelRequested: frozenset({"model"}),
        ModelResponded: frozenset({"model", "input"}),
        ModelFailed: frozenset({"model", "input"}),
        PolicyDecided: _CALLS,
        ApprovalRequested: _CALLS,
        ApprovalGiven: frozenset({"approval", "input"}),
        ApprovalExpired: _CALLS,
        ToolStarted: _CALLS,
        ToolPaused: _CALLS,
        ToolFinished: _CALLS,
        InputRequested: _OPEN,
        InputGiven: frozenset({"input"}),
        SamplingRequested: _OPEN,
        SamplingFinished: _OPEN,
        ContextCompacted: _OPEN,
        ModelChanged: _OPEN,
        ServerConnected: _ANY,
        ServerLost: _ANY,
        ToolsChanged: _ANY,
        LimitReached: _OPEN,
        Interrupted: _OPEN,
        RunEnded: _OPEN,
    }
)
"""In which states an event is legal."""

_RunEvent = RunStarted | RunResumed | ModelChanged | LimitReached | Interrupted | RunEnded
_DialogueEvent = UserSaid | ModelRequested | ModelResponded | ModelFailed | ContextCompacted
_Judged = PolicyDecided | ApprovalRequested | ApprovalGiven | ApprovalExpired
_CallEvent = _Judged | ToolStarted | ToolPaused | ToolFinished
_ServerEvent = InputRequested | InputGiven | SamplingRequested | SamplingFinished


def apply(conversation: Conversation, event: Event) -> Conversation:
    """Return the conversation after `event`. Raises UsageError if it is not a legal move."""
    if conversation.awaiting not in LEGAL[type(event)]:
        raise UsageError(f"{event.type} is not possible while awaiting {conversation.awaiting}")
    match event:
        case RunStarted() | RunResumed() | ModelChanged() | LimitReached():
            return _apply_run(conversation, event)
        case Interrupted() | RunEnded():
            return _apply_run(conversation, event)
        case UserSaid() | ModelRequested() | ModelResponded() | ModelFailed() | ContextCompacted():
            return _apply_dialogue(conversation, event)
        case PolicyDecided() | ApprovalRequested() | ApprovalGiven() | ApprovalExpired():
            return _apply_call(conversation, event, event.call_id)
        case ToolStarted() | ToolPaused():
            return _apply_call(conversation, event, event.call_id)
        case ToolFinished():
            return _apply_call(conversation, event, event.result.call_id)
        case InputRequested() | InputGiven() | SamplingRequested() | SamplingFinished():
            return _apply_request(conversation, event)
        case ServerConnected() | ServerLost() | ToolsChanged():
            return conversation
        case _ as unreachable:
            assert_never(unreachable)


def fold(events: Iterable[Event]) -> Conversation:
    """Return the conversation that `events` make. Raises UsageError on an illegal move."""
    return reduce(apply, events, Conversation())


def _apply_run(c: Conversation, event: _RunEvent) -> Conversation:
    match event:
        case RunStarted():
            origin = Origin(provider=event.provider, model=event.model, adapter=event.adapter)
            return replace(
                c,
                run_id=event.run_id,
                principal=event.principal,
                origin=origin,
                simulated=event.simulated,
                system=event.system,
                phase="user",
            )
        case RunResumed():
            return _resume(c, event)
        case ModelChanged():
            _require(c.requested is None, "the model is being asked")
            origin = Origin(provider=event.provider, model=event.model, adapter=event.adapter)
            return replace(c, origin=origin, simulated=event.simulated)
        case LimitReached():
            return replace(c, limit=event, phase=_stopped_phase(c))
        case Interrupted():
            return replace(c, interrupted=True, phase=_stopped_phase(c))
        case RunEnded():
            return replace(c, ended=event)
        case _ as unreachable:
            assert_never(unreachable)


def _stopped_phase(c: Conversation) -> Literal["start", "user", "model", "tools"]:
    """Calls and a model request under way end with events of their own; until then they stay."""
    return c.phase if c.calls or c.requested is not None else "user"


def _resume(c: Conversation, event: RunResumed) -> Conversation:
    calls = tuple(reopened(s) if s.result is None else s for s in c.calls)
    unanswered = c.phase == "user" and bool(c.messages) and c.messages[-1].role != "assistant"
    # A user message or tool results without an answer: the model is asked again.
    phase = "model" if unanswered else c.phase
    return replace(
        c,
        principal=event.principal,
        calls=calls,
        inputs=(),
        samplings=(),
        phase=phase,
        requested=None,
        failure=None,
        limit=None,
        interrupted=False,
        turns=0,
        tool_calls=len(calls),
        refusals=0,
        asks=0,
        stop_reason=None,
        silent=False,
        ended=None,
    )


def _apply_dialogue(c: Conversation, event: _DialogueEvent) -> Conversation:
    match event:
        case UserSaid():
            _require(c.requested is None, "the model is being asked")
            return replace(
                c,
                messages=(*c.messages, event.message),
                phase="model",
                failure=None,
                limit=None,
                interrupted=False,
                turns=0,
                tool_calls=0,
                refusals=0,
                asks=0,
                labels=with_labels(c.labels, event.labels),
                uncounted=c.uncounted + characters(event.message),
                stop_reason=None,
                silent=False,
            )
        case ModelRequested():
            _require(c.requested is None, "a model request is already under way")
            return replace(c, requested=event.request_id, requests=c.requests + 1)
        case ModelResponded():
            return _responded(_answered(c, event.request_id), event)
        case ModelFailed():
            c = _answered(c, event.request_id)
            stopped = event.final or c.interrupted or c.limit is not None
            return replace(
                c, failure=event if event.final else None, phase="user" if stopped else "model"
            )
        case ContextCompacted():
            if not 0 < event.messages <= len(c.messages):
                raise UsageError(f"{event.messages} messages cannot be compacted")
            return _compacted(c, event)
        case _ as unreachable:
            assert_never(unreachable)


def _compacted(c: Conversation, event: ContextCompacted) -> Conversation:
    """What the provider counted is not what the model will be sent."""
    left = sum(map(characters, c.messages[event.messages :]))
    summary = Message(role="user", content=(Text(text=event.summary),))
    return replace(
        c, compacted=event, summary=summary, counted=0, uncounted=left + len(event.summary)
    )


def _answered(c: Conversation, request_id: str) -> Conversation:
    if c.requested != request_id:
        raise UsageError(f"model request {request_id!r} is not under way")
    return replace(c, requested=None)


def _responded(c: Conversation, event: ModelResponded) -> Conversation:
    # Half a call may read like a whole one: only a response that says it is whole is acted on.
    whole = event.stop_reason in {"tool_use", "end_turn", "stop_sequence"}
    calls = tuple(
        CallState(
            call=block if whole or block.fault else replace(block, fault="truncated_call"),
            arguments=block.arguments,
        )
        for block in event.message.content
        if isinstance(block, ToolCall)
    )
    if len({s.call.id for s in calls}) != len(calls):
        raise UsageError("two calls of one response share an id")
    counted = event.usage.input_tokens and event.usage.input_tokens + event.usage.output_tokens
    # Providers refuse an assistant message without content.
    messages = (*c.messages, event.message) if event.message.content else c.messages
    return replace(
        c,
        messages=messages,
        calls=calls,
        questions=(),
        phase="tools" if calls else "user",
        turns=c.turns + 1,
        tool_calls=c.tool_calls + len(calls),
        usage=c.usage + event.usage,
        answers=c.answers + 1,
        cost=c.cost + (event.cost or 0.0),
        unpriced=c.unpriced + int(event.cost is None),
        stop_reason=event.stop_reason,
        silent=not calls and not any(isinstance(b, Text) and b.text for b in event.message.content),
        counted=counted or c.counted,
        uncounted=0 if counted else c.uncounted + characters(event.message),
    )


def _apply_call(c: Conversation, event: _CallEvent, call_id: str) -> Conversation:
    state = c.call(call_id)
    if state is None or state.result is not None:
        raise UsageError(f"no open call {call_id!r}")
    match event:
        case PolicyDecided() | ApprovalRequested() | ApprovalGiven() | ApprovalExpired():
            c, state = _judged(c, state, event)
        case ToolStarted():
            _require(may_start(state), f"call {call_id!r} may not start")
            source = (event.server, event.tool)
            state = replace(state, started=True, arguments=event.arguments, source=source)
        case ToolPaused():
            _require(state.started, f"call {call_id!r} does not run")
            state = paused(state, event)
        case ToolFinished():
            c = _labelled(c, state, event)
            state = replace(state, result=event.result)
            c = replace(c, inputs=tuple(i for i in c.inputs if i.call_id != call_id))
            c = replace(c, refusals=c.refusals + int(event.result.error == "denied"))
        case _ as unreachable:
            assert_never(unreachable)
    return _close_turn(_with_call(c, state))


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise UsageError(text)


def _judged(c: Conversation, s: CallState, event: _Judged) -> tuple[Conversation, CallState]:
    """What policy and humans say of a call."""
    match event:
        case PolicyDecided():
            _require(not s.started, f"call {s.call.id!r} has started")
            return c, _decided(c, s, event)
        case ApprovalRequested():
            _require(not s.started, f"call {s.call.id!r} has started")
            s = replace(s, asked=True, arguments=event.arguments)
            return replace(c, questions=(*c.questions, event), asks=c.asks + 1), s
        case ApprovalGiven():
            _require(s.asked and s.approval is None, f"{s.call.id!r} awaits no approval")
            return _answered_by(c, s, event)
        case ApprovalExpired():
            asked = question_about(c, s.call.id) is not None and not s.started
            _require(asked, f"{s.call.id!r} awaits no approval")
            return c, replace(s, approval="deny", expired=True, yeses=())
        case _ as unreachable:
            assert_never(unreachable)


def _decided(c: Conversation, s: CallState, event: PolicyDecided) -> CallState:
    """What policy says now. A yes to other rules, or under other terms, does not answer it."""
    s = replace(
        s,
        decision=event.decision,
        rule=event.rule,
        reason=event.reason,
        rules=event.rules,
        terms=event.terms,
    )
    question = question_about(c, s.call.id)
    if question is None or event.decision != "ask" or not (s.yeses or s.approval == "approve"):
        return s
    same = set(question.rules) == set(event.rules) and question.terms == event.terms
    return s if same else replace(s, approval=None, asked=False, yeses=())


def question_about(c: Conversation, call_id: str) -> ApprovalRequested | None:
    """Return the question that was last asked about a call, or None."""
    return next((q for q in reversed(c.questions) if q.call_id == call_id), None)


def _answered_by(
    c: Conversation, s: CallState, event: ApprovalGiven
) -> tuple[Conversation, CallState]:
    question = question_about(c, event.call_id)
    if question is None:  # asked by a process that is gone
        raise UsageError(f"{event.call_id!r} awaits no approval")
    problem = refused(question, event, s.yeses)
    if problem is not None:
        raise UsageError(f"{event.call_id!r}: {problem}")
    arguments = s.arguments if event.arguments is None else event.arguments
    s = replace(s, feedback=event.feedback, arguments=arguments)
    if event.decision == "deny":
        return c, replace(s, approval="deny")
    yes = Yes(by=event.by, authenticated_by=event.authenticated_by, arguments=arguments)
    yeses = counted(s.yeses, yes)
    if len(yeses) < terms_of(question).needed:
        return c, replace(s, yeses=yeses)
    s = replace(s, approval="approve", yeses=yeses)
    if event.scope == "once":
        return c, s
    grant = Grant(
        server=question.server,
        tool=question.tool,
        fingerprint=question.fingerprint,
        arguments=arguments if event.scope == "session_call" else None,
        by=event.by,
        call_id=event.call_id,
        rules=question.rules,
    )
    return replace(c, grants=(*c.grants, grant)), s


MAX_LABELS = 200
"""Sources of labels that a conversation remembers; each label keeps its first."""


def with_labels(seen: tuple[LabelSeen, ...], new: Iterable[LabelSeen]) -> tuple[LabelSeen, ...]:
    """Return the labels of a context after more data came."""
    fresh = [one for one in dict.fromkeys(new) if one not in seen]
    known = {one.label for one in seen}
    room = MAX_LABELS - len(seen)
    kept = [one for place, one in enumerate(fresh) if place < room or one.label not in known]
    return (*seen, *kept) if kept else seen


def _labelled(c: Conversation, s: CallState, event: ToolFinished) -> Conversation:
    """What a result brings into the context."""
    if not event.result.labels or s.source is None:
        return c
    server, tool = s.source
    new = (LabelSeen(label=label, server=server, tool=tool) for label in event.result.labels)
    return replace(c, labels=with_labels(c.labels, new))


def _close_turn(c: Conversation) -> Conversation:
    """Append the results' message once every call of the turn has its result."""
    results = tuple(s.result for s in c.calls if s.result is not None)
    if len(results) != len(c.calls):
        return c
    stopped = c.interrupted or c.limit is not None
    message = Message(role="tool", content=results)
    return replace(
        c,
        messages=(*c.messages, message),
        uncounted=c.uncounted + characters(message),
        calls=(),
        questions=(),
        phase="user" if stopped else "model",
    )


def _apply_request(c: Conversation, event: _ServerEvent) -> Conversation:
    """What servers ask for, and what they get; an answer that a paused call waits for is kept
    with that call."""
    match event:
        case InputRequested():
            return replace(c, inputs=(*c.inputs, event))
        case InputGiven():
            asked = next((i for i in c.inputs if i.input_id == event.input_id), None)
            if asked is None:
                raise UsageError(f"input {event.input_id!r} is not asked for")
            c = replace(c, inputs=tuple(i for i in c.inputs if i is not asked))
            if (state := _paused_by(c, asked)) is None:
                return c
            return _with_call(c, with_input(state, asked, event))
        case SamplingRequested():
            return replace(c, samplings=(*c.samplings, event), sampled=c.sampled + 1)
        case SamplingFinished():
            request = next((r for r in c.samplings if r.sampling_id == event.sampling_id), None)
            if request is None:
                raise UsageError(f"sampling {event.sampling_id!r} is not asked for")
            c = replace(
                c,
                samplings=tuple(r for r in c.samplings if r is not request),
                usage=c.usage + event.usage,
                cost=c.cost + (event.cost or 0.0),
                unpriced=c.unpriced + int(event.outcome == "answered" and event.cost is None),
            )
            if (state := _paused_by(c, request)) is None:
                return c
            return _with_call(c, with_sampling(state, request.key, event))
        case _ as unreachable:
            assert_never(unreachable)


def _paused_by(c: Conversation, request: InputRequested | SamplingRequested) -> CallState | None:
    """The call that a request holds up, if it does."""
    state = c.call(request.call_id)
    if state is None or state.paused is None or state.started or state.result is not None:
        return None
    return state if any(r.key == request.key for r in state.paused.requests) else None


def _with_call(c: Conversation, state: CallState) -> Conversation:
    call_id = state.call.id
    return replace(c, calls=tuple(state if s.call.id == call_id else s for s in c.calls))


def granted(
    c: Conversation,
    *,
    server: str,
    tool: str,
    fingerprint: str,
    arguments: JsonObject,
    rules: tuple[str, ...] = (),
) -> Grant | None:
    """Return the session grant that covers a call of exactly this definition, or None. `rules`
    are those that ask: an "always" to one is none to another."""
    return next(
        (
            g
            for g in c.grants
            if (g.server, g.tool, g.fingerprint) == (server, tool, fingerprint)
            and (g.arguments is None or same_json(g.arguments, arguments))
            and (not g.rules or set(rules) <= set(g.rules))
        ),
        None,
    )
