"""Our messages and tools as the bytes of a Responses request.

Theory of operation: `encoding` joins and keeps the bytes; this file writes one message, as the list
of items that it is on this wire. Calls and results are items of their own; a result may hold
pictures and files where the profile says so, else they stand in a user message behind the whole
batch. Reasoning goes back, with its id and encrypted, to its origin only, in the place where it
came and with the items around it under the ids that they had: the provider refuses a reasoning item
without the item that followed it, and an item with an id without the reasoning before it. Where
that cannot be kept (another origin, an answer that was cut) the items go back without ids, and the
reasoning not at all; the provider takes such items as anybody's.
"""

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

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
    ToolCall,
    ToolResult,
)
from agent_host.models.call_ids import wire_id, wire_name
from agent_host.models.content import as_text, document, file_name, in_words, picture, result_text
from agent_host.models.encoding import (
    MAX_CACHED,
    ConversationBytes,
    Encoded,
    EncodedCache,
    Role,
    encode,
)
from agent_host.models.schemas import OfferedTool, ToolTable, tool_table
from agent_host.profiles.profile import Profile

_KEPT: dict[type, tuple[str, ...]] = {
    ToolCall: ("namespace", "caller"),
    Reasoning: ("summary", "encrypted_content"),
}
"""The provider's own data that goes back, beside an id; `phase` for the rest."""


class ItemEncoder:
    """Makes the `input` and `tools` of requests to one provider."""

    def __init__(self, origin: Origin, profile: Profile, limit: int = MAX_CACHED) -> None:
        self._origin = origin
        self._profile = profile
        self._tools = EncodedCache()
        self._table = tool_table((), profile.schema)
        self._joined = ConversationBytes(self._encode, _between, limit)

    def items(
        self, system: str, messages: Sequence[Message], table: ToolTable | None = None
    ) -> tuple[bytes, AbstractSet[str]]:
        """Return the JSON array of items, and the ids of all calls in it (as we know them).
        `system`: the prompt, if it is to stand there instead of in `instructions`."""
        if table is not None and table is not self._table:
            if table.renamed or self._table.renamed:
                self._joined.forget()
            self._table = table
        role = self._profile.system_role
        head = encode({"role": role, "content": system}) if system else b""
        return self._joined.join(head, messages)

    def tools(self, table: ToolTable) -> bytes:
        """Return the JSON array of tool definitions."""
        found = self._tools.get(table)
        if found is None:
            found = self._tools.keep(Encoded(table, encode([_tool(one) for one in table.offered])))
        return found.body

    def _encode(self, message: Message) -> Encoded:
        if message.role == "tool":
            return self._results(message)
        if message.role == "user":
            content = self._user_content(message)
            return Encoded(message, encode({"role": "user", "content": content}))
        items = self._answer(message)
        ids = tuple(block.id for block in message.content if isinstance(block, ToolCall))
        return Encoded(message, b",".join(map(encode, items)), call_ids=ids)

    def _answer(self, message: Message) -> list[JsonObject]:
        """The items of an assistant's message."""
        own = message.origin == self._origin
        linked = own and _linked(message.content)
        items: list[JsonObject] = []
        for block in message.content:
            data = _data(block, linked=linked) if own else {}
            if isinstance(block, ToolCall):
                items.append({**data, **self._call(block)})
            elif isinstance(block, Reasoning):
                if linked:
                    items.append({**data, "type": "reasoning"})
            elif linked and items and items[-1].get("id") == data["id"]:
                items[-1]["content"].append(_said(as_text(block)))
            elif linked:
                items.append(_message(as_text(block), data))
            elif text := as_text(block):
                items.append(_message(text, data))
        return items

    def _call(self, call: ToolCall) -> JsonObject:
        arguments: JsonObject = {}
        if not call.fault:
            arguments = self._table.adapt(call.name, call.arguments)
        return {
            "type": "function_call",
            "call_id": wire_id(call.id, self._profile.call_ids),
            "name": wire_name(call.name),
            "arguments": json.dumps(arguments, ensure_ascii=False, separators=(",", ":")),
        }

    def _results(self, message: Message) -> Encoded:
        bodies: list[bytes] = []
        after: list[JsonObject] = []
        for result in message.content:
            if isinstance(result, ToolResult):
                call_id = wire_id(result.call_id, self._profile.call_ids)
                output, moved = self._output(result)
                item = {"type": "function_call_output", "call_id": call_id, "output": output}
                bodies.append(encode(item))
                if moved:
                    after.append(_text(f"From the result of {call_id}:"))
                    after.extend(moved)
        return Encoded(message, b",".join(bodies), tuple(after))

    def _output(self, result: ToolResult) -> tuple[Json, list[JsonObject]]:
        """What a result says here, and the parts that have to stand in a user message. A string
        where it can be one: every server takes that."""
        profile = self._profile
        parts: list[JsonObject] = []
        moved: list[JsonObject] = []
        for block in result.content:
            part = self._part(block)
            here = {"input_image": profile.tool_images, "input_file": profile.tool_files}
            if here.get(part["type"], True):
                parts.append(part)
            else:
                moved.append(part)
                parts.append(_text(f"{as_text(block)} (shown in the next user message)"))
        if all(part["type"] == "input_text" for part in parts):
            return result_text(result, [part["text"] for part in parts]), moved
        if result.error:
            parts.insert(0, _text(f"Error ({result.error}):"))
        return parts, moved

    def _part(self, block: Content) -> JsonObject:
        """A block as a part of a message's content, or of a result."""
        if self._profile.images and (image := picture(block)) is not None:
            url = f"data:{image.media_type};base64,{image.data}"
            return {"type": "input_image", "detail": "auto", "image_url": url}
        if self._profile.files and (file := document(block)) is not None:
            data = f"data:{file.media_type};base64,{file.data}"
            return {"type": "input_file", "filename": file_name(file), "file_data": data}
        return _text(in_words(block))

    def _user_content(self, message: Message) -> Json:
        """A string where it can be one."""
        parts = [
            self._part(block)
            for block in message.content
            if isinstance(block, Text | Image | Audio | Resource)
        ]
        if all(part["type"] == "input_text" for part in parts):
            return "\n".join(part["text"] for part in parts) or "(empty)"
        return parts


def _between(_last: Role, _following: Role, waiting: Sequence[JsonObject]) -> list[bytes]:
    """What results hold that may not stand in them; nothing else has an order here."""
    return [encode({"role": "user", "content": list(waiting)})] if waiting else []


def _data(block: Block, *, linked: bool) -> JsonObject:
    """What the provider wants back with an item."""
    kept = getattr(block, "opaque", None) or {}
    keys = _KEPT.get(type(block), ("phase",))
    return {key: kept[key] for key in (*keys, *(("id",) if linked else ())) if key in kept}


def _linked(content: Sequence[Block]) -> bool:
    """Whether the blocks of an answer can return under their own ids, its reasoning with them."""
    thought = False
    for block in content:
        data = getattr(block, "opaque", None) or {}
        if not isinstance(data.get("id"), str):
            return False
        if isinstance(block, Reasoning):
            thought = True
            if not isinstance(data.get("encrypted_content"), str):
                return False
    return thought and not isinstance(content[-1], Reasoning)


def _message(text: str, data: JsonObject) -> JsonObject:
    """An assistant's message; the API wants the status of one that has an id, and no other's."""
    message: JsonObject = {"type": "message", "role": "assistant", "content": [_said(text)]}
    if "id" in data:
        message["status"] = "completed"
    return {**data, **message}


def _said(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": []}


def _text(text: str) -> JsonObject:
    return {"type": "input_text", "text": text}


def _tool(tool: OfferedTool) -> JsonObject:
    """The key `strict` is required on this wire; whoever leaves it out gets it where it fits."""
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.compiled.schema,
        "strict": False,
    }
