"""Making what the model is sent shorter, as a plan says.

Theory of operation: `compaction` makes the plan, here it is carried out. Without a summary, or with
one that takes no model, that is one fact, recorded at once. A summary that the model writes is an
effect like any other: intent, outcome with what it cost, and then the fact. Where nothing comes of
it the beginnings stand in its place; where a stop comes, nothing is left out. Meanwhile `decide`
starts nothing that would ask the model.
"""

import asyncio
from contextlib import aclosing

from agent_host.core.compaction import Plan, compacted, extract
from agent_host.core.events import ContextCompacted, ServerLog, SummaryFinished, SummaryRequested
from agent_host.core.summarizing import framed, summary_request
from agent_host.core.text import clean_line
from agent_host.core.types import ModelFailure, ModelResponse, Text
from agent_host.engine.rooms import Host

_WRITE_NONE = frozenset({"offline", "script"})
"""Adapters that have no summary to give."""
_WHOLE = frozenset({"end_turn", "stop_sequence", "max_tokens"})


class Compactor:
    """Shortens what one session's model is sent."""

    def __init__(self, session: Host) -> None:
        self._session = session

    def takes_a_model(self, plan: Plan) -> bool:
        """Whether a plan is carried out by asking a model."""
        session = self._session
        writes = session.rooms.model.origin.adapter not in _WRITE_NONE
        return session.compaction.by_model and bool(plan.messages) and writes

    def at_once(self, plan: Plan, instructions: str = "") -> ContextCompacted:
        """Carry a plan out without a model."""
        event = extract(self._session.conversation, plan, instructions)
        self._session.record(event)
        return event

    async def carry_out(self, plan: Plan, instructions: str = "") -> ContextCompacted | None:
        """Carry a plan out; None if a stop came first."""
        if not self.takes_a_model(plan):
            return self.at_once(plan, instructions)
        text = await self._written(plan, instructions)
        if not text:
            return None if text is None else self.at_once(plan, instructions)
        c = self._session.conversation
        event = compacted(c, plan, framed(c, plan, text), by_model=True)
        self._session.record(event)
        return event

    async def _written(self, plan: Plan, instructions: str) -> str | None:
        """What the model writes: empty if nothing comes of it, None if a stop came first."""
        session = self._session
        origin, request_id = session.rooms.model.origin, session.new_id()
        session.record(
            SummaryRequested(
                request_id=request_id,
                provider=origin.provider,
                model=origin.model,
                messages=plan.messages,
                by=plan.by,
                instructions=instructions,
            )
        )
        try:
            outcome = await self._asked(plan, request_id, instructions)
        except asyncio.CancelledError:
            session.record(SummaryFinished(request_id=request_id, error="stopped"))
            if not session.stopping:
                raise
            return None
        session.record(outcome)
        return outcome.text

    async def _asked(self, plan: Plan, request_id: str, instructions: str) -> SummaryFinished:
        session = self._session
        model, prices = session.rooms.model, session.rooms.prices
        request = summary_request(
            session.conversation,
            plan,
            request_id=request_id,
            window=session.space.window,
            instructions=instructions,
        )
        item: ModelResponse | ModelFailure | None = None
        async with aclosing(model.stream(request)) as stream:
            async for one in stream:
                if isinstance(one, ModelResponse | ModelFailure):
                    item = one
                elif isinstance(one, ServerLog):
                    session.feed.show(one)
        if not isinstance(item, ModelResponse):
            why = "the model adapter gave no answer" if item is None else item.message
            return SummaryFinished(request_id=request_id, error=clean_line(why))
        cost = None
        if prices is not None:
            await prices.ready(model.origin)
            cost = prices.cost(model.origin, item.usage, item.model_served)
        texts = (b.text for b in item.message.content if isinstance(b, Text))
        text = "".join(texts).strip() if item.stop_reason in _WHOLE else ""
        return SummaryFinished(
            request_id=request_id,
            text=text,
            error="" if text else f"no text came ({item.stop_reason})",
            usage=item.usage,
            cost=cost,
            model_served=item.model_served,
        )
