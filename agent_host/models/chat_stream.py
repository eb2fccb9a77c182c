"""What a Chat Completions server answers, read into an answer of ours.

Theory of operation: `feed` takes the bytes of one network read and returns what can be shown; no
object is built for an event but the dict that `json.loads` makes. The first byte tells what this
is: server-sent events, one JSON object (a server that ignores `stream`, or an error in a success),
or something else (a web page). `result` is the terminal item: an answer counts as whole only if
the server said why it ended; a call is sound only in an answer that ended by itself.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, Literal

from agent_host.core.events import Delta
from agent_host.core.text import clean_line
from agent_host.core.types import (
    Json,
    JsonObject,
    Message,
    ModelFailure,
    ModelResponse,
    Origin,
    StopReason,
    Usage,
)
from agent_host.models import failures
from agent_host.models.accumulate import Answer, AnswerTooLargeError
from agent_host.models.failures import Endpoint
from agent_host.models.sse import EventParser, EventTooLargeError

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of one answer as it comes over the network."""
MAX_EVENT = 8 * 1024 * 1024
"""Bytes of one event, or of a JSON body."""

_Kind = Literal["unknown", "events", "json", "other"]
_FIRST_OF_EVENTS = b"dDeEiIrR:\xef"
_OTHER_KEPT = 4096
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
_decode = json.JSONDecoder().decode
_FAILED = frozenset({"error", "network_error", "insufficient_system_resource", "abort", "aborted"})
_WHOLE = frozenset({"end_turn", "tool_use", "stop_sequence"})


class RefusedError(Exception):
    """The answer is a failure."""

    def __init__(self, failure: ModelFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ChatStream:
    """One answer while it comes. `done`: the server said so; `events`: how many have come."""

    def __init__(self, endpoint: Endpoint, origin: Origin, response_id: str = "") -> None:
        self.done = False
        self.events = 0
        self._endpoint = endpoint
        self._origin = origin
        self._answer = Answer()
        self._events = EventParser(MAX_EVENT)
        self._kind: _Kind = "unknown"
        self._bytes = 0
        self._body: list[bytes] = []
        self._finish = ""
        self._refusal = False
        self._id = response_id
        self._model = ""
        self._usage = Usage()

    def feed(self, chunk: bytes) -> list[Delta]:
        """Take the next bytes and return what can be shown. Raises RefusedError."""
        self._bytes += len(chunk)
        if self._bytes > MAX_BYTES:
            raise self._too_large(f"more than {MAX_BYTES} bytes")
        if self._kind == "unknown":
            self._kind = _kind(chunk)
        if self._kind != "events":
            self._keep(chunk)
            return []
        try:
            for payload in self._events.feed(chunk):
                self._payload(payload)
            return self._answer.deltas()
        except EventTooLargeError:
            raise self._too_large(f"one event of more than {MAX_EVENT} bytes") from None
        except AnswerTooLargeError as error:
            raise self._too_large(str(error)) from None

    def finish(self) -> list[Delta]:
        """Take the end of the stream and return what is left to show. Raises RefusedError."""
        try:
            if self._kind == "events":
                self._last()
            elif self._kind == "json":
                self._whole_body()
            elif self._kind == "other":
                raise RefusedError(failures.not_the_api(self._endpoint, b"".join(self._body)))
            return self._answer.rest()
        except AnswerTooLargeError as error:
            raise self._too_large(str(error)) from None

    def result(
        self, taken: Collection[str], failure: ModelFailure | None = None
    ) -> ModelResponse | ModelFailure:
        """The terminal item. `taken`: the ids of the conversation's calls so far. `failure`: why
        nothing more comes, if not because the stream ended."""
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
        return self._response(stop, taken)

    def _response(self, stop: StopReason, taken: Collection[str]) -> ModelResponse:
        if stop in ("end_turn", "tool_use"):
            stop = "tool_use" if self._answer.has_calls else "end_turn"
        if self._refusal and stop == "end_turn":
            stop = "refusal"
        content = self._answer.blocks(sound=stop in _WHOLE, taken=taken)
        return ModelResponse(
            message=Message(role="assistant", content=content, origin=self._origin),
            stop_reason=stop,
            usage=self._usage,
            response_id=self._id,
            model_served=self._model,
        )

    def _cut(self) -> ModelFailure:
        if self._answer.empty:
            return failures.broken(self._endpoint, "ended the stream without an answer")
        return failures.broken(
            self._endpoint, "ended the stream in the middle of the answer; ask again"
        )

    def _too_large(self, what: str) -> RefusedError:
        said = f"sends an answer beyond what is accepted: {what}"
        return RefusedError(failures.broken(self._endpoint, said, retryable=False))

    def _keep(self, chunk: bytes) -> None:
        if self._kind == "json" and self._bytes > MAX_EVENT:
            raise self._too_large(f"a body of more than {MAX_EVENT} bytes")
        if self._kind == "json" or self._bytes <= _OTHER_KEPT:
            self._body.append(chunk)
        else:
            self._body.append(chunk[:_OTHER_KEPT])
            raise RefusedError(failures.not_the_api(self._endpoint, b"".join(self._body)))

    def _last(self) -> None:
        """The event that no empty line ended: whole, or cut and then as if it never came."""
        for payload in self._events.finish():
            text = payload.decode("utf-8", "replace").strip()
            if text == "[DONE]" or _loaded(text) is not None:
                self._payload(payload)

    def _whole_body(self) -> None:
        text = b"".join(self._body).decode("utf-8", "replace")
        value = _loaded(text)
        if not isinstance(value, dict):
            raise RefusedError(failures.not_the_api(self._endpoint, text[:1000].encode()))
        self._event(value)
        if self._answer.empty and not self._finish:
            said = f"answers with something else than the API: {text[:200]}; check `base_url`"
            raise RefusedError(failures.broken(self._endpoint, said, retryable=False))

    def _payload(self, payload: bytes) -> None:
        if self.done:
            return
        self.events += 1
        text = payload.decode("utf-8", "replace")
        event = _loaded(text)
        if isinstance(event, dict):
            self._event(event)
        elif text.strip() == "[DONE]":
            self.done = True
        elif "\n" in text:
            # A server that forgets the empty line between its events.
            for line in text.split("\n"):
                self._payload(line.encode())
        elif text.strip():
            raise RefusedError(
                failures.broken(self._endpoint, f"sends an event that is no JSON: {text[:120]}")
            )

    def _event(self, event: JsonObject) -> None:
        choices = event.get("choices")
        if error := event.get("error"):
            raise RefusedError(failures.from_error(self._endpoint, error))
        if usage := event.get("usage"):
            self._usage = _usage(usage) or self._usage
        if not choices:
            if "choices" not in event and (event.get("message") or event.get("detail")):
                raise RefusedError(failures.from_error(self._endpoint, event))
            return
        if not self._model:
            self._model = _name(event.get("model"))
            self._id = self._id or _name(event.get("id"))
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
            call_id=_text(call.get("id")),
            name=_text(function.get("name")),
            arguments=function.get("arguments"),
            opaque={"extra_content": extra} if isinstance(extra, dict) and extra else None,
            apart=apart,
        )


def _kind(chunk: bytes) -> _Kind:
    first = chunk.lstrip()[:1]
    if not first:
        return "unknown"
    if first in b"{[":
        return "json"
    return "events" if first in _FIRST_OF_EVENTS else "other"


def _loaded(text: str) -> Any:
    """The JSON value, or None if it is no JSON (an event that is `null` is none either)."""
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        return None


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _name(value: Json) -> str:
    """A name that the server gives: bounded, and fit for a record."""
    return clean_line(value, 200) if isinstance(value, str) else ""


def _count(value: Json) -> int:
    if isinstance(value, float):
        value = int(value) if value.is_integer() else 0
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), 2**53)


def _usage(usage: Json) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    if not isinstance(details, dict):
        details = {}
    cached = details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens")
    return Usage(
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        cache_read_tokens=_count(cached),
        cache_write_tokens=_count(details.get("cache_write_tokens")),
    )
