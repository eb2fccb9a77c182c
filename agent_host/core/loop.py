"""The only control flow of a run: what may start now, given what happened.

Theory of operation: `decide` is a pure function of the conversation, the tools, the limits and
two facts of this process (seconds worked, questions that nobody can answer now). It returns every
action that may start: two allowed calls and the question about a third at once. Each action has a
key; the engine starts those whose key is not already in flight and records their outcomes, and
`decide` is asked again. No action is ever skipped by hand: a call that may not run is refused
through the same list, so that each call gets exactly one result.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from agent_host.core.calls import MAX_ROUNDS, CallState, missing
from agent_host.core.compaction import ANY_SPACE, Plan, Space, due
from agent_host.core.conversation import Conversation
from agent_host.core.events import EndReason, LimitReached
from agent_host.core.limits import Limits, calls_left, reached
from agent_host.core.types import Tool, ToolErrorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class CallModel:
    """Ask the model."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact:
    """Make what the model is sent shorter before it is asked."""

    key: str
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicy:
    """Validate a call's arguments and ask policy about it."""

    key: str
    state: CallState
    tool: Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class AskApproval:
    """Ask a human about a call."""

    key: str
    state: CallState
    tool: Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequests:
    """Get the answers that a paused call waits for."""

    key: str
    state: CallState
    tool: Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTool:
    """Run a call, or let it go on after a pause."""

    key: str
    state: CallState
    tool: Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Give a call a result without running it; `text` tells the model what it can do."""

    key: str
    state: CallState
    error: ToolErrorKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachLimit:
    """Stop the step because of a limit."""

    key: str
    event: LimitReached


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitUser:
    """Nothing to do until the user speaks."""

    key: str = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """Only questions are left that nobody can answer now: leave, to be resumed."""

    key: str = "park"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The run has ended."""

    key: str = "end"


Action = (
    CallModel
    | Compact
    | CheckPolicy
    | AskApproval
    | AnswerRequests
    | RunTool
    | Refuse
    | ReachLimit
    | AwaitUser
    | Park
    | End
)


def decide(
    conversation: Conversation,
    *,
    tools: Mapping[str, Tool],
    limits: Limits,
    elapsed: float = 0.0,
    next_cost: float = 0.0,
    deferred: AbstractSet[str] = frozenset(),
    space: Space = ANY_SPACE,
) -> tuple[Action, ...]:
    """Return every action that may start now, in the order of the calls.

    `elapsed`: seconds worked since the user's last message; `next_cost`: what the next model call
    is estimated to cost, in US dollars; `deferred`: keys of the questions
    that were put to someone and not answered; `space`: what the model takes. Empty while all that
    is left is in flight.
    """
    c = conversation
    if c.ended is not None:
        return (End(),)
    if c.calls:
        return _decide_calls(c, tools, limits, deferred)
    if c.phase == "model":
        if c.requested is not None or c.summarizing is not None:
            return ()
        limit = reached(c, limits, elapsed, next_cost)
        if limit is not None:
            return (ReachLimit(key="limit", event=limit),)
        plan = due(c, space)
        return (CallModel(key="model"),) if plan is None else (Compact(key="compact", plan=plan),)
    return (AwaitUser(),)


def outcome(conversation: Conversation) -> EndReason | None:
    """Return how a step ended that awaits the user, or None if it is parked or under way."""
    c = conversation
    if c.ended is not None:
        return c.ended.reason
    if c.awaiting != "user":
        return None
    if c.interrupted:
        return "interrupted"
    if c.failure is not None:
        return "failed" if c.failure.kind in {"script", "bad_request"} else "model_unavailable"
    if c.limit is not None:
        return "limit"
    if c.refusals or c.stop_reason == "refusal":
        return "refused"
    if c.stop_reason == "max_tokens":
        return "limit"
    if c.silent or c.stop_reason in ("unknown", "context_window_exceeded"):
        return "failed"
    return "done"


def _decide_calls(
    c: Conversation, tools: Mapping[str, Tool], limits: Limits, deferred: AbstractSet[str]
) -> tuple[Action, ...]:
    left = calls_left(c, limits)
    actions: list[Action] = []
    waiting = 0
    open_calls = [(place, s) for place, s in enumerate(c.calls) if s.result is None]
    for place, state in open_calls:
        if state.started:
            continue  # its own task ends it, also when its tool is no longer offered
        action = _refusal(c, state, tools, place, left) or _next(
            c, state, tools[state.call.name], limits
        )
        if action.key in deferred:
            waiting += 1
        else:
            actions.append(action)
    if waiting and waiting == len(open_calls):
        return (Park(),)
    return tuple(actions)


def _key(c: Conversation, kind: str, state: CallState) -> str:
    # A provider may use an id again in a later turn; the count of requests tells them apart.
    return f"{kind}:{c.requests}:{state.call.id}"


def _next(c: Conversation, s: CallState, tool: Tool, limits: Limits) -> Action:
    if s.decision is None:
        return CheckPolicy(key=_key(c, "policy", s), state=s, tool=tool)
    doubtful = s.in_doubt and not tool.repeatable
    if (s.decision == "ask" or doubtful) and s.approval is None:
        if limits.max_asks is not None and c.asks >= limits.max_asks and not s.asked:
            text = f"not executed: a human was asked {c.asks} times for one message, the limit"
            return Refuse(key=_key(c, "refuse", s), state=s, error="denied", text=text)
        # A question that is answered by some of those whom it takes is a new one.
        return AskApproval(key=_key(c, f"approval{len(s.yeses) or ''}", s), state=s, tool=tool)
    # Each round has a key of its own: the task of the one before may not have ended yet.
    if missing(s):
        return AnswerRequests(key=_key(c, f"answers{s.rounds}", s), state=s, tool=tool)
    return RunTool(key=_key(c, f"tool{s.rounds or ''}", s), state=s, tool=tool)


def _refusal(
    c: Conversation, s: CallState, tools: Mapping[str, Tool], place: int, left: int
) -> Refuse | None:
    """Return why the call is not to run, if so."""
    reason = _stopped(c, s) or _unusable(s, tools) or _forbidden(s) or _replaced(c, s, tools)
    reason = reason or _stuck(s)
    if reason is None and place >= left:
        reason = ("limit", "not executed: the limit of tool calls for one message is reached")
    if reason is None:
        return None
    error, text = reason
    return Refuse(key=_key(c, "refuse", s), state=s, error=error, text=text)


def _stopped(c: Conversation, s: CallState) -> tuple[ToolErrorKind, str] | None:
    if not c.interrupted and c.limit is None:
        return None
    if s.in_doubt:
        return UNKNOWN
    if c.interrupted:
        return "cancelled", "not executed: the user stopped this step"
    return "limit", "not executed: a limit of this run is reached"


def _unusable(s: CallState, tools: Mapping[str, Tool]) -> tuple[ToolErrorKind, str] | None:
    if s.call.fault == "truncated_call":
        return "truncated_call", "not executed: the call was cut off; send it again, whole"
    if s.call.fault == "malformed_call":
        return "malformed_call", "not executed: the arguments are not a JSON object; send it again"
    if s.call.name not in tools:
        if s.in_doubt:
            return UNKNOWN
        return "unknown_tool", f"not executed: there is no tool {s.call.name}"
    return None


def _forbidden(s: CallState) -> tuple[ToolErrorKind, str] | None:
    why = f": {s.reason}" if s.reason else ""
    if s.decision == "deny":
        return "denied", f"not executed: policy denies this call (rule {s.rule}){why}"
    if s.approval == "deny":
        if s.in_doubt:
            return UNKNOWN
        if s.expired:
            return "denied", "not executed: nobody approved this call in time"
        said = f": {s.feedback}" if s.feedback else ""
        return "denied", f"not executed: the user refused this call{said}"
    return None


def _stuck(s: CallState) -> tuple[ToolErrorKind, str] | None:
    """Why a paused call cannot go on."""
    if s.unanswered:
        return "tool_error", f"not finished: {s.unanswered}"
    if s.rounds > MAX_ROUNDS:
        return "tool_error", f"not finished: the server asked for more {s.rounds} times"
    return None


def _replaced(
    c: Conversation, s: CallState, tools: Mapping[str, Tool]
) -> tuple[ToolErrorKind, str] | None:
    """A yes binds to the definition that was shown."""
    if s.approval != "approve" and not s.yeses:
        return None
    shown = next((q for q in reversed(c.questions) if q.call_id == s.call.id), None)
    if shown is None or shown.fingerprint == tools[s.call.name].fingerprint:
        return None
    if s.in_doubt:
        return UNKNOWN
    return "changed", "not executed: the definition of the tool changed after a human approved it"


UNKNOWN: tuple[ToolErrorKind, str] = (
    "outcome_unknown",
    (
        "outcome unknown: the host stopped while this call was running; it may or may not have "
        "taken effect. Check before you repeat it"
    ),
)
"""What is said of a call of which nobody knows whether it ran."""
