"""What the model sees of the log.

Theory of operation: `view` makes the messages of a request out of a conversation. The log never
changes; a compaction only puts a head in the place of the oldest messages (see `left_out`). All
messages keep their identity from request to request, so that an adapter serializes each message
once. `bound_content` is the hard bound on what one tool result may add: what is over it is kept
whole as an artifact beside the transcript, and the model gets head and tail and is told what is
missing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
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
    if not conversation.covered:
        return tuple(conversation.messages)
    return (*conversation.head, *conversation.messages[conversation.covered :])


def bound_content(
    content: Iterable[Content], limit: int = RESULT_LIMIT
) -> tuple[tuple[Content, ...], bool]:
    """Return the content within `limit` characters of text in all, and whether anything was cut.

    Of texts that are too long together the head (three quarters) and the tail stay; what is said
    between them counts lines as `joined_text` has them. Media over `MEDIA_LIMIT` become a note.
    """
    blocks = tuple(content)
    texts = [text for block in blocks if (text := text_of(block)) is not None]
    size = sum(map(len, texts)) + max(0, len(texts) - 1)
    window = _Window.of("\n".join(texts), limit) if size > limit else None
    kept: list[Content] = []
    cut = False
    for block in blocks:
        text = text_of(block)
        if text is not None:
            kept += [block] if window is None else window.take(block, text)
        elif too_large(block):
            cut = True
            kept.append(Text(text=f"[{described(block)}: too large for a model]"))
        else:
            kept.append(block)
    # Between blocks it may be a newline alone that is too much.
    return tuple(kept), cut or (window is not None and not window.note)


def joined_text(content: Iterable[Content]) -> str:
    """Return all text of a content, as an artifact holds it."""
    return "\n".join(text for block in content if (text := text_of(block)) is not None)


def too_large(block: Content) -> bool:
    """Whether a block is a picture, sound or file that no model is sent."""
    return not isinstance(block, Text) and len(_data_of(block)) > MEDIA_LIMIT


def described(block: Content) -> str:
    """Return what a block is, in a few words."""
    data = _data_of(block)
    kind = "" if isinstance(block, Text) else f" {block.media_type}".rstrip()
    size = f", {len(data) * 3 // 4:,} bytes" if data else ""
    name = f" {block.name or block.uri}".rstrip() if isinstance(block, Resource) else ""
    return f"{block.type}{name}{kind}{size}"


@dataclass(slots=True)
class _Window:
    """Head and tail of several texts, as places in them joined by newlines."""

    head: int
    tail: int
    note: str
    place: int = 0

    @classmethod
    def of(cls, whole: str, limit: int) -> "_Window":
        head = limit * 3 // 4
        # Whole lines at both ends, if that costs little.
        if (end := whole.rfind("\n", head - head // 8, head)) >= 0:
            head = end + 1
        tail = len(whole) - (limit - limit * 3 // 4)
        if (end := whole.find("\n", tail, tail + limit // 32)) >= 0:
            tail = end + 1
        first, last = whole.count("\n", 0, head) + 1, whole.count("\n", 0, tail) + 1
        lines = whole.count("\n") + 1
        note = (
            f"\n[... {tail - head:,} of {len(whole):,} characters left out, "
            f"lines {first:,} to {last:,} of {lines:,} ...]\n"
        )
        return cls(head, tail, note)

    def take(self, block: Content, text: str) -> list[Content]:
        """What is left of the next block; the first that loses something tells of all."""
        begin, end = self.place, self.place + len(text)
        self.place = end + 1
        if end <= self.head or begin >= self.tail:
            return [block]
        kept = text[: max(0, self.head - begin)] + self.note
        self.note = ""
        if end > self.tail:
            kept += text[max(0, self.tail - begin) :]
        if not kept:
            return []
        if isinstance(block, Resource):
            return [replace(block, text=kept)]
        return [Text(text=kept)]


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


def text_of(block: Content) -> str | None:
    """Return a block's text, or None if it has none."""
    match block:
        case Text():
            return block.text
        case Resource():
            return block.text
        case Image() | Audio():
            return None
        case _ as unreachable:
            assert_never(unreachable)


def _data_of(block: Content) -> str:
    return "" if isinstance(block, Text) else block.data or ""
