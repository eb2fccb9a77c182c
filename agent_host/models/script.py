"""The `script` model: a file of turns in place of a model, to test and to show with.

Theory of operation: which turn comes next is read off the request, as the number of answers of a
script in it; so a resumed run goes on where it stopped, and nothing is kept between requests but
how often an injected failure has already happened. Expectations are looked at before the turn is
answered; one that does not hold fails the model call with file, line, what was expected and what
came. The file format: `script_file` and docs/scripts.md.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent_host.core.errors import ConfigError
from agent_host.core.events import Delta, ReasoningDelta, TextDelta, ToolArgumentsDelta
from agent_host.core.text import clean_line
from agent_host.core.types import (
    Block,
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Origin,
    Reasoning,
    Resource,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from agent_host.models.script_file import Expectation, ScriptedFailure, Turn, read_script
from agent_host.models.settings import AdapterSettings


def create(settings: AdapterSettings) -> "ScriptModel":
    """Return the adapter of the script at `settings.path`. Raises ConfigError."""
    if settings.path is None:
        raise ConfigError(
            f'model {clean_line(settings.provider)}: a script model needs `path = "FILE"`, the '
            "file of its turns; see docs/scripts.md"
        )
    return ScriptModel(settings, read_script(settings.path), settings.path)


class ScriptModel:
    """A `ModelAdapter` that answers with the turns of a file."""

    simulated = True

    def __init__(self, settings: AdapterSettings, turns: tuple[Turn, ...], path: Path) -> None:
        self.origin = Origin(
            provider=settings.provider, model=settings.model or path.stem, adapter="script"
        )
        self._turns = turns
        self._file = clean_line(str(path))
        self._failed: dict[tuple[int, int], tuple[Message | None, int]] = {}

    async def stream(
        self, request: ModelRequest
    ) -> AsyncIterator[Delta | ModelResponse | ModelFailure]:
        """Yield the next turn, or why it cannot be given."""
        number = sum(
            message.role == "assistant"
            and message.origin is not None
            and message.origin.adapter == "script"
            for message in request.log or request.messages
        )
        if number >= len(self._turns):
            yield self._refusal(
                f"{self._file}: the script has {len(self._turns)} turns and turn {number + 1} is "
                "asked for; add a [[turn]]"
            )
            return
        turn = self._turns[number]
        for expectation in turn.expect:
            problem = _unmet(expectation, request)
            if problem is not None:
                yield self._refusal(f"{self._file}:{turn.line}: turn {number + 1} {problem}")
                return
        failure = self._due(number, turn, request)
        if failure is not None:
            for delta in _deltas(turn.reasoning, turn.say[: failure.after], turn.chunk):
                yield delta
            yield ModelFailure(
                kind=failure.kind,
                message=failure.message,
                retryable=failure.retryable,
                retry_after=failure.retry_after,
            )
            return
        for delta in _deltas(turn.reasoning, turn.say, turn.chunk):
            yield delta
        for place, call in enumerate(turn.calls):
            text = json.dumps(call.arguments) if call.raw is None else call.raw
            for start in range(0, len(text), turn.chunk):
                piece = text[start : start + turn.chunk]
                yield ToolArgumentsDelta(index=place, name=call.name, text=piece)
        yield self._response(turn, request)

    def withheld(self, tools: tuple[Tool, ...]) -> Mapping[str, str]:
        """Return nothing: any tool can be called by its name."""
        return {}

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _due(self, number: int, turn: Turn, request: ModelRequest) -> ScriptedFailure | None:
        """Return the turn's failure if this attempt shall fail. Attempts at one turn of one
        conversation carry the same last message object, which is held so that no other gets
        its identity."""
        failure = turn.failure
        if failure is None or not (turn.say or turn.reasoning or turn.calls):
            return failure
        last = request.messages[-1] if request.messages else None
        key = (number, id(last))
        _, count = self._failed.get(key, (last, 0))
        if count >= failure.times:
            self._failed.pop(key, None)
            return None
        self._failed[key] = (last, count + 1)
        return failure

    def _response(self, turn: Turn, request: ModelRequest) -> ModelResponse:
        blocks: list[Block] = []
        if turn.reasoning:
            blocks.append(Reasoning(text=turn.reasoning))
        if turn.say:
            blocks.append(Text(text=turn.say))
        ids = _new_ids(request.log or request.messages)
        blocks += [
            ToolCall(
                id=call.id or next(ids),
                name=call.name,
                arguments=call.arguments,
                fault=call.fault,
                raw=call.raw,
            )
            for call in turn.calls
        ]
        return ModelResponse(
            message=Message(role="assistant", content=tuple(blocks), origin=self.origin),
            stop_reason=turn.stop_reason,
            usage=turn.usage,
            model_served=self.origin.model,
        )

    @staticmethod
    def _refusal(text: str) -> ModelFailure:
        return ModelFailure(kind="script", message=text)


def _deltas(reasoning: str, say: str, size: int) -> Iterator[Delta]:
    for start in range(0, len(reasoning), size):
        yield ReasoningDelta(text=reasoning[start : start + size])
    for start in range(0, len(say), size):
        yield TextDelta(text=say[start : start + size])


def _new_ids(messages: Sequence[Message]) -> Iterator[str]:
    """Yield `call_1`, `call_2`, ...: the first that no call of the conversation has."""
    used = {
        block.id for message in messages for block in message.content if isinstance(block, ToolCall)
    }
    number = len(used)
    while True:
        number += 1
        if f"call_{number}" not in used:
            yield f"call_{number}"


# Expectations


def _unmet(expectation: Expectation, request: ModelRequest) -> str | None:
    """Return what was expected and what came, or None if the expectation holds."""
    offered = {tool.name for tool in request.tools}
    for name in expectation.tools:
        if name not in offered:
            return _differs(f"the tool {name}", ", ".join(sorted(offered)) or "no tools")
    if expectation.user:
        text, result = _last_of(request.messages, "user"), None
    else:
        found = _subject(expectation, request.messages)
        if isinstance(found, str):
            return found
        text, result = found
    for part in expectation.contains:
        if part not in text:
            return _differs(f"{part!r} in the message", text)
    if expectation.matches is not None and expectation.matches.search(text) is None:
        return _differs(f"a match of {expectation.matches.pattern!r}", text)
    return _unmet_json(expectation, text) or _unmet_error(expectation, result)


def _differs(expected: str, came: str) -> str:
    return f"expected {clean_line(expected)}; what came: {clean_line(came) or 'nothing'}"


def _subject(
    expectation: Expectation, messages: tuple[Message, ...]
) -> tuple[str, ToolResult | None] | str:
    """Return the text to look at and the result it is of; or what is missing."""
    last = messages[-1] if messages else None
    results = [b for b in last.content if isinstance(b, ToolResult)] if last is not None else []
    if expectation.call is None:
        text = "" if last is None else "\n".join(_text(block) for block in last.content)
        return text, results[0] if len(results) == 1 else None
    names = {
        block.id: block.name
        for message in messages[-2:]
        for block in message.content
        if isinstance(block, ToolCall)
    }
    if isinstance(expectation.call, int):
        chosen = results[expectation.call - 1 : expectation.call] if expectation.call > 0 else []
    else:
        chosen = [r for r in results if names.get(r.call_id) == expectation.call]
    if not chosen:
        came = ", ".join(names.get(r.call_id, r.call_id) for r in results)
        return _differs(f"a result of call {expectation.call}", came)
    return _text(chosen[0]), chosen[0]


def _last_of(messages: tuple[Message, ...], role: str) -> str:
    for message in reversed(messages):
        if message.role == role:
            return "\n".join(_text(block) for block in message.content)
    return ""


def _text(block: Block) -> str:
    match block:
        case Text() | Reasoning():
            return block.text
        case Resource():
            return block.text or block.uri
        case ToolResult():
            return "\n".join(_text(part) for part in block.content)
        case _:
            return ""


def _unmet_json(expectation: Expectation, text: str) -> str | None:
    if not expectation.has_json:
        return None
    wanted = json.dumps(expectation.json, ensure_ascii=False)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _differs(f"JSON with {wanted}", text)
    if _within(expectation.json, value):
        return None
    return _differs(f"JSON with {wanted}", json.dumps(value, ensure_ascii=False))


def _within(part: Any, whole: Any) -> bool:
    """Say whether `whole` has all of `part`: an object at least its keys, a list the same
    length, anything else the same value (true is not 1)."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and _within(value, whole[key]) for key, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list) and len(part) == len(whole) and all(map(_within, part, whole))
        )
    return isinstance(part, bool) == isinstance(whole, bool) and bool(part == whole)


def _unmet_error(expectation: Expectation, result: ToolResult | None) -> str | None:
    wanted = expectation.error
    if wanted is None:
        return None
    if result is None:
        return "expects an error or none: name the call, as there is not exactly one result"
    came = result.error or "a result without an error"
    if isinstance(wanted, str):
        return None if result.error == wanted else _differs(f"the error {wanted}", came)
    if wanted is (result.error is not None):
        return None
    expected = "an error" if wanted else "no error"
    return _differs(expected, f"{came}: {_text(result)}")
