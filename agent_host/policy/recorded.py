"""The calls of a recorded run, each as policy saw it then.

Theory of operation: the records are folded as the engine does, and at each decision of policy the
conversation is as it was: its labels, what it had cost, who it was for. A call that policy was
asked about more than once (after an edit, or in another process) counts once, as it was at the
last time. What a session's "always" allowed counts as what policy asked, because that is what
policy said. Pure: what reads the files is elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    ApprovalGiven,
    ApprovalRequested,
    PolicyDecided,
    Record,
    ToolStarted,
)
from agent_host.core.types import Decision, JsonObject, ToolCall

GRANT = "session grant of call "
"""How the rule of what a session's "always" allowed begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One call that policy was asked about. `at`: seconds since 1970; `server`, `tool` and
    `fingerprint` as far as the records say them, else empty; `decided` by `rule`; `granted`: an
    "always" of the session answered what policy asked; `ran`: it was started, with `ran_with`."""

    run_id: str
    seq: int
    at: float
    call: ToolCall
    arguments: JsonObject
    decided: Decision
    rule: str
    conversation: Conversation
    server: str = ""
    tool: str = ""
    fingerprint: str = ""
    granted: bool = False
    ran: bool = False
    ran_with: JsonObject | None = None
    interactive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a transcript says of calls. `unasked`: calls that never came to policy; `problem`: why
    what comes after these calls cannot be told, clean enough for nobody yet."""

    calls: tuple[RecordedCall, ...] = ()
    unasked: int = 0
    problem: str = ""


def recorded(records: Iterable[Record]) -> Recorded:
    """Return the calls of one run, in the order in which policy last decided about them."""
    c = Conversation()
    found: dict[tuple[int, str], RecordedCall] = {}
    proposed = 0
    interactive = False
    problem = ""
    for record in records:
        event = record.event
        before = c
        try:
            c = apply(c, event)
        except UsageError as error:
            problem = f"record {record.seq} makes no legal conversation: {error}"
            break
        if c.answers != before.answers:
            proposed += len(c.calls)
        match event:
            case PolicyDecided():
                key = (c.answers, event.call_id)
                found.pop(key, None)
                one = _decided(record, event, before)
                if one is not None:
                    found[key] = one
            case ApprovalRequested() | ToolStarted():
                key = (before.answers, event.call_id)
                if key in found:
                    found[key] = _known(found[key], event)
            case ApprovalGiven():
                interactive = interactive or event.by == c.principal.id
    calls = tuple(found.values())
    if interactive:
        calls = tuple(replace(one, interactive=True) for one in calls)
    return Recorded(calls=calls, unasked=max(proposed - len(calls), 0), problem=problem)


def _decided(record: Record, event: PolicyDecided, c: Conversation) -> RecordedCall | None:
    state = c.call(event.call_id)
    if state is None:  # never of a legal run
        return None
    granted = event.decision == "allow" and event.rule.startswith(GRANT)
    return RecordedCall(
        run_id=record.run_id,
        seq=record.seq,
        at=seconds_of(record.at),
        call=state.call,
        arguments=state.arguments,
        decided="ask" if granted else event.decision,
        rule=event.rule,
        # What policy never reads would keep every message of a long run once for each call.
        conversation=replace(
            c, messages=(), calls=(), questions=(), grants=(), summaries=(), head=()
        ),
        server=event.server,
        tool=event.tool,
        fingerprint=event.fingerprint,
        granted=granted,
    )


def _known(one: RecordedCall, event: ApprovalRequested | ToolStarted) -> RecordedCall:
    one = replace(one, server=event.server, tool=event.tool, fingerprint=event.fingerprint)
    if isinstance(event, ToolStarted):
        return replace(one, ran=True, ran_with=event.arguments)
    return one


def seconds_of(at: str) -> float:
    """Return the seconds since 1970 of a record's time; 0 for what is none."""
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return 0.0


def sources(calls: Iterable[RecordedCall]) -> Mapping[str, tuple[str, str]]:
    """Return server and own name by exposed name, as far as some record says them."""
    return {one.call.name: (one.server, one.tool) for one in calls if one.server}
