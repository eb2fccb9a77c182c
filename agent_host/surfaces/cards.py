"""Facts as short lines: one wording for every surface that people read.

Theory of operation: `Narrator.tell(record)` returns the cards that a fact is worth, already clean
and bounded, so that a surface only chooses a style by `kind`. It remembers of each open call its
name and start (from the records' own times: no clock here) and forgets it with its result. What is
said twice by the facts (a refusal, and the denied result that follows) is told once.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, assert_never

from agent_host.core.approvals import Yes, counted, digest, lacking, terms_of
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
    ServerLog,
    ServerLost,
    SummaryFinished,
    SummaryRequested,
    ToolFinished,
    ToolPaused,
    ToolsChanged,
    ToolStarted,
    UserSaid,
)
from agent_host.core.text import clean_line, clip
from agent_host.core.types import (
    ApprovalTerms,
    Content,
    Json,
    JsonObject,
    StopReason,
    Text,
    ToolCall,
    ToolResult,
)

Kind = Literal["call", "result", "failure", "notice"]

_SIMULATED = {
    "offline": "a keyword matcher answers; set a provider's API key or pass --model for a real one",
    "script": "a script answers",
    "replay": "a recorded run answers",
}
_UNFINISHED: Mapping[StopReason, str] = {
    "max_tokens": "the answer was cut off: out of output tokens; max_output_tokens allows more",
    "context_window_exceeded": "the answer was cut off: the model's context is full",
    "refusal": "the model declined to answer; say it in another way, or ask another model",
    "unknown": "the answer may be incomplete: the model did not say why it stopped; ask again",
}
_ANSWERED = {"accept": "given", "decline": "declined", "cancel": "cancelled"}
_LOUD = frozenset({"warning", "error", "critical", "alert", "emergency"})
_LOGS_SHOWN = 20
_VALUE = 48
_ARGUMENTS = 120
_RESULT = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A line for people. `text` is clean and has no line break."""

    kind: Kind
    text: str


@dataclass(slots=True)
class _Call:
    title: str
    started: str = ""
    refused: bool = False
    terms: ApprovalTerms = ApprovalTerms()
    arguments: str = ""
    yeses: tuple[Yes, ...] = ()


def brief(value: Json, limit: int = _VALUE) -> str:
    """Return the JSON of `value`, clean, on one line, visibly cut; cheap whatever its size."""
    if isinstance(value, str):
        return clean_line(json.dumps(value[: limit + 1], ensure_ascii=False), limit)
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        text += piece[: limit + 1]
        if len(text) > limit:
            break
    return clean_line(text, limit)


def brief_arguments(arguments: JsonObject, limit: int = _ARGUMENTS) -> str:
    """Return `name=value` of each argument, clean, on one line, visibly cut."""
    parts: list[str] = []
    size = 0
    for name, value in arguments.items():
        parts.append(f"{clean_line(name, _VALUE)}={brief(value)}")
        size += len(parts[-1]) + 1
        if size > limit:
            break
    return clip(" ".join(parts), limit)


def brief_result(result: ToolResult, limit: int = _RESULT) -> str:
    """Return what a result says, clean, on one line, visibly cut."""
    parts: list[str] = []
    for block in (*result.for_user, *result.content):
        parts.append(_brief_block(block, limit))
        if sum(map(len, parts)) > limit:
            break
    return clip(" ".join(part for part in parts if part) or "(empty)", limit)


def _brief_block(block: Content, limit: int) -> str:
    if isinstance(block, Text):
        # Collapsing the white space of a bounded head: tables and indented JSON are mostly blanks.
        return clean_line(" ".join(block.text[: 8 * limit].split()), limit)
    name = clean_line(getattr(block, "uri", "") or getattr(block, "media_type", ""), 80)
    return f"[{block.type} {name}]"


def title(server: str, tool: str) -> str:
    """Return how a tool is called on a screen."""
    return f"{clean_line(server, 64)} · {clean_line(tool, 128)}"


class Narrator:
    """Turns facts into cards. One a session."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._asked: dict[str, str] = {}
        self._logs: dict[str, int] = {}

    def tell(self, record: Record) -> tuple[Card, ...]:
        """Return what is worth saying about a fact."""
        return tuple(self._tell(record.event, record.at))

    def tell_log(self, log: ServerLog) -> tuple[Card, ...]:
        """Return a server's warning or error; a flood of them is cut and said to be."""
        if log.level not in _LOUD:
            return ()
        count = self._logs[log.server] = self._logs.get(log.server, 0) + 1
        if count > _LOGS_SHOWN + 1:
            return ()
        text = clean_line(log.text) if count <= _LOGS_SHOWN else "more of its log is not shown"
        who = f"server {clean_line(log.server, 64)}: " if log.server else ""
        return (Card(kind="notice", text=f"{who}{text}"),)

    def _tell(self, event: Event, at: str) -> Iterator[Card]:
        match event:
            case ToolStarted() | ToolFinished() | ModelResponded():
                yield from self._tell_call(event, at)
            case PolicyDecided() | ApprovalRequested() | ApprovalGiven() | ApprovalExpired():
                yield from self._tell_decision(event)
            case ServerConnected() | ServerLost() | ToolsChanged():
                yield from _tell_server(event)
            case RunStarted() | RunResumed() | ModelChanged() | ModelFailed():
                yield from _tell_model(event)
            case LimitReached() | Interrupted() | RunEnded():
                yield from _tell_run(event)
            case (
                SummaryRequested() | SummaryFinished() | ContextCompacted() | ConversationRewound()
            ):
                yield from _tell_view(event)
            case InputRequested() | InputGiven() | SamplingRequested() | SamplingFinished():
                yield from self._tell_asked(event)
            case ToolPaused():
                what = f"waits for {_counted(len(event.requests), 'answer')}"
                name = self._name(event.call_id)
                yield Card(kind="notice", text=f"{name}  {what} before it goes on")
            case UserSaid() | ModelRequested():
                self._logs = {} if event.type == "user_said" else self._logs
            case _ as unreachable:
                assert_never(unreachable)

    def _tell_call(
        self, event: ToolStarted | ToolFinished | ModelResponded, at: str
    ) -> Iterator[Card]:
        match event:
            case ModelResponded():
                for block in event.message.content:
                    if isinstance(block, ToolCall):
                        self._calls[block.id] = _Call(clean_line(block.name, 128))
                yield from _tell_end(event)
            case ToolStarted():
                call = self._calls.setdefault(event.call_id, _Call(""))
                call.title = title(event.server, event.tool)
                call.started = at
                yield Card(
                    kind="call", text=f"{call.title}  {brief_arguments(event.arguments)}".rstrip()
                )
            case ToolFinished():
                yield from self._tell_result(event.result, at)
            case _ as unreachable:
                assert_never(unreachable)

    def _tell_asked(
        self, event: InputRequested | InputGiven | SamplingRequested | SamplingFinished
    ) -> Iterator[Card]:
        """What servers ask for, and what became of it."""
        match event:
            case InputRequested():
                server = self._asked[event.input_id] = clean_line(event.server, 64)
                text = f"server {server} asks: {clean_line(event.message)}"
                yield Card(kind="notice", text=text)
            case InputGiven():
                server = self._asked.pop(event.input_id, "?")
                done = _ANSWERED[event.action]
                yield Card(
                    kind="notice" if event.action == "accept" else "failure",
                    text=f"server {server}: input {done} by {clean_line(event.by, 160)}",
                )
            case SamplingRequested():
                server = self._asked[event.sampling_id] = clean_line(event.server, 64)
                yield Card(kind="notice", text=f"server {server} asks the model")
            case SamplingFinished():
                yield _tell_sampled(event, self._asked.pop(event.sampling_id, "?"))
            case _ as unreachable:
                assert_never(unreachable)

    def _name(self, call_id: str) -> str:
        call = self._calls.get(call_id)
        return call.title if call is not None else clean_line(call_id, 64)

    def _tell_result(self, result: ToolResult, at: str) -> Iterator[Card]:
        call = self._calls.pop(result.call_id, None) or _Call(clean_line(result.call_id, 64))
        if call.refused and result.error == "denied":
            return
        took = f"  {_seconds(call.started, at)}" if call.started else ""
        what = brief_result(result)
        if result.error is not None:
            kind: Kind = "failure"
            what = what if result.error == "tool_error" else f"{result.error}: {what}"
        else:
            kind = "result"
        kept = f"  (whole result: {clean_line(result.artifact, 120)})" if result.artifact else ""
        yield Card(kind=kind, text=f"{call.title}{took}  {what}{kept}")

    def _tell_decision(
        self, event: PolicyDecided | ApprovalRequested | ApprovalGiven | ApprovalExpired
    ) -> Iterator[Card]:
        call = self._calls.setdefault(event.call_id, _Call(clean_line(event.call_id, 64)))
        match event:
            case ApprovalRequested():
                call.title = title(event.server, event.tool)
                call.terms = terms_of(event)
                call.arguments = digest(event.arguments)
            case PolicyDecided(decision="deny"):
                call.refused = True
                reason = f": {clean_line(event.reason)}" if event.reason else ""
                yield Card(
                    kind="failure",
                    text=f"{call.title}  denied by policy, rule {clean_line(event.rule)}{reason}",
                )
            case ApprovalExpired():
                call.refused = True
                yield Card(kind="failure", text=f"{call.title}  nobody approved it in time")
            case ApprovalGiven(decision="deny"):
                call.refused = True
                said = f": {clean_line(event.feedback)}" if event.feedback else ""
                yield Card(
                    kind="failure",
                    text=f"{call.title}  refused by {_who(event)}{said}",
                )
            case ApprovalGiven():
                yield from _tell_yes(call, event)
            case PolicyDecided():
                pass
            case _ as unreachable:
                assert_never(unreachable)


def _tell_yes(call: _Call, event: ApprovalGiven) -> Iterator[Card]:
    """A yes from elsewhere, or of one of several people; one's own was typed a moment ago."""
    what = call.arguments if event.arguments is None else digest(event.arguments)
    yes = Yes(event.by, event.authenticated_by, what, event.roles)
    call.yeses = counted(call.yeses, yes)
    missing = sum(one.needed for one in lacking(call.terms, call.yeses))
    edited = " with other arguments" if event.arguments is not None else ""
    if missing:
        more = f"; {missing} more needed"
        yield Card(kind="notice", text=f"{call.title}  approved{edited} by {_who(event)}{more}")
    elif event.via or len(call.yeses) > 1:
        yield Card(kind="notice", text=f"{call.title}  approved{edited} by {_who(event)}")


def _who(event: ApprovalGiven) -> str:
    return clean_line(event.by, 64) + (", from elsewhere" if event.via else "")


def _tell_sampled(event: SamplingFinished, server: str) -> Card:
    by = clean_line(event.by, 160)
    match event.outcome:
        case "answered":
            text = f"server {server} got the model's answer, allowed by {by}"
            return Card(kind="notice", text=text)
        case "refused":
            why = f": {clean_line(event.error)}" if event.error else ""
            return Card(kind="failure", text=f"server {server}: the model refused by {by}{why}")
        case "failed":
            text = f"server {server}: the model did not answer: {clean_line(event.error)}"
            return Card(kind="failure", text=text)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _tell_end(event: ModelResponded) -> Iterator[Card]:
    """What is wrong with an answer, and what to do."""
    if event.stop_reason in _UNFINISHED:
        yield Card(kind="notice", text=_UNFINISHED[event.stop_reason])
    elif event.stop_reason != "interrupted" and not any(
        isinstance(block, ToolCall) or (isinstance(block, Text) and block.text)
        for block in event.message.content
    ):
        yield Card(kind="failure", text="the model answered nothing; ask again, or another model")


def _seconds(start: str, end: str) -> str:
    try:
        took = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    except ValueError:
        return ""
    seconds = max(took.total_seconds(), 0.0)
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def _tell_server(event: ServerConnected | ServerLost | ToolsChanged) -> Iterator[Card]:
    server = f"server {clean_line(event.server, 64)}"
    match event:
        case ServerConnected():
            pass
        case ServerLost():
            again = " (it is being started again)" if event.will_restart else ""
            yield Card(kind="notice", text=f"{server}: {clean_line(event.reason)}{again}")
        case ToolsChanged():
            gone = tuple(name for name in event.removed if name not in event.withheld)
            signs = (
                ("+", event.added),
                ("-", gone),
                ("~", event.changed),
                ("withheld: ", event.withheld),
            )
            names = [f"{sign}{clean_line(name, 64)}" for sign, group in signs for name in group]
            yield Card(kind="notice", text=clip(f"{server}: tools changed: {' '.join(names)}", 300))
        case _ as unreachable:
            assert_never(unreachable)


def _tell_model(event: RunStarted | RunResumed | ModelChanged | ModelFailed) -> Iterator[Card]:
    match event:
        case RunStarted() | ModelChanged():
            if isinstance(event, ModelChanged) and event.reason:
                who = clean_line(f"{event.provider}:{event.model}", 120)
                yield Card(kind="notice", text=f"model: {who} answers from here on")
            if event.simulated:
                who = _SIMULATED.get(event.adapter, "a stand-in answers")
                yield Card(kind="notice", text=f"{clean_line(event.adapter, 64)}: no AI: {who}")
        case RunResumed():
            yield Card(kind="notice", text="the run goes on")
        case ModelFailed():
            text = f"model: {event.kind}: {clean_line(event.message)}"
            if event.final:
                yield Card(kind="failure", text=text)
            else:
                wait = f" (asked again in {event.retry_after:.1f} s)" if event.retry_after else ""
                yield Card(kind="notice", text=f"{text}{wait}")
        case _ as unreachable:
            assert_never(unreachable)


def _tell_run(
    event: LimitReached | Interrupted | RunEnded,
) -> Iterator[Card]:
    match event:
        case LimitReached():
            what = f"{event.limit:g} {event.name.replace('_', ' ')}"
            if event.name == "cost":
                what = f"${event.limit:g}, with the next request's estimate"
            yield Card(kind="notice", text=f"limit reached: {what}")
        case Interrupted():
            yield Card(kind="notice", text="interrupted")
        case RunEnded():
            if event.reason == "failed" and event.detail:
                yield Card(kind="failure", text=clean_line(event.detail))
        case _ as unreachable:
            assert_never(unreachable)


def _tell_view(
    event: SummaryRequested | SummaryFinished | ContextCompacted | ConversationRewound,
) -> Iterator[Card]:
    match event:
        case SummaryRequested():
            yield Card(kind="notice", text="the model is asked for a summary of what was said")
        case SummaryFinished():
            if event.error:
                text = f"no summary by the model: {clean_line(event.error)}"
                yield Card(kind="notice", text=text)
        case ContextCompacted():
            first = f"the first {event.messages} messages were shortened for the model"
            text = first if event.messages else "old tool results are left out for the model"
            room = f" (about {event.before:,} to {event.after:,} tokens)" if event.after else ""
            yield Card(kind="notice", text=f"{text}{room}")
        case ConversationRewound():
            yield Card(kind="notice", text=f"went back; {event.messages} messages are left")
        case _ as unreachable:
            assert_never(unreachable)
