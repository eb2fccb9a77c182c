"""The engine run again, with everything outside of it from the record.

Theory of operation: each process that had worked on the run becomes a real session, with rooms that
give what is recorded. What came from outside in the middle of the work (a stop, an answer from
elsewhere, news of a server) is brought in the moment it is due; a user's words, and the end, only
once the engine itself has nothing left to do, as it was. Where a process had been killed, and at
the end of the record, the session is torn down. When all stands still though the record goes on,
that is the divergence.

How a conversation was shortened hangs on the model's window and on the definitions of all tools,
which no record has: that is taken from the record like a user's words.
"""

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from agent_host.core import loop
from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import AgentHostError
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
    ModelRequested,
    RunEnded,
    RunResumed,
    RunStarted,
    SamplingFinished,
    SamplingRequested,
    ServerConnected,
    ServerLost,
    SummaryFinished,
    SummaryRequested,
    ToolsChanged,
    UserSaid,
)
from agent_host.core.types import ApprovalTerms, Origin, ServerRequest
from agent_host.engine.feed import Feed
from agent_host.engine.rooms import Compaction, Retry, Rooms
from agent_host.engine.session import Session
from agent_host.replays.cursor import Cursor, CursorJournal, DivergedError, Encode
from agent_host.replays.difference import Divergence
from agent_host.replays.inferred import RecordedIds, limits, sampling, seconds
from agent_host.replays.limited import LimitedSession
from agent_host.replays.recording import Recording
from agent_host.replays.rooms import (
    RecordedFallback,
    RecordedModel,
    RecordedPeople,
    RecordedPolicy,
    RecordedPrices,
    RecordedVault,
    recorded_model,
)
from agent_host.replays.timeless import TimelessLoop
from agent_host.replays.tools import RecordedTools
from agent_host.replays.turnstile import Turnstile

_BETWEEN = UserSaid | RunEnded | ConversationRewound
"""What comes once the engine has nothing left to do."""
_FACTS = ServerConnected | ServerLost | ToolsChanged
_SHORTENING = SummaryRequested | SummaryFinished | ContextCompacted
_AT_ONCE = loop.CheckPolicy | loop.Refuse | loop.ReachLimit
_UNSOUND = re.compile(r"(a message of )?the request for the model |the host offers no tools")
_GAVE_UP = "the server gave up"
_STOPPED = "stopped"
"""Who refuses a request for the model that nobody had allowed when the run was stopped."""
_EVER = 10**9
_TRIES = 20
"""Steps of the loop in which the engine has begun all that it decided on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What came of a replay: the events that were the same, the first that was not, and which
    fields an older program had not recorded."""

    events: tuple[Event, ...]
    divergence: Divergence | None
    unrecorded: tuple[str, ...] = ()


def rerun(recording: Recording, encode: Encode, *, against: Recording | None = None) -> Rerun:
    """Run a recorded run again and compare every event, with `against` if that is given. Blocking,
    with an event loop of its own: not to be called where one runs. Never raises for a record."""
    timeless = TimelessLoop()
    cursor = Cursor(recording, encode, timeless, against)
    player = _Player(cursor, timeless)
    try:
        timeless.run_until_complete(player.play())
        timeless.run_until_complete(timeless.shutdown_asyncgens())
    finally:
        timeless.close()
    return Rerun(
        events=tuple(cursor.events),
        divergence=cursor.divergence,
        unrecorded=tuple(sorted(cursor.unrecorded)),
    )


class _Player:
    """Brings in what came from outside, and keeps sessions running."""

    def __init__(self, cursor: Cursor, timeless: TimelessLoop) -> None:
        self._cursor = cursor
        self._loop = timeless
        self._session: Session | None = None
        self._journal = CursorJournal(cursor)
        self._running: asyncio.Task[Any] | None = None
        self._served: dict[str, asyncio.Task[Any]] = {}
        self._folded: tuple[int, Conversation] = (0, Conversation())
        self._stuck = 0
        self._telling = False
        turnstile = self._turnstile = Turnstile(cursor)
        cursor.begin, timeless.behind = turnstile.turn, turnstile.behind
        timeless.instead = turnstile.unsent
        cursor.outside, cursor.hurry = self._due, self._acts_at_once
        timeless.idle = self._idle

    async def play(self) -> None:
        """Play the whole record, or up to where the engine leaves it."""
        while not self._cursor.over:
            event = self._cursor.event
            if not isinstance(event, RunStarted | RunResumed):
                self._cursor.stop("a process begins with run_started or run_resumed")
                return
            self._open(event)
            await self._process()
            await self._tear_down()

    # -- one process -----------------------------------------------------------------------

    def _open(self, event: RunStarted | RunResumed) -> None:
        cursor = self._cursor
        opening = cursor.place
        conversation = self._fold(opening)
        self._journal = CursorJournal(cursor)
        principal = event.principal
        if isinstance(event, RunStarted):
            origin = Origin(provider=event.provider, model=event.model, adapter=event.adapter)
            simulated = event.simulated
        else:
            origin, simulated = conversation.origin, conversation.simulated
        people = RecordedPeople(cursor, principal)
        feed = Feed(
            run_id=conversation.run_id,
            journal=self._journal,
            sinks=(),
            clock=str,
            next_seq=opening,
        )
        segment = cursor.recording.segment(opening)
        self._session = LimitedSession(
            cursor,
            conversation=conversation,
            feed=feed,
            rooms=Rooms(
                model=RecordedModel(cursor, origin, simulated=simulated),
                tools=RecordedTools(cursor),
                policy=RecordedPolicy(cursor),
                approver=people,
                fallback=RecordedFallback(cursor),
                prices=RecordedPrices(cursor),
                respondent=people,
                vault=RecordedVault(cursor),
            ),
            principal=principal,
            monotonic=self._monotonic,
            wall=self._wall,
            new_id=RecordedIds(cursor.recording.ids(segment), opening),
            limits=limits(cursor.recording, segment),
            retry=Retry(
                attempts=_EVER,
                seconds=float(_EVER),
                first_wait=0.0,
                longest_wait=0.0,
                attempts_before_fallback=_EVER,
                seconds_before_fallback=float(_EVER),
            ),
            sampling=sampling(cursor.recording, segment),
            compaction=Compaction(share=1.0),
        )
        self._do(self._session, event)

    def _fold(self, place: int) -> Conversation:
        """What a process that takes the run over at `place` finds."""
        start, state = self._folded
        for event in self._cursor.recording.events[start:place]:
            state = apply(state, event)
        self._folded = (place, state)
        return state

    async def _process(self) -> None:
        """Work until the process ends."""
        session, cursor = self._session, self._cursor
        assert session is not None  # opened by `play`
        while not self._ended():
            await asyncio.sleep(0)  # what is due comes first
            event, place = cursor.event, cursor.place
            if self._ended():
                return
            if isinstance(event, _BETWEEN):
                self._do(session, event)
                continue
            await self._run(session)
            event = cursor.event
            if self._ended() or cursor.place != place or isinstance(event, _BETWEEN):
                continue
            if isinstance(event, ApprovalGiven | InputGiven):
                self._do(session, event)
            else:
                cursor.stop("the run has nothing left to do here")

    def _ended(self) -> bool:
        return self._cursor.over or self._journal.closed

    async def _run(self, session: Session) -> None:
        self._running = self._loop.create_task(session.run())
        try:
            await self._running
        except asyncio.CancelledError:
            if not self._ended():
                raise
        except DivergedError:
            pass
        except AgentHostError as error:
            self._cursor.stop(f"the engine refuses it: {error}")
        finally:
            self._running = None

    async def _tear_down(self) -> None:
        tasks = [*self._served.values()]
        self._journal.closed = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._served.clear()

    # -- what comes from outside -----------------------------------------------------------

    def _due(self) -> None:
        """The event at the cursor is nobody's answer who waits; called while one is recorded."""
        event = self._cursor.event
        if event is None or isinstance(event, RunResumed):
            self._soon(self._cut)
        elif isinstance(event, LimitReached) and event.name == "seconds":
            self._loop.hasten(event.limit)
        elif self._comes_at_once(event):
            place = self._cursor.place
            self._soon(lambda: self._bring(place))

    def _soon(self, what: Any) -> None:
        with self._loop.at_the_front():
            self._loop.call_soon(what)

    def _comes_at_once(self, event: Event) -> bool:
        match event:
            case Interrupted():
                return True
            case ModelChanged():
                return event.by != "fallback"
            case ApprovalGiven():
                return self._from_elsewhere(event)
            case InputRequested() | SamplingRequested():
                return not event.key
            case InputGiven():
                return event.by == _GAVE_UP
            case SamplingFinished():
                stopped = event.error == "stopped" and event.sampling_id in self._served
                return stopped or event.by == _STOPPED or self._unsound(event.sampling_id)
            case _:
                return isinstance(event, _FACTS | _SHORTENING)

    def _unsound(self, sampling_id: str) -> bool:
        """Whether a request for the model was refused for what it was; that is not recorded."""
        recording = self._cursor.recording
        place = recording.outcome(self._cursor.place, sampling_id)
        event = None if place is None else recording.events[place]
        return isinstance(event, SamplingFinished) and bool(_UNSOUND.match(event.error))

    def _from_elsewhere(self, event: ApprovalGiven) -> bool:
        """Whether an answer was told from outside: it was not put to the approver, or the engine
        would have signed it otherwise."""
        if event.via or event.binding:
            return True
        session = self._session
        assert session is not None  # an approval comes in a process
        who = session.principal
        question = next(
            (q for q in reversed(session.conversation.questions) if q.call_id == event.call_id),
            None,
        )
        terms = (question.terms if question is not None else None) or ApprovalTerms()
        as_it_is = event.authenticated_by or (event.by != who.id and terms.anybody)
        same = (event.by, event.authenticated_by, event.roles) == (
            who.id,
            who.authenticated_by,
            who.roles,
        )
        return not (as_it_is or same)

    def _bring(self, place: int, tries: int = _TRIES) -> None:
        """Bring in what is due, if it still is: a stop once what it stopped has begun."""
        session, event = self._session, self._cursor.event
        if session is None or event is None or self._ended() or self._cursor.place != place:
            return
        if isinstance(event, Interrupted) and not self._turnstile.ready(place) and tries:
            self._loop.call_soon(self._bring, place, tries - 1)
            return
        self._do(session, event)

    def _do(self, session: Session, event: Event) -> None:
        """Bring in one event from outside."""
        self._telling = True
        try:
            self._tell(session, event)
        except DivergedError:
            self._cut()
        except AgentHostError as error:
            self._cursor.stop(f"it is not possible here: {error}")
            self._cut()
        finally:
            self._telling = False

    def _tell(self, session: Session, event: Event) -> None:
        match event:
            case Interrupted() | UserSaid() | ApprovalGiven():
                self._say(session, event)
            case ServerConnected() | ServerLost() | ToolsChanged():
                session.observe(event)
            case ModelChanged():
                model = recorded_model(self._cursor, event)
                session.change_model(model, by=event.by, reason=event.reason)
            case ConversationRewound():
                session.rewind(event.messages, event.by)
            case RunEnded():
                session.end(event.reason, event.detail)
            case InputRequested():
                self._ask_input(session, event)
            case SamplingRequested() if not (session.stopping or self._unsound(event.sampling_id)):
                request = ServerRequest(method="sampling/createMessage", params=event.params)
                self._serve(event.sampling_id, session, event.server, request, event.call_id)
            case InputGiven() if event.by == _GAVE_UP:
                self._give_up(event.input_id)
            case SamplingFinished() if event.sampling_id in self._served:
                self._give_up(event.sampling_id)
            case _:
                self._write(session, event)

    def _say(self, session: Session, event: Interrupted | UserSaid | ApprovalGiven) -> None:
        if not isinstance(event, Interrupted):
            session.tell(event)
            return
        # What is stopped hears of it before the engine decides on what is left.
        with self._loop.at_the_front():
            session.tell(event)

    def _write(self, session: Session, event: Event) -> None:
        """Record what the engine takes no part in."""
        if isinstance(event, InputGiven):
            session.tell(event)
            return
        if isinstance(event, SummaryRequested | SamplingRequested):
            session.new_id()
        session.record(event)

    def _ask_input(self, session: Session, event: InputRequested) -> None:
        params = {"message": event.message, "mode": event.mode}
        if event.mode == "url":
            request = ServerRequest(
                method="elicitation/create", params={**params, "url": event.url}
            )
        else:
            request = ServerRequest(
                method="elicitation/create",
                params={**params, "requestedSchema": event.requested_schema},
            )
        self._serve(event.input_id, session, event.server, request, event.call_id)

    def _serve(
        self, name: str, session: Session, server: str, request: ServerRequest, call_id: str
    ) -> None:
        """Let a server ask while its call runs."""

        async def ask() -> None:
            with self._loop.at_the_front():
                # The first step records nothing yet: it starts the work that does.
                asking = self._loop.create_task(session.answer(server, request, call_id))
                self._loop.urgent.add(asking)
            await asking

        self._served[name] = self._start(ask())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        with self._loop.at_the_front():
            task = self._loop.create_task(work)
        task.add_done_callback(_forget_error)
        return task

    def _give_up(self, name: str) -> None:
        task = self._served.get(name)
        if task is None:
            self._cursor.stop("nobody asked for this")
            self._cut()
        else:
            with self._loop.at_the_front():
                task.cancel()

    def _cut(self) -> None:
        """End the session as if its process was killed."""
        if self._running is not None:
            with self._loop.at_the_front():
                self._running.cancel()

    # -- time, and standing still ----------------------------------------------------------

    def _idle(self, timers: bool) -> bool:
        """All wait for something; see `TimelessLoop`."""
        cursor, event = self._cursor, self._cursor.event
        if cursor.answer():
            return False
        if timers and isinstance(event, ModelRequested | LimitReached):
            return True
        session = self._session
        if self._ended() or session is None:
            self._stood_still()
            self._cut()
        elif isinstance(event, ApprovalGiven | InputGiven):
            self._do(session, event)
        elif not cursor.defer(("approval", "input", "sampling")):
            cursor.stop("nothing in the run leads to it")
            self._cut()
        return False

    def _acts_at_once(self) -> bool:
        """Whether the engine would record something the next time that it decides. Where it did
        not, it had not decided before the answer came that is due; else it had."""
        session = self._session
        if session is None:
            return False
        c, tools = session.conversation, session.rooms.tools.tools()
        actions = loop.decide(c, tools=tools, limits=session.limits, deferred=session.deferred)
        return any(isinstance(action, _AT_ONCE) for action in actions)

    def _stood_still(self) -> None:
        self._stuck += 1
        if self._stuck > _TOO_OFTEN:
            raise RuntimeError("a session of a replay does not end")

    def _monotonic(self) -> float:
        event = self._cursor.event
        if not self._telling and isinstance(event, LimitReached) and event.name == "seconds":
            return self._loop.now + event.limit + 1
        return self._loop.now

    def _wall(self) -> float:
        """Seconds since the epoch, as far as questions expire."""
        event = self._cursor.event
        if isinstance(event, ApprovalExpired):
            return float("inf")
        if isinstance(event, ApprovalRequested) and event.expires_at and event.terms is not None:
            return seconds(event.expires_at) - (event.terms.seconds or 0.0)
        return 0.0


_TOO_OFTEN = 100


def _forget_error(task: asyncio.Task[Any]) -> None:
    """What went wrong with it is in the cursor."""
    if not task.cancelled():
        task.exception()
