"""A streamed answer as JSON events, in any dialect.

Theory of operation: `feed` takes the bytes of one network read and returns what can be shown; no
object is built for an event but the dict that `json.loads` makes. The first byte tells what this
is: server-sent events, one JSON object (a server that ignores `stream`, or an error in a success),
or something else (a web page). A dialect says what one event means (`_event`), what a whole body
means (`_body`, by default one event) and what all of it came to (`_result`). An answer counts as
whole only if the server said why it ended; a call is sound only in an answer that ended by itself.
"""

import json
from typing import Any, Literal, Protocol

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
from agent_host.models.accumulate import AnswerTooLargeError
from agent_host.models.failures import Endpoint, RefusedError
from agent_host.models.sse import EventParser, EventTooLargeError

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of one answer as it comes over the network."""
MAX_EVENT = 8 * 1024 * 1024
"""Bytes of one event, or of a JSON body."""
WHOLE = frozenset({"end_turn", "tool_use", "stop_sequence"})
"""Stop reasons of answers whose calls are whole."""

_Kind = Literal["unknown", "events", "json", "other"]
_FIRST_OF_EVENTS = b"dDeEiIrR:\xef"
_OTHER_KEPT = 4096
_decode = json.JSONDecoder().decode


class Collected(Protocol):
    """What an answer is put together in."""

    @property
    def empty(self) -> bool:
        """True if nothing of an answer has come."""

    @property
    def has_calls(self) -> bool:
        """True if a call was begun."""

    @property
    def shown(self) -> bool:
        """True if text of the answer was handed out."""

    def deltas(self) -> list[Delta]:
        """What came since the last time."""

    def rest(self) -> list[Delta]:
        """What is still to be shown when the stream has ended."""


class EventStream:
    """One answer while it comes. `done`: the server said so; `events`: how many have come."""

    def __init__(self, endpoint: Endpoint, origin: Origin, answer: Collected) -> None:
        self.done = False
        self.events = 0
        self._endpoint = endpoint
        self._origin = origin
        self._collected = answer
        self._parser = EventParser(MAX_EVENT)
        self._kind: _Kind = "unknown"
        self._bytes = 0
        self._body_parts: list[bytes] = []
        self._id = ""
        self._model = ""
        self._usage = Usage()

    # -- what a dialect says -----------------------------------------------------------------

    def _event(self, event: JsonObject) -> None:
        """Take one event. Raises RefusedError for one that says that there is no answer."""
        raise NotImplementedError

    def _body(self, body: JsonObject) -> None:
        """Take a whole answer that came as one object."""
        self._event(body)

    def _result(self, failure: ModelFailure | None) -> ModelResponse | ModelFailure:
        """What the answer is, now that nothing more comes."""
        raise NotImplementedError

    def _finished(self) -> bool:
        """Whether the server said why the answer ended."""
        raise NotImplementedError

    # -- the stream --------------------------------------------------------------------------

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
            for payload in self._parser.feed(chunk):
                self._payload(payload)
            return self._collected.deltas()
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
                raise RefusedError(failures.not_the_api(self._endpoint, self._kept()))
            return self._collected.rest()
        except AnswerTooLargeError as error:
            raise self._too_large(str(error)) from None

    def result(self, failure: ModelFailure | None = None) -> ModelResponse | ModelFailure:
        """The terminal item. `failure`: why nothing more comes, if the stream did not end."""
        return self._result(failure)

    # -- for dialects ------------------------------------------------------------------------

    def _response(self, content: Any, stop: StopReason) -> ModelResponse:
        return ModelResponse(
            message=Message(role="assistant", content=content, origin=self._origin),
            stop_reason=stop,
            usage=self._usage,
            response_id=self._id,
            model_served=self._model,
        )

    def _cut(self) -> ModelFailure:
        if self._collected.empty:
            return failures.broken(self._endpoint, "ended the stream without an answer")
        return failures.broken(
            self._endpoint, "ended the stream in the middle of the answer; ask again"
        )

    def _refused(self, error: Json) -> RefusedError:
        return RefusedError(failures.from_error(self._endpoint, error))

    # -- inside ------------------------------------------------------------------------------

    def _too_large(self, what: str) -> RefusedError:
        said = f"sends an answer beyond what is accepted: {what}"
        return RefusedError(failures.broken(self._endpoint, said, retryable=False))

    def _kept(self) -> bytes:
        return b"".join(self._body_parts)

    def _keep(self, chunk: bytes) -> None:
        if self._kind == "json" and self._bytes > MAX_EVENT:
            raise self._too_large(f"a body of more than {MAX_EVENT} bytes")
        if self._kind == "json" or self._bytes <= _OTHER_KEPT:
            self._body_parts.append(chunk)
        else:
            self._body_parts.append(chunk[:_OTHER_KEPT])
            raise RefusedError(failures.not_the_api(self._endpoint, self._kept()))

    def _last(self) -> None:
        """The event that no empty line ended: whole, or cut and then as if it never came."""
        for payload in self._parser.finish():
            text = payload.decode("utf-8", "replace").strip()
            if text == "[DONE]" or loaded(text) is not None:
                self._payload(payload)

    def _whole_body(self) -> None:
        text = self._kept().decode("utf-8", "replace")
        value = loaded(text)
        if not isinstance(value, dict):
            raise RefusedError(failures.not_the_api(self._endpoint, text[:1000].encode()))
        self._body(value)
        if self._collected.empty and not self._finished():
            said = f"answers with something else than the API: {text[:200]}; check `base_url`"
            raise RefusedError(failures.broken(self._endpoint, said, retryable=False))

    def _payload(self, payload: bytes) -> None:
        if self.done:
            return
        self.events += 1
        text = payload.decode("utf-8", "replace")
        event = loaded(text)
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


def _kind(chunk: bytes) -> _Kind:
    first = chunk.lstrip()[:1]
    if not first:
        return "unknown"
    if first in b"{[":
        return "json"
    return "events" if first in _FIRST_OF_EVENTS else "other"


def loaded(text: str) -> Any:
    """Return the JSON value, or None if it is no JSON (an event that is `null` is none either)."""
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        return None


def text_of(value: Json) -> str:
    """Return what should be text; a number where a provider forgot the quotes, else nothing."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def name_of(value: Json) -> str:
    """Return a name that the server gives: bounded, and fit for a record."""
    return clean_line(value, 200) if isinstance(value, str) else ""


def count_of(value: Json) -> int:
    """Return a count of tokens, 0 for what is none."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else 0
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), 2**53)


def object_of(value: Json) -> JsonObject:
    """Return an object, an empty one for what is none."""
    return value if isinstance(value, dict) else {}
