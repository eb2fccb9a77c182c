"""What the fake model's answers look like on each wire, as the real providers stream them.

Theory of operation: a wire reads from a request how many turns there were and which tools are
offered, and writes an answer (text, or calls) as the pieces that are sent one a chunk. Events have
every key that the provider sends, because their size is a part of what is measured.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

JsonObject = dict[str, Any]

_PIECE = 5
"""Characters of the first piece of a call's arguments; the second has the rest."""


class Call(NamedTuple):
    """A call as it is streamed: its name first, then its arguments in two pieces."""

    id: str
    name: str
    arguments: str

    @property
    def pieces(self) -> tuple[str, str]:
        return self.arguments[:_PIECE], self.arguments[_PIECE:]


class Wire(Protocol):
    """One dialect. `path` ends the URL of its requests."""

    path: str

    def turns(self, request: JsonObject, calls: int) -> int:
        """How many turns of the model a request holds, of `calls` calls each."""

    def tools(self, request: JsonObject) -> list[str]:
        """The names of the tools that are offered."""

    def words(self, words: Sequence[str]) -> list[bytes]:
        """An answer in text, one event a word."""

    def calls(self, calls: Sequence[Call]) -> list[bytes]:
        """An answer that asks for tools."""


def _assistant_turns(request: JsonObject) -> int:
    return sum(1 for message in request["messages"] if message["role"] == "assistant")


class ChatCompletions:
    """OpenAI's older wire, which every compatible server speaks."""

    path = "/chat/completions"
    _head = '{"id":"r","object":"chat.completion.chunk","created":1,"model":"bench","choices":['

    def turns(self, request: JsonObject, calls: int) -> int:
        return _assistant_turns(request)

    def tools(self, request: JsonObject) -> list[str]:
        return [tool["function"]["name"] for tool in request.get("tools", ())]

    def words(self, words: Sequence[str]) -> list[bytes]:
        return self._answer([self._chunk({"content": word}) for word in words], "stop")

    def calls(self, calls: Sequence[Call]) -> list[bytes]:
        parts = []
        for index, call in enumerate(calls):
            function = {"name": call.name, "arguments": ""}
            head = {"index": index, "id": call.id, "type": "function"}
            parts.append(self._chunk({"tool_calls": [head | {"function": function}]}))
            parts += [
                self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                for piece in call.pieces
            ]
        return self._answer(parts, "tool_calls")

    def _answer(self, parts: list[bytes], finish: str) -> list[bytes]:
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        return [
            self._chunk({"role": "assistant", "content": ""}),
            *parts,
            self._chunk({}, finish),
            f'data: {self._head}],"usage":{json.dumps(usage)}}}\n\n'.encode(),
            b"data: [DONE]\n\n",
        ]

    def _chunk(self, delta: JsonObject, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return f"data: {self._head}{json.dumps(choice)}]}}\n\n".encode()


class Responses:
    """OpenAI's newer wire."""

    path = "/responses"

    def turns(self, request: JsonObject, calls: int) -> int:
        items = request["input"]
        made = sum(1 for item in items if item.get("type") == "function_call")
        return made // calls

    def tools(self, request: JsonObject) -> list[str]:
        return [tool["name"] for tool in request.get("tools", ())]

    def words(self, words: Sequence[str]) -> list[bytes]:
        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        text = "".join(words)
        part: JsonObject = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
        item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant"}
        begun = {**item, "status": "in_progress", "content": []}
        whole = {**item, "content": [part]}
        delta = "response.output_text.delta"
        more = {"logprobs": [], "obfuscation": "Jk3xQ9"}
        return self._answer(
            [
                ("response.output_item.added", {"output_index": 0, "item": begun}),
                ("response.content_part.added", {**at, "part": {**part, "text": ""}}),
                *((delta, {**at, "delta": word, **more}) for word in words),
                ("response.output_text.done", {**at, "text": text, "logprobs": []}),
                ("response.content_part.done", {**at, "part": part}),
                ("response.output_item.done", {"output_index": 0, "item": whole}),
            ],
            [whole],
        )

    def calls(self, calls: Sequence[Call]) -> list[bytes]:
        events: list[tuple[str, JsonObject]] = []
        items = []
        name = "response.function_call_arguments"
        for index, call in enumerate(calls):
            item = {"id": f"fc_{call.id}", "type": "function_call", "status": "completed"}
            item |= {"call_id": call.id, "name": call.name, "arguments": call.arguments}
            at = {"item_id": item["id"], "output_index": index}
            begun = {**item, "status": "in_progress", "arguments": ""}
            events += [
                ("response.output_item.added", {"output_index": index, "item": begun}),
                *(
                    (f"{name}.delta", {**at, "delta": piece, "obfuscation": "Jk3xQ9"})
                    for piece in call.pieces
                ),
                (f"{name}.done", {**at, "arguments": call.arguments}),
                ("response.output_item.done", {"output_index": index, "item": item}),
            ]
            items.append(item)
        return self._answer(events, items)

    def _answer(self, events: list[tuple[str, JsonObject]], output: list[Any]) -> list[bytes]:
        head: JsonObject = {"id": "resp_1", "object": "response", "created_at": 1, "error": None}
        head |= {"incomplete_details": None, "model": "bench", "parallel_tool_calls": True}
        head |= {"tool_choice": "auto", "tools": [], "store": False}
        begun = head | {"status": "in_progress", "output": [], "usage": None}
        usage: JsonObject = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}
        usage |= {"input_tokens_details": {"cached_tokens": 0}}
        usage |= {"output_tokens_details": {"reasoning_tokens": 0}}
        done = head | {"status": "completed", "output": output, "usage": usage}
        everything = [
            ("response.created", {"response": begun}),
            ("response.in_progress", {"response": begun}),
            *events,
            ("response.completed", {"response": done}),
        ]
        return [
            named({"type": kind, "sequence_number": number, **fields})
            for number, (kind, fields) in enumerate(everything)
        ]


class Messages:
    """Anthropic's wire."""

    path = "/v1/messages"

    def turns(self, request: JsonObject, calls: int) -> int:
        return _assistant_turns(request)

    def tools(self, request: JsonObject) -> list[str]:
        return [tool["name"] for tool in request.get("tools", ())]

    def words(self, words: Sequence[str]) -> list[bytes]:
        deltas = [{"type": "text_delta", "text": word} for word in words]
        return self._answer(self._block(0, {"type": "text", "text": ""}, deltas), "end_turn")

    def calls(self, calls: Sequence[Call]) -> list[bytes]:
        parts = []
        for index, call in enumerate(calls):
            block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
            deltas = [
                {"type": "input_json_delta", "partial_json": piece} for piece in ("", *call.pieces)
            ]
            parts += self._block(index, block, deltas)
        return self._answer(parts, "tool_use")

    def _block(self, index: int, block: JsonObject, deltas: list[JsonObject]) -> list[bytes]:
        return [
            named({"type": "content_block_start", "index": index, "content_block": block}),
            *(
                named({"type": "content_block_delta", "index": index, "delta": delta})
                for delta in deltas
            ),
            named({"type": "content_block_stop", "index": index}),
        ]

    def _answer(self, parts: list[bytes], stop: str) -> list[bytes]:
        usage = {"input_tokens": 10, "output_tokens": 1}
        usage |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        message: JsonObject = {"id": "msg_1", "type": "message", "role": "assistant"}
        message |= {"model": "bench", "content": [], "stop_reason": None, "stop_sequence": None}
        end = {"stop_reason": stop, "stop_sequence": None}
        return [
            named({"type": "message_start", "message": message | {"usage": usage}}),
            named({"type": "ping"}),
            *parts,
            named({"type": "message_delta", "delta": end, "usage": {"output_tokens": 10}}),
            named({"type": "message_stop"}),
        ]


def named(event: JsonObject) -> bytes:
    """An event under the name of its type."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


WIRES: tuple[Wire, ...] = (ChatCompletions(), Responses(), Messages())
