"""Our messages and tools as the bytes of a Chat Completions request.

Theory of operation: a message never changes, so its bytes are made once and kept by identity; a
request is then a join of bytes, and what a turn costs does not grow with the conversation but by
those bytes. The cache holds each message strongly (an identity is only valid while its object
lives) in two generations: what was used since the last turn-over is young, the rest is dropped at
the next one, so that one adapter can serve many conversations within a bound.

The conversion makes any legal conversation legal for this wire: one `tool` message a result in
order, pictures and sounds of results moved behind the whole batch into a user message (a `tool`
message carries text alone), a provider's own data and reasoning sent back to their origin only,
arguments of calls that could not be executed replaced by `{}`.
"""

import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from operator import is_

from agent_host.core.text import clip
from agent_host.core.types import (
    Audio,
    Block,
    Content,
    Image,
    Json,
    JsonObject,
    Message,
    Origin,
    Reasoning,
    Resource,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from agent_host.models.profiles import Profile
from agent_host.models.schemas import parameters

MAX_CACHED = 64 * 1024 * 1024
"""Bytes of one generation of the cache."""

_MAX_ENTRIES = 100_000
_MAX_DESCRIPTION = 16_384
_MAX_BEGUN = 256
"""Conversations whose joined messages are kept."""
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_NOT_IN_AN_ID = re.compile(r"[^\x21-\x7e]")
_SOUNDS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def encode(value: Json) -> bytes:
    """Return compact JSON in UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes `?`.

    Raises ValueError for NaN and infinities.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A message as bytes. `after`: what must follow once the batch of results is complete."""

    source: object
    body: bytes
    after: tuple[JsonObject, ...] = ()
    call_ids: tuple[str, ...] = ()


class _Cache:
    """Encoded values by identity, in two generations."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: dict[int, _Encoded] = {}
        self._old: dict[int, _Encoded] = {}
        self._size = 0

    def get(self, source: object) -> _Encoded | None:
        """Return the encoding of exactly this object, if it is kept."""
        found = self._young.get(id(source))
        if found is None:
            found = self._old.get(id(source))
            if found is not None and found.source is source:
                return self.keep(found)
        return found if found is not None and found.source is source else None

    def keep(self, encoded: _Encoded) -> _Encoded:
        """Keep an encoding, and return it."""
        if self._size > self._limit or len(self._young) >= _MAX_ENTRIES:
            self._old, self._young, self._size = self._young, {}, 0
        self._young[id(encoded.source)] = encoded
        self._size += len(encoded.body)
        return encoded


@dataclass(frozen=True, slots=True)
class _Begun:
    """A conversation's messages up to some point, joined; a later request only adds to it.

    `call_ids` grows with the conversation and belongs to the newest of its states.
    """

    system: str
    messages: tuple[Message, ...]
    body: bytes
    call_ids: set[str]
    waiting: tuple[JsonObject, ...]


class ChatEncoder:
    """Makes the `messages` and `tools` of requests to one provider."""

    def __init__(self, origin: Origin, profile: Profile, limit: int = MAX_CACHED) -> None:
        self._origin = origin
        self._profile = profile
        self._cache = _Cache(limit)
        self._conversations: dict[int, _Begun] = {}
        self._limit = limit

    def messages(self, system: str, messages: Sequence[Message]) -> tuple[bytes, AbstractSet[str]]:
        """Return the JSON array of messages, and the ids of all calls in it (as we know them)."""
        known = self._begun(system, messages)
        parts = [known.body] if known.body else []
        call_ids, waiting = known.call_ids, list(known.waiting)
        for message in messages[len(known.messages) :]:
            encoded = self._cache.get(message) or self._cache.keep(self._encode(message))
            if waiting and message.role != "tool":
                parts.append(encode({"role": "user", "content": waiting}))
                waiting = []
            if encoded.body:
                parts.append(encoded.body)
            if encoded.after:
                waiting.extend(encoded.after)
            if encoded.call_ids:
                call_ids.update(encoded.call_ids)
        body = b",".join(parts)
        self._keep_begun(_Begun(system, tuple(messages), body, call_ids, tuple(waiting)))
        if waiting:
            last = encode({"role": "user", "content": waiting})
            body = b"%b,%b" % (body, last) if body else last
        return b"[%b]" % body, call_ids

    def _begun(self, system: str, messages: Sequence[Message]) -> "_Begun":
        """Return what an earlier request of this conversation has made of its first messages."""
        found = self._conversations.get(id(messages[0])) if messages else None
        if (
            found is not None
            and found.system == system
            and len(found.messages) <= len(messages)
            and all(map(is_, found.messages, messages))
        ):
            return found
        start = encode({"role": "system", "content": system}) if system else b""
        return _Begun(system, (), start, set(), ())

    def _keep_begun(self, begun: "_Begun") -> None:
        if not begun.messages:
            return
        size = sum(len(kept.body) for kept in self._conversations.values())
        if len(self._conversations) >= _MAX_BEGUN or size > self._limit:
            self._conversations.clear()
        self._conversations[id(begun.messages[0])] = begun

    def tools(self, tools: tuple[Tool, ...]) -> bytes:
        """Return the JSON array of tool definitions."""
        found = self._cache.get(tools)
        if found is None:
            found = self._cache.keep(_Encoded(tools, encode([*map(_tool, tools)])))
        return found.body

    def _encode(self, message: Message) -> _Encoded:
        if message.role == "assistant":
            wire = self._assistant(message)
            ids = tuple(block.id for block in message.content if isinstance(block, ToolCall))
            return _Encoded(message, encode(wire) if wire else b"", call_ids=ids)
        if message.role == "tool":
            return self._results(message)
        return _Encoded(message, encode({"role": "user", "content": _user_content(message)}))

    def _assistant(self, message: Message) -> JsonObject | None:
        """One assistant message; None if it holds nothing that this provider may see."""
        own = message.origin == self._origin
        text = "".join(_as_text(block) for block in message.content if _is_content(block))
        calls = [block for block in message.content if isinstance(block, ToolCall)]
        if not text and not calls:
            return None
        wire: JsonObject = {"role": "assistant", "content": text or None}
        if self._profile.echo_reasoning:
            thoughts = [block.text for block in message.content if isinstance(block, Reasoning)]
            wire["reasoning_content"] = "".join(thoughts) if own else ""
        if calls:
            wire["tool_calls"] = [self._call(call, own=own) for call in calls]
            signature = self._profile.thought_signature
            if signature and not any("extra_content" in call for call in wire["tool_calls"]):
                wire["tool_calls"][0]["extra_content"] = {
                    "google": {"thought_signature": signature}
                }
        if own:
            for block in message.content:
                if isinstance(block, Text) and block.opaque:
                    wire = {**block.opaque, **wire}
        return wire

    def _call(self, call: ToolCall, *, own: bool) -> JsonObject:
        arguments: JsonObject = {} if call.fault else call.arguments
        wire: JsonObject = {
            "id": self._call_id(call.id),
            "type": "function",
            "function": {
                "name": _NOT_IN_A_NAME.sub("_", call.name)[:64] or "unnamed",
                "arguments": json.dumps(arguments, ensure_ascii=False, separators=(",", ":")),
            },
        }
        return {**call.opaque, **wire} if own and call.opaque else wire

    def _call_id(self, call_id: str) -> str:
        """The id that the provider takes: its own where possible, always the same for one id."""
        kind = self._profile.call_ids
        if kind == "mistral":
            if len(call_id) == 9 and call_id.isascii() and call_id.isalnum():
                return call_id
            number = int.from_bytes(hashlib.sha256(call_id.encode("utf-8", "replace")).digest())
            return "".join(_BASE62[number // 62**place % 62] for place in range(9))
        longest = 40 if kind == "short" else 128
        if call_id and len(call_id) <= longest and not _NOT_IN_AN_ID.search(call_id):
            return call_id
        return "call_" + hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:32]

    def _results(self, message: Message) -> _Encoded:
        bodies: list[bytes] = []
        after: list[JsonObject] = []
        for result in message.content:
            if isinstance(result, ToolResult):
                call_id = self._call_id(result.call_id)
                content, moved = _result_content(result)
                bodies.append(encode({"role": "tool", "tool_call_id": call_id, "content": content}))
                if moved:
                    after.append({"type": "text", "text": f"From the result of {call_id}:"})
                    after.extend(moved)
        return _Encoded(message, b",".join(bodies), tuple(after))


def _tool(tool: Tool) -> JsonObject:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": clip(tool.description, _MAX_DESCRIPTION),
            "parameters": parameters(tool.input_schema),
        },
    }


def _is_content(block: Block) -> bool:
    return isinstance(block, Text | Image | Audio | Resource)


def _as_text(block: Block) -> str:
    """A block where only text may stand."""
    match block:
        case Text():
            return block.text
        case Image() | Audio():
            return f"[{block.type} {block.media_type}]"
        case Resource():
            where = f"{block.name} {block.uri}".strip()
            if block.text is not None:
                return f"[resource {where}]\n{block.text}"
            return f"[resource {where} {block.media_type}]".replace(" ]", "]")
        case _:
            return ""


def _part(block: Content) -> JsonObject:
    """A block as a part of a user message's content."""
    match block:
        case Image() if _is_picture(block):
            url = f"data:{block.media_type};base64,{block.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Audio() if block.media_type in _SOUNDS:
            sound = {"data": block.data, "format": _SOUNDS[block.media_type]}
            return {"type": "input_audio", "input_audio": sound}
        case Resource(data=str(data)) if block.media_type in _PICTURES:
            return _part(Image(data=data, media_type=block.media_type))
        case _:
            return {"type": "text", "text": _as_text(block)}


def _is_picture(image: Image) -> bool:
    """One bad picture would cost every later request of the conversation."""
    if image.media_type not in _PICTURES:
        return False
    try:
        return bool(binascii.a2b_base64(image.data, strict_mode=True))
    except ValueError:
        return False


def _user_content(message: Message) -> Json:
    """A string where it can be one: every server takes that."""
    parts = [
        _part(block)
        for block in message.content
        if isinstance(block, Text | Image | Audio | Resource)
    ]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts) or "(empty)"
    return parts


def _result_content(result: ToolResult) -> tuple[str, list[JsonObject]]:
    """The text of a result, and the parts that have to stand in a user message."""
    texts: list[str] = []
    moved: list[JsonObject] = []
    for block in result.content:
        part = _part(block)
        if part["type"] == "text":
            texts.append(part["text"])
        else:
            moved.append(part)
            texts.append(f"{_as_text(block)} (shown in the next user message)")
    text = "\n".join(texts) or "(no output)"
    return (f"Error ({result.error}): {text}" if result.error else text), moved
