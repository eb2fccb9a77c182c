"""The `replay` model: gives the answers of a recorded transcript again.

Theory of operation: the transcript's lines are folded into steps, each a recorded answer with the
messages that had led to it. A request finds its step by the number of its messages (where the
run was taken back there are several, and the last one that fits counts); what users
and tools have said since the answer before must be what was recorded, block for block (the name
of an artifact apart), else the replay stops and says where it left the record. Answers that a
model gave are replayed, attempts that failed are not. Only the facts that make messages are read
here, as plain JSON; the line format is that of `records` (SCHEMA).
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, get_args

from agent_host.core.errors import ConfigError
from agent_host.core.events import (
    SCHEMA,
    Delta,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
)
from agent_host.core.text import clean_line
from agent_host.core.types import (
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Origin,
    Reasoning,
    StopReason,
    Text,
    Tool,
    ToolCall,
    Usage,
)
from agent_host.models.settings import AdapterSettings

LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of the longest line that is read."""

_DELTA_CHARACTERS = 20
_BLOCKS = {"text": Text, "reasoning": Reasoning, "tool_call": ToolCall}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A recorded answer, and what users and tools had said since the one before, as JSON."""

    number: int
    said: tuple[dict[str, Any], ...]
    content: tuple[Text | Reasoning | ToolCall, ...]
    stop_reason: StopReason
    usage: Usage
    response_id: str
    model_served: str


Seen = Callable[[str, dict[str, Any]], dict[str, Any]]


def _whole(_: str, result: dict[str, Any]) -> dict[str, Any]:
    return result


Steps = dict[int, list[Step]]
"""By the number of messages before the answer: one, or more where the run was taken back."""


def create(settings: AdapterSettings) -> "ReplayModel":
    """Return the adapter of the transcript at `settings.path`. Raises ConfigError."""
    if settings.path is None:
        raise ConfigError(
            f'model {clean_line(settings.provider)}: a replay model needs `path = "FILE"`, a '
            "transcript (transcripts/RUN_ID.jsonl)"
        )
    return ReplayModel(settings, _Reader(settings.path).steps(), settings.path)


class ReplayModel:
    """A `ModelAdapter` that answers with the record of another run. Stateless. `seen`: takes a
    tool's exposed name and a result as JSON, and returns what is compared of it; `conversation`:
    returns all messages, where requests may leave some of them out."""

    simulated = True

    def __init__(self, settings: AdapterSettings, steps: Steps, path: Path) -> None:
        self.origin = Origin(
            provider=settings.provider, model=settings.model or path.stem, adapter="replay"
        )
        self.seen: Seen = _whole
        self.conversation: Callable[[], Sequence[Message]] | None = None
        self._steps = steps
        self._file = clean_line(str(path))

    async def stream(
        self, request: ModelRequest
    ) -> AsyncIterator[Delta | ModelResponse | ModelFailure]:
        """Yield the recorded answer to these messages, or where they leave the record."""
        whole = self.conversation
        messages = request.messages if whole is None else tuple(whole())
        steps = self._steps.get(len(messages))
        if steps is None:
            yield self._lost(messages)
            return
        # What was said again after going back: the answer that stands is the last one.
        found = [(one, _difference(one, messages, self.seen)) for one in reversed(steps)]
        step, problem = next((pair for pair in found if pair[1] is None), found[0])
        if problem is not None:
            text = f"{self._file}: step {step.number} differs from the record: {problem}"
            yield ModelFailure(kind="script", message=text)
            return
        for delta in _deltas(step):
            yield delta
        yield ModelResponse(
            message=Message(role="assistant", content=step.content, origin=self.origin),
            stop_reason=step.stop_reason,
            usage=step.usage,
            response_id=step.response_id,
            model_served=step.model_served,
        )

    def withheld(self, tools: tuple[Tool, ...]) -> Mapping[str, str]:
        """Return nothing: any tool can be called by its name."""
        return {}

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _lost(self, messages: tuple[Message, ...]) -> ModelFailure:
        past = [length for length in self._steps if length < len(messages)]
        if len(past) == len(self._steps):
            what = f"the record has {len(past)} answers and another one is asked for"
        else:
            what = f"step {len(past) + 1} differs from the record: it has {len(messages)} messages"
        return ModelFailure(kind="script", message=f"{self._file}: {what}")


def _deltas(step: Step) -> Iterator[Delta]:
    place = 0
    for block in step.content:
        if isinstance(block, ToolCall):
            text = json.dumps(block.arguments) if block.raw is None else block.raw
            yield ToolArgumentsDelta(index=place, name=block.name, text=text)
            place += 1
            continue
        kind = TextDelta if isinstance(block, Text) else ReasoningDelta
        for start in range(0, len(block.text), _DELTA_CHARACTERS):
            yield kind(text=block.text[start : start + _DELTA_CHARACTERS])


def _difference(step: Step, messages: tuple[Message, ...], seen: Seen) -> str | None:
    """Return what was recorded and what came instead, or None if they are the same."""
    since: list[Message] = []
    names: dict[str, str] = {}
    for message in reversed(messages):
        if message.role == "assistant":
            names = {b.id: b.name for b in message.content if isinstance(b, ToolCall)}
            break
        since.insert(0, message)
    came = [_plain({"role": m.role, "content": [asdict(b) for b in m.content]}) for m in since]
    if len(came) != len(step.said):
        return f"{len(step.said)} messages were recorded, {len(came)} came"
    pairs = zip(step.said, came, strict=True)
    compared = ((_seen(old, names, seen), _seen(new, names, seen)) for old, new in pairs)
    for number, (old, new) in enumerate(compared, 1):
        if old != new:
            was, now = json.dumps(old, ensure_ascii=False), json.dumps(new, ensure_ascii=False)
            at = next(
                (i for i, pair in enumerate(zip(was, now, strict=False)) if pair[0] != pair[1]),
                min(len(was), len(now)),
            )
            start = max(at - 40, 0)
            return (
                f"message {number} was …{clean_line(was[start:], 160)}, "
                f"now it is …{clean_line(now[start:], 160)}"
            )
    return None


def _seen(message: dict[str, Any], names: Mapping[str, str], seen: Seen) -> dict[str, Any]:
    """Return what is compared of a message."""
    if message["role"] != "tool" or seen is _whole:
        return message
    results = [seen(names.get(one["call_id"], ""), one) for one in message["content"]]
    return {**message, "content": results}


def _plain(value: Any) -> Any:
    """Return JSON without what a default stands for, names of artifacts, and what no model is
    shown."""
    if isinstance(value, dict):
        return {
            key: _plain(item)
            for key, item in sorted(value.items())
            if item is not None
            and item != ""
            and key not in ("artifact", "for_user", "labels", "opaque", "origin")
        }
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


class _Reader:
    """Folds a transcript into steps by the number of messages before the answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown = clean_line(str(path))
        self._line = 0
        self._steps: Steps = {}
        self._length = 0
        self._said: list[dict[str, Any]] = []
        self._calls: list[str] = []
        self._results: dict[str, Any] = {}

    def steps(self) -> Steps:
        try:
            with self._path.open("rb") as file:
                for line in iter(lambda: file.readline(LINE_LIMIT), b""):
                    self._line += 1
                    self._event(line)
        except OSError as error:
            reason = clean_line(error.strerror or "it cannot be read")
            raise ConfigError(
                f"{self._shown}: the transcript cannot be read: {reason}; check `path` of the model"
            ) from None
        if not self._steps:
            self._fail("no answer of a model is recorded here")
        return self._steps

    def _fail(self, what: str) -> NoReturn:
        raise ConfigError(
            f"{self._shown}:{max(self._line, 1)}: {what}; name a transcript of a whole run"
        )

    def _event(self, line: bytes) -> None:
        try:
            event = json.loads(line)["event"]
            kind = event["type"]
        except (ValueError, RecursionError, TypeError, KeyError):
            if not line.endswith(b"\n") and self._line > 1 and len(line) < LINE_LIMIT:
                return  # a killed writer leaves half a line at the end
            self._fail("this is no record")
        try:
            self._fold(kind, event)
        except (TypeError, KeyError, AttributeError, ValueError):
            self._fail(f"this {clean_line(str(kind), 40)} record is damaged")

    def _fold(self, kind: str, event: dict[str, Any]) -> None:
        match kind:
            case "run_started":
                if event.get("schema", SCHEMA) > SCHEMA:
                    self._fail("the transcript was written by a newer version of this program")
            case "user_said":
                self._say(event["message"])
            case "model_responded":
                self._answer(event)
            case "conversation_rewound":
                self._length = event["messages"]
                self._said, self._calls, self._results = [], [], {}
            case "tool_finished":
                result = event["result"]
                self._results[result["call_id"]] = result
                if self._calls and all(call in self._results for call in self._calls):
                    content = [self._results[call] for call in self._calls]
                    self._say({"role": "tool", "content": content})
                    self._calls, self._results = [], {}
            case _:
                pass

    def _say(self, message: dict[str, Any]) -> None:
        self._said.append(_plain({"role": message["role"], "content": message["content"]}))
        self._length += 1

    def _answer(self, event: dict[str, Any]) -> None:
        content = tuple(
            _BLOCKS[block["type"]](**block)
            for block in event["message"]["content"]
            if block["type"] in _BLOCKS
        )
        for block in content:
            shape = (block.id, block.name) if isinstance(block, ToolCall) else (block.text,)
            if not all(isinstance(text, str) for text in shape):
                raise TypeError(block.type)
        if event["stop_reason"] not in get_args(StopReason):
            raise ValueError(event["stop_reason"])
        step = Step(
            number=sum(map(len, self._steps.values())) + 1,
            said=tuple(self._said),
            content=content,
            stop_reason=event["stop_reason"],
            usage=Usage(**event.get("usage", {})),
            response_id=event.get("response_id", ""),
            model_served=event.get("model_served", ""),
        )
        self._steps.setdefault(self._length, []).append(step)
        self._said = [] if content else self._said
        self._length += bool(content)
        self._calls = [block.id for block in content if isinstance(block, ToolCall)]
