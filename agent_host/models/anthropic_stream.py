"""What a Messages server answers, read into an answer of ours.

Theory of operation: see `event_stream`; this file knows what the events of this wire say, and what
compatible servers say instead. Blocks come under an index, one after the other; they are kept in
their order, because thinking goes back in its place. `stop_reason` says that the answer is over:
without one it is never whole, and `message_stop` alone is none. A call counts only if its block was
closed as well. Blocks of tools that run at the provider, which are never asked for here, and kinds
that are not known are skipped whole; citations are left out of their text. `pause_turn` (such a
tool takes long; the provider wants to be asked again) is `unknown`: what came is shown, and said to
be unfinished.

Sources: `anthropic.types.raw_*_event`, `message`, `message_delta_usage` (anthropic 2.12).
"""

from collections.abc import Collection, Mapping

from agent_host.core.types import (
    Json,
    JsonObject,
    ModelFailure,
    ModelResponse,
    Origin,
    StopReason,
    Usage,
)
from agent_host.models import failures
from agent_host.models.accumulate import json_text
from agent_host.models.event_stream import (
    WHOLE,
    EventStream,
    count_of,
    name_of,
    object_of,
    text_of,
)
from agent_host.models.failures import Endpoint, RefusedError
from agent_host.models.ordered import Kind, OpenBlock, OrderedAnswer
from agent_host.models.schemas import ToolTable

_STOP_REASONS: Mapping[str, StopReason] = {
    "end_turn": "end_turn",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window_exceeded",
}
_KINDS: Mapping[str, Kind] = {
    "text": "text",
    "thinking": "reasoning",
    "redacted_thinking": "reasoning",
    "tool_use": "call",
}
_PIECES: Mapping[str, tuple[str, Kind]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "reasoning"),
    "input_json_delta": ("partial_json", "call"),
}
"""Deltas that add to a block: where their text is, and to which kind of block."""
_COUNTS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)


class MessagesStream(EventStream):
    """One answer while it comes."""

    def __init__(
        self, endpoint: Endpoint, origin: Origin, taken: Collection[str], table: ToolTable
    ) -> None:
        self._answer = OrderedAnswer()
        super().__init__(endpoint, origin, self._answer)
        self._taken = taken
        self._table = table
        self._stop = ""
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._open: dict[Json, OpenBlock | None] = {}
        self._thoughts: list[OpenBlock] = []
        self._inputs: dict[int, Json] = {}

    def _finished(self) -> bool:
        return bool(self._stop)

    # -- the end -----------------------------------------------------------------------------

    def _result(self, failure: ModelFailure | None) -> ModelResponse | ModelFailure:
        answer = self._answer
        stop: StopReason = _STOP_REASONS.get(self._stop, "unknown")
        ended = self._stop or (self.done and not answer.empty)
        if not ended and not (answer.shown and answer.has_calls):
            return failure or self._cut()
        if stop in ("end_turn", "tool_use"):
            stop = "tool_use" if answer.has_calls else "end_turn"
        for block in self._thoughts:
            # Servers that sign nothing want it back all the same; what was cut is of no use.
            if block.closed and block.opaque is None and stop in WHOLE:
                answer.keep(block, {"signature": ""})
        content = answer.blocks(sound=stop in WHOLE, taken=self._taken, restore=self._table.restore)
        return self._response(content, stop)

    # -- events ------------------------------------------------------------------------------

    def _event(self, event: JsonObject) -> None:
        kind = event.get("type")
        if kind == "content_block_delta":
            delta = event.get("delta")
            if isinstance(delta, dict):
                self._delta(event.get("index"), delta)
        elif kind == "content_block_start":
            self._begin(event.get("index"), object_of(event.get("content_block")))
        elif kind == "content_block_stop":
            self._close(event.get("index"))
        elif kind == "message_start":
            self._head(object_of(event.get("message")))
        elif kind == "message_delta":
            self._end(object_of(event.get("delta")), event.get("usage"))
        elif kind == "message_stop":
            self.done = True
        elif not self._stop:
            self._other(event, kind)

    def _other(self, event: JsonObject, kind: Json) -> None:
        """An event that is no part of an answer: an error, in whatever form, or of no meaning."""
        error = event.get("error")
        if error or kind == "error":
            raise self._refused(error or event)
        if kind is None and (event.get("message") or event.get("detail")):
            raise self._refused(event)

    def _body(self, body: JsonObject) -> None:
        if body.get("type") != "message":
            self._event(body)
            return
        self._head(body)
        content = body.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            self._begin(index, object_of(block))
            self._close(index)
        self._end(body, None)

    def _head(self, message: JsonObject) -> None:
        self._id = self._id or name_of(message.get("id"))
        self._model = self._model or name_of(message.get("model"))
        self._count(message.get("usage"))

    def _end(self, delta: JsonObject, usage: Json) -> None:
        self._count(usage)
        stop = delta.get("stop_reason")
        if isinstance(stop, str) and stop:
            self._stop = stop

    def _count(self, usage: Json) -> None:
        """Take counts, which are totals so far; some servers say 0 for what they said before."""
        if not isinstance(usage, dict):
            return
        counts = self._counts
        for name in _COUNTS:
            counts[name] = max(counts[name], count_of(usage.get(name)))
        written, read = counts["cache_creation_input_tokens"], counts["cache_read_input_tokens"]
        self._usage = Usage(
            input_tokens=counts["input_tokens"] + written + read,
            output_tokens=counts["output_tokens"],
            cache_read_tokens=read,
            cache_write_tokens=written,
        )

    # -- blocks ------------------------------------------------------------------------------

    def _begin(self, index: Json, block: JsonObject) -> None:
        kind = _KINDS.get(text_of(block.get("type")))
        if kind is None:
            self._open[_key(index)] = None
            return
        begun = self._answer.begin(
            object(), kind, call_id=text_of(block.get("id")), name=text_of(block.get("name"))
        )
        self._open[_key(index)] = begun
        if kind == "text":
            self._answer.add(begun, text_of(block.get("text")))
        elif kind == "call":
            self._inputs[id(begun)] = block.get("input")
        else:
            if block.get("type") == "thinking":
                self._thoughts.append(begun)
            self._answer.add(begun, text_of(block.get("thinking")))
            self._sign(begun, block)

    def _sign(self, block: OpenBlock, data: JsonObject) -> None:
        for key in ("signature", "data"):
            if (value := data.get(key)) and isinstance(value, str):
                self._answer.keep(block, {key: value})

    def _delta(self, index: Json, delta: JsonObject) -> None:
        kind = delta.get("type")
        found = _PIECES.get(kind) if isinstance(kind, str) else None
        place = _key(index)
        block = self._open.get(place)
        if found is None:
            if kind == "signature_delta" and block is not None and block.kind == "reasoning":
                self._sign(block, delta)
            return
        name, wanted = found
        piece = delta.get(name)
        if not isinstance(piece, str):
            piece = json_text(piece) if wanted == "call" else ""
        if block is not None and block.kind == wanted:
            self._answer.add(block, piece)
        elif place not in self._open and piece:
            self._undeclared(place, wanted, piece)

    def _undeclared(self, place: Json, kind: Kind, piece: str) -> None:
        """A piece of a block that was never begun: text says what it is, a call does not."""
        if kind == "call":
            said = "sends arguments of a call that it did not begin"
            raise RefusedError(failures.broken(self._endpoint, said))
        self._begin(place, {"type": "text" if kind == "text" else "thinking"})
        block = self._open[place]
        if block is not None:
            self._answer.add(block, piece)

    def _close(self, index: Json) -> None:
        block = self._open.get(_key(index))
        if block is None or block.closed:
            return
        block.closed = True
        given = self._inputs.pop(id(block), None)
        if given and not block.pieces:
            # Some servers give the arguments whole, where the block begins.
            self._answer.add(block, given if isinstance(given, str) else json_text(given))


def _key(index: Json) -> Json:
    """A block's index, whatever a server takes for one."""
    return None if isinstance(index, dict | list) else index
