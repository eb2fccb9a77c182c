"""Facts that need no memory, as short lines: servers, models, how a run goes and ends.

Theory of operation: pure functions from a fact to its cards; `cards.Narrator` has those that must
remember something. Every text of a server or a model is cleaned and bounded here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from agent_host.core.events import (
    ContextCompacted,
    ConversationRewound,
    Interrupted,
    LimitReached,
    ModelChanged,
    ModelFailed,
    ModelResponded,
    RunEnded,
    RunResumed,
    RunStarted,
    SamplingFinished,
    ServerConnected,
    ServerLost,
    SummaryFinished,
    SummaryRequested,
    ToolsChanged,
)
from agent_host.core.text import clean_line, clip
from agent_host.core.types import StopReason, Text, ToolCall

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A call that is over, in parts, each clean and on one line, for whoever fits them to a width.
    `edited`: a human changed the arguments; `kept`: where the whole result is."""

    title: str
    arguments: str
    took: str
    what: str
    edited: bool = False
    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A line for people. `text` is clean and has no line break. `number`: of the call that it is
    about, counted from 1 in the order in which the model asked, if that is known; `finished`: the
    parts of that line, if it tells a result."""

    kind: Kind
    text: str
    number: int = 0
    finished: Finished | None = None


def tell_end(event: ModelResponded) -> Iterator[Card]:
    """What is wrong with an answer, and what to do."""
    if event.stop_reason in _UNFINISHED:
        yield Card(kind="notice", text=_UNFINISHED[event.stop_reason])
    elif event.stop_reason != "interrupted" and not any(
        isinstance(block, ToolCall) or (isinstance(block, Text) and block.text)
        for block in event.message.content
    ):
        yield Card(kind="failure", text="the model answered nothing; ask again, or another model")


def tell_server(event: ServerConnected | ServerLost | ToolsChanged) -> Iterator[Card]:
    """Return what is worth saying about a server."""
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


def tell_model(event: RunStarted | RunResumed | ModelChanged | ModelFailed) -> Iterator[Card]:
    """Return what is worth saying about who answers, and what failed."""
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


def tell_run(
    event: LimitReached | Interrupted | RunEnded,
) -> Iterator[Card]:
    """Return what is worth saying about how a step or run ended."""
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


def tell_view(
    event: SummaryRequested | SummaryFinished | ContextCompacted | ConversationRewound,
) -> Iterator[Card]:
    """Return what is worth saying about what the model is sent no longer."""
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


def tell_sampled(event: SamplingFinished, server: str) -> Card:
    """Return what became of a server's request for the model."""
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
