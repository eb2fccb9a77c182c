"""How a conversation that no longer fits a model is shortened for it.

Theory of operation: the log stays; `shorten` names how many of the oldest messages the model no
longer gets, and writes down in their place what was said and done in them: users' words, calls with
the beginning of their results. Each step leaves at most half of what the model was sent, and never
parts a call from its results. When only the newest turn is left there is nothing to shorten, and
the failure is final. Characters stand for tokens here: what counts is that it becomes less.
"""

import json
from collections.abc import Sequence

from agent_host.core.context import shorten as cut
from agent_host.core.conversation import Conversation
from agent_host.core.events import ContextCompacted
from agent_host.core.size import characters
from agent_host.core.text import clip
from agent_host.core.types import Message, Resource, Text, ToolCall, ToolResult

SUMMARY_LIMIT = 12_000
"""Characters that stand for all messages that were left out."""
_QUESTION_LIMIT = 6_000
_LINE_LIMIT = 600


def shorten(conversation: Conversation) -> ContextCompacted | None:
    """Return what makes the model's view at most half as long, or the shortest that is possible;
    None if nothing can be left out any more."""
    messages = conversation.messages
    before = conversation.summarized
    sizes = [characters(message) for message in messages[before:]]
    wanted = sum(sizes) // 2
    place, left = before, sum(sizes)
    chosen = 0
    for size in sizes:
        place, left = place + 1, left - size
        if place < len(messages) and messages[place].role != "tool":
            chosen = place
            if left <= wanted:
                break
    if chosen <= before:
        return None
    return ContextCompacted(messages=chosen, summary=_summary(messages[:chosen]))


def _summary(dropped: Sequence[Message]) -> str:
    """What was said and done, newest lines first in the choice, oldest first in the text."""
    lines: list[str] = []
    left = SUMMARY_LIMIT
    asked = False
    for message in reversed(dropped):
        limit = _LINE_LIMIT if asked or message.role != "user" else _QUESTION_LIMIT
        asked = asked or message.role == "user"
        for line in reversed(_lines(message, limit)):
            left -= len(line) + 1
            if left >= 0:
                lines.append(line)
    head = f"[{len(dropped)} earlier messages are left out; this is what they were about]"
    return "\n".join([head, *reversed(lines)])


def _lines(message: Message, limit: int) -> list[str]:
    lines: list[str] = []
    for block in message.content:
        match block:
            case Text() if block.text:
                lines.append(f"{message.role} said: {cut(block.text, limit)}")
            case ToolCall():
                arguments = clip(json.dumps(block.arguments, ensure_ascii=False), limit)
                lines.append(f"called {block.name} with {arguments}")
            case ToolResult():
                how = f"failed ({block.error})" if block.error else "answered"
                texts = (b.text or "" for b in block.content if isinstance(b, Text | Resource))
                lines.append(f"it {how}: {cut(' '.join(texts), limit // 2)}")
            case _:
                pass
    return lines
