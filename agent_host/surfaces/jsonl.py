"""JSON for scripts: a stream of everything that happens, or one object at the end.

Theory of operation: a line of `--output stream-json` is either a record, byte for byte as it
stands in the transcript (`{"seq", "at", "run_id", "event"}`), or `{"ephemeral": {...}}`, something
shown but never recorded. Deltas of one tick of the event loop are joined, and the tick's lines
written at once. The schema is in docs/reference/stream-json.schema.json, see `surfaces.schema`.
`--output json` is one object after the run, see `JsonSummary`. The encoder is the transcript's,
injected: surfaces and records are neighbours. Its lines are ASCII, so a terminal can show them.
"""

from collections.abc import Callable

from agent_host.core.events import (
    ApprovalRequested,
    EndReason,
    Ephemeral,
    LimitReached,
    ModelChanged,
    ModelFailed,
    ModelResponded,
    ReasoningDelta,
    Record,
    RunEnded,
    RunStarted,
    SummaryFinished,
    TextDelta,
    ToolArgumentsDelta,
    ToolFinished,
    ToolStarted,
    UserSaid,
)
from agent_host.core.types import Json, JsonObject, ToolCall, Usage
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.plain import soon, text_of

Encode = Callable[[object], bytes]
"""Turns a record, an ephemeral, or JSON that holds such, into one line of ASCII JSON."""


def _line(encode: Encode, value: object) -> str:
    # DEL is ASCII, and the one control character that JSON lets through.
    return encode(value).decode("ascii").replace("\x7f", "\\u007f") + "\n"


class JsonLines:
    """EventSink of `run --output stream-json`."""

    def __init__(self, out: Outlet, *, encode: Encode) -> None:
        self._out = out
        self._encode = encode
        self._lines: list[str] = []
        self._texts: list[str] = []
        self._delta: TextDelta | ReasoningDelta | ToolArgumentsDelta | None = None
        self._scheduled = False

    def emit(self, item: Record | Ephemeral) -> None:
        """Take one item; its line is written at the end of the tick."""
        match item:
            case TextDelta() | ReasoningDelta() | ToolArgumentsDelta():
                if not self._continues(item):
                    self._end_delta()
                    self._delta = item
                self._texts.append(item.text)
            case Record():
                self._end_delta()
                self._lines.append(_line(self._encode, item))
            case _:
                self._end_delta()
                self._lines.append(_line(self._encode, {"ephemeral": item}))
        if not self._scheduled:
            self._scheduled = True
            soon(self._flush)

    def close(self) -> None:
        """Write what is pending; waits for a slow reader."""
        self._flush()
        self._out.finish()

    def _flush(self) -> None:
        self._scheduled = False
        self._end_delta()
        if self._lines:
            text = "".join(self._lines)
            self._lines.clear()
            self._out.write(text)

    def _continues(self, item: TextDelta | ReasoningDelta | ToolArgumentsDelta) -> bool:
        last = self._delta
        if isinstance(item, ToolArgumentsDelta):
            same_call = isinstance(last, ToolArgumentsDelta) and last.index == item.index
            return same_call and isinstance(last, ToolArgumentsDelta) and last.name == item.name
        return type(last) is type(item)

    def _end_delta(self) -> None:
        delta, self._delta = self._delta, None
        if delta is None:
            return
        text = "".join(self._texts)
        self._texts.clear()
        joined: Ephemeral
        match delta:
            case TextDelta():
                joined = TextDelta(text=text)
            case ReasoningDelta():
                joined = ReasoningDelta(text=text)
            case ToolArgumentsDelta():
                joined = ToolArgumentsDelta(index=delta.index, name=delta.name, text=text)
        self._lines.append(_line(self._encode, {"ephemeral": joined}))


class JsonSummary:
    """EventSink of `run --output json`; `finish` writes the one object.

    Keys: `run_id`, `answer` (text of the last turn without calls, "" if none), `outcome` (the end
    reason, or "parked"), `detail`, `exit_status`, `provider`, `model`, `simulated`, `usage` (sum
    over the model calls of this process), `cost` (US dollars of them, null where the price of any
    is not known), `calls` (each `id`, `name`, `server`, `tool`,
    `arguments`, `error`, `content`, `artifact`), `waiting` (the calls that wait for approval, each
    as its `approval_requested` says it), `transcript` (path, or null).
    """

    def __init__(self, out: Outlet, *, encode: Encode) -> None:
        self._out = out
        self._encode = encode
        self._answer = ""
        self._usage = Usage()
        self._cost: float | None = 0.0
        self._calls: dict[str, JsonObject] = {}
        self._closed: list[JsonObject] = []
        self._waiting: dict[str, ApprovalRequested] = {}
        self._started: RunStarted | ModelChanged | None = None
        self._outcome: EndReason | None = None
        self._detail = ""

    def emit(self, item: Record | Ephemeral) -> None:
        """Take one item. Writes nothing."""
        if isinstance(item, Record):
            self._take(item)

    def _take(self, record: Record) -> None:
        event = record.event
        match event:
            case RunStarted() | ModelChanged():
                self._started = event
            case UserSaid():
                self._answer = ""
            case ModelResponded():
                self._respond(event)
            case SummaryFinished() if event.usage != Usage():
                self._count(event)
            case ModelFailed(final=True):
                self._detail = f"{event.kind}: {event.message}"
            case LimitReached():
                self._detail = f"{event.name} limit of {event.limit:g}"
            case ApprovalRequested():
                self._waiting[event.call_id] = event
            case ToolStarted() | ToolFinished():
                self._take_call(event)
            case RunEnded():
                self._outcome = event.reason
                self._detail = event.detail or self._detail
            case _:
                pass

    def _count(self, event: ModelResponded | SummaryFinished) -> None:
        self._usage += event.usage
        if self._cost is not None:
            self._cost = None if event.cost is None else self._cost + event.cost

    def _respond(self, event: ModelResponded) -> None:
        self._count(event)
        calls = [block for block in event.message.content if isinstance(block, ToolCall)]
        for call in calls:
            self._calls[call.id] = {"id": call.id, "name": call.name, "arguments": call.arguments}
        if not calls:
            self._answer = text_of(event.message)

    def _take_call(self, event: ToolStarted | ToolFinished) -> None:
        call_id = event.call_id if isinstance(event, ToolStarted) else event.result.call_id
        self._waiting.pop(call_id, None)
        call = self._calls.setdefault(call_id, {"id": call_id, "name": "", "arguments": {}})
        if isinstance(event, ToolStarted):
            call |= {"server": event.server, "tool": event.tool, "arguments": event.arguments}
            return
        result = event.result
        call |= {"error": result.error, "content": result.content, "artifact": result.artifact}
        # A provider may use an id again in a later turn.
        self._closed.append(self._calls.pop(call_id))

    def finish(self, *, run_id: str, exit_status: int, transcript: str | None) -> None:
        """Write the object. `run_id` and `transcript` as the host knows them."""
        started = self._started
        absent: dict[str, Json] = {
            "server": None,
            "tool": None,
            "error": None,
            "content": None,
            "artifact": None,
        }
        summary: JsonObject = {
            "run_id": run_id,
            "answer": self._answer,
            "outcome": self._outcome or "parked",
            "detail": self._detail,
            "exit_status": exit_status,
            "provider": started.provider if started else None,
            "model": started.model if started else None,
            "simulated": started.simulated if started else None,
            "usage": self._usage,
            "cost": self._cost,
            "calls": [absent | call for call in [*self._closed, *self._calls.values()]],
            "waiting": list(self._waiting.values()),
            "transcript": transcript,
        }
        self._out.write(_line(self._encode, summary))
        self._out.finish()
