"""What a Chat Completions server answers, read into an answer of ours.

Theory of operation: see `event_stream`; this file knows what the chunks of this dialect say, and
what compatible servers say instead. `taken` are the ids of the conversation's calls so far, which
new ones must not repeat; `table` turns arguments back into what the server's own schema calls them.
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
from agent_host.models.accumulate import Answer
from agent_host.models.event_stream import (
    WHOLE,
    EventStream,
    count_of,
    name_of,
    object_of,
    text_of,
)
from agent_host.models.failures import Endpoint
from agent_host.models.schemas import ToolTable

_STOP_REASONS: Mapping[str, StopReason] = {
    "stop": "end_turn",
    "end_turn": "end_turn",
    "eos": "end_turn",
    "eos_token": "end_turn",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "tool_call": "tool_use",
    "tool_use": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "model_length": "context_window_exceeded",
    "content_filter": "refusal",
    "safety": "refusal",
    "sensitive": "refusal",
    "refusal": "refusal",
}
_FAILED = frozenset({"error", "network_error", "insufficient_system_resource", "abort", "aborted"})


class ChatStream(EventStream):
    """One answer while it comes."""

    def __init__(
        self, endpoint: Endpoint, origin: Origin, taken: Collection[str], table: ToolTable
    ) -> None:
        self._answer = Answer()
        super().__init__(endpoint, origin, self._answer)
        self._taken = taken
        self._table = table
        self._finish = ""
        self._refusal = False

    def _finished(self) -> bool:
        return bool(self._finish)

    def _result(self, failure: ModelFailure | None) -> ModelResponse | ModelFailure:
        finish = self._finish.lower()
        if finish in _FAILED:
            return failures.from_error(
                self._endpoint, {"message": f"the model stopped with {finish!r}", "code": 500}
            )
        stop: StopReason = "unknown"
        if finish:
            stop = _STOP_REASONS.get(finish, "unknown")
        elif self.done and not self._answer.empty:
            stop = "unknown" if self._answer.has_calls else "end_turn"
        elif not (self._answer.shown and self._answer.has_calls):
            return failure or self._cut()
        if stop in ("end_turn", "tool_use"):
            stop = "tool_use" if self._answer.has_calls else "end_turn"
        if self._refusal and stop == "end_turn":
            stop = "refusal"
        content = self._answer.blocks(
            sound=stop in WHOLE, taken=self._taken, restore=self._table.restore
        )
        return self._response(content, stop)

    def _event(self, event: JsonObject) -> None:
        choices = event.get("choices")
        if error := event.get("error"):
            raise self._refused(error)
        if usage := event.get("usage"):
            self._usage = _usage(usage) or self._usage
        if not choices:
            if "choices" not in event and (event.get("message") or event.get("detail")):
                raise self._refused(event)
            return
        if not self._model:
            self._model = name_of(event.get("model"))
            self._id = self._id or name_of(event.get("id"))
        choice = choices[0] if isinstance(choices, list) else None
        if not isinstance(choice, dict) or choice.get("index") not in (0, None):
            return
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            self._delta(delta)
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish:
            self._finish = finish

    def _delta(self, delta: JsonObject) -> None:
        answer = self._answer
        content = delta.get("content")
        if content:
            if isinstance(content, str):
                answer.text(content)
            else:
                self._parts(content)
            if len(delta) == 1:
                return
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            answer.reasoning(thought)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refusal = True
            answer.text(refusal)
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            for call in calls:
                self._call(call, apart=len(calls) > 1)
        elif isinstance(function := delta.get("function_call"), dict):
            self._call({"index": 0, "function": function}, apart=False)
        extra = delta.get("extra_content")
        if isinstance(extra, dict) and extra:
            answer.opaque({"extra_content": extra})

    def _parts(self, content: Json) -> None:
        """Content as a list of parts: text, and in some dialects thinking."""
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, dict):
                continue
            if isinstance(part.get("text"), str):
                self._answer.text(part["text"])
            elif isinstance(part.get("thinking"), list):
                for thought in part["thinking"]:
                    if isinstance(thought, dict) and isinstance(thought.get("text"), str):
                        self._answer.reasoning(thought["text"])

    def _call(self, call: Json, *, apart: bool) -> None:
        if not isinstance(call, dict):
            return
        function = call.get("function")
        if not isinstance(function, dict):
            function = {}
        index = call.get("index")
        extra = call.get("extra_content")
        self._answer.call(
            index=index if isinstance(index, int) and not isinstance(index, bool) else None,
            call_id=text_of(call.get("id")),
            name=text_of(function.get("name")),
            arguments=function.get("arguments"),
            opaque={"extra_content": extra} if isinstance(extra, dict) and extra else None,
            apart=apart,
        )


def _usage(usage: Json) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    details = object_of(usage.get("prompt_tokens_details"))
    cached = details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens")
    return Usage(
        input_tokens=count_of(usage.get("prompt_tokens")),
        output_tokens=count_of(usage.get("completion_tokens")),
        cache_read_tokens=count_of(cached),
        cache_write_tokens=count_of(details.get("cache_write_tokens")),
    )
