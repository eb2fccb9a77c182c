"""A recorded run, asked of another model.

Theory of operation: the user's words of the record are said again to a real model, in a session
whose tools are stubs (`replays.stubs`): nothing is executed, no server is started, and nothing is
written. The answers are compared one by one: another set of calls, or no more answer, is where the
model leaves the record. Words always differ between models; they count only if `exact`.
The conversation goes on after that, so that it can be judged as a whole.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_host.config.load import Loaded
from agent_host.core.conversation import Conversation
from agent_host.core.events import EndReason, Event, ModelFailed, Record, RunStarted, UserSaid
from agent_host.core.limits import Limits
from agent_host.core.loop import outcome
from agent_host.core.types import Message, Origin, Tool, Usage
from agent_host.engine.feed import Feed
from agent_host.engine.rooms import Compaction, Retry, Rooms
from agent_host.engine.session import Session
from agent_host.engine.startup import Loader
from agent_host.host.known import known_tools
from agent_host.host.models import Models
from agent_host.host.replaying import Recorded, read_run
from agent_host.host.secrets import Secrets
from agent_host.ports import ApprovalQuestion, Deferred
from agent_host.records.codec import encode_value
from agent_host.replays.difference import Divergence, Step
from agent_host.replays.path import Alike, Said, calls, exchanges, key, same_calls, shape, words
from agent_host.replays.stubs import NothingRuns, StubbedTools


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasked:
    """What a model made of a recorded run. `outcome`: how its last answer ended; `answer`: the last
    words; `turns` and `calls` count what it did, `recorded_turns` and `recorded_calls` the record;
    `unrecorded`: calls that had no result; `guessed`: tools that it was offered without their
    definitions; `failure`: why it did not answer, empty if it did; `cost` in US dollars, None if
    the price is not known; `seconds` as it took; `events`: all that happened."""

    path: Path
    run_id: str
    origin: Origin
    simulated: bool
    outcome: EndReason | None
    answer: str
    recorded_answer: str
    turns: int
    calls: int
    recorded_turns: int
    recorded_calls: int
    unrecorded: int
    guessed: tuple[str, ...]
    failure: str
    usage: Usage
    cost: float | None
    seconds: float
    divergence: Divergence | None
    events: tuple[Event, ...]


async def reask(
    path: Path,
    loaded: Loaded,
    environ: Mapping[str, str],
    model: str,
    *,
    exact: bool = False,
    alike: Alike = key,
) -> Reasked:
    """Ask a model of the config, or PROVIDER:MODEL, again what is recorded. `loaded` must have been
    trusted before; `alike`: which calls count as the same. Raises RecordError for the transcript,
    ConfigError for the model, UsageError for a transcript that is no legal run."""
    run = read_run(path)
    loader = Loader()
    models = Models(loaded, Secrets(environ), loader)
    try:
        await models.make(model)
        return await _asked(run, loaded, models, exact=exact, alike=alike)
    finally:
        for adapter in models.made:
            await adapter.aclose()
        loader.close()


async def _asked(
    run: Recorded, loaded: Loaded, models: Models, *, exact: bool, alike: Alike
) -> Reasked:
    said = exchanges(run.events)
    tools = StubbedTools(run.events, _known(loaded), alike)
    journal = _Memory()
    session = _session(run, loaded, models, tools, journal)
    began = time.monotonic()
    for one in said:
        session.tell(UserSaid(message=one.message))
        await session.run()
        if session.conversation.failure is not None or session.conversation.limit is not None:
            break
    seconds = time.monotonic() - began
    events = tuple(record.event for record in journal.records)
    came = exchanges(events)
    last = next((m for one in reversed(came) for m in reversed(one.answers)), None)
    was = next((m for one in reversed(said) for m in reversed(one.answers)), None)
    c = session.conversation
    return Reasked(
        path=run.path,
        run_id=run.run_id,
        origin=session.rooms.model.origin,
        simulated=session.rooms.model.simulated,
        outcome=outcome(c),
        answer=words(last),
        recorded_answer=words(was),
        turns=sum(len(one.answers) for one in came),
        calls=_calls(came),
        recorded_turns=sum(len(one.answers) for one in said),
        recorded_calls=_calls(said),
        unrecorded=len(tools.unrecorded),
        guessed=tuple(tools.guessed),
        failure=_failure(events),
        usage=c.usage,
        cost=None if c.unpriced else c.cost,
        seconds=seconds,
        divergence=diverging(said, came, exact=exact, failure=_failure(events), alike=alike),
        events=events,
    )


def diverging(
    said: Sequence[Said],
    came: Sequence[Said],
    *,
    exact: bool = False,
    failure: str = "",
    alike: Alike = key,
) -> Divergence | None:
    """Return the first answer that is another one than recorded, None if there is none."""
    turn = 0
    for number, old in enumerate(said):
        new = came[number].answers if number < len(came) else ()
        for index in range(max(len(old.answers), len(new))):
            turn += 1
            was = old.answers[index] if index < len(old.answers) else None
            now = new[index] if index < len(new) else None
            reason = _difference(was, now, exact=exact, alike=alike)
            if reason:
                place = old.places[index] if was is not None else None
                if now is None and failure:
                    reason = f"the model did not answer: {failure}"
                return Divergence(
                    record=place,
                    step=_step(turn, was, now),
                    recorded=shape(was, exact=exact),
                    came=shape(now, exact=exact),
                    reason=reason,
                )
    return None


def _difference(was: Message | None, now: Message | None, *, exact: bool, alike: Alike) -> str:
    if was is None:
        return "there is no further answer in the record"
    if now is None:
        return "no answer came"
    if not same_calls(was, now, alike):
        return "other calls than recorded"
    return "other words than recorded" if exact and words(was) != words(now) else ""


def _step(turn: int, was: Message | None, now: Message | None) -> Step:
    """The first call that only one of the two has."""
    old, new = calls(was), calls(now)
    other = next((a for a, b in zip(new, old, strict=False) if a.name != b.name), None)
    other = other or next(
        (a for a, b in zip(new, old, strict=False) if a.arguments != b.arguments), None
    )
    other = other or (new[len(old)] if len(new) > len(old) else None)
    return Step(turn=turn, call=other.id, tool=other.name) if other else Step(turn=turn)


def _calls(said: Sequence[Said]) -> int:
    return sum(len(calls(message)) for one in said for message in one.answers)


def _failure(events: Sequence[Event]) -> str:
    last = next((e for e in reversed(events) if isinstance(e, ModelFailed)), None)
    return last.message if last is not None and last.final else ""


def _known(loaded: Loaded) -> dict[str, Tool]:
    return {tool.name: tool for tools in known_tools(loaded).values() for tool in tools or ()}


def _session(
    run: Recorded, loaded: Loaded, models: Models, tools: StubbedTools, journal: "_Memory"
) -> Session:
    first = run.events[0]
    assert isinstance(first, RunStarted)  # a transcript begins with it
    model, said, choice = models.made[-1], loaded.config.limits, models.choice
    session = Session(
        conversation=Conversation(),
        feed=Feed(run_id=run.run_id, journal=journal, sinks=(), clock=str, next_seq=0),
        rooms=Rooms(
            model=model,
            tools=tools,
            policy=NothingRuns(),
            approver=_Nobody(),
            prices=models.prices,
            windows=models.window,
        ),
        principal=first.principal,
        monotonic=time.monotonic,
        new_id=_Counter(),
        limits=Limits(
            max_turns=said.max_turns,
            max_tool_calls=said.max_tool_calls,
            max_tokens=said.max_tokens,
            max_seconds=said.max_seconds,
            max_cost=said.max_cost,
        ),
        retry=Retry(attempts=choice.settings.attempts, seconds=choice.settings.retry_timeout),
        compaction=Compaction(share=loaded.config.context.compact_at),
    )
    session.record(
        RunStarted(
            run_id=run.run_id,
            principal=first.principal,
            provider=model.origin.provider,
            model=model.origin.model,
            adapter=model.origin.adapter,
            simulated=model.simulated,
            config_fingerprint=loaded.fingerprint,
            system=first.system,
        )
    )
    return session


class _Memory:
    """A journal that is not written anywhere."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, record: Record) -> None:
        encode_value(record.event)  # what could not be recorded is found out
        self.records.append(record)

    def sync(self) -> None:
        """Nothing is written."""

    def keep(self, name: str, data: bytes) -> str:
        return name


class _Nobody:
    """Implements `ports.Approver`; stubs need no approval."""

    async def approve(self, question: ApprovalQuestion) -> Deferred:
        return Deferred()


class _Counter:
    def __init__(self) -> None:
        self._next = 0

    def __call__(self) -> str:
        self._next += 1
        return f"request-{self._next}"
