"""A conversation as bytes, at a cost that does not grow with it.

Theory of operation: a message never changes, so its bytes are made once and kept by identity; a
request is then a join of bytes. The cache holds each message strongly (an identity is only valid
while its object lives) in two generations: what was used since the last turn-over is young, the
rest is dropped at the next one, so that one adapter can serve many conversations within a bound.
What was joined for the last request of a conversation is kept as well, and the next one adds to it.
A wire says how one message is written, and what stands between two of them.
"""

import json
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from operator import is_
from typing import Literal

from agent_host.core.types import Json, JsonObject, Message

MAX_CACHED = 64 * 1024 * 1024
"""Bytes of one generation of the cache."""

_MAX_ENTRIES = 100_000
_MAX_BEGUN = 256
"""Conversations whose joined messages are kept."""

Role = Literal["user", "assistant", "tool", ""]


def encode(value: Json) -> bytes:
    """Return compact JSON in UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes `?`.

    Raises ValueError for NaN and infinities.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A message as bytes; empty: nothing of it may be sent. `after`: what must follow once the
    batch of results is complete. `call_ids`: the calls in it, as we know them."""

    source: object
    body: bytes
    after: tuple[JsonObject, ...] = ()
    call_ids: tuple[str, ...] = ()


class EncodedCache:
    """Encoded values by identity, in two generations. `limit`: bytes of one of them."""

    def __init__(self, limit: int = MAX_CACHED) -> None:
        self._limit = limit
        self._young: dict[int, Encoded] = {}
        self._old: dict[int, Encoded] = {}
        self._size = 0

    def get(self, source: object) -> Encoded | None:
        """Return the encoding of exactly this object, if it is kept."""
        found = self._young.get(id(source))
        if found is None:
            found = self._old.get(id(source))
            if found is not None and found.source is source:
                return self.keep(found)
        return found if found is not None and found.source is source else None

    def keep(self, encoded: Encoded) -> Encoded:
        """Keep an encoding, and return it."""
        if self._size > self._limit or len(self._young) >= _MAX_ENTRIES:
            self._old, self._young, self._size = self._young, {}, 0
        self._young[id(encoded.source)] = encoded
        self._size += len(encoded.body)
        return encoded


@dataclass(frozen=True, slots=True)
class _Begun:
    """A conversation's messages up to some point, joined; a later request only adds to it.

    `call_ids` grows with the conversation and belongs to the newest of its states; `last` is the
    role that spoke last on the wire, `waiting` what has to follow the results so far.
    """

    head: bytes
    messages: tuple[Message, ...]
    body: bytes
    call_ids: set[str]
    waiting: tuple[JsonObject, ...]
    last: Role


class ConversationBytes:
    """Joins the messages of conversations with one provider.

    `write` encodes one message. `between(last, next, waiting)` returns what stands between two
    messages of those roles on the wire (`next` is empty at the end of the request): the parts that
    `waiting` holds, a turn that the provider's order asks for, or nothing.
    """

    def __init__(
        self,
        write: Callable[[Message], Encoded],
        between: Callable[[Role, Role, Sequence[JsonObject]], list[bytes]],
        limit: int = MAX_CACHED,
    ) -> None:
        self._write = write
        self._between = between
        self._limit = limit
        self._cache = EncodedCache(limit)
        self._conversations: dict[int, _Begun] = {}

    def forget(self) -> None:
        """Drop what was encoded: messages are written in another way from here on."""
        self._cache = EncodedCache(self._limit)
        self._conversations.clear()

    def join(self, head: bytes, messages: Sequence[Message]) -> tuple[bytes, AbstractSet[str]]:
        """Return the JSON array that begins with `head` (empty: with the first message), and the
        ids of all calls in it."""
        known = self._known(head, messages)
        parts = [known.body] if known.body else []
        call_ids, waiting, last = known.call_ids, list(known.waiting), known.last
        for message in messages[len(known.messages) :]:
            encoded = self._cache.get(message) or self._cache.keep(self._write(message))
            if encoded.body:
                # What follows results waits for the whole batch, which may be several messages.
                if not (last == "tool" and message.role == "tool"):
                    parts += self._between(last, message.role, waiting)
                    waiting = []
                parts.append(encoded.body)
                last = message.role
            waiting.extend(encoded.after)
            call_ids.update(encoded.call_ids)
        body = b",".join(parts)
        self._keep(_Begun(head, tuple(messages), body, call_ids, tuple(waiting), last))
        ending = self._between(last, "", waiting)
        return b"[%b]" % b",".join([body, *ending] if body else ending), call_ids

    def _known(self, head: bytes, messages: Sequence[Message]) -> _Begun:
        """Return what an earlier request of this conversation has made of its first messages."""
        found = self._conversations.get(id(messages[0])) if messages else None
        if (
            found is not None
            and found.head == head
            and len(found.messages) <= len(messages)
            and all(map(is_, found.messages, messages))
        ):
            return found
        return _Begun(head, (), head, set(), (), "")

    def _keep(self, begun: _Begun) -> None:
        if not begun.messages:
            return
        size = sum(len(kept.body) for kept in self._conversations.values())
        if len(self._conversations) >= _MAX_BEGUN or size > self._limit:
            self._conversations.clear()
        self._conversations[id(begun.messages[0])] = begun


def nothing_between(_last: Role, _next: Role, _waiting: Sequence[JsonObject]) -> list[bytes]:
    """For a wire whose messages follow each other as they are."""
    return []
