"""Limits of a run: arithmetic only.

Theory of operation: turns and tool calls count from the user's last message, so a long chat is
not cut off by its length; tokens and money count over the whole run; seconds are
the engine's measure of the time it worked since the user's last message.
"""

from dataclasses import dataclass

from agent_host.core.conversation import Conversation
from agent_host.core.events import LimitReached


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """None: no limit. `max_turns`: model responses for one user message; `max_tool_calls`: calls
    for one user message; `max_tokens`: input and output of the whole run; `max_seconds`: work for
    one user message; `max_cost`: US dollars of the whole run, the next request's estimate
    included; `max_asks`: questions to a human for one user message."""

    max_turns: int | None = 50
    max_tool_calls: int | None = 200
    max_tokens: int | None = None
    max_seconds: float | None = None
    max_cost: float | None = None
    max_asks: int | None = None


def reached(
    conversation: Conversation, limits: Limits, elapsed: float, next_cost: float = 0.0
) -> LimitReached | None:
    """Return the limit that forbids another model call, or None. `next_cost`: what that call is
    estimated to cost, in US dollars."""
    spent = conversation.usage.input_tokens + conversation.usage.output_tokens
    if limits.max_seconds is not None and elapsed >= limits.max_seconds:
        return LimitReached(name="seconds", limit=limits.max_seconds)
    if limits.max_tokens is not None and spent >= limits.max_tokens:
        return LimitReached(name="tokens", limit=limits.max_tokens)
    if limits.max_cost is not None and conversation.cost + next_cost > limits.max_cost:
        return LimitReached(name="cost", limit=limits.max_cost)
    if limits.max_turns is not None and conversation.turns >= limits.max_turns:
        return LimitReached(name="turns", limit=limits.max_turns)
    if limits.max_tool_calls is not None and conversation.tool_calls > limits.max_tool_calls:
        return LimitReached(name="tool_calls", limit=limits.max_tool_calls)
    return None


def calls_left(conversation: Conversation, limits: Limits) -> int:
    """Return how many calls of the open turn are within the limit (all of them when there is
    none); `tool_calls` already counts the open turn's."""
    asked = len(conversation.calls)
    if limits.max_tool_calls is None:
        return asked
    return max(0, asked - max(0, conversation.tool_calls - limits.max_tool_calls))
