"""What an event says to a reader, in a line and perhaps some texts below it.

Theory of operation: `about_call` knows the events of one call, `in_general` all others; between
them each event of the union is handled or left out on purpose (an intent whose outcome says more).
Titles mix our words with recorded ones: writers clean and escape the whole.
"""

import difflib
import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Literal

from agent_host.core import events as e
from agent_host.core.money import shown_cost
from agent_host.core.types import Json, JsonObject, ToolResult

Tone = Literal["", "good", "bad", "warn"]

_DIFF_LIMIT = 50_000
"""Characters of arguments that are compared line by line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A text below a line. `kind`: how it is laid out."""

    label: str
    text: str
    kind: Literal["text", "json", "diff"] = "text"


@dataclass(slots=True, kw_only=True)
class Step:
    """Something that happened. `approval`: a person was asked, or answered."""

    title: str
    details: tuple[Detail, ...] = ()
    tone: Tone = ""
    approval: bool = False
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutCall:
    """What an event says of one call."""

    call_id: str
    step: Step | None = None
    source: tuple[str, str] | None = None
    result: ToolResult | None = None


def about_call(event: e.Event, inputs: MutableMapping[str, str]) -> AboutCall | None:
    """Return what an event says of a call, or None. `inputs`: of requests for input and for the
    model, the call each is for; added to."""
    match event:
        case e.PolicyDecided() | e.ApprovalRequested() | e.ApprovalExpired():
            return AboutCall(call_id=event.call_id, step=_judged(event))
        case e.ApprovalGiven():
            return AboutCall(call_id=event.call_id, step=_approval(event))
        case e.ToolStarted():
            source = (event.server, event.tool)
            return AboutCall(call_id=event.call_id, source=source)
        case e.ToolPaused():
            return AboutCall(call_id=event.call_id, step=_paused(event))
        case e.ToolFinished():
            return AboutCall(call_id=event.result.call_id, result=event.result)
        case e.InputRequested():
            inputs[event.input_id] = event.call_id
            return AboutCall(call_id=event.call_id, step=_input_requested(event))
        case e.InputGiven():
            return AboutCall(call_id=inputs.get(event.input_id, ""), step=_input_given(event))
        case e.SamplingRequested():
            inputs[event.sampling_id] = event.call_id
            return AboutCall(call_id=event.call_id, step=_sampling(event))
        case e.SamplingFinished():
            return AboutCall(call_id=inputs.get(event.sampling_id, ""), step=_sampled(event))
        case _:
            return None


def in_general(event: e.Event) -> Step | None:
    """Return the note of an event that is of no call; None if it says nothing of its own."""
    match event:
        case e.ModelFailed():
            again = "" if event.final else ", asked again"
            details = _texts(("Why", event.message))
            return Step(title=f"Model failed: {event.kind}{again}", details=details, tone="bad")
        case e.RunEnded():
            title = f"Run ended: {event.reason}"
            tone: Tone = "good" if event.reason == "done" else "warn"
            return Step(title=title, details=_texts(("Detail", event.detail)), tone=tone)
        case e.LimitReached():
            return Step(title=f"Limit reached: {event.name} ({event.limit:g})", tone="warn")
        case e.Interrupted():
            return Step(title=f"Interrupted by {event.by}", tone="warn")
        case e.RunResumed():
            return Step(title=f"Resumed for {event.principal.id}")
        case e.ModelChanged():
            title = f"Model changed to {event.provider}:{event.model}, by {event.by}"
            return Step(title=title, details=_texts(("Reason", event.reason)))
        case e.ServerConnected() | e.ServerLost() | e.ToolsChanged():
            return _world(event)
        case e.ContextCompacted() | e.ConversationRewound() | e.SummaryFinished():
            return _view(event)
        case _:  # intents, whose outcome says more
            return None


def diff(before: Json, after: Json) -> str:
    """Return how two JSON values differ, as lines that begin with `-`, `+` or a space."""
    old, new = as_json(before), as_json(after)
    if max(len(old), len(new)) > _DIFF_LIMIT:
        return "\n".join(("- (as proposed, too long to compare)", *_prefixed("+ ", new)))
    lines = difflib.unified_diff(old.split("\n"), new.split("\n"), lineterm="", n=100)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def _prefixed(prefix: str, text: str) -> list[str]:
    return [prefix + line for line in text.split("\n")]


def as_json(value: Json) -> str:
    """Return readable JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def _texts(*pairs: tuple[str, str]) -> tuple[Detail, ...]:
    return tuple(Detail(label=label, text=text) for label, text in pairs if text)


def _json(label: str, value: JsonObject | None) -> tuple[Detail, ...]:
    return () if value is None else (Detail(label=label, text=as_json(value), kind="json"),)


def _judged(event: e.PolicyDecided | e.ApprovalRequested | e.ApprovalExpired) -> Step:
    match event:
        case e.PolicyDecided():
            where = f" ({event.origin})" if event.origin else ""
            tones: dict[str, Tone] = {"allow": "good", "deny": "bad"}
            return Step(
                title=f"Policy: {event.decision} by rule {event.rule}{where}",
                details=_texts(("Reason", event.reason)),
                tone=tones.get(event.decision, "warn"),
            )
        case e.ApprovalRequested():
            doubt = "; the outcome of an earlier start is unknown" if event.in_doubt else ""
            until = f", until {event.expires_at}" if event.expires_at else ""
            title = f"Approval asked{_takes(event)}{until}{doubt}"
            return Step(title=title, tone="warn", approval=True)
        case e.ApprovalExpired():
            return Step(title="Nobody approved in time", tone="bad", approval=True)


def _takes(event: e.ApprovalRequested) -> str:
    if event.terms is None or event.terms.anybody:
        return ""
    people = sum(one.needed for one in event.terms.demands)
    roles = ", ".join(dict.fromkeys(r for one in event.terms.demands for r in one.roles))
    return f", takes {people} of: {roles or 'anybody'}"


def _approval(event: e.ApprovalGiven) -> Step:
    scope = {
        "once": "",
        "session_call": ", always for these arguments in this session",
        "session_tool": ", always for this tool in this session",
    }[event.scope]
    yes = event.decision == "approve"
    who = f"{event.by} ({event.authenticated_by})" if event.authenticated_by else event.by
    edited = ", with edited arguments" if event.arguments is not None else ""
    return Step(
        title=f"{'Approved' if yes else 'Refused'} by {who}{scope}{edited}",
        details=_texts(("Reason", event.feedback)),
        tone="good" if yes else "bad",
        approval=True,
    )


def _paused(event: e.ToolPaused) -> Step:
    details = tuple(
        Detail(label=f"{one.method} {one.key}", text=as_json(one.params), kind="json")
        for one in event.requests
    )
    return Step(title=f"Paused: the server wants {len(details)} answers", details=details)


def _input_requested(event: e.InputRequested) -> Step:
    details = _texts(("Message", event.message), ("URL", event.url))
    schema = _json("Form", event.requested_schema)
    title = f"Server {event.server} asks for input ({event.mode})"
    return Step(title=title, details=(*details, *schema), tone="warn", approval=True)


def _input_given(event: e.InputGiven) -> Step:
    tone: Tone = "good" if event.action == "accept" else "bad"
    title = f"Input: {event.action} by {event.by}"
    return Step(title=title, details=_json("Content", event.content), tone=tone, approval=True)


def _sampling(event: e.SamplingRequested) -> Step:
    title = f"Server {event.server} asks the model"
    return Step(title=title, details=_json("Request", event.params))


def _sampled(event: e.SamplingFinished) -> Step:
    cost = f", {shown_cost(event.cost)}" if event.cost else ""
    title = f"The model for the server: {event.outcome}, by {event.by}{cost}"
    details = (*_texts(("Why", event.error)), *_json("Result", event.result))
    return Step(title=title, details=details, tone="" if event.outcome == "answered" else "bad")


def _world(event: e.ServerConnected | e.ServerLost | e.ToolsChanged) -> Step:
    match event:
        case e.ServerConnected():
            version = f"version {event.version or 'unknown'}, protocol {event.protocol}"
            return Step(
                title=f"Server {event.server} connected in {event.seconds:.2f} s, {version}"
            )
        case e.ServerLost():
            again = ", is being restarted" if event.will_restart else ""
            details = _texts(("Why", event.reason))
            return Step(title=f"Server {event.server} lost{again}", details=details, tone="bad")
        case e.ToolsChanged():
            names = ("added", "removed", "changed", "withheld")
            pairs = ((name.capitalize(), ", ".join(getattr(event, name))) for name in names)
            title = f"Tools of server {event.server} changed"
            return Step(title=title, details=_texts(*pairs), tone="warn")


def _view(event: e.ContextCompacted | e.ConversationRewound | e.SummaryFinished) -> Step | None:
    match event:
        case e.ContextCompacted():
            what = f"a summary stands for {event.messages} messages" if event.messages else ""
            left = f"long results of {event.results} messages left out" if event.results else ""
            title = f"Context compacted: {', '.join(filter(None, (what, left)))}"
            return Step(title=title, details=_texts(("Summary", event.summary)))
        case e.ConversationRewound():
            who = f" by {event.by}" if event.by else ""
            title = f"Went back to the first {event.messages} messages{who}"
            return Step(title=title, tone="warn")
        case e.SummaryFinished():
            if not event.error:
                return None
            return Step(title="Summary failed", details=_texts(("Why", event.error)), tone="bad")
