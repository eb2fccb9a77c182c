"""What servers ask for in a conversation, and what they get."""

from typing import assert_never

from agent_host.core.calls import CallState, with_input, with_sampling
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    InputGiven,
    InputRequested,
    SamplingFinished,
    SamplingRequested,
)
from agent_host.core.replacing import replace
from agent_host.core.state import Conversation

ServerEvent = InputRequested | InputGiven | SamplingRequested | SamplingFinished


def apply_request(c: Conversation, event: ServerEvent) -> Conversation:
    """What servers ask for, and what they get; an answer that a paused call waits for is kept
    with that call."""
    match event:
        case InputRequested():
            return replace(c, inputs=(*c.inputs, event))
        case InputGiven():
            asked = next((i for i in c.inputs if i.input_id == event.input_id), None)
            if asked is None:
                raise UsageError(f"input {event.input_id!r} is not asked for")
            c = replace(c, inputs=tuple(i for i in c.inputs if i is not asked))
            if (state := _paused_by(c, asked)) is None:
                return c
            return c.with_call(with_input(state, asked, event))
        case SamplingRequested():
            return replace(c, samplings=(*c.samplings, event), sampled=c.sampled + 1)
        case SamplingFinished():
            request = next((r for r in c.samplings if r.sampling_id == event.sampling_id), None)
            if request is None:
                raise UsageError(f"sampling {event.sampling_id!r} is not asked for")
            c = replace(
                c,
                samplings=tuple(r for r in c.samplings if r is not request),
                usage=c.usage + event.usage,
                cost=c.cost + (event.cost or 0.0),
                unpriced=c.unpriced + int(event.outcome == "answered" and event.cost is None),
            )
            if (state := _paused_by(c, request)) is None:
                return c
            return c.with_call(with_sampling(state, request.key, event))
        case _ as unreachable:
            assert_never(unreachable)


def _paused_by(c: Conversation, request: InputRequested | SamplingRequested) -> CallState | None:
    """The call that a request holds up, if it does."""
    state = c.call(request.call_id)
    if state is None or state.paused is None or state.started or state.result is not None:
        return None
    return state if any(r.key == request.key for r in state.paused.requests) else None
