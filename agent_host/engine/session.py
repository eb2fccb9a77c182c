"""A session: our conversation with its transcript, and what keeps it going.

Theory of operation: everything that happens is an event. `tell` takes one from outside, `run`
starts what `decide` names and waits; each piece of work records its outcome as it lands, which
applies it to the conversation and wakes `run` to ask `decide` again. So two calls run while a
human is asked about a third, and an approval from elsewhere is one more event. An interruption,
and a limit on time, cancel what is in flight; each piece of work then closes its own intent, and
`decide` refuses the rest: the conversation is legal again when `run` returns.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from agent_host.core import loop
from agent_host.core.compaction import ANY_SPACE, Space, asked
from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import AgentHostError, RecordError, UsageError
from agent_host.core.events import (
    ApprovalGiven,
    ContextCompacted,
    ConversationRewound,
    EndReason,
    Event,
    InputGiven,
    Interrupted,
    LimitReached,
    ModelChanged,
    RunEnded,
    ServerLog,
    ToolProgress,
    UserSaid,
)
from agent_host.core.filling import Filling, filling, fixed_size, used
from agent_host.core.limits import Limits
from agent_host.core.types import (
    JsonObject,
    Principal,
    ServerRequest,
    Tool,
    ToolChoice,
    Usage,
)
from agent_host.engine.answers import RequestDesk
from agent_host.engine.feed import Feed
from agent_host.engine.perform import Performer, Work
from agent_host.engine.rooms import USUAL_COMPACTION, Compaction, Retry, Rooms, Sampling
from agent_host.ports import ModelAdapter, Observation, RequestRefused

USUAL_ANSWER = 500
"""Tokens of an answer in the estimate of what a call will cost."""

Inbound = UserSaid | ApprovalGiven | InputGiven | Interrupted
"""What a session can be told."""


class Session:
    """See the module. `monotonic` is in seconds, `wall` in seconds since the epoch (by default it
    stands still); `new_id` names model requests.

    Must be used from one event loop. `conversation` is the state after the events that `feed`
    already recorded (an empty one for a new run, whose RunStarted is recorded by the caller
    through `record`).
    """

    def __init__(
        self,
        *,
        conversation: Conversation,
        feed: Feed,
        rooms: Rooms,
        principal: Principal,
        monotonic: Callable[[], float],
        new_id: Callable[[], str],
        wall: Callable[[], float] = float,
        limits: Limits = Limits(),
        retry: Retry = Retry(),
        sampling: Sampling = Sampling(),
        compaction: Compaction = USUAL_COMPACTION,
        tool_choice: ToolChoice = "auto",
        output_schema: JsonObject | None = None,
    ) -> None:
        self.conversation = conversation
        self.feed = feed
        self.rooms = rooms
        self.principal = principal
        self.limits = limits
        self.retry = retry
        self.sampling = sampling
        self.compaction = compaction
        self.tool_choice = tool_choice
        self.output_schema = output_schema
        self.new_id = new_id
        self.monotonic = monotonic
        self.wall = wall
        self.deferred: set[str] = set()
        self.stopping = False
        self._desk = RequestDesk(self)
        self._performer = Performer(self, self._desk)
        self._group: asyncio.TaskGroup | None = None
        self._served = 0
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._ready = False
        self._fault: RecordError | None = None
        self._began = monotonic()
        self._sized: tuple[object, str, int] = (None, "", 0)

    def record(self, event: Event) -> None:
        """Record a fact and apply it. Raises UsageError, before anything is recorded, if it is
        not legal now; RecordError if it cannot be recorded."""
        after = apply(self.conversation, event)
        self.feed.record(event)
        self.conversation = after
        self._wake.set()

    def observe(self, item: Observation) -> None:
        """Take what a tool source has to say of its servers: facts are recorded, the rest shown."""
        if isinstance(item, ToolProgress | ServerLog):
            self.feed.show(item)
            return
        try:
            self.record(item)
        except RecordError as error:
            # The room that observes must not die of it; the run does.
            self._fault = error
            self._wake.set()

    def tell(self, event: Inbound) -> None:
        """Take an event from outside. Raises UsageError if it is not legal now."""
        if isinstance(event, Interrupted) and self.conversation.interrupted:
            return
        self.record(event)
        if isinstance(event, UserSaid):
            self._began = self.monotonic()
            self.deferred.clear()
        elif isinstance(event, ApprovalGiven):
            self._withdraw(event.call_id)
        elif isinstance(event, InputGiven):
            self._desk.told(event)
            self.deferred -= {key for key in self.deferred if key.startswith("answers")}
        else:
            self._stop_all()

    async def answer(
        self, server: str, request: ServerRequest, call_id: str
    ) -> JsonObject | RequestRefused:
        """Have a server's request answered; see `ports.Answer`. Only while the session works:
        nobody is interrupted at a prompt by a server."""
        group = self._group
        if group is None or self.stopping or self.conversation.awaiting in {"user", "nothing"}:
            return _declined(request)
        answer, done = _declined(request), asyncio.Event()

        async def work() -> None:
            nonlocal answer
            try:
                answer = await self._desk.serve(server, request, call_id)
            finally:
                done.set()

        self._served += 1
        task = self._spawn(group, f"request:{self._served}", work())
        try:
            await done.wait()
        except asyncio.CancelledError:
            task.cancel()
            raise
        return answer

    def change_model(self, model: ModelAdapter, by: str, reason: str = "") -> None:
        """Let another model answer from here on. Raises UsageError while one is being asked."""
        origin = model.origin
        self.record(
            ModelChanged(
                provider=origin.provider,
                model=origin.model,
                adapter=origin.adapter,
                simulated=model.simulated,
                by=by,
                reason=reason,
            )
        )
        self.rooms = replace(self.rooms, model=model)

    def rewind(self, messages: int, by: str) -> None:
        """Go back to the first `messages` messages, which must end before a message of the user.
        Raises UsageError if they do not, or while anything is under way."""
        self.record(ConversationRewound(messages=messages, by=by))
        self.deferred.clear()

    async def compact(self, by: str, instructions: str = "") -> ContextCompacted | None:
        """Leave out of what the model is sent all but the last exchange; None if there is nothing
        to leave out, or a stop came first. `instructions`: what is to be kept. Cancelled, it leaves
        nothing out. Raises UsageError unless the user is awaited and nothing is under way."""
        c = self.conversation
        if c.awaiting != "user" or c.requested is not None or c.summarizing is not None:
            raise UsageError("the conversation is compacted when nothing else is under way")
        compactor, plan = self._performer.compactor, asked(c, self.space, by)
        return None if plan is None else await compactor.carry_out(plan, instructions)

    @property
    def window(self) -> int:
        """Tokens that the present model takes, prompt and answer together; 0 if not known."""
        return self.rooms.windows(self.rooms.model.origin).tokens

    @property
    def space(self) -> Space:
        """What the present model takes, and when the conversation is compacted for it."""
        known = self.rooms.windows(self.rooms.model.origin)
        tools, system = self._offered(), self.conversation.system
        if self._sized[0] is not tools or self._sized[1] is not system:
            self._sized = (tools, system, fixed_size(system, tools))
        fixed, share = self._sized[2], self.compaction.share
        return Space.of(known.tokens, share=share, reserve=known.answer, fixed=fixed)

    def filling(self) -> Filling:
        """Return what the next request would be made of."""
        space = self.space
        return filling(self.conversation, self._offered(), window=space.window, mark=space.mark)

    def end(self, reason: EndReason, detail: str = "") -> None:
        """Record the end of the run."""
        self.record(RunEnded(reason=reason, detail=detail))

    async def run(self) -> Conversation:
        """Work until the user is awaited, the run has ended, or it parks; return the conversation.

        Raises RecordError if the transcript cannot be written any more.
        """
        self.stopping = False
        timer = self._start_timer()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                while self._start(group):
                    await self._wake.wait()
                    self._wake.clear()
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from group_error
        finally:
            self._group = None
            self._in_flight.clear()
            if timer is not None:
                timer.cancel()
        return self.conversation

    def _start(self, group: asyncio.TaskGroup) -> bool:
        """Start what may start; return whether there is anything to wait for."""
        if self._fault is not None:
            raise self._fault
        if not self._ready and self._may_need_tools():
            self._spawn(group, "ready", self._prepare())
            return True
        while True:
            before = self.conversation
            for action in self._decide():
                if isinstance(action, loop.AwaitUser | loop.Park | loop.End):
                    return bool(self._in_flight)
                if action.key in self._in_flight:
                    continue
                work = self._performer.perform(action)
                if isinstance(action, loop.Refuse):
                    self._withdraw(action.state.call.id)
                if work is not None:
                    self._spawn(group, action.key, work)
            # What was done at once may have opened the way for more.
            if self.conversation is before:
                return True

    def _may_need_tools(self) -> bool:
        c = self.conversation
        return not c.interrupted and c.limit is None and (bool(c.calls) or c.phase == "model")

    async def _prepare(self) -> None:
        if self.limits.max_cost is not None and self.rooms.prices is not None:
            await self.rooms.prices.ready(self.rooms.model.origin)
        await self.rooms.tools.ready()
        self._ready = True

    def _decide(self) -> tuple[loop.Action, ...]:
        return loop.decide(
            self.conversation,
            tools=self.rooms.tools.tools(),
            limits=self.limits,
            elapsed=self.monotonic() - self._began,
            next_cost=self._next_cost(),
            deferred=self.deferred,
            space=self.space if self._asks_next() else ANY_SPACE,
        )

    def _asks_next(self) -> bool:
        """Whether it may be the model's turn."""
        c = self.conversation
        return c.phase == "model" and c.requested is None

    def _offered(self) -> tuple[Tool, ...]:
        """The tools of the next request, those included that its wire cannot express."""
        c, table = self.conversation, self.rooms.tools.tools()
        return self.rooms.offering.tools(
            table, c.messages, also=self.tool_choice, recall=c.covered > 0
        )

    def _next_cost(self) -> float:
        """What the next model call may cost in US dollars: the prompt as it is estimated, and an
        answer of the usual length. Infinite if the price is not known: a limit on money that
        cannot be kept stops the run."""
        c, prices = self.conversation, self.rooms.prices
        if self.limits.max_cost is None or not self._asks_next():
            return 0.0
        usage = Usage(input_tokens=used(c, self.space.fixed), output_tokens=USUAL_ANSWER)
        cost = None if prices is None else prices.cost(self.rooms.model.origin, usage)
        return float("inf") if cost is None else cost

    def _spawn(self, group: asyncio.TaskGroup, key: str, work: Work) -> asyncio.Task[None]:
        if key in self._in_flight:
            work.close()
            return self._in_flight[key]
        task = group.create_task(work, name=key)
        self._in_flight[key] = task
        task.add_done_callback(lambda _: self._landed(key))
        return task

    def _landed(self, key: str) -> None:
        self._in_flight.pop(key, None)
        self._wake.set()

    def _withdraw(self, call_id: str) -> None:
        """Stop asking about a call that was answered elsewhere."""
        of_call = f"{self.conversation.requests}:{call_id}"
        for key in (*self.deferred, *self._in_flight):
            if key.startswith("approval") and key.partition(":")[2] == of_call:
                self.deferred.discard(key)
                if key in self._in_flight:
                    self._in_flight[key].cancel()

    def _stop_all(self) -> None:
        self.stopping = True
        for task in tuple(self._in_flight.values()):
            task.cancel()
        self._wake.set()

    def _start_timer(self) -> asyncio.TimerHandle | None:
        seconds = self.limits.max_seconds
        if seconds is None:
            return None
        left = max(0.0, seconds - (self.monotonic() - self._began))
        return asyncio.get_running_loop().call_later(left, self._out_of_time, seconds)

    def _out_of_time(self, seconds: float) -> None:
        if self.conversation.awaiting not in {"user", "nothing"} and not self.stopping:
            self.record(LimitReached(name="seconds", limit=seconds))
            self._stop_all()


def _declined(request: ServerRequest) -> JsonObject | RequestRefused:
    if request.method == "elicitation/create":
        return {"action": "decline"}
    return RequestRefused("nobody can be asked now")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error to report: one that a user can act on before any other."""
    leaves: list[BaseException] = []
    queue: list[BaseException] = [group]
    while queue:
        error = queue.pop(0)
        if isinstance(error, BaseExceptionGroup):
            queue.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((e for e in leaves if isinstance(e, AgentHostError)), leaves[0])
