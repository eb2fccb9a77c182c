"""What servers ask of the host, answered: input from a human, an answer of the model.

Theory of operation: a request is parsed and bounded, recorded, put to the respondent, and its
answer recorded before the server gets it. A request during a call (`serve`) has a server waiting
for it; one that holds up a paused call (`answer_paused`) only needs its record, because `decide`
then lets the call go on. Who nobody answers for gets a no: input is declined, the model refused.
Cancelled by a stop, what was asked is closed with a no of its own. Requests for the model are
counted and limited by the run like any other use of it, and never see its tools or conversation.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, TypeVar

from agent_host.core import loop
from agent_host.core.calls import input_result, missing
from agent_host.core.events import (
    InputGiven,
    InputRequested,
    SamplingFinished,
    SamplingRequested,
)
from agent_host.core.limits import reached
from agent_host.core.server_requests import (
    SamplingPrompt,
    input_requested,
    sampling_prompt,
    sampling_result,
)
from agent_host.core.types import (
    JsonObject,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    ServerRequest,
    Usage,
)
from agent_host.engine.rooms import Host
from agent_host.ports import Deferred, RequestRefused, SamplingAnswer, SamplingQuestion

NOBODY = "nobody to ask"
"""Who answered where there is no respondent."""
ALWAYS = "the user's always"


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Begun:
    """A request for the model that is being looked at."""

    sampling_id: str
    server: str
    call_id: str
    key: str
    params: JsonObject


class RequestDesk:
    """Answers the requests of all servers of one session."""

    def __init__(self, session: Host) -> None:
        self._session = session
        self._asking = 0
        self._told: dict[str, InputGiven] = {}
        self._tasks: dict[str, asyncio.Task[object]] = {}
        self._always: set[str] = set()
        self._turn = asyncio.Lock()

    async def answer_paused(self, action: loop.AnswerRequests) -> None:
        """Get what a paused call waits for; one after another, as a human would be asked."""
        state, server = action.state, action.tool.server
        for request in missing(state):
            pending = self._pending(state.call.id, request.key)
            done = await self._settle(server, request, state.call.id, pending, deferrable=True)
            if done is None:
                self._session.deferred.add(action.key)
                return
            if isinstance(done, RequestRefused):
                return  # recorded; `decide` refuses the call
            if self._session.stopping:
                return  # the stop answered this one; nobody is asked the next

    async def serve(
        self, server: str, request: ServerRequest, call_id: str
    ) -> JsonObject | RequestRefused:
        """Answer a request that a server waits for."""
        done = await self._settle(server, request, call_id, None, deferrable=False)
        return RequestRefused("nobody answered") if done is None else done

    def told(self, event: InputGiven) -> None:
        """Stop asking for what was answered from elsewhere."""
        if (task := self._tasks.get(event.input_id)) is not None:
            self._told[event.input_id] = event
            task.cancel()

    def _pending(self, call_id: str, key: str) -> InputRequested | None:
        """The same question, if it was put to someone before and is still open."""
        inputs = self._session.conversation.inputs
        return next((i for i in inputs if (i.call_id, i.key) == (call_id, key)), None)

    async def _settle(
        self,
        server: str,
        request: ServerRequest,
        call_id: str,
        pending: InputRequested | None,
        *,
        deferrable: bool,
    ) -> JsonObject | RequestRefused | None:
        """Return the answer; None if nobody can answer now."""
        if request.method == "elicitation/create":
            return await self._input(server, request, call_id, pending, deferrable=deferrable)
        if request.method == "sampling/createMessage":
            return await self._sample(server, request, call_id, deferrable=deferrable)
        return RequestRefused(f"the host does not do {request.method[:60]}")

    def _new_id(self, kind: str) -> str:
        return f"{kind}:{self._session.new_id()}"

    # -- input -----------------------------------------------------------------------------

    async def _input(
        self,
        server: str,
        request: ServerRequest,
        call_id: str,
        pending: InputRequested | None,
        *,
        deferrable: bool,
    ) -> JsonObject | RequestRefused | None:
        question = pending or self._question(server, request, call_id)
        if not isinstance(question, InputRequested):
            return question
        answer = await self._ask_input(question)
        if isinstance(answer, Deferred):
            return None if deferrable else self._given(question, _no(question, "decline", NOBODY))
        return self._given(question, answer)

    def _question(
        self, server: str, request: ServerRequest, call_id: str
    ) -> InputRequested | JsonObject:
        """Record what a server asks; a request that is not sound is declined at once."""
        session, input_id = self._session, self._new_id("input")
        made = input_requested(
            request.params, input_id=input_id, server=server, call_id=call_id, key=request.key
        )
        if not isinstance(made, str):
            session.record(made)
            return made
        stand_in = InputRequested(
            input_id=input_id,
            server=server,
            mode="form",
            message=f"[not shown: {made}]",
            call_id=call_id,
            key=request.key,
        )
        session.record(stand_in)
        return self._given(stand_in, _no(stand_in, "decline", "host"))

    async def _ask_input(self, question: InputRequested) -> InputGiven | Deferred:
        respondent = self._session.rooms.respondent
        if respondent is None:
            return _no(question, "decline", NOBODY)
        task = asyncio.current_task()
        assert task is not None  # a coroutine runs in a task
        self._tasks[question.input_id] = task
        try:
            return await self._asked(
                lambda: respondent.answer(question, self._waiting),
                stopped=_no(question, "cancel", "stopped"),
            )
        except asyncio.CancelledError:
            given = self._told.pop(question.input_id, None)
            if given is None:
                self._given(question, _no(question, "cancel", "the server gave up"))
                raise
            task.uncancel()
            return given
        finally:
            del self._tasks[question.input_id]

    def _given(self, question: InputRequested, answer: InputGiven) -> JsonObject:
        """Record the answer, unless one came from elsewhere meanwhile."""
        if any(i.input_id == question.input_id for i in self._session.conversation.inputs):
            self._session.record(answer)
        return input_result(question, answer)

    def _waiting(self) -> int:
        return self._asking - 1

    async def _asked(self, ask: Callable[[], Awaitable[_T]], *, stopped: _T) -> _T:
        self._asking += 1
        try:
            return await ask()
        except asyncio.CancelledError:
            if not self._session.stopping:
                raise
            return stopped
        finally:
            self._asking -= 1

    # -- the model -------------------------------------------------------------------------

    async def _sample(
        self, server: str, request: ServerRequest, call_id: str, *, deferrable: bool
    ) -> JsonObject | RequestRefused | None:
        prompt = sampling_prompt(request.params)
        # What is not sound may be of any size: it is not kept.
        kept = {} if isinstance(prompt, str) else request.params
        begun = _Begun(self._new_id("sampling"), server, call_id, request.key, kept)
        if isinstance(prompt, str):
            return self._begin(begun, SamplingAnswer(allowed=False, by="host"), prompt)
        if why := self._used_up():
            return self._begin(begun, SamplingAnswer(allowed=False, by="host"), why)
        allowed = await self._allowed(server, prompt)
        if isinstance(allowed, Deferred):
            if deferrable:
                return None
            allowed = SamplingAnswer(allowed=False, by=NOBODY)
        # Others may have been allowed while somebody thought about this one.
        why = self._used_up() if allowed.allowed else "it was not allowed"
        refused = self._begin(begun, allowed, why)
        if refused is not None:
            return refused
        if allowed.always:
            self._always.add(server)
        return await self._ask_model(begun.sampling_id, prompt, allowed.by)

    def _used_up(self) -> str:
        """Why servers get no more of the model in this run; empty if they do."""
        most = self._session.sampling.max_requests
        if self._session.conversation.sampled < most:
            return ""
        return f"this run's {most} requests for the model are used up"

    def _begin(self, begun: "_Begun", allowed: SamplingAnswer, why: str) -> RequestRefused | None:
        """Record that a server asks for the model, and at once that it gets nothing if so."""
        self._session.record(
            SamplingRequested(
                sampling_id=begun.sampling_id,
                server=begun.server,
                params=begun.params,
                call_id=begun.call_id,
                key=begun.key,
            )
        )
        return self._finished(begun.sampling_id, "refused", allowed.by, why) if why else None

    async def _allowed(self, server: str, prompt: SamplingPrompt) -> SamplingAnswer | Deferred:
        session, limits = self._session, self._session.sampling
        if server in self._always or not limits.ask:
            return SamplingAnswer(allowed=True, by="config" if not limits.ask else ALWAYS)
        respondent = session.rooms.respondent
        if respondent is None:
            return SamplingAnswer(allowed=False, by=NOBODY)
        origin = session.rooms.model.origin
        question = SamplingQuestion(
            server=server,
            model=f"{origin.provider}:{origin.model}",
            messages=prompt.messages,
            system=prompt.system,
            max_tokens=min(prompt.max_tokens, limits.max_tokens),
            waiting=self._waiting,
        )
        return await self._asked(
            lambda: respondent.allow(question), stopped=SamplingAnswer(allowed=False, by="stopped")
        )

    async def _ask_model(
        self, sampling_id: str, prompt: SamplingPrompt, by: str
    ) -> JsonObject | RequestRefused:
        try:
            # One at a time: a server must not multiply what a provider limits, and what one has
            # cost is known before the next.
            async with self._turn:
                return await self._model_answer(sampling_id, prompt, by)
        except asyncio.CancelledError:
            # Nothing is waited for once it is recorded how the request ended.
            self._finished(sampling_id, "failed", by, "stopped")
            raise

    async def _model_answer(
        self, sampling_id: str, prompt: SamplingPrompt, by: str
    ) -> JsonObject | RequestRefused:
        session = self._session
        if reached(session.conversation, session.limits, 0.0):
            return self._finished(sampling_id, "refused", by, "a limit of this run is reached")
        request = ModelRequest(
            request_id=sampling_id,
            system=prompt.system,
            messages=prompt.messages,
            tools=(),
            max_output_tokens=min(prompt.max_tokens, session.sampling.max_tokens),
        )
        item: ModelResponse | ModelFailure | None = None
        async with aclosing(session.rooms.model.stream(request)) as stream:
            async for part in stream:
                if isinstance(part, ModelResponse | ModelFailure):
                    item = part
        if not isinstance(item, ModelResponse):
            why = "the model gave no answer" if item is None else item.message
            return self._finished(sampling_id, "failed", by, why)
        return await self._answered(sampling_id, by, item)

    async def _answered(
        self, sampling_id: str, by: str, item: ModelResponse
    ) -> JsonObject | RequestRefused:
        session = self._session
        origin, prices = session.rooms.model.origin, session.rooms.prices
        cost = None
        if prices is not None:
            prices.begin(origin)
            await prices.ready(origin)
            cost = prices.cost(origin, item.usage, item.model_served)
        result = sampling_result(item, origin.model)
        if result is None:
            why = "the model answered without text"
            return self._finished(sampling_id, "failed", by, why, usage=item.usage, cost=cost)
        session.record(
            SamplingFinished(
                sampling_id=sampling_id,
                outcome="answered",
                by=by,
                result=result,
                usage=item.usage,
                cost=cost,
            )
        )
        return result

    def _finished(
        self,
        sampling_id: str,
        outcome: Literal["refused", "failed"],
        by: str,
        error: str,
        *,
        usage: Usage = Usage(),
        cost: float | None = None,
    ) -> RequestRefused:
        self._session.record(
            SamplingFinished(
                sampling_id=sampling_id,
                outcome=outcome,
                by=by,
                error=error,
                usage=usage,
                cost=cost,
            )
        )
        return RequestRefused(error)


def _no(question: InputRequested, action: Literal["decline", "cancel"], by: str) -> InputGiven:
    return InputGiven(input_id=question.input_id, action=action, by=by)
