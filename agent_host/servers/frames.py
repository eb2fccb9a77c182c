"""From a server's bytes to sound JSON-RPC messages, without any I/O.

Theory of operation: `Lines` cuts a byte stream into lines in linear time and drops what is over
the cap. `Gate` sits between a transport and the SDK's dispatcher. It knows which requests are
open, so that a line that cannot be read fails the one request it answers (else the oldest) and
nothing more. Notifications may come in floods and are all handled here, at the price of a parsed
line each: progress and logs by the gate itself, others by whoever asked to `hear` them. Sources:
JSON-RPC 2.0; MCP 2025-11-25 and 2026-07-28, basic/transports.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from agent_host.core.text import clean, clean_line
from agent_host.core.types import JsonObject
from agent_host.servers.spec import Hooks, Progress

MAX_LINE = 8 * 1024 * 1024
"""Bytes of one message; more is dropped and fails one request."""
MAX_JUNK = 32 * 1024 * 1024
"""Bytes of lines without a sound message between, after which the server is given up; a line
counts at least LINE_COST."""
LINE_COST = 100
MAX_DROPPED = 256 * 1024 * 1024
"""Bytes of oversized lines after which the server is given up."""
MAX_BATCH = 100
LATE = 256
"""Requests given up whose late answers are no junk."""
MAX_SERVER_REQUESTS = 32
"""Requests of a server that may be open at once; more are dropped."""
LISTEN = "subscriptions/listen"
"""A request that stays open by design: never the one that a broken line answers."""

OWNER: ContextVar[Any] = ContextVar("owner", default=None)
"""What requests are sent for; told to whoever answers what the server asks on their behalf."""

PARSE_ERROR = -32700
INVALID_RESPONSE = -32603
_ID = re.compile(rb'"id"\s*:\s*(?:"(\d{1,18})"|(\d{1,18}))')
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Oversize:
    """A line that was dropped, with its first bytes."""

    head: bytes


class Lines:
    """Cuts chunks into lines; holds at most `cap` bytes."""

    def __init__(self, cap: int = MAX_LINE) -> None:
        self._cap = cap
        self._parts: list[bytes] = []
        self._size = 0
        self._dropping = False
        self.dropped = 0

    def feed(self, data: bytes) -> Iterator[bytes | Oversize]:
        """Yield each line that `data` completes, without its newline."""
        if self._dropping:
            self.dropped += len(data)
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            piece = data[start:end]
            start = end + 1
            if self._dropping:
                self._dropping = False
                continue
            if self._size + len(piece) > self._cap:
                yield Oversize(self._head(piece))
                self._clear()
                continue
            line = b"".join((*self._parts, piece)) if self._parts else piece
            self._clear()
            if line.strip():
                yield line
        rest = data[start:]
        if self._dropping or not rest:
            return
        self._parts.append(rest)
        self._size += len(rest)
        if self._size > self._cap:
            yield Oversize(self._head(b""))
            self._clear()
            self._dropping = True

    def _head(self, piece: bytes) -> bytes:
        return (self._parts[0] if self._parts else piece)[:512]

    def _clear(self) -> None:
        self._parts.clear()
        self._size = 0


def sound(text: str) -> str:
    """`text` with lone surrogates replaced, so that it can be encoded."""
    if text.isascii():
        return text
    return _SURROGATE.sub("\ufffd", text)


def parse(line: bytes) -> Any:
    """The JSON value of a line. Raises ValueError for what is not JSON, too deep or too big.

    Invalid UTF-8 is replaced; NaN and infinities become their names as strings.
    """
    try:
        if line[:64].lstrip()[:1] not in (b"{", b"["):
            raise ValueError("neither an object nor an array")
        return json.loads(line.decode("utf-8", "replace"), parse_constant=str)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class Gate:
    """Decides about every frame of one connection."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._open: dict[int | str, str] = {}
        self._owners: dict[int | str, Any] = {}
        self._asked_for: dict[int | str, Any] = {}
        self._progress: dict[int | str, Progress] = {}
        self._serving: set[int | str] = set()
        self._given_up: deque[int | str] = deque(maxlen=LATE)
        self._heard: dict[str, Callable[[JsonObject], None]] = {}
        self._told = hooks.relations.told
        self.answered = False
        self.gave_up = False
        self.sound = 0
        self.junk = 0
        self.junk_bytes = 0

    @property
    def flooded(self) -> bool:
        """Whether so much came without a sound message that the server should be given up."""
        return self.junk_bytes > MAX_JUNK

    @property
    def open_requests(self) -> int:
        """How many requests wait for an answer."""
        return len(self._open)

    def sent_request(self, request_id: int | str, method: str) -> None:
        """Note a request on its way out."""
        self._open[request_id] = method
        if (owner := OWNER.get()) is not None:
            self._owners[request_id] = owner

    def asked_for(self, request_id: int | str | None) -> Any:
        """The owner of the request on whose stream the server sent one of its own; None if that is
        not known. Forgets it."""
        return None if request_id is None else self._asked_for.pop(request_id, None)

    def sent_answer(self, request_id: int | str) -> None:
        """Note an answer to the server's own request on its way out."""
        self._serving.discard(request_id)
        self._asked_for.pop(request_id, None)

    def sent_cancel(self, request_id: Any) -> None:
        """Note that a request was given up; its late answer is dropped."""
        self._owners.pop(request_id, None)
        if self._open.pop(request_id, None) is not None:
            self._given_up.append(request_id)

    def forget(self, method: str) -> None:
        """Note that nobody waits for the answers to `method` any more."""
        for request_id in [key for key, name in self._open.items() if name == method]:
            self.sent_cancel(request_id)

    def hear(self, method: str, handler: Callable[[JsonObject], None]) -> None:
        """Pass the params of each such notification on; `handler` must be cheap, never raise."""
        self._heard[method] = handler

    def watch_progress(self, token: int | str, progress: Progress) -> None:
        """Pass progress of `token` on until `forget_progress`."""
        self._progress[token] = progress

    def forget_progress(self, token: int | str) -> None:
        """Stop passing progress on."""
        self._progress.pop(token, None)

    def line(self, line: bytes | Oversize) -> list[JsonObject]:
        """The sound frames in one line, for the dispatcher."""
        if isinstance(line, Oversize):
            self.note("oversize", f"sent a message of more than {MAX_LINE >> 20} MiB; dropped")
            return self._broken(line.head, "its answer was larger than the host accepts")
        try:
            value = parse(line)
        except ValueError as error:
            return self._unreadable(line, str(error))
        sound_before = self.sound
        frames = self.frames(value)
        if self.sound > sound_before:
            self.junk_bytes = 0
        else:
            self.junk_bytes += max(len(line), LINE_COST)
        return frames

    def frames(self, value: Any, on: int | str | None = None) -> list[JsonObject]:
        """The sound frames in a parsed value. `on`: the request on whose stream it came."""
        if isinstance(value, list):
            return [frame for item in value[:MAX_BATCH] for frame in self._frame(item, on)]
        return self._frame(value, on)

    def _frame(self, value: Any, on: int | str | None) -> list[JsonObject]:
        if not isinstance(value, dict):
            return self._junk("a JSON value that is no message")
        if isinstance(value.get("method"), str):
            own = _is_id(value.get("id"))
            return self._request(value, on) if own else self._notification(value)
        answers = "result" in value or "error" in value
        if answers or _same_id(value.get("id"), self._open) is not None:
            return self._response(value)
        return self._junk("JSON that is no JSON-RPC message")

    def _response(self, value: JsonObject) -> list[JsonObject]:
        request_id = _same_id(value.get("id"), self._open)
        if request_id is None:
            if _same_id(value.get("id"), self._given_up) is not None:
                return []  # it crossed our cancellation on the way
            return self._junk("an answer to no open request")
        self.answered = True
        self.sound += 1
        self._open.pop(request_id)
        self._owners.pop(request_id, None)
        if "error" in value:
            return [_error(request_id, value["error"])]
        result = value.get("result")
        if not isinstance(result, dict):
            return [failure(request_id, INVALID_RESPONSE, "the result is not an object")]
        return [{"jsonrpc": "2.0", "id": request_id, "result": result}]

    def _request(self, value: JsonObject, on: int | str | None) -> list[JsonObject]:
        if len(self._serving) >= MAX_SERVER_REQUESTS:
            return self._junk("more requests than the host serves at once")
        self._serving.add(value["id"])
        if on is not None and on in self._owners:
            self._asked_for[value["id"]] = self._owners[on]
        self.sound += 1
        return [_with_params(value, {"id": value["id"]})]

    def _notification(self, value: JsonObject) -> list[JsonObject]:
        self.sound += 1
        method = value["method"]
        raw = value.get("params")
        params: JsonObject = raw if isinstance(raw, dict) else {}
        if method == "notifications/progress":
            self._report(params)
        elif method == "notifications/message":
            text = params.get("data")
            line = text if isinstance(text, str) else _shown(text)
            self._hooks.log(clean_line(str(params.get("level", "info")), 20), clean_line(line))
        elif method == "notifications/cancelled":
            if _is_id(params.get("requestId")):
                self._serving.discard(params["requestId"])
            return [_with_params(value, {})]
        elif (handler := self._heard.get(method)) is not None:
            handler(params)
        return []

    def _report(self, params: JsonObject) -> None:
        token, amount = params.get("progressToken"), params.get("progress")
        key = _same_id(token, self._progress)
        if key is None or not _is_number(amount):
            return
        total, message = params.get("total"), params.get("message")
        self._progress[key](
            float(amount or 0),
            float(total) if _is_number(total) and total is not None else None,
            clean_line(message) if isinstance(message, str) else "",
        )

    def _unreadable(self, line: bytes, why: str) -> list[JsonObject]:
        if b'"jsonrpc"' not in line[:512] and b'"jsonrpc"' not in line[-512:]:
            self.junk_bytes += max(len(line), LINE_COST)
            return self._junk("a line that is no message", line)
        self.note("unreadable", f"sent a message that cannot be read: {clean_line(why, 120)}")
        return self._broken(line[:512] + line[-512:], "its answer could not be read")

    def _broken(self, head: bytes, why: str) -> list[JsonObject]:
        """Fail the request that a broken line answers: the one it names, else the oldest."""
        self.junk += 1
        self.junk_bytes += len(head)
        named = [int(a or b) for a, b in _ID.findall(head)]
        known = next((i for i in named if i in self._open), None)
        waiting = (key for key, method in self._open.items() if method != LISTEN)
        target = known if known is not None else next(waiting, None)
        if target is None:
            return []
        self._open.pop(target)
        self._owners.pop(target, None)
        return [failure(target, PARSE_ERROR, why)]

    def _junk(self, what: str, line: bytes = b"") -> list[JsonObject]:
        self.junk += 1
        if "junk" not in self._told:
            shown = f": {clean_line(_text(line), 120)}" if line else ""
            self.note("junk", f"sent {what}; ignored, as all that follow{shown}")
        return []

    def note(self, kind: str, text: str) -> None:
        """Tell the user what a server does wrong, once a kind."""
        if kind not in self._told:
            self._told.add(kind)
            self._hooks.log("warning", text)


def failure(request_id: int | str, code: int, message: str) -> JsonObject:
    """A JSON-RPC error frame."""
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


def _error(request_id: int | str, value: Any) -> JsonObject:
    error: JsonObject = value if isinstance(value, dict) else {}
    code, message = error.get("code"), error.get("message")
    number = code if isinstance(code, int) and not isinstance(code, bool) else INVALID_RESPONSE
    text = message if isinstance(message, str) else _shown(value)
    frame = failure(request_id, number, clean(text[:4000]))
    if isinstance(error.get("data"), dict):
        frame["error"]["data"] = error["data"]
    return frame


def _shown(value: Any) -> str:
    """A JSON value as text for people. What could just be read can be too deep to be written."""
    try:
        return json.dumps(value, default=str)[:2000]
    except RecursionError:
        return "nested too deeply"


def _with_params(value: JsonObject, extra: JsonObject) -> JsonObject:
    frame = {"jsonrpc": "2.0", "method": value["method"], **extra}
    if isinstance(value.get("params"), dict):
        frame["params"] = value["params"]
    return frame


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _same_id(value: Any, known: Any) -> int | str | None:
    """The key of `known` that `value` means; a server may answer 1 with "1"."""
    if not _is_id(value):
        return None
    if value in known:
        return value  # type: ignore[no-any-return]
    if isinstance(value, str) and value.isdecimal() and len(value) < 18 and int(value) in known:
        return int(value)
    return None


def _text(line: bytes) -> str:
    return line[:500].decode("utf-8", "replace")
