"""What a test of a model adapter says: requests, tools, and the answer as a whole."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from agent_host.core.events import Delta, ReasoningDelta, TextDelta
from agent_host.core.types import (
    Json,
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Text,
    Tool,
    ToolCall,
)


def user(said: str) -> Message:
    return Message(role="user", content=(Text(text=said),))


def tool(name: str, schema: Json = None, description: str = "Does a thing.") -> Tool:
    return Tool(
        name=name,
        server="orders",
        tool=name.partition("__")[2] or name,
        description=description,
        input_schema={"type": "object", "properties": {}} if schema is None else schema,
    )


def request(
    *messages: Message, tools: Sequence[Tool] = (), system: str = "", **options: Any
) -> ModelRequest:
    return ModelRequest(
        request_id="request-1",
        system=system,
        messages=messages or (user("hello"),),
        tools=tuple(tools),
        **options,
    )


@dataclass(frozen=True)
class Answered:
    """All that a stream yielded: deltas, and what came last."""

    deltas: tuple[Delta, ...]
    terminals: tuple[ModelResponse | ModelFailure, ...]
    after: int
    """Items after the first terminal one."""

    @property
    def response(self) -> ModelResponse:
        last = self.terminals[0]
        assert isinstance(last, ModelResponse), last
        return last

    @property
    def failure(self) -> ModelFailure:
        last = self.terminals[0]
        assert isinstance(last, ModelFailure), last
        return last

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.response.message.content if _is(block, Text))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        content = self.response.message.content
        return tuple(block for block in content if isinstance(block, ToolCall))

    @property
    def shown(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, TextDelta))

    @property
    def thought(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, ReasoningDelta))


def _is(block: Any, kind: type) -> bool:
    return isinstance(block, kind)


async def answered(adapter: Any, asked: ModelRequest) -> Answered:
    """Ask and read to the end."""
    deltas: list[Delta] = []
    terminals: list[ModelResponse | ModelFailure] = []
    after = 0
    async with aclosing(adapter.stream(asked)) as items:
        async for item in items:
            after += bool(terminals)
            if isinstance(item, ModelResponse | ModelFailure):
                terminals.append(item)
            else:
                deltas.append(item)
    return Answered(tuple(deltas), tuple(terminals), after)


def ask(adapter: Any, *asked: ModelRequest) -> list[Answered]:
    """Ask one after another in one event loop, and close the adapter."""

    async def run() -> list[Answered]:
        try:
            return [await answered(adapter, one) for one in asked]
        finally:
            await adapter.aclose()

    return asyncio.run(run())
