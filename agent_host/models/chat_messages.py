"""Our messages and tools as the bytes of a Chat Completions request.

Theory of operation: `encoding` joins and keeps the bytes; this file writes one message. The
conversion makes any legal conversation legal for this wire: one `tool` message a result in order,
pictures and sounds of results moved behind the whole batch into a user message (a `tool` message
carries text alone), a provider's own data and reasoning sent back to their origin only, arguments
of calls that could not be executed replaced by `{}`, a turn of the assistant put where a provider's
order of roles demands one.
"""

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from agent_host.core.types import (
    Audio,
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
from agent_host.models.content import (
    SOUNDS,
    as_text,
    document,
    file_name,
    in_words,
    picture,
    result_text,
    sound,
)
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

_FILLER = encode({"role": "assistant", "content": "..."})
"""Said for the assistant where a provider's order of roles wants it to speak."""


class ChatEncoder:
    """Makes the `messages` and `tools` of requests to one provider."""

    def __init__(self, origin: Origin, profile: Profile, limit: int = MAX_CACHED) -> None:
        self._origin = origin
        self._profile = profile
        self._tools = EncodedCache()
        self._table = tool_table((), profile.schema)
        self._joined = ConversationBytes(self._encode, self._between, limit)

    def messages(
        self, system: str, messages: Sequence[Message], table: ToolTable | None = None
    ) -> tuple[bytes, AbstractSet[str]]:
        """Return the JSON array of messages, and the ids of all calls in it (as we know them)."""
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
            wire = [_tool(one, strict=self._profile.strict_field) for one in table.offered]
            found = self._tools.keep(Encoded(table, encode(wire)))
        return found.body

    def _between(self, last: Role, following: Role, waiting: Sequence[JsonObject]) -> list[bytes]:
        """What a result holds beside text, and turns that the provider's order wants."""
        parts: list[bytes] = []
        if waiting:
            if self._profile.after_tools == "assistant" and last == "tool":
                parts.append(_FILLER)
            parts.append(encode({"role": "user", "content": list(waiting)}))
            last = "user"
        same = self._profile.merge_users and last == following and last in ("user", "assistant")
        after = self._profile.after_tools == "assistant" and (last, following) == ("tool", "user")
        if after or (same and last == "user"):
            parts.append(_FILLER)
        elif same:
            parts.append(encode({"role": "user", "content": "Go on."}))
        return parts

    def _encode(self, message: Message) -> Encoded:
        if message.role == "assistant":
            wire = self._assistant(message)
            ids = tuple(block.id for block in message.content if isinstance(block, ToolCall))
            return Encoded(message, encode(wire) if wire else b"", call_ids=ids)
        if message.role == "tool":
            return self._results(message)
        return Encoded(message, encode({"role": "user", "content": self._user_content(message)}))

    def _assistant(self, message: Message) -> JsonObject | None:
        """One assistant message; None if it holds nothing that this provider may see."""
        own = message.origin == self._origin
        text = "".join(map(as_text, message.content))
        calls = [block for block in message.content if isinstance(block, ToolCall)]
        if not text and not calls:
            return None
        wire: JsonObject = {"role": "assistant", "content": text or None}
        if key := self._profile.echo_reasoning:
            thoughts = [block.text for block in message.content if isinstance(block, Reasoning)]
            wire[key] = "".join(thoughts) if own else ""
        if calls:
            wire["tool_calls"] = [self._call(call, own=own) for call in calls]
            signature = self._profile.thought_signature
            if signature and "extra_content" not in wire["tool_calls"][0]:
                wire["tool_calls"][0]["extra_content"] = {
                    "google": {"thought_signature": signature}
                }
        if own:
            for block in message.content:
                if isinstance(block, Text) and block.opaque:
                    wire = {**block.opaque, **wire}
        return wire

    def _call(self, call: ToolCall, *, own: bool) -> JsonObject:
        arguments: JsonObject = {}
        if not call.fault:
            arguments = self._table.adapt(call.name, call.arguments)
        sent: Json = arguments
        if not self._profile.arguments_as_object:
            sent = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        name = wire_name(call.name, letter_first=self._profile.schema == "gemini")
        wire: JsonObject = {
            "id": wire_id(call.id, self._profile.call_ids),
            "type": "function",
            "function": {"name": name, "arguments": sent},
        }
        return {**call.opaque, **wire} if own and call.opaque else wire

    def _results(self, message: Message) -> Encoded:
        bodies: list[bytes] = []
        after: list[JsonObject] = []
        for result in message.content:
            if isinstance(result, ToolResult):
                call_id = wire_id(result.call_id, self._profile.call_ids)
                content, moved = self._result_content(result)
                bodies.append(encode({"role": "tool", "tool_call_id": call_id, "content": content}))
                if moved:
                    after.append({"type": "text", "text": f"From the result of {call_id}:"})
                    after.extend(moved)
        return Encoded(message, b",".join(bodies), tuple(after))

    def _part(self, block: Text | Image | Audio | Resource) -> JsonObject:
        """A block as a part of a user message's content."""
        if self._profile.images and (image := picture(block)) is not None:
            url = f"data:{image.media_type};base64,{image.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        if self._profile.audio and (audio := sound(block)) is not None:
            heard = {"data": audio.data, "format": SOUNDS[audio.media_type]}
            return {"type": "input_audio", "input_audio": heard}
        if self._profile.files and (file := document(block)) is not None:
            data = f"data:{file.media_type};base64,{file.data}"
            return {"type": "file", "file": {"filename": file_name(file), "file_data": data}}
        return {"type": "text", "text": in_words(block)}

    def _user_content(self, message: Message) -> Json:
        """A string where it can be one: every server takes that."""
        parts = [
            self._part(block)
            for block in message.content
            if isinstance(block, Text | Image | Audio | Resource)
        ]
        if all(part["type"] == "text" for part in parts):
            return "\n".join(part["text"] for part in parts) or "(empty)"
        return parts

    def _result_content(self, result: ToolResult) -> tuple[str, list[JsonObject]]:
        """The text of a result, and the parts that have to stand in a user message."""
        texts: list[str] = []
        moved: list[JsonObject] = []
        for block in result.content:
            part = self._part(block)
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                moved.append(part)
                texts.append(f"{as_text(block)} (shown in the next user message)")
        return result_text(result, texts), moved


def _tool(tool: OfferedTool, *, strict: bool) -> JsonObject:
    function: JsonObject = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.compiled.schema,
    }
    if strict:
        function["strict"] = False
    return {"type": "function", "function": function}
