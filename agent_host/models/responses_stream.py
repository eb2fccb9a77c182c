"""What a Responses server answers, read into an answer of ours.

Theory of operation: see `event_stream`; this file knows the events of this dialect. An answer is a
list of items (message, function call, reasoning), each begun and done by an event of its own, its
pieces between. A piece belongs to the item of its id, or else to the one at its index: some servers
count badly, others give a new id in each event. What `done` says of an item, and the last event of
all items, is authoritative; pieces may be missing. A call counts only if its item is done and the
response completed, and no stream is whole without such an end.

A provider takes its reasoning back only together with what followed it, and an item that followed
reasoning only together with that. So ids and encrypted reasoning are kept all or none: when the
answer is whole, holds no item that is unknown here, and each of its reasoning items can return.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from agent_host.core.types import (
    Json,
    JsonObject,
    ModelFailure,
    ModelResponse,
    Origin,
    StopReason,
    Usage,
)
from agent_host.models.accumulate import json_text, whole
from agent_host.models.event_stream import (
    WHOLE,
    EventStream,
    count_of,
    name_of,
    object_of,
    text_of,
)
from agent_host.models.failures import Endpoint
from agent_host.models.ordered import Kind, OpenBlock, OrderedAnswer
from agent_host.models.schemas import ToolTable

_KINDS: Mapping[str, Kind] = {"message": "text", "function_call": "call", "reasoning": "reasoning"}
_INCOMPLETE: Mapping[str, StopReason] = {
    "max_output_tokens": "max_tokens",
    "content_filter": "refusal",
}
_SERVER_FAULTS = frozenset({"server_error", "rate_limit_exceeded", "vector_store_timeout"})
_REQUEST_FAULTS = ("invalid_", "image_", "unsupported_", "empty_", "failed_to_download_")
_POLICY_FAULTS = ("_policy", "_violation", "_mismatch")
_NOT_DONE = frozenset({"in_progress", "incomplete"})
_CALL_DATA = ("namespace", "caller")


@dataclass(slots=True, eq=False)
class _Item:
    """An item in the making. `parts`: its blocks by the index of the part (a call and reasoning
    have one). `part`: which part of its reasoning came last. `done`: as the provider gave it."""

    number: int
    kind: Kind | None
    id: str = ""
    parts: dict[int, OpenBlock] = field(default_factory=dict)
    part: object = None
    done: JsonObject | None = None


class ResponsesStream(EventStream):
    """One answer while it comes."""

    def __init__(
        self,
        endpoint: Endpoint,
        origin: Origin,
        taken: Collection[str],
        table: ToolTable,
        limit: int = 0,
    ) -> None:
        """`limit`: the most tokens that were asked for, 0 for any number."""
        self._answer = OrderedAnswer()
        super().__init__(endpoint, origin, self._answer)
        self._taken = taken
        self._table = table
        self._limit = limit
        self._items: list[_Item] = []
        self._by_id: dict[str, _Item] = {}
        self._by_index: dict[int, _Item] = {}
        self._stop: StopReason | None = None
        self._refusal = False

    # -- what `event_stream` asks ------------------------------------------------------------

    def _finished(self) -> bool:
        return self._stop is not None

    def _result(self, failure: ModelFailure | None) -> ModelResponse | ModelFailure:
        stop = self._stop
        if stop is None:
            if not (self._answer.shown and self._answer.has_calls):
                return failure or self._cut()
            stop = "unknown"
        elif stop == "end_turn" and self._answer.has_calls:
            stop = "tool_use"
        elif stop == "end_turn" and self._refusal:
            stop = "refusal"
        if stop in WHOLE:
            self._keep_data()
        content = self._answer.blocks(
            sound=stop in WHOLE, taken=self._taken, restore=self._table.restore
        )
        return self._response(content, stop)

    def _event(self, event: JsonObject) -> None:
        kind = event.get("type")
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            handler(self, event)
        elif event.get("error"):
            raise self._refused(_fault(event["error"]))

    def _body(self, body: JsonObject) -> None:
        if error := body.get("error"):
            raise self._refused(_fault(error))
        if body.get("object") == "response" or isinstance(body.get("output"), list):
            self._ended({"response": body})
        elif body.get("message") or body.get("detail"):
            raise self._refused(body)

    # -- events ------------------------------------------------------------------------------

    def _begun(self, event: JsonObject) -> None:
        response = object_of(event.get("response"))
        self._id = name_of(response.get("id")) or self._id
        self._model = name_of(response.get("model")) or self._model

    def _failed(self, event: JsonObject) -> None:
        """The event `error`: flat as documented, or with the error inside."""
        raise self._refused(_fault(event.get("error") or event))

    def _item_added(self, event: JsonObject) -> None:
        item = object_of(event.get("item"))
        found = self._by_id.get(text_of(item.get("id")))
        if found is None:
            found = self._begin(event, item)
        if found.kind == "call":
            self._named(found, item)

    def _item_done(self, event: JsonObject) -> None:
        item = object_of(event.get("item"))
        kind = _KINDS.get(text_of(item.get("type")))
        item_id = text_of(item.get("id"))
        found = self._known(item_id, event)
        if found is not None and found.done is not None and found.id == item_id:
            return
        if found is None or found.kind != kind or found.done is not None:
            found = self._begin(event, item)
        self._done(found, item)

    def _text_piece(self, event: JsonObject) -> None:
        block = self._part_of(event)
        if block is not None:
            self._answer.add(block, text_of(event.get("delta")))

    def _text_done(self, event: JsonObject) -> None:
        block = self._part_of(event)
        if block is not None:
            self._settle(block, text_of(event.get("text")))

    def _refusal_piece(self, event: JsonObject) -> None:
        self._refusal = True
        self._text_piece(event)

    def _refusal_done(self, event: JsonObject) -> None:
        self._refusal = True
        self._text_done({**event, "text": event.get("refusal")})

    def _summary_piece(self, event: JsonObject) -> None:
        self._thought(event, ("summary", event.get("summary_index")))

    def _thought_piece(self, event: JsonObject) -> None:
        self._thought(event, ("text", event.get("content_index")))

    def _arguments_piece(self, event: JsonObject) -> None:
        item = self._of(event, "call")
        if item.done is None:
            self._answer.add(self._block(item), text_of(event.get("delta")))

    def _arguments_done(self, event: JsonObject) -> None:
        item = self._of(event, "call")
        if item.done is None:
            self._settle(self._block(item), _arguments(event.get("arguments")))

    def _ended(self, event: JsonObject) -> None:
        """A response that is over, as its status says (else the event's name)."""
        self._begun(event)
        response = object_of(event.get("response"))
        if usage := response.get("usage"):
            self._usage = _usage(usage) or self._usage
        status = text_of(response.get("status")) or text_of(event.get("type")).rpartition(".")[2]
        if status in ("failed", "cancelled"):
            error = response.get("error") or {"message": f"the response was {status}"}
            raise self._refused(_fault(error))
        if status not in ("completed", "incomplete"):
            return
        output = response.get("output")
        self._output(output if isinstance(output, list) else [])
        self._stop = "end_turn"
        if status == "incomplete":
            details = object_of(response.get("incomplete_details"))
            self._stop = _INCOMPLETE.get(text_of(details.get("reason")), "unknown")
        elif "incomplete_details" not in response and self._spent():
            self._stop = "max_tokens"
        self.done = True

    def _spent(self) -> bool:
        """Whether all tokens were used that were asked for: llama.cpp calls an answer `completed`
        that ended there, and has no word for another."""
        return 0 < self._limit <= self._usage.output_tokens

    # -- items -------------------------------------------------------------------------------

    def _begin(self, event: JsonObject, item: JsonObject) -> _Item:
        kind = _KINDS.get(text_of(item.get("type")))
        made = _Item(number=len(self._items), kind=kind, id=text_of(item.get("id")))
        if kind is not None:
            self._block(made)
        self._items.append(made)
        if made.id:
            self._by_id[made.id] = made
        index = event.get("output_index")
        if isinstance(index, int):
            self._by_index[index] = made
        return made

    def _known(self, item_id: str, event: JsonObject) -> _Item | None:
        """The item of an id, or else at an index."""
        found = self._by_id.get(item_id)
        if found is None and isinstance(index := event.get("output_index"), int):
            found = self._by_index.get(index)
        return found

    def _of(self, event: JsonObject, kind: Kind) -> _Item:
        """The item that a piece belongs to; begun by it, if nothing else did."""
        item_id = event.get("item_id")
        found = self._by_id.get(item_id) if isinstance(item_id, str) else None
        if found is None:
            found = self._known("", event)
        if found is None or found.kind != kind:
            name = next(name for name, one in _KINDS.items() if one == kind)
            found = self._begin(event, {"type": name, "id": item_id})
        return found

    def _block(self, item: _Item, part: int = 0) -> OpenBlock:
        block = item.parts.get(part)
        if block is None:
            kind = item.kind or "text"
            block = item.parts[part] = self._answer.begin((item.number, part), kind)
        return block

    def _part_of(self, event: JsonObject) -> OpenBlock | None:
        """The part of a message that a piece belongs to; None if the message is done."""
        item = self._of(event, "text")
        part = event.get("content_index")
        if item.done is not None:
            return None
        return self._block(item, part if isinstance(part, int) else 0)

    def _thought(self, event: JsonObject, part: object) -> None:
        item = self._of(event, "reasoning")
        if item.done is not None:
            return
        block = self._block(item)
        if item.part != part and block.pieces:
            self._answer.add(block, "\n\n")
        item.part = part
        self._answer.add(block, text_of(event.get("delta")))

    def _named(self, item: _Item, data: JsonObject) -> None:
        block = self._block(item)
        block.call_id = text_of(data.get("call_id")) or block.call_id
        block.name = text_of(data.get("name"))[:256] or block.name

    def _done(self, item: _Item, data: JsonObject) -> None:
        """Take an item as the provider says that the whole of it is."""
        if item.kind == "call":
            self._named(item, data)
            block = self._block(item)
            self._settle(block, _arguments(data.get("arguments")))
            block.closed = data.get("status") not in _NOT_DONE
        elif item.kind == "text":
            for number, part in enumerate(_objects(data.get("content"))):
                refused = part.get("type") == "refusal"
                self._refusal = self._refusal or refused
                text = part.get("refusal") if refused else part.get("text")
                self._settle(self._block(item, number), text_of(text))
        elif item.kind == "reasoning":
            self._settle_thought(self._block(item), data)
        item.done = data

    def _settle(self, block: OpenBlock, text: str) -> None:
        """Make a block what it is said to be; what is missing of it is shown as well."""
        came = whole(block.text)
        if not text or text == came:
            return
        if text.startswith(came):
            self._answer.add(block, text[len(came) :])
        else:
            block.replace(text)

    def _settle_thought(self, block: OpenBlock, data: JsonObject) -> None:
        if not block.pieces:
            parts = _objects(data.get("summary")) or _objects(data.get("content"))
            self._answer.add(block, "\n\n".join(text_of(part.get("text")) for part in parts))

    def _output(self, output: list[Json]) -> None:
        """All items, as the last event says them: what was done before stays as it is."""
        for place, data in enumerate(map(object_of, output)):
            kind = _KINDS.get(text_of(data.get("type")))
            found = self._by_id.get(text_of(data.get("id")))
            if found is None and place < len(self._items):
                found = self._items[place]
            elif found is None:
                found = self._begin({}, data)
            if found.kind == kind and found.done is None:
                self._done(found, data)

    # -- what returns to the provider --------------------------------------------------------

    def _keep_data(self) -> None:
        """Keep what the provider wants back with each item."""
        linked = self._linked()
        for item in self._items:
            data = item.done or {}
            kept: JsonObject = {}
            if linked:
                kept["id"] = item.id
            if item.kind == "text" and isinstance(data.get("phase"), str):
                kept["phase"] = data["phase"]
            elif item.kind == "call":
                kept |= {key: data[key] for key in _CALL_DATA if data.get(key)}
            elif item.kind == "reasoning" and linked:
                kept["summary"] = _objects(data.get("summary"))
                kept["encrypted_content"] = data["encrypted_content"]
            if kept:
                for block in item.parts.values():
                    self._answer.keep(block, kept)

    def _linked(self) -> bool:
        """Whether each item can return as it came, the reasoning with what it led to."""
        items = self._items
        for item in items:
            data = item.done or {}
            item.id = text_of(data.get("id"))
            if item.kind is None or not item.id:
                return False
            secret = data.get("encrypted_content")
            if item.kind == "reasoning" and not (isinstance(secret, str) and secret):
                return False
        thought = any(item.kind == "reasoning" for item in items)
        return thought and items[-1].kind != "reasoning"

    _handlers: ClassVar[Mapping[str, Callable[["ResponsesStream", JsonObject], None]]] = {
        "response.output_text.delta": _text_piece,
        "response.output_text.done": _text_done,
        "response.refusal.delta": _refusal_piece,
        "response.refusal.done": _refusal_done,
        "response.reasoning_summary_text.delta": _summary_piece,
        "response.reasoning_text.delta": _thought_piece,
        "response.function_call_arguments.delta": _arguments_piece,
        "response.function_call_arguments.done": _arguments_done,
        "response.output_item.added": _item_added,
        "response.output_item.done": _item_done,
        **dict.fromkeys(("response.created", "response.in_progress", "response.queued"), _begun),
        **dict.fromkeys(
            (
                "response.completed",
                "response.incomplete",
                "response.failed",
                "response.cancelled",
                "response.done",
            ),
            _ended,
        ),
        "error": _failed,
    }


def _objects(value: Json) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _arguments(value: Json) -> str:
    """The text of arguments; some servers send them as an object."""
    return value if isinstance(value, str) else json_text(value)


def _fault(error: Json) -> Json:
    """An error with the HTTP status that its code would have: inside of a stream there is none."""
    if not isinstance(error, dict):
        return error
    code = text_of(error.get("code"))
    wrong = code.startswith(_REQUEST_FAULTS) or code.endswith(_POLICY_FAULTS)
    if not wrong or code in _SERVER_FAULTS or code == "invalid_api_key":
        return error
    return {"message": f"{text_of(error.get('message'))} ({code})", "code": 400}


def _usage(usage: Json) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    details = object_of(usage.get("input_tokens_details"))
    return Usage(
        input_tokens=count_of(usage.get("input_tokens")),
        output_tokens=count_of(usage.get("output_tokens")),
        cache_read_tokens=count_of(details.get("cached_tokens")),
        cache_write_tokens=count_of(details.get("cache_write_tokens")),
    )
