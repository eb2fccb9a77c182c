"""What the model sees of the log.

Theory of operation: `view` makes the messages of a request out of a conversation. The log never
changes; a compaction only replaces the oldest messages by their summary. Messages that stay as
they are keep their identity, and the same conversation gives the same tuple, so that an adapter
serializes each message once. `bound_content` is the hard bound on what one tool result may add:
what is over it is kept whole as an artifact beside the transcript, and the model gets head and
tail and is told what is missing.
"""

from collections.abc import Iterable
from typing import assert_never

from agent_host.core.conversation import Conversation
from agent_host.core.types import Audio, Content, Image, Json, Message, Resource, Text

RESULT_LIMIT = 60_000
"""Characters of text that one tool result may add to the context."""

MEDIA_LIMIT = 5_000_000
"""Base64 characters of one image or sound that may be added to the context."""

DEPTH_LIMIT = 64
"""Levels of lists and objects that a call's arguments may have; a transcript holds more."""


def view(conversation: Conversation) -> tuple[Message, ...]:
    """Return the messages that the model is sent."""
    compacted, summary = conversation.compacted, conversation.summary
    if compacted is None or summary is None:
        return conversation.messages
    return (summary, *conversation.messages[compacted.messages :])


def bound_content(
    content: Iterable[Content], limit: int = RESULT_LIMIT
) -> tuple[tuple[Content, ...], bool]:
    """Return the content within `limit` characters of text in all, and whether anything was cut."""
    kept: list[Content] = []
    left = limit
    cut = False
    for block in content:
        text = _text_of(block)
        if text is None:
            size = len(block.data or "") if isinstance(block, Image | Audio | Resource) else 0
            if size > MEDIA_LIMIT:
                cut = True
                kept.append(Text(text=f"[a {block.type} of {size} base64 characters is left out]"))
            else:
                kept.append(block)
        elif len(text) <= left:
            left -= len(text)
            kept.append(block)
        else:
            cut = True
            kept.append(Text(text=shorten(text, left)))
            left = 0
    return tuple(kept), cut


def deeper_than(value: Json, limit: int) -> bool:
    """Return whether a JSON value has more than `limit` levels of lists and objects."""
    level: list[Json] = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def shorten(text: str, limit: int) -> str:
    """Return head and tail of `text`, about `limit` characters, and between them how much is
    left out. A head is three quarters of what is kept."""
    if len(text) <= limit:
        return text
    head = limit * 3 // 4
    tail = limit - head
    left_out = len(text) - head - tail
    end = text[len(text) - tail :] if tail else ""
    return f"{text[:head]}\n[... {left_out} characters left out ...]\n{end}"


def _text_of(block: Content) -> str | None:
    match block:
        case Text():
            return block.text
        case Resource():
            return block.text
        case Image() | Audio():
            return None
        case _ as unreachable:
            assert_never(unreachable)
