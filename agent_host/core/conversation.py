"""A conversation is a fold over its events, and nothing else can make one.

Theory of operation: `apply(conversation, event)` returns the next conversation, or raises
UsageError when the event is not legal in that state. `LEGAL` says in which states an event may
come; what an event says of a single call is checked beside it (a tool starts only if policy or a
human allowed it, see `decisions`; a call has one result). Since live state is made by the same fold
that reads a transcript back, resume, replay and audit see what the engine saw. After `RunResumed`,
an intent without an outcome is in doubt.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Literal, assert_never

from agent_host.core.calls import CallState, may_start, paused, reopened
from agent_host.core.decisions import Judged, judged, require
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    ContextCompacted,
    ConversationRewound,
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
    SummaryFinished,
    SummaryRequested,
    ToolFinished,
    ToolPaused,
    ToolsChanged,
    ToolStarted,
    UserSaid,
)
from agent_host.core.labels import with_labels
from agent_host.core.left_out import apply_left_out
from agent_host.core.log import Log
from agent_host.core.replacing import replace
from agent_host.core.requesting import apply_request
from agent_host.core.size import characters
from agent_host.core.state import Awaiting, Conversation
from agent_host.core.types import (
    LabelSeen,
    Message,
    Origin,
    Text,
    ToolCall,
)

__all__ = ["LEGAL", "Conversation", "apply", "fold"]

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
        SummaryRequested: frozenset({"user", "model"}),
        SummaryFinished: _OPEN,
        ContextCompacted: _OPEN,
        ConversationRewound: frozenset({"user"}),
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
_DialogueEvent = UserSaid | ModelRequested | ModelResponded | ModelFailed
_CallEvent = Judged | ToolStarted | ToolPaused | ToolFinished


def apply(conversation: Conversation, event: Event) -> Conversation:
    """Return the conversation after `event`. Raises UsageError if it is not a legal move."""
    if conversation.awaiting not in LEGAL[type(event)]:
        raise UsageError(f"{event.type} is not possible while awaiting {conversation.awaiting}")
    match event:
        case (
            RunStarted()
            | RunResumed()
            | ModelChanged()
            | LimitReached()
            | Interrupted()
            | RunEnded()
        ):
            return _apply_run(conversation, event)
        case UserSaid() | ModelRequested() | ModelResponded() | ModelFailed():
            return _apply_dialogue(conversation, event)
        case SummaryRequested() | SummaryFinished() | ContextCompacted() | ConversationRewound():
            return apply_left_out(conversation, event)
        case PolicyDecided() | ApprovalRequested() | ApprovalGiven() | ApprovalExpired():
            return _apply_call(conversation, event, event.call_id)
        case ToolStarted() | ToolPaused():
            return _apply_call(conversation, event, event.call_id)
        case ToolFinished():
            return _apply_call(conversation, event, event.result.call_id)
        case InputRequested() | InputGiven() | SamplingRequested() | SamplingFinished():
            return apply_request(conversation, event)
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
            require(c.requested is None and c.summarizing is None, "the model is being asked")
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
    unanswered = unanswered and not c.rewound
    phase = "model" if unanswered else c.phase
    return replace(
        c,
        principal=event.principal,
        calls=calls,
        inputs=(),
        samplings=(),
        phase=phase,
        requested=None,
        summarizing=None,
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
            require(c.requested is None, "the model is being asked")
            return replace(
                c,
                messages=Log.of(c.messages).then(event.message),
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
                rewound=False,
            )
        case ModelRequested():
            require(c.requested is None, "a model request is already under way")
            require(c.summarizing is None, "a summary is being written")
            return replace(c, requested=event.request_id, requests=c.requests + 1)
        case ModelResponded():
            return _responded(_answered(c, event.request_id), event)
        case ModelFailed():
            c = _answered(c, event.request_id)
            stopped = event.final or c.interrupted or c.limit is not None
            return replace(
                c, failure=event if event.final else None, phase="user" if stopped else "model"
            )
        case _ as unreachable:
            assert_never(unreachable)


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
    messages = c.messages
    if event.message.content:  # providers refuse an assistant message without any
        messages = Log.of(messages).then(event.message)
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
            c, state = judged(c, state, event)
        case ToolStarted():
            require(may_start(state), f"call {call_id!r} may not start")
            source = (event.server, event.tool)
            state = replace(state, started=True, arguments=event.arguments, source=source)
        case ToolPaused():
            require(state.started, f"call {call_id!r} does not run")
            state = paused(state, event)
        case ToolFinished():
            c = _labelled(c, state, event)
            state = replace(state, result=event.result)
            c = replace(c, inputs=tuple(i for i in c.inputs if i.call_id != call_id))
            c = replace(c, refusals=c.refusals + int(event.result.error == "denied"))
        case _ as unreachable:
            assert_never(unreachable)
    return _close_turn(c.with_call(state))


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
        messages=Log.of(c.messages).then(message),
        uncounted=c.uncounted + characters(message),
        calls=(),
        questions=(),
        phase="user" if stopped else "model",
    )
