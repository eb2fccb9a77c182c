"""One conversation, switched between every pair of wires after every turn.

Each turn holds reasoning, text and two calls at once; of their results one holds a picture and one
is an error. The providers' fakes refuse whatever the real ones refuse; what each is sent must hold
everything of the conversation that it can take.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent_host.core.handoff import is_legal
from agent_host.core.types import (
    Image,
    Message,
    ModelRequest,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from tests.conformance.subjects import SUBJECTS, Call, Plan, Playing, Subject
from tests.conformance.test_adapters import PIXEL
from tests.fakes.asking import Answered, answered, request, tool

TURNS = 5
NETWORK = [s for s in SUBJECTS if {"network", "turns", "reasoning"} <= s.able]
TOOLS = (
    tool("shop__look", {"type": "object", "properties": {"id": {"type": "string"}}}),
    tool("shop__pay", {"type": "object", "properties": {"amount": {"type": "number"}}}),
)
PAIRS = [
    pytest.param(first, second, id=f"{first.name} <-> {second.name}")
    for place, first in enumerate(NETWORK)
    for second in NETWORK[place:]
]


def plan(name: str) -> Plan:
    return Plan(
        thinks=(f"{name} thinks", " hard"),
        says=(f"{name} looks.",),
        calls=(Call("shop__look", {"id": f"of {name}"}), Call("shop__pay", {"amount": 2.5})),
    )


def start() -> list[Message]:
    picture = Image(data=PIXEL, media_type="image/png")
    return [Message(role="user", content=(Text(text="What is in this picture?"), picture))]


def results(calls: tuple[ToolCall, ...], turn: int) -> Message:
    look, pay = calls
    return Message(
        role="tool",
        content=(
            ToolResult(
                call_id=look.id,
                content=(
                    Text(text=f"found it in turn {turn}"),
                    Image(data=PIXEL, media_type="image/png"),
                ),
            ),
            ToolResult(
                call_id=pay.id, content=(Text(text=f"broke in turn {turn}"),), error="tool_error"
            ),
        ),
    )


async def talk(first: Playing, second: Playing, turns: int) -> list[tuple[Playing, ModelRequest]]:
    """The conversation; what each was asked. The last turn is followed by a user's message."""
    messages = start()
    asked: list[tuple[Playing, ModelRequest]] = []
    try:
        for turn in range(turns):
            playing = (first, second)[turn % 2]
            wanted = request(*messages, tools=TOOLS, system="Be brief.")
            got: Answered = await answered(playing.adapter, wanted)
            assert playing.refused == []
            asked.append((playing, wanted))
            assert [c.fault for c in got.calls] == [None, None]
            messages += [got.response.message, results(got.calls, turn)]
            if turn == turns - 2:
                messages.append(Message(role="user", content=(Text(text="And now?"),)))
    finally:
        await first.adapter.aclose()
        await second.adapter.aclose()
    assert is_legal(messages)
    return asked


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_every_turn_may_be_another_models(first: Subject, second: Subject, tmp_path: Path) -> None:
    with first.play(plan("One"), tmp_path) as one, second.play(plan("Two"), tmp_path) as two:
        asked = asyncio.run(talk(one, two, TURNS))
        bodies = {id(one): one.bodies(), id(two): two.bodies()}
    for playing, wanted in asked:
        check_nothing_is_lost(playing, wanted, bodies[id(playing)].pop(0))


def check_nothing_is_lost(playing: Playing, wanted: ModelRequest, body: Any) -> None:
    sent = json.dumps(body, ensure_ascii=False)
    profile = playing.adapter.profile
    pictures = sent.count(PIXEL)
    expected = 0
    for message in wanted.messages:
        own = message.origin == playing.adapter.origin
        for block in message.content:
            match block:
                case Text():
                    assert block.text in sent
                case Image():
                    expected += profile.images
                case ToolCall():
                    for value in block.arguments.values():
                        assert str(value) in sent
                case Reasoning():
                    if not own:
                        assert block.text not in sent
                case ToolResult():
                    texts = [b.text for b in block.content if isinstance(b, Text)]
                    assert all(text in sent for text in texts)
                    expected += profile.images * sum(isinstance(b, Image) for b in block.content)
                    assert block.error is None or "error" in sent.lower()
    assert pictures == expected


def test_the_matrix_holds_every_pair_of_wires() -> None:
    assert len(PAIRS) == len(NETWORK) * (len(NETWORK) + 1) // 2
