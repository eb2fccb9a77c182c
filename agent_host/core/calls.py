"""The calls of the open turn: what became of each, and what may become of it.

Theory of operation: a call is allowed (by policy or a human), started, and finished; in between a
server may pause it with requests of its own, and then it does not run until each is answered. What
a process that is gone left started is in doubt; what it left paused is not, because the server
itself said that it waits. Pure values; `conversation` decides when an event may come.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent_host.core.approvals import Yes
from agent_host.core.events import InputGiven, InputRequested, SamplingFinished, ToolPaused
from agent_host.core.replacing import replace
from agent_host.core.types import (
    ApprovalTerms,
    Decision,
    JsonObject,
    ServerRequest,
    ToolCall,
    ToolResult,
)

ASKED = ("elicitation/create", "sampling/createMessage")
"""What of a server's requests is put to a human or the model."""

MAX_ROUNDS = 10
"""How often a server may pause one call."""


@dataclass(frozen=True, kw_only=True)  # without slots: see `replacing`
class CallState:
    """A call of the open turn and what became of it so far.

    `arguments` are those that would run: the model's, or a human's edit of them. `asked`: a human
    is being asked, about the arguments of the digest `shown`. `in_doubt`: it was started by a
    process that is gone, so nobody knows.
    `rules` are those that gave the decision, `origin` is where `rule` stands, `terms` whose yes
    they want; `yeses` are those so far, which may be fewer than it takes; `approvals` counts how
    often there were enough; `expired`: they came too late. `source`: server and own name of the
    tool, once known.
    `paused`: what the server asked for the last time it paused the call, with the `answers` by
    the requests' keys; `rounds`: how often it did; `unanswered`: why one gets no answer.
    """

    call: ToolCall
    arguments: JsonObject
    decision: Decision | None = None
    rule: str = ""
    reason: str = ""
    rules: tuple[str, ...] = ()
    origin: str = ""
    terms: ApprovalTerms | None = None
    yeses: tuple[Yes, ...] = ()
    source: tuple[str, str] | None = None
    asked: bool = False
    shown: str = ""
    approval: Literal["approve", "deny"] | None = None
    approvals: int = 0
    feedback: str = ""
    expired: bool = False
    started: bool = False
    in_doubt: bool = False
    paused: ToolPaused | None = None
    answers: Mapping[str, JsonObject] = field(default_factory=dict)
    rounds: int = 0
    unanswered: str = ""
    result: ToolResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A human's "always" of this session: one definition of a tool, with exactly the arguments of
    that digest, or with any when None, and an answer to exactly those `rules` that asked (empty:
    of an older record, any). `by` and `call_id` say who gave it and where."""

    server: str
    tool: str
    fingerprint: str
    arguments: str | None
    by: str
    call_id: str
    rules: tuple[str, ...] = ()


def reopened(s: CallState) -> CallState:
    """What is left of a call's state when another process takes over: policy is asked anew, and
    an approval counts only for what certainly did not run."""
    in_doubt = s.started or s.in_doubt
    return replace(
        s,
        decision=None,
        asked=False,
        approval=None if in_doubt else s.approval,
        yeses=() if in_doubt else s.yeses,
        started=False,
        in_doubt=in_doubt,
    )


def may_start(s: CallState) -> bool:
    """Whether the call may start, or go on after a pause."""
    allowed = s.decision == "allow" or (s.decision == "ask" and s.approval == "approve")
    return allowed and not s.started and s.call.fault is None and not missing(s)


def paused(s: CallState, event: ToolPaused) -> CallState:
    """The state of a call that the server paused."""
    return replace(s, started=False, paused=event, answers={}, rounds=s.rounds + 1, unanswered="")


def missing(s: CallState) -> tuple[ServerRequest, ...]:
    """What a paused call waits for. Roots are no question: whoever sends the call knows them."""
    if s.paused is None:
        return ()
    return tuple(r for r in s.paused.requests if r.method in ASKED and r.key not in s.answers)


def with_input(s: CallState, asked: InputRequested, given: InputGiven) -> CallState:
    """The state with a human's answer."""
    return replace(s, answers={**s.answers, asked.key: input_result(asked, given)})


def input_result(asked: InputRequested, given: InputGiven) -> JsonObject:
    """Return a human's answer as the protocol has it (MCP `ElicitResult`)."""
    result: JsonObject = {"action": given.action}
    if given.action == "accept" and asked.mode == "form":
        result["content"] = given.content or {}
    return result


def with_sampling(s: CallState, key: str, event: SamplingFinished) -> CallState:
    """The state with the model's answer, or without one."""
    if event.result is None:
        return replace(
            s, unanswered=event.error or f"the request for the model was {event.outcome}"
        )
    return replace(s, answers={**s.answers, key: event.result})
