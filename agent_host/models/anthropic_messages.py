"""Our messages and tools as the bytes of a Messages request.

Theory of operation: on this wire there are two speakers, each message is a list of content blocks,
and the results of calls are blocks of the user. A message of ours is written once as blocks
(`encoding` keeps them), and neighbours of one speaker become one message: that puts all results of
a batch in front of whatever the user says next, as the provider demands. Any legal conversation
comes out legal: it begins and ends with the user (newer models refuse to go on from the middle of
an answer), blank text is left out, calls that could not be executed hold `{}`, pictures of an error
stand behind the results, what the provider cannot take is said in words. Thinking goes back, signed
and as it was, in its place, to the model that thought it and to no other; unsigned thinking, and
thinking that nothing follows, is refused by the provider and left out.

Sources: the docstrings of `anthropic.types.*_param` (anthropic 2.12), the provider's errors.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from agent_host.core.types import (
    Block,
    Content,
    JsonObject,
    Message,
    Origin,
    Reasoning,
    ToolCall,
    ToolResult,
)
from agent_host.models.call_ids import plain_id, wire_name
from agent_host.models.content import as_text, document, file_name, in_words, picture
from agent_host.models.encoding import (
    MAX_CACHED,
    ConversationBytes,
    Encoded,
    EncodedCache,
    Role,
    encode,
    nothing_between,
)
from agent_host.models.schemas import OfferedTool, ToolTable, tool_table
from agent_host.profiles.profile import Profile

CACHED: JsonObject = {"type": "ephemeral"}
"""A cache breakpoint: what stands before it is kept for some minutes."""
_MARK = b',"cache_control":' + encode(CACHED)
_END = b"}]}]"
"""How an array of messages ends: a block, the blocks of a message, the message, the array."""
_GO_ON = encode({"type": "text", "text": "Go on."})
"""Said for the user where only the assistant has spoken."""


class TurnEncoder:
    """Makes the `messages` and `tools` of requests to one provider."""

    def __init__(self, origin: Origin, profile: Profile, limit: int = MAX_CACHED) -> None:
        self._origin = origin
        self._profile = profile
        self._tools = EncodedCache()
        self._table = tool_table((), profile.schema)
        self._turns = _Turns(self._encode, nothing_between, limit)

    def messages(
        self, messages: Sequence[Message], table: ToolTable | None = None
    ) -> tuple[bytes, AbstractSet[str]]:
        """Return the JSON array of messages, and the ids of all calls in it (as we know them)."""
        if table is not None and table is not self._table:
            if table.renamed or self._table.renamed:
                self._turns.forget()
            self._table = table
        return self._turns.join(b"", messages)

    def tools(self, table: ToolTable) -> bytes:
        """Return the JSON array of tool definitions, which end in a cache breakpoint."""
        found = self._tools.get(table)
        if found is None:
            wire = [_tool(one) for one in table.offered]
            if self._profile.prompt_cache == "explicit":
                wire[-1]["cache_control"] = CACHED
            found = self._tools.keep(Encoded(table, encode(wire)))
        return found.body

    def _encode(self, message: Message) -> Encoded:
        after: list[JsonObject] = []
        if message.role == "assistant":
            blocks = self._assistant(message)
        elif message.role == "tool":
            blocks = [
                self._result(block, after)
                for block in message.content
                if isinstance(block, ToolResult)
            ]
        else:
            blocks = self._said(message.content) or [_text("(empty)")]
        ids = tuple(block.id for block in message.content if isinstance(block, ToolCall))
        return Encoded(message, b",".join(map(encode, blocks)), tuple(after), ids)

    def _assistant(self, message: Message) -> list[JsonObject]:
        """The blocks of an answer; none if it holds nothing that this provider may see."""
        own = message.origin == self._origin
        blocks: list[JsonObject] = []
        for block in message.content:
            if isinstance(block, Reasoning):
                if own and block.opaque is not None:
                    blocks.append(_thought(block.text, block.opaque))
            elif isinstance(block, ToolCall):
                blocks.append(self._call(block))
            elif (text := as_text(block)).strip():
                blocks.append(_text(text))
        while blocks and _is_thought(blocks[-1]):
            blocks.pop()
        if blocks and self._profile.echo_reasoning and not any(map(_is_thought, blocks)):
            blocks.insert(0, _thought("", {"signature": ""}))
        return blocks

    def _call(self, call: ToolCall) -> JsonObject:
        arguments = {} if call.fault else self._table.adapt(call.name, call.arguments)
        return {
            "type": "tool_use",
            "id": plain_id(call.id),
            "name": wire_name(call.name),
            "input": arguments,
        }

    def _result(self, result: ToolResult, after: list[JsonObject]) -> JsonObject:
        """A result; what may not stand in it is added to `after`, which follows the batch. The
        content is a string where it can be one: every server takes that."""
        profile = self._profile
        here = {
            "image": profile.tool_images and not result.error,
            "document": profile.tool_files and not result.error,
        }
        parts: list[JsonObject] = []
        moved: list[JsonObject] = []
        for block in result.content:
            part = self._part(block)
            if here.get(part["type"], True):
                parts.append(part)
            else:
                moved.append(part)
                parts.append(_text(f"{as_text(block)} (shown after the results)"))
        call_id = plain_id(result.call_id)
        if moved:
            after += [_text(f"From the result of {call_id}:"), *moved]
        parts = [part for part in parts if _is_more_than_blank(part)]
        wire: JsonObject = {"type": "tool_result", "tool_use_id": call_id, "content": parts}
        if all(part["type"] == "text" for part in parts):
            said = "\n".join(part["text"] for part in parts)
            wire["content"] = said or (f"({result.error})" if result.error else "(no output)")
        if result.error:
            wire["is_error"] = True
        return wire

    def _said(self, content: Sequence[Block]) -> list[JsonObject]:
        """What a user says."""
        parts = [
            self._part(block)
            for block in content
            if not isinstance(block, Reasoning | ToolCall | ToolResult)
        ]
        return [part for part in parts if _is_more_than_blank(part)]

    def _part(self, block: Content) -> JsonObject:
        """A block as a content block of the user, or of a result."""
        if self._profile.images and (image := picture(block)) is not None:
            return {"type": "image", "source": _source(image.media_type, image.data)}
        if self._profile.files and (file := document(block)) is not None:
            source = _source(file.media_type, file.data or "")
            return {"type": "document", "source": source, "title": file_name(file)}
        return _text(in_words(block))


class _Turns(ConversationBytes):
    """Joins blocks of messages to messages of the two speakers."""

    def join(self, head: bytes, messages: Sequence[Message]) -> tuple[bytes, AbstractSet[str]]:
        """Return the JSON array of messages, and the ids of all calls in it."""
        known = self._known(head, messages)
        parts, last = [known.body], known.last
        waiting = list(known.waiting)
        call_ids = known.call_ids
        for message in messages[len(known.messages) :]:
            encoded = self._cache.get(message) or self._cache.keep(self._write(message))
            if message.role != "tool" and waiting:
                # What results cannot hold stands behind the whole batch, which may be several
                # messages.
                parts += [b",", *_blocks(waiting)]
                waiting = []
            if encoded.body:
                speaker: Role = "assistant" if message.role == "assistant" else "user"
                parts += [_opening(last, speaker), encoded.body]
                last = speaker
            waiting.extend(encoded.after)
            call_ids.update(encoded.call_ids)
        body = b"".join(parts)
        self._keep(
            replace(known, messages=tuple(messages), body=body, waiting=tuple(waiting), last=last)
        )
        if waiting:
            body = b"".join([body, b",", *_blocks(waiting)])
        if last != "user":
            body = b"".join([body, _opening(last, "user"), _GO_ON])
        return b"[%b]}]" % body, call_ids


def with_mark(messages: bytes) -> bytes:
    """Return an array of messages whose last block is a cache breakpoint."""
    return messages[: -len(_END)] + _MARK + _END


def _opening(last: Role, speaker: Role) -> bytes:
    """What stands between the blocks of two speakers; `last` is empty at the beginning."""
    if last == speaker:
        return b","
    begun = b'{"role":"%b","content":[' % speaker.encode()
    if last:
        return b"]}," + begun
    if speaker == "user":
        return begun
    return b'{"role":"user","content":[%b]},%b' % (_GO_ON, begun)


def _blocks(blocks: Sequence[JsonObject]) -> list[bytes]:
    return [b",".join(map(encode, blocks))]


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _is_more_than_blank(part: JsonObject) -> bool:
    return part["type"] != "text" or bool(part["text"].strip())


def _thought(text: str, opaque: JsonObject) -> JsonObject:
    """A block of thinking as it came: hidden (`data`), or with its text and signature."""
    if "data" in opaque:
        return {"type": "redacted_thinking", "data": opaque["data"]}
    return {"type": "thinking", "thinking": text, "signature": opaque.get("signature", "")}


def _is_thought(block: JsonObject) -> bool:
    return block["type"] in ("thinking", "redacted_thinking")


def _source(media_type: str, data: str) -> JsonObject:
    return {"type": "base64", "media_type": media_type, "data": data}


def _tool(tool: OfferedTool) -> JsonObject:
    wire: JsonObject = {"name": tool.name, "input_schema": tool.compiled.schema}
    if tool.description:
        wire["description"] = tool.description
    return wire
