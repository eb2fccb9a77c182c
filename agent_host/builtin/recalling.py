"""Finding again what is left out of a conversation.

Theory of operation: all messages of the conversation as it stands, each under its number; what the
user went back from is not among them. A message is told as text: what was said, calls with their
arguments, results whole or with the name of their artifact. Texts are made one message at a time
and let go, so that a search takes the memory of one message; what comes out is bounded.
"""

import json
import re
from collections.abc import Iterator, Sequence

from agent_host.builtin.definitions import MATCHES
from agent_host.core.text import clean_line
from agent_host.core.types import Message, Reasoning, Resource, Text, ToolCall, ToolResult

MAX_PAGE = 20_000
"""Characters of a page: less than a result may have, so that a page is never cut again."""
_AROUND = 120
"""Characters that are shown on each side of a match."""
_WORD = re.compile(r'"([^"]+)"|(\S+)')


def search(messages: Sequence[Message], query: str, *, limit: int = MATCHES, first: int = 1) -> str:
    """Return the messages that hold all words of `query`, one a line with what is around the
    longest of them."""
    words = [(a or b).casefold() for a, b in _WORD.findall(query)]
    if not words:
        return "The query has no words."
    lines: list[str] = []
    found, size = 0, 0
    for number, text in told(messages, first):
        folded = text.casefold()
        if not all(word in folded for word in words):
            continue
        found += 1
        line = f"- message {number}: {_around(text, folded, max(words, key=len))}"
        size += len(line) + 1
        if found > limit or size > MAX_PAGE:
            more = f"There are more; search on with first = {number}."
            return "\n".join([*lines, more])
        lines.append(line)
    if not lines:
        return (
            f"No message of {len(messages)} holds all of {clean_line(query, 100)!r}. Try fewer or "
            "other words."
        )
    return "\n".join([*lines, "host__read_conversation reads a message whole."])


def read(
    messages: Sequence[Message], *, first: int, last: int | None = None, offset: int = 0
) -> str:
    """Return a page of the messages from `first` to `last`, each under a heading. Raises ValueError
    for what is not there."""
    count = len(messages)
    end = min(count, first if last is None else last)
    if not 1 <= first <= end:
        raise ValueError(f"There are messages 1 to {count}.")
    parts: list[str] = []
    place = size = 0
    for number, text in told(messages, first, end):
        part = f"[message {number} of {count}, {messages[number - 1].role}]\n{text}\n"
        begin = max(0, offset - place)
        place += len(part)
        if begin >= len(part):
            continue
        piece = part[begin : begin + MAX_PAGE - size]
        parts.append(piece)
        size += len(piece)
        if size >= MAX_PAGE:
            to = f", last = {end}" if end > number else ""
            parts.append(f"\n[go on with first = {number}{to}, offset = {begin + len(piece)}]")
            break
    return "".join(parts) or f"[nothing there: these messages have {place:,} characters]"


def told(
    messages: Sequence[Message], first: int = 1, last: int | None = None
) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each message from number `first` up to `last`."""
    for number in range(first, (len(messages) if last is None else last) + 1):
        yield number, "\n".join(_lines(messages[number - 1]))


def _lines(message: Message) -> Iterator[str]:
    for block in message.content:
        match block:
            case Text():
                yield block.text
            case Reasoning():
                pass  # what a model thought is no part of what was said
            case ToolCall():
                yield f"called {block.name} with {json.dumps(block.arguments, ensure_ascii=False)}"
            case ToolResult():
                yield f"result ({block.error}):" if block.error else "result:"
                yield from _lines(Message(role="user", content=block.content))
                if block.artifact is not None:
                    yield f"[the whole is kept as {block.artifact}; host__read_artifact reads it]"
            case Resource():
                yield f"resource {block.uri}"
                if block.text is not None:
                    yield block.text
            case _:
                yield f"[{block.type}, {block.media_type}]"


def _around(text: str, folded: str, word: str) -> str:
    # Folding may change lengths a little; what is shown is only for orientation.
    place = folded.index(word)
    begin = max(0, place - _AROUND)
    piece = clean_line(" ".join(text[begin : place + len(word) + _AROUND].split()), 4 * _AROUND)
    return f"{'...' if begin else ''}{piece}"
