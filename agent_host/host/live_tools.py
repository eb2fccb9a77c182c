"""A recorded run with real tools: the model's answers come from the record, calls are executed.

Theory of operation: a session like any other is opened with the `replay` model, so policy judges
each call, whoever sits there is asked, and what happens is kept in a transcript of its own: it has
effects. The user's words are said again. A result that is not the recorded one is where the tools
leave the record; no recorded answer follows from that, so the run ends there. Names of artifacts
and labels are not compared. What was left out of the conversation (`context_compacted`) is left out
again at the same place, so that the host's tools for it are there, and find the same.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agent_host.config.load import Loaded
from agent_host.core.conversation import Conversation
from agent_host.core.events import Ephemeral, Event, ModelResponded, Record, ToolFinished, UserSaid
from agent_host.core.loop import outcome
from agent_host.core.types import Json, JsonObject, ToolResult
from agent_host.engine.session import Session
from agent_host.host.replaying import read_run
from agent_host.host.session import SessionOptions, open_session
from agent_host.models.replay import ReplayModel
from agent_host.ports import Approver, Respondent
from agent_host.replays.difference import Divergence, Step
from agent_host.replays.path import Said, calls, exchanges
from agent_host.replays.shortenings import Shortening, shortenings

Seen = Callable[[str, JsonObject], JsonObject]
"""Takes a tool's exposed name and what a call returned, and returns what is compared of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What came of it. `kept_as`: the id of the run that was made; `same`: how many results were as
    recorded, of `whole`; `unwell`: servers that did not work; `waits`: a call waits for an
    approval, and the run parked."""

    path: Path
    run_id: str
    kept_as: str
    same: int
    whole: int
    unwell: tuple[str, ...]
    waits: bool
    divergence: Divergence | None


async def with_live_tools(
    path: Path,
    loaded: Loaded,
    environ: Mapping[str, str],
    *,
    approver: Approver,
    respondent: Respondent | None = None,
    only: Collection[str] | None = None,
    seen: Seen = lambda _, result: result,
) -> Live:
    """Run a recorded run's calls again. `loaded` must have been trusted before; `only`: the servers
    to use; `seen`: what is compared of results. Raises RecordError, ConfigError or UsageError."""
    run = read_run(path)
    said, watcher = exchanges(run.events), _Watcher(shortenings(run.events))
    wanted = SessionOptions(model=f"replay:{path}", only=only, interactive=respondent is not None)
    async with open_session(
        loaded, environ, wanted, sinks=[watcher], approver=approver, respondent=respondent
    ) as host:
        session = host.session
        model: object = session.rooms.model
        if isinstance(model, ReplayModel):
            model.seen = seen
            model.conversation = lambda: session.conversation.messages
        watcher.session = session
        for one in said:
            watcher.shorten()
            session.tell(UserSaid(message=one.message))
            watcher.shorten()
            if not _goes_on(await session.run()):
                break
        state = session.conversation
        reason = outcome(state)
        if reason is not None:
            session.end(reason)
        unwell = [h.name for h in host.pool.health() if h.state in {"failed", "needs_login"}]
        kept_as = host.run_id
    came = watcher.events
    same, found = _compared((run.events, said), (came, exchanges(came)), seen)
    if found is None and state.failure is not None:
        found = _stopped(state, exchanges(came))
    if found is None and reason is not None:
        found = _unreached(run.events, said, exchanges(came), reason)
    return Live(
        path=path,
        run_id=run.run_id,
        kept_as=kept_as,
        same=same,
        whole=sum(len(calls(message)) for one in said for message in one.answers),
        unwell=tuple(unwell),
        waits=reason is None,
        divergence=found,
    )


class _Watcher:
    """A sink that keeps what happens, and shortens the conversation where it was shortened when the
    run was recorded: before anything else comes of the results that were there then."""

    def __init__(self, due: Sequence[Shortening]) -> None:
        self.events: list[Event] = []
        self.session: Session | None = None
        self._due = deque(due)

    def emit(self, item: Record | Ephemeral) -> None:
        if not isinstance(item, Record):
            return
        self.events.append(item.event)
        if self._due and isinstance(item.event, ToolFinished):
            # Once it is applied, and before the session asks the model.
            asyncio.get_running_loop().call_soon(self.shorten)

    def shorten(self) -> None:
        """Take over what is due at this number of messages."""
        session = self.session
        while session is not None and self._due:
            state, one = session.conversation, self._due[0]
            if len(state.messages) < one.length or state.requested is not None:
                return
            self._due.popleft()
            if len(state.messages) == one.length:
                session.record(one.event)


def _goes_on(state: Conversation) -> bool:
    stopped = state.failure is not None or state.limit is not None or state.interrupted
    return state.awaiting == "user" and not stopped


def _compared(
    record: tuple[Sequence[Event], Sequence[Said]],
    again: tuple[Sequence[Event], Sequence[Said]],
    seen: Seen,
) -> tuple[int, Divergence | None]:
    """How many results are the same, and the first that is not."""
    (events, said), (came, now) = record, again
    same, turn = 0, 0
    first: Divergence | None = None
    for old, new in zip(said, now, strict=False):
        pairs = zip(old.answers, old.places, new.places, strict=False)
        for answer, place, other in pairs:
            turn += 1
            was, is_now = _results(events, place), _results(came, other)
            for call in calls(answer):
                if call.id not in was:
                    continue
                at, before = was[call.id]
                _, after = is_now.get(call.id, (0, None))
                old_shape = seen(call.name, _shape(before))
                new_shape = None if after is None else seen(call.name, _shape(after))
                if old_shape == new_shape:
                    same += 1
                    continue
                step = Step(turn=turn, call=call.id, tool=call.name)
                first = first or _other(at, step, before, after)
    return same, first


def _other(place: int, step: Step, before: ToolResult, after: ToolResult | None) -> Divergence:
    reason = "the tool returned something else" if after else "the call has no result"
    if after is not None and after.error is not None and before.error is None:
        reason = f"the call failed ({after.error})"
    return Divergence(
        record=place,
        step=step,
        recorded=_shape(before),
        came=None if after is None else _shape(after),
        reason=reason,
    )


def _stopped(state: Conversation, now: Sequence[Said]) -> Divergence:
    assert state.failure is not None  # asked before
    turn = sum(len(one.answers) for one in now) + 1
    return Divergence(
        record=None, step=Step(turn=turn), recorded=None, came=None, reason=state.failure.message
    )


def _unreached(
    events: Sequence[Event], said: Sequence[Said], now: Sequence[Said], why: str
) -> Divergence | None:
    """The first recorded result that the run ended too early for."""
    turn = 0
    for number, old in enumerate(said):
        reached = len(now[number].answers) if number < len(now) else 0
        for order, (answer, place) in enumerate(zip(old.answers, old.places, strict=True)):
            turn += 1
            was = _results(events, place)
            call = next((one for one in calls(answer) if one.id in was), None)
            if order < reached or call is None:
                continue
            at, before = was[call.id]
            return Divergence(
                record=at,
                step=Step(turn=turn, call=call.id, tool=call.name),
                recorded=_shape(before),
                came=None,
                reason=f"the run ended before this call ({why})",
            )
    return None


def _results(events: Sequence[Event], place: int) -> dict[str, tuple[int, ToolResult]]:
    """The results of an answer's calls, by the calls' ids, with their places."""
    found: dict[str, tuple[int, ToolResult]] = {}
    for number in range(place + 1, len(events)):
        event = events[number]
        if isinstance(event, ModelResponded):
            break
        if isinstance(event, ToolFinished):
            found[event.result.call_id] = number, event.result
    return found


def _shape(result: ToolResult) -> JsonObject:
    content: list[Json] = [_plain(asdict(block)) for block in result.content]
    return {"error": result.error, "content": content}


def _plain(block: JsonObject) -> Json:
    return {name: value for name, value in block.items() if name != "opaque"}
