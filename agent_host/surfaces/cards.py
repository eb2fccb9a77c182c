"""Facts as short lines: one wording for every surface that people read.

Theory of operation: `Narrator.tell(record)` returns the cards that a fact is worth, already clean
and bounded, so that a surface only chooses a style by `kind`. It remembers of each open call its
name and start (from the records' own times: no clock here) and forgets it with its result. What is
said twice by the facts (a refusal, and the denied result that follows) is told once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import assert_never

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
from agent_host.core.text import clean_line
from agent_host.core.types import ApprovalTerms, ToolCall, ToolResult
from agent_host.surfaces.brief import brief, brief_arguments, brief_result, title, took
from agent_host.surfaces.notices import (
    Card,
    Finished,
    Kind,
    tell_end,
    tell_model,
    tell_run,
    tell_sampled,
    tell_server,
    tell_view,
)

__all__ = ["Card", "Kind", "Narrator", "brief", "brief_arguments", "brief_result", "title"]

_ANSWERED = {"accept": "given", "decline": "declined", "cancel": "cancelled"}
_LOUD = frozenset({"warning", "error", "critical", "alert", "emergency"})
_LOGS_SHOWN = 20


@dataclass(slots=True)
class _Call:
    title: str
    started: str = ""
    refused: bool = False
    terms: ApprovalTerms = ApprovalTerms()
    arguments: str = ""
    shown: str = ""
    edited: bool = False
    number: int = 0
    yeses: tuple[Yes, ...] = ()


class Narrator:
    """Turns facts into cards. One a session. `asked` counts the calls of the conversation, those of
    its last answer included: then calls are numbered."""

    def __init__(self) -> None:
        self.asked: Callable[[], int] | None = None
        self._number = 0
        self._counted = False
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
                yield from tell_server(event)
            case RunStarted() | RunResumed() | ModelChanged() | ModelFailed():
                yield from tell_model(event)
            case LimitReached() | Interrupted() | RunEnded():
                yield from tell_run(event)
            case (
                SummaryRequested() | SummaryFinished() | ContextCompacted() | ConversationRewound()
            ):
                # A conversation that went back has fewer calls.
                self._counted = self._counted and not isinstance(event, ConversationRewound)
                yield from tell_view(event)
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
                self._open([b for b in event.message.content if isinstance(b, ToolCall)])
                yield from tell_end(event)
            case ToolStarted():
                call = self._calls.setdefault(event.call_id, _Call(""))
                call.title = title(event.server, event.tool)
                call.started = at
                call.shown = brief_arguments(event.arguments)
                text = f"{call.title}  {call.shown}".rstrip()
                yield Card(kind="call", text=text, number=call.number)
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
                yield tell_sampled(event, self._asked.pop(event.sampling_id, "?"))
            case _ as unreachable:
                assert_never(unreachable)

    def _open(self, calls: list[ToolCall]) -> None:
        """Remember the calls of an answer, and number them if somebody counts."""
        if self.asked is not None and calls and not self._counted:
            self._number = max(self.asked() - len(calls), 0)
            self._counted = True
        for call in calls:
            self._number += 1
            number = self._number if self._counted else 0
            self._calls[call.id] = _Call(clean_line(call.name, 128), number=number)

    def _name(self, call_id: str) -> str:
        call = self._calls.get(call_id)
        return call.title if call is not None else clean_line(call_id, 64)

    def _tell_result(self, result: ToolResult, at: str) -> Iterator[Card]:
        call = self._calls.pop(result.call_id, None) or _Call(clean_line(result.call_id, 64))
        if call.refused and result.error == "denied":
            return
        time = took(call.started, at) if call.started else ""
        what = brief_result(result)
        if result.error is not None:
            kind: Kind = "failure"
            what = what if result.error == "tool_error" else f"{result.error}: {what}"
        else:
            kind = "result"
        kept = clean_line(result.artifact, 120) if result.artifact else ""
        yield Card(
            kind=kind,
            text=f"{call.title}{time and f'  {time}'}  {what}"
            + (f"  (whole result: {kept})" if kept else ""),
            number=call.number,
            finished=Finished(
                title=call.title,
                arguments=call.shown,
                took=time,
                what=what,
                edited=call.edited,
                kept=kept,
            ),
        )

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
                    number=call.number,
                )
            case ApprovalExpired():
                call.refused = True
                text = f"{call.title}  nobody approved it in time"
                yield Card(kind="failure", text=text, number=call.number)
            case ApprovalGiven(decision="deny"):
                call.refused = True
                said = f": {clean_line(event.feedback)}" if event.feedback else ""
                yield Card(
                    kind="failure",
                    text=f"{call.title}  refused by {_who(event)}{said}",
                    number=call.number,
                )
            case ApprovalGiven():
                call.edited = call.edited or event.arguments is not None
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


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
