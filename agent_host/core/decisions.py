"""What policy and humans say of a call, and what counts of it.

Theory of operation: policy may be asked about a call more than once (another process took the run
over; a human edited the arguments), and its last word holds. A yes is to one question: to those
arguments, that definition, those rules and terms. If policy then asks for other reasons, it is no
answer any more. `approvals` says whose yes counts.
"""

from typing import assert_never

from agent_host.core.approvals import Yes, counted, digest, lacking, refused, terms_of
from agent_host.core.calls import CallState, Grant
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    PolicyDecided,
)
from agent_host.core.replacing import replace
from agent_host.core.state import Conversation
from agent_host.core.types import JsonObject

Judged = PolicyDecided | ApprovalRequested | ApprovalGiven | ApprovalExpired


def require(condition: bool, text: str) -> None:
    """Raise UsageError with `text` unless `condition` holds."""
    if not condition:
        raise UsageError(text)


def judged(c: Conversation, s: CallState, event: Judged) -> tuple[Conversation, CallState]:
    """What policy and humans say of a call."""
    match event:
        case PolicyDecided():
            require(not s.started, f"call {s.call.id!r} has started")
            return c, _decided(c, s, event)
        case ApprovalRequested():
            require(not s.started, f"call {s.call.id!r} has started")
            s = replace(s, asked=True, arguments=event.arguments, shown=digest(event.arguments))
            return replace(c, questions=(*c.questions, event), asks=c.asks + 1), s
        case ApprovalGiven():
            return _answered_by(c, s, event)
        case ApprovalExpired():
            asked = question_about(c, s.call.id) is not None and not s.started
            require(asked, f"{s.call.id!r} awaits no approval")
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
        origin=event.origin,
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
    if question is None or not s.asked or s.approval is not None:
        raise UsageError(f"{event.call_id!r} awaits no approval")
    problem = refused(question, event, s.yeses)
    if problem is not None:
        raise UsageError(f"{event.call_id!r}: {problem}")
    s = replace(s, feedback=event.feedback)
    if event.decision == "deny":
        return c, replace(s, approval="deny")
    approved = s.shown
    if event.arguments is not None:
        approved = digest(event.arguments)
        s = replace(s, arguments=event.arguments)
    yes = Yes(event.by, event.authenticated_by, approved, event.roles)
    s = replace(s, yeses=counted(s.yeses, yes))
    if lacking(terms_of(question), s.yeses):
        return c, s
    s = replace(s, approval="approve", approvals=s.approvals + 1)
    if event.scope == "once":
        return c, s
    grant = Grant(
        server=question.server,
        tool=question.tool,
        fingerprint=question.fingerprint,
        arguments=yes.digest if event.scope == "session_call" else None,
        by=event.by,
        call_id=event.call_id,
        rules=question.rules,
    )
    return replace(c, grants=(*c.grants, grant)), s


def intact(s: CallState) -> bool:
    """Whether the arguments that would run are still those that humans approved. (They are plain
    dicts: whoever holds one could change it.)"""
    return s.approval != "approve" or digest(s.arguments) == s.yeses[-1].digest


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
            and (g.arguments is None or g.arguments == digest(arguments))
            and (not g.rules or set(rules) <= set(g.rules))
        ),
        None,
    )
