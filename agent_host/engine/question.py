"""Asking the model: attempts, waits, shorter views, another model.

Theory of operation: one `ask` is one step of `decide`. It asks until there is an answer or a
failure that time does not mend: within a total deadline, honouring the provider's Retry-After, and
only while nothing of an answer was shown. A conversation that does not fit is shortened for the
model and asked again; a model that fails before anything was shown gives way to the next of the
`fallback` list. Both are facts, recorded like everything else, and it is `decide` that then calls
the model again. Cancelled by a stop, an attempt closes its request with what has come.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import tenacity

from agent_host.core.compaction import overflow
from agent_host.core.context import view
from agent_host.core.events import (
    ModelFailed,
    ModelRequested,
    ModelResponded,
    ServerLog,
    TextDelta,
    ToolArgumentsDelta,
)
from agent_host.core.handoff import is_legal, legal
from agent_host.core.text import clean_line
from agent_host.core.types import (
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Text,
    Tool,
    ToolChoice,
)
from agent_host.engine.compacting import Compactor
from agent_host.engine.rooms import Host, Retry
from agent_host.ports import ModelAdapter, Pricing

_NOT_MENDED = frozenset({"cancelled", "script"})
"""Failures that another model would not mend: a stop, and a script that does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How one request ended; `shown`: something of it was already on a screen."""

    request_id: str
    item: ModelResponse | ModelFailure
    shown: bool


class Question:
    """Asks the model of one session."""

    def __init__(self, session: Host, compactor: Compactor) -> None:
        self._session = session
        self._compactor = compactor
        self._offered: tuple[Any, Any, tuple[Tool, ...]] = (None, None, ())
        self._checked: tuple[Message, ...] = ()
        self._seen: set[str] = set()

    async def ask(self) -> None:
        """Ask until there is an answer, or it is clear that there is none."""
        session = self._session
        fallback = session.rooms.fallback
        retrying = tenacity.AsyncRetrying(
            stop=_stop(session.retry, waiting=fallback is not None and fallback.waiting),
            wait=_wait(session.retry),
            retry=tenacity.retry_if_result(_may_ask_again),
            before_sleep=self._note_attempt,
            retry_error_callback=_outcome_of,
        )
        outcome: _Outcome = await retrying(self._attempt)
        item = outcome.item
        if isinstance(item, ModelResponse):
            await self._close(outcome.request_id, item)
        elif outcome.shown or item.kind in _NOT_MENDED or session.stopping:
            self._record_failure(outcome.request_id, item, None)
        elif not await self._shortened(outcome.request_id, item):
            await self._pass_on(outcome.request_id, item)

    async def _attempt(self) -> _Outcome:
        """Ask the model once. Cancelled by a stop, it closes its request with what has come."""
        session = self._session
        model = session.rooms.model
        request_id = session.new_id()
        request = self._request(request_id, model)
        origin = model.origin
        session.record(
            ModelRequested(request_id=request_id, provider=origin.provider, model=origin.model)
        )
        if session.rooms.prices is not None:
            session.rooms.prices.begin(origin)
        shown: list[str] = []
        try:
            async with aclosing(model.stream(request)) as stream:
                async for item in stream:
                    if isinstance(item, ModelResponse | ModelFailure):
                        return _Outcome(request_id=request_id, item=item, shown=bool(shown))
                    session.feed.show(item)
                    # Pieces of arguments are no answer: a call that was cut off is asked again.
                    if not isinstance(item, ToolArgumentsDelta | ServerLog):
                        shown.append(item.text if isinstance(item, TextDelta) else "")
        except asyncio.CancelledError:
            if not session.stopping:
                raise
            return _Outcome(request_id=request_id, item=_cut(model, "".join(shown)), shown=True)
        missing = ModelFailure(kind="protocol", message="the model adapter gave no answer")
        return _Outcome(request_id=request_id, item=missing, shown=True)

    def _request(self, request_id: str, model: ModelAdapter) -> ModelRequest:
        session = self._session
        c = session.conversation
        tools = self._tools(model)
        return ModelRequest(
            request_id=request_id,
            system=c.system,
            messages=self._messages(),
            tools=tools,
            tool_choice=self._choice(tools) if c.turns == 0 else "auto",
            output_schema=session.output_schema,
            conversation=c.run_id,
            log=c.messages,
        )

    def _choice(self, tools: tuple[Tool, ...]) -> ToolChoice:
        """The choice of tool that was asked for; `auto` where it names one that is not offered."""
        choice = self._session.tool_choice
        names = [tool.name for tool in tools]
        if choice in ("auto", "none", "required") or choice in names:
            return choice
        near = get_close_matches(choice, names, n=1)
        text = f"there is no tool {clean_line(choice, 80)} to choose"
        text += f"; did you mean {near[0]}?" if near else ""
        self._session.feed.show(ServerLog(server="", level="warning", text=text))
        return "auto"

    def _messages(self) -> tuple[Message, ...]:
        """What the model sees, legal for any provider; what was looked at before is not again."""
        messages = view(self._session.conversation)
        known = len(self._checked)
        new = messages[known:]
        grown = known and len(messages) >= known and messages[known - 1] is self._checked[-1]
        if not (grown and messages[0] is self._checked[0]):
            new, self._seen = messages, set()
        if is_legal(new, self._seen):
            self._checked = messages
            return messages
        self._checked, self._seen = (), set()
        return legal(messages)

    def _tools(self, model: ModelAdapter) -> tuple[Tool, ...]:
        """The tools to offer: without those that this model's wire cannot express, of which the
        user is told once."""
        session, table = self._session, self._session.rooms.tools.tools()
        offering = session.rooms.offering
        if model.origin.adapter == "offline":  # nothing is sent anywhere
            tools = offering.whole(table)
        else:
            c, also = session.conversation, session.tool_choice
            tools = offering.tools(table, c.messages, also=also, recall=c.covered > 0)
        if self._offered[0] is not tools or self._offered[1] is not model:
            withheld = model.withheld(tools)
            if withheld:
                self._tell(table, withheld)
            offered = tuple(tool for tool in tools if tool.name not in withheld)
            self._offered = (tools, model, offered if withheld else tools)
        return self._offered[2]

    def _tell(self, tools: Mapping[str, Tool], withheld: Mapping[str, str]) -> None:
        by_server: dict[str, list[str]] = {}
        for name, why in withheld.items():
            by_server.setdefault(tools[name].server, []).append(f"{tools[name].tool} ({why})")
        for server, names in by_server.items():
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            text = f"not offered to this model: {', '.join(names[:3])}{more}"
            self._session.feed.show(ServerLog(server=server, level="warning", text=text))

    # -- what comes of it --------------------------------------------------------------------

    def _note_attempt(self, state: tenacity.RetryCallState) -> None:
        outcome = _outcome_of(state)
        assert isinstance(outcome.item, ModelFailure)  # nothing else is asked again
        sleep = 0.0 if state.next_action is None else state.next_action.sleep
        self._record_failure(outcome.request_id, outcome.item, sleep)

    def _record_failure(self, request_id: str, failure: ModelFailure, wait: float | None) -> None:
        self._session.record(
            ModelFailed(
                request_id=request_id,
                kind=failure.kind,
                message=failure.message,
                final=wait is None,
                retry_after=failure.retry_after if wait is None else wait,
            )
        )

    async def _close(self, request_id: str, item: ModelResponse) -> None:
        session = self._session
        prices, cost = session.rooms.prices, None
        if prices is not None and await self._known(prices):
            cost = prices.cost(session.rooms.model.origin, item.usage, item.model_served)
        session.record(
            ModelResponded(
                request_id=request_id,
                message=item.message,
                stop_reason=item.stop_reason,
                usage=item.usage,
                response_id=item.response_id,
                model_asked=session.rooms.model.origin.model,
                model_served=item.model_served,
                cost=cost,
                provider_request_id=item.provider_request_id,
            )
        )

    async def _known(self, prices: Pricing) -> bool:
        """Whether the prices are read. An answer is recorded also when a stop comes meanwhile."""
        try:
            await prices.ready(self._session.rooms.model.origin)
        except asyncio.CancelledError:
            if not self._session.stopping:
                raise
            return False
        return True

    async def _shortened(self, request_id: str, failure: ModelFailure) -> bool:
        """Make the view shorter if that is what is wrong and can be done; the model is then asked
        again."""
        if failure.kind != "context_window_exceeded":
            return False
        plan = overflow(self._session.conversation, self._session.space)
        if plan is None:
            return False
        self._record_failure(request_id, failure, 0.0)
        await self._compactor.carry_out(plan)
        return True

    async def _pass_on(self, request_id: str, failure: ModelFailure) -> None:
        """Let the next model of the list answer, or say that there is no answer."""
        session = self._session
        fallback = session.rooms.fallback
        try:
            other = None if fallback is None else await fallback.next()
        except asyncio.CancelledError:
            if not session.stopping:
                raise
            other = None
        self._record_failure(request_id, failure, None if other is None else 0.0)
        if other is not None:
            session.change_model(other, by="fallback", reason=failure.message)


def _may_ask_again(outcome: _Outcome) -> bool:
    item = outcome.item
    return isinstance(item, ModelFailure) and item.retryable and not outcome.shown


def _outcome_of(state: tenacity.RetryCallState) -> _Outcome:
    assert state.outcome is not None  # tenacity calls back after an attempt
    outcome: _Outcome = state.outcome.result()
    return outcome


def _stop(policy: Retry, *, waiting: bool) -> Callable[[tenacity.RetryCallState], bool]:
    """When to give up: earlier while another model is `waiting`."""
    attempts = policy.attempts_before_fallback if waiting else policy.attempts
    seconds = policy.seconds_before_fallback if waiting else policy.seconds
    return tenacity.stop_after_attempt(attempts) | tenacity.stop_before_delay(seconds)


def _wait(policy: Retry) -> Callable[[tenacity.RetryCallState], float]:
    backoff = tenacity.wait_exponential_jitter(
        multiplier=policy.first_wait, max=policy.longest_wait, jitter=policy.first_wait
    )

    def wait(state: tenacity.RetryCallState) -> float:
        item = _outcome_of(state).item
        asked = item.retry_after if isinstance(item, ModelFailure) else None
        return max(backoff(state), asked or 0.0)

    return wait


def _cut(model: ModelAdapter, text: str) -> ModelResponse | ModelFailure:
    if not text:
        return ModelFailure(kind="cancelled", message="stopped before the model answered")
    message = Message(role="assistant", content=(Text(text=text),), origin=model.origin)
    return ModelResponse(message=message, stop_reason="interrupted")
