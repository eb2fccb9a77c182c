"""One run as text for people: everything that happened, in order, nothing hidden silently.

Theory of operation: `Show.lines(record)` yields the lines of one record; it remembers names,
arguments and start times of calls and requests, so that a result says which tool it is of and
how long that took, and arguments are shown again only if they changed. A line that begins in the
first column is ours; whatever a user, model or server wrote is cleaned and indented, so no text
can pass for a line of the host. Long texts are cut after LINES lines or CHARACTERS characters,
and say by how much, unless `full`. All times are UTC.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import assert_never

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
    Record,
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
from agent_host.core.moments import moment
from agent_host.core.money import shown_cost
from agent_host.core.text import clean, clean_line
from agent_host.core.types import (
    Audio,
    Block,
    Image,
    Json,
    JsonObject,
    Message,
    Principal,
    Reasoning,
    Resource,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)

LINES = 20
CHARACTERS = 2000

_RunEvent = RunStarted | RunResumed | ModelChanged | LimitReached | Interrupted | RunEnded
_DialogueEvent = UserSaid | ModelRequested | ModelResponded | ModelFailed
_ViewEvent = SummaryRequested | SummaryFinished | ContextCompacted | ConversationRewound
_CallEvent = (
    PolicyDecided | ApprovalRequested | ApprovalGiven | ApprovalExpired | ToolStarted | ToolFinished
)
_AskedEvent = InputRequested | InputGiven | SamplingRequested | SamplingFinished | ToolPaused
_WorldEvent = ServerConnected | ServerLost | ToolsChanged


class Show:
    """Renders the records of one run, in their order."""

    def __init__(self, *, full: bool = False) -> None:
        self._full = full
        self._names: dict[str, str] = {}
        self._shown: dict[str, JsonObject] = {}
        self._since: dict[str, datetime] = {}
        self._now: datetime | None = None
        self._day = ""

    def lines(self, record: Record) -> Iterator[str]:
        """Yield the lines of a record, without line ends."""
        self._now = moment(record.at)
        stamp = f"{self._now:%H:%M:%S}" if self._now else clean_line(record.at, 30)
        day = f"{self._now:%Y-%m-%d}" if self._now else ""
        if day and day != self._day:
            self._day = day
            yield f"{day} (UTC)"
        head, *rest = self._event(record.event)
        yield f"{stamp}  {head}"
        yield from rest

    def _event(self, event: Event) -> Iterator[str]:
        match event:
            case RunStarted() | RunResumed() | ModelChanged():
                return self._run(event)
            case LimitReached() | Interrupted() | RunEnded():
                return self._run(event)
            case UserSaid() | ModelRequested() | ModelResponded() | ModelFailed():
                return self._dialogue(event)
            case (
                SummaryRequested() | SummaryFinished() | ContextCompacted() | ConversationRewound()
            ):
                return self._view(event)
            case PolicyDecided() | ApprovalRequested() | ApprovalGiven() | ToolStarted():
                return self._call(event)
            case ApprovalExpired() | ToolFinished():
                return self._call(event)
            case InputRequested() | InputGiven() | SamplingRequested() | SamplingFinished():
                return self._asked_for(event)
            case ToolPaused():
                return self._asked_for(event)
            case ServerConnected() | ServerLost() | ToolsChanged():
                return self._world(event)
            case _ as unreachable:
                assert_never(unreachable)

    def _run(self, event: _RunEvent) -> Iterator[str]:
        match event:
            case RunStarted():
                model = _model(event.provider, event.model, event.adapter, event.simulated)
                yield f"started with {model}, for {_who(event.principal)}"
                if event.parent:
                    yield f"    after run {clean_line(event.parent, 60)}"
                yield from self._labelled("system", event.system)
            case RunResumed():
                yield f"resumed for {_who(event.principal)}"
            case ModelChanged():
                model = _model(event.provider, event.model, event.adapter, event.simulated)
                yield f"model changed to {model}, by {clean_line(event.by, 60)}"
                yield from self._labelled("reason", event.reason)
            case LimitReached():
                yield f"limit reached: {event.name} ({event.limit:g})"
            case Interrupted():
                yield f"interrupted by {clean_line(event.by, 60)}"
            case RunEnded():
                detail = f": {clean_line(event.detail)}" if event.detail else ""
                yield f"ended, {event.reason}{detail}"
            case _ as unreachable:
                assert_never(unreachable)

    def _dialogue(self, event: _DialogueEvent) -> Iterator[str]:
        match event:
            case UserSaid():
                yield "user"
                yield from self._message(event.message)
            case ModelRequested():
                self._start(event.request_id)
                asked = f"{clean_line(event.provider, 60)}:{clean_line(event.model, 60)}"
                yield f"model asked, {asked}"
            case ModelResponded():
                served = clean_line(event.model_served, 60)
                by = f" by {served}" if served and served != event.model_asked else ""
                took = self._took(event.request_id)
                cost = f", {shown_cost(event.cost)}" if event.cost else ""
                yield f"model{by}, {event.stop_reason}{took}, {tokens(event.usage)}{cost}"
                yield from self._message(event.message)
            case ModelFailed():
                again = "" if event.final else ", asked again"
                wait = f" after {event.retry_after:g} s" if event.retry_after and again else ""
                yield f"model failed, {event.kind}{self._took(event.request_id)}{again}{wait}"
                yield from self._text(event.message)
            case _ as unreachable:
                assert_never(unreachable)

    def _view(self, event: _ViewEvent) -> Iterator[str]:
        match event:
            case SummaryRequested():
                self._start(event.request_id)
                asked = f"{clean_line(event.provider, 60)}:{clean_line(event.model, 60)}"
                yield f"summary asked for, {asked}"
                yield from self._labelled("instructions", event.instructions)
            case SummaryFinished():
                cost = f", {shown_cost(event.cost)}" if event.cost else ""
                how = "failed" if event.error else "written"
                took = self._took(event.request_id)
                yield f"summary {how}{took}, {tokens(event.usage)}{cost}"
                yield from self._text(event.error)
            case ContextCompacted():
                stands = f"a summary stands for {event.messages} messages"
                left = f"tool results of the first {event.results} messages are left out"
                what = (stands if event.messages else "", left if event.results else "")
                yield f"context compacted, {', '.join(filter(None, what))}"
                yield from self._text(event.summary)
            case ConversationRewound():
                who = f" by {clean_line(event.by, 60)}" if event.by else ""
                yield f"went back to the first {event.messages} messages{who}"
            case _ as unreachable:
                assert_never(unreachable)

    def _call(self, event: _CallEvent) -> Iterator[str]:
        match event:
            case PolicyDecided():
                name, rule = self._name(event.call_id), clean_line(event.rule, 100)
                reason = f": {clean_line(event.reason)}" if event.reason else ""
                where = f" ({clean_line(event.origin, 200)})" if event.origin else ""
                yield f"policy, {event.decision} {name} by rule {rule}{where}{reason}"
            case ApprovalRequested():
                doubt = " (outcome of an earlier start unknown)" if event.in_doubt else ""
                until = f", until {clean_line(event.expires_at, 40)}" if event.expires_at else ""
                yield f"approval asked, {self._name(event.call_id)}{doubt}{until}"
                terms = event.terms
                if terms is not None and not terms.anybody:
                    people = sum(one.needed for one in terms.demands)
                    roles = dict.fromkeys(role for one in terms.demands for role in one.roles)
                    yield f"    takes {people} of: {clean_line(', '.join(roles)) or 'anybody'}"
                yield from self._arguments(event.call_id, event.arguments)
            case ApprovalGiven():
                yield from self._approval(event)
            case ApprovalExpired():
                yield f"nobody approved {self._name(event.call_id)} in time"
            case ToolStarted():
                self._start(event.call_id)
                where = f"{clean_line(event.tool, 100)} of server {clean_line(event.server, 60)}"
                yield f"call started, {self._name(event.call_id)}: {where}"
                yield from self._arguments(event.call_id, event.arguments)
            case ToolFinished():
                yield from self._result(event.result)
            case _ as unreachable:
                assert_never(unreachable)

    def _approval(self, event: ApprovalGiven) -> Iterator[str]:
        scope = {
            "once": "",
            "session_call": ", always for these arguments in this session",
            "session_tool": ", always for this tool in this session",
        }[event.scope]
        answer = "approved" if event.decision == "approve" else "refused"
        who = clean_line(event.by, 60)
        if event.authenticated_by:
            who = f"{who} ({clean_line(event.authenticated_by, 200)})"
        elsewhere = ", from elsewhere" if event.via else ""
        yield f"{answer} {self._name(event.call_id)}{scope}, by {who}{elsewhere}"
        if event.arguments is not None:
            yield "    with edited arguments:"
            yield from self._arguments(event.call_id, event.arguments)
        yield from self._labelled("reason", event.feedback)

    def _result(self, result: ToolResult) -> Iterator[str]:
        what = f"error {result.error}" if result.error else "result"
        yield f"{what} of {self._name(result.call_id)}{self._took(result.call_id)}"
        if result.labels:
            yield f"    labels: {clean_line(', '.join(result.labels))}"
        for block in (*result.for_user, *result.content):
            yield from self._block(block)
        if result.artifact:
            yield f"    whole result: {clean_line(result.artifact)} beside the transcript"

    def _asked_for(self, event: _AskedEvent) -> Iterator[str]:
        """What a server asks for, and what became of it."""
        match event:
            case InputRequested():
                who = f"server {clean_line(event.server, 60)}"
                yield f"{who} asks for input ({event.mode}){self._for(event.call_id)}"
                yield from self._text(event.message)
                yield from self._labelled("url", event.url)
                if event.requested_schema is not None:
                    yield from self._json(event.requested_schema)
            case InputGiven():
                yield f"input, {event.action} by {clean_line(event.by, 200)}"
                if event.content is not None:
                    yield from self._json(event.content)
            case SamplingRequested():
                self._start(event.sampling_id)
                who = f"server {clean_line(event.server, 60)}"
                yield f"{who} asks the model{self._for(event.call_id)}"
                yield from self._json(event.params)
            case SamplingFinished():
                took = self._took(event.sampling_id)
                cost = f", {shown_cost(event.cost)}" if event.cost else ""
                used = f", {tokens(event.usage)}{cost}" if event.outcome == "answered" else ""
                by = clean_line(event.by, 200)
                yield f"the model for the server, {event.outcome}{took}, by {by}{used}"
                yield from self._labelled("reason", event.error)
                if event.result is not None:
                    yield from self._json(event.result)
            case ToolPaused():
                count = len(event.requests)
                wants = f"{count} answer{'' if count == 1 else 's'}"
                yield f"call paused, {self._name(event.call_id)}: the server wants {wants}"
                for request in event.requests:
                    yield f"    {clean_line(request.method, 60)} {clean_line(request.key, 60)}"
                    yield from self._json(request.params)
            case _ as unreachable:
                assert_never(unreachable)

    def _for(self, call_id: str) -> str:
        return f", for {self._name(call_id)}" if call_id else ""

    def _world(self, event: _WorldEvent) -> Iterator[str]:
        match event:
            case ServerConnected():
                version = f"version {clean_line(event.version, 60) or 'unknown'}"
                protocol = f"protocol {clean_line(event.protocol, 60)}"
                server = clean_line(event.server, 60)
                yield f"server {server} connected in {event.seconds:.2f} s, {version}, {protocol}"
            case ServerLost():
                again = ", is being restarted" if event.will_restart else ""
                yield f"server {clean_line(event.server, 60)} lost{again}"
                yield from self._text(event.reason)
            case ToolsChanged():
                yield f"tools of server {clean_line(event.server, 60)} changed"
                for label in ("added", "removed", "changed", "withheld"):
                    yield from self._labelled(label, ", ".join(getattr(event, label)))
            case _ as unreachable:
                assert_never(unreachable)

    def _message(self, message: Message) -> Iterator[str]:
        for block in message.content:
            yield from self._block(block)

    def _block(self, block: Block) -> Iterator[str]:
        match block:
            case Text():
                yield from self._text(block.text)
            case Reasoning():
                yield from self._labelled("reasoning", block.text)
            case Image() | Audio():
                kind = clean_line(block.media_type, 60)
                yield f"    [{block.type} {kind}, {len(block.data) * 3 // 4:,} bytes]"
            case Resource():
                yield f"    [resource {clean_line(block.uri)}]"
                yield from self._text(block.text or "")
            case ToolCall():
                yield from self._asked(block)
            case ToolResult():
                yield from (f"    {line}" for line in self._result(block))
            case _ as unreachable:
                assert_never(unreachable)

    def _asked(self, call: ToolCall) -> Iterator[str]:
        self._names[call.id] = f"{clean_line(call.name, 130)} ({clean_line(call.id, 60)})"
        fault = f", {call.fault}: cannot run" if call.fault else ""
        yield f"    call {self._names[call.id]}{fault}"
        if call.raw is not None:
            yield from self._text(call.raw, indent=8)
        else:
            yield from self._arguments(call.id, call.arguments)

    def _arguments(self, call_id: str, arguments: JsonObject) -> Iterator[str]:
        """A call's arguments, unless the same were shown for it last."""
        if self._shown.get(call_id) != arguments:
            self._shown[call_id] = arguments
            yield from self._json(arguments)

    def _json(self, value: Json) -> Iterator[str]:
        yield from self._text(json.dumps(value, ensure_ascii=False, indent=2), indent=8)

    def _labelled(self, label: str, text: str) -> Iterator[str]:
        if text:
            yield f"    {label}:"
            yield from self._text(text, indent=8)

    def _text(self, text: str, indent: int = 4) -> Iterator[str]:
        shown = text if self._full else "\n".join(text[:CHARACTERS].split("\n")[:LINES])
        if text:
            yield from (" " * indent + line for line in clean(shown).split("\n"))
        if len(shown) < len(text):
            rest = len(text) - len(shown)
            yield f"{' ' * indent}… {rest:,} more characters (--full shows all)"

    def _name(self, call_id: str) -> str:
        return self._names.get(call_id, clean_line(call_id, 60))

    def _start(self, key: str) -> None:
        if self._now:
            self._since[key] = self._now

    def _took(self, key: str) -> str:
        since = self._since.pop(key, None)
        if since is None or self._now is None:
            return ""
        # A clock that was set back in between makes no negative duration.
        return f" in {max((self._now - since).total_seconds(), 0):.2f} s"


def tokens(usage: Usage) -> str:
    """Return what a usage says, in words."""
    cached = f" ({usage.cache_read_tokens:,} cached)" if usage.cache_read_tokens else ""
    return f"{usage.input_tokens:,} tokens in{cached}, {usage.output_tokens:,} out"


def _model(provider: str, model: str, adapter: str, simulated: bool) -> str:
    named = f"{clean_line(provider, 60)}:{clean_line(model, 60)} ({clean_line(adapter, 60)})"
    return f"{named}, which is no AI" if simulated else named


def _who(principal: Principal) -> str:
    return f"{clean_line(principal.id, 60)} ({clean_line(principal.authenticated_by, 60)})"
