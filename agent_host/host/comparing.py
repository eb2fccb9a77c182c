"""One task, side by side: as it is recorded, and as other models do it.

Theory of operation: what was recorded and what each model makes of it become values of one kind,
`Attempt`, so that nothing but where they come from tells them apart. A model is asked as a replay
asks it (`host.reasking`): tools are stubs, nothing is executed or written. Models are asked at the
same time, because each has a session and stubs of its own; one model is asked one thing after the
other, so that none waits for itself. A model that cannot be asked is an attempt that says why.

Time is what the model took, from request to answer: the record also holds how long people and
tools took, which is nobody's merit here.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agent_host.config.load import Loaded
from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import AgentHostError, RecordError, UsageError
from agent_host.core.events import (
    Event,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Record,
    RunStarted,
)
from agent_host.core.loop import outcome
from agent_host.core.text import clean_line
from agent_host.core.types import ToolCall, Usage
from agent_host.host.reasking import Reasked, reask
from agent_host.host.replaying import Recorded, read_run
from agent_host.records.reader import outcome as waits_for
from agent_host.replays.difference import Divergence
from agent_host.replays.path import Said, calls, exchanges, key, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A task, done once. `outcome`: how it ended or what it waits for, empty if it never began;
    `failure`: why no model answered; `cost` in US dollars, None if a price is not known; `seconds`
    that the model took, None if not known; `unrecorded`: calls that the record has no result for;
    `guessed`: tools that were offered without their definitions; `divergence`: where it left the
    record."""

    outcome: str
    failure: str = ""
    answer: str = ""
    calls: tuple[ToolCall, ...] = ()
    turns: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float | None = 0.0
    seconds: float | None = None
    unrecorded: int = 0
    guessed: tuple[str, ...] = ()
    divergence: Divergence | None = None

    @property
    def failed(self) -> bool:
        """Whether the model could not be asked, or did not answer."""
        return bool(self.failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One of those that are compared. `model`: PROVIDER:MODEL; `name`: as it was asked for, empty
    for a record; `run`: the name of its file, without the end; `simulated`: no AI answers."""

    model: str
    simulated: bool
    attempts: tuple[Attempt, ...]
    name: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A recorded run beside what models made of it, in the order they were named."""

    path: Path
    run_id: str
    recorded: Column
    models: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """How the calls of an attempt are related to those of another."""

    common: int
    extra: tuple[ToolCall, ...]
    missing: tuple[ToolCall, ...]


def related(was: Sequence[ToolCall], now: Sequence[ToolCall]) -> Calls:
    """Return what two lists of calls have in common: names and arguments count, order and ids do
    not."""
    extra, missing = _beyond(now, was), _beyond(was, now)
    return Calls(common=len(now) - len(extra), extra=extra, missing=missing)


def _beyond(some: Sequence[ToolCall], others: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    left = Counter(key(call.name, call.arguments) for call in others)
    found = []
    for call in some:
        one = key(call.name, call.arguments)
        if left[one]:
            left[one] -= 1
        else:
            found.append(call)
    return tuple(found)


def as_recorded(path: Path) -> Comparison:
    """Return a run as it is recorded. Raises RecordError if it cannot be read."""
    run = read_run(path)
    first = run.events[0]
    assert isinstance(first, RunStarted)  # a transcript begins with it
    said, state = _understood(run)
    reason = outcome(state)
    attempt = Attempt(
        outcome=reason or waits_for(state),
        failure=state.failure.message if state.failure is not None else "",
        answer=_answer(said),
        calls=_calls(said),
        turns=sum(len(one.answers) for one in said),
        usage=state.usage,
        cost=None if state.unpriced else state.cost,
        seconds=model_seconds(run.records),
    )
    column = Column(
        model=_models(run.events, f"{first.provider}:{first.model}"),
        simulated=first.simulated,
        attempts=(attempt,),
        run=path.name.removesuffix(".jsonl"),
    )
    return Comparison(path=path, run_id=run.run_id, recorded=column)


async def compare(
    path: Path,
    loaded: Loaded,
    environ: Mapping[str, str],
    models: Mapping[str, asyncio.Lock],
    *,
    times: int = 1,
    done: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Ask each model, so many times, what is recorded. Each has a lock that is held while it is
    asked, also for other runs. `loaded` must have been trusted before; `done` hears of each attempt
    that is over. Raises RecordError for the transcript."""
    recorded = await asyncio.to_thread(as_recorded, path)

    async def column(name: str) -> Column:
        model, simulated = name, False
        attempts: list[Attempt] = []
        for _ in range(times):
            try:
                async with models[name]:
                    one = await reask(path, loaded, environ, name)
            except AgentHostError as error:
                attempts.append(Attempt(outcome="", failure=str(error), cost=None))
                done(name)
                break  # the next one would come to the same
            model, simulated = f"{one.origin.provider}:{one.origin.model}", one.simulated
            attempts.append(_attempt(one))
            done(name)
        return Column(model=model, simulated=simulated, attempts=tuple(attempts), name=name)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(column(name)) for name in models]
    return Comparison(
        path=path,
        run_id=recorded.run_id,
        recorded=recorded.recorded,
        models=tuple(task.result() for task in tasks),
    )


def _attempt(one: Reasked) -> Attempt:
    said = exchanges(one.events)
    return Attempt(
        outcome=one.outcome or "",
        failure=one.failure,
        answer=one.answer,
        calls=_calls(said),
        turns=one.turns,
        usage=one.usage,
        cost=None if one.failure and not one.turns else one.cost,
        seconds=one.seconds,
        unrecorded=one.unrecorded,
        guessed=one.guessed,
        divergence=one.divergence,
    )


def _understood(run: Recorded) -> tuple[list[Said], Conversation]:
    state = Conversation()
    try:
        for event in run.events:
            state = apply(state, event)
        return exchanges(run.events), state
    except UsageError as error:
        raise RecordError(
            f"{clean_line(str(run.path), 500)}: no legal conversation: {clean_line(str(error))}; "
            "it can be shown, but not compared"
        ) from None


def _calls(said: Sequence[Said]) -> tuple[ToolCall, ...]:
    return tuple(call for one in said for message in one.answers for call in calls(message))


def _answer(said: Sequence[Said]) -> str:
    """The last words."""
    return words(next((m for one in reversed(said) for m in reversed(one.answers)), None))


def _models(events: Sequence[Event], first: str) -> str:
    """All that answered, the first one first."""
    origins = [e.message.origin for e in events if isinstance(e, ModelResponded)]
    names = [f"{one.provider}:{one.model}" for one in origins if one is not None]
    return ", ".join(dict.fromkeys(names)) or first


def model_seconds(records: Sequence[Record]) -> float | None:
    """Return how long the model took for all its answers, None if the clock went back."""
    asked: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    for record in records:
        event = record.event
        if isinstance(event, ModelRequested):
            asked[event.request_id] = datetime.fromisoformat(record.at)
        elif isinstance(event, ModelResponded | ModelFailed):
            ended[event.request_id] = datetime.fromisoformat(record.at)
    spans = [(ended[one] - asked[one]).total_seconds() for one in ended if one in asked]
    return None if any(span < 0 for span in spans) else sum(spans)
