"""An answer that is cut off, or arrives in pieces, at any byte: on every wire.

What a provider sends is taken whole from its fake, and played again: cut after each of its bytes
(the connection goes, or the stream just ends), and byte by byte.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from agent_host.core.types import ModelFailure, ModelResponse
from tests.conformance.subjects import SUBJECTS, Call, Plan, Playing, Subject
from tests.conformance.test_adapters import able
from tests.fakes.asking import Answered, answered, request, tool

PLAN = Plan(
    says=("Hello é",),
    thinks=("hm",),
    calls=(Call("orders__get", {"id": 1}), Call("orders__list", {"n": [2.5]})),
)
CUT = replace(PLAN, says=("é",), thinks=())
"""Small: it is asked for once a byte."""
# One provider for each wire: what they stream differs by provider, how it may be cut does not.
WIRES = [
    pytest.param(subject, id=subject.name)
    for subject in SUBJECTS
    if {"network", "calls", "reasoning"} <= subject.able and " as " not in subject.name
]
TOOLS = (tool("orders__get"), tool("orders__list"))


async def all_answers(playing: Playing, count: int) -> list[Answered]:
    try:
        return [await answered(playing.adapter, request(tools=TOOLS)) for _ in range(count)]
    finally:
        await playing.adapter.aclose()


def cuts(playing: Playing) -> list[Any]:
    """The answer cut after each of its bytes; every other time the stream just ends."""
    play = playing.provider.plays[0]
    whole = b"".join(play.body)
    ends: tuple[Literal["whole", "cut"], ...] = ("cut", "whole")
    return [replace(play, body=[whole[:size]], end=ends[size % 2]) for size in range(len(whole))]


def calls_of(answer: Answered) -> list[tuple[str, Any]]:
    return [(call.name, call.arguments) for call in answer.calls if call.fault is None]


@pytest.mark.parametrize("subject", WIRES)
def test_an_answer_that_is_cut_at_any_byte_is_never_acted_on_in_part(
    subject: Subject, tmp_path: Path
) -> None:
    with subject.play(CUT, tmp_path) as playing:
        [whole] = asyncio.run(all_answers(playing, 1))
        playing.provider.plays = cuts(playing)
        found = asyncio.run(all_answers(playing, len(playing.provider.plays)))
        assert playing.refused == []
    complete = calls_of(whole)
    assert [name for name, _ in complete] == ["orders__get", "orders__list"]
    sound = 0
    for one in found:
        assert (len(one.terminals), one.after) == (1, 0)
        last = one.terminals[0]
        if isinstance(last, ModelFailure):
            assert last.kind in ("protocol", "unavailable")
            continue
        assert isinstance(last, ModelResponse)
        assert "é".startswith(one.text)
        if calls_of(one):
            # All that was missing is what comes after the provider said that it was done.
            assert calls_of(one) == complete
            assert last.stop_reason == "tool_use"
            sound += 1
    assert sound < len(found) / 2


@able("network", "calls", "reasoning")
def test_an_answer_that_comes_byte_by_byte_is_the_same_answer(
    subject: Subject, tmp_path: Path
) -> None:
    with subject.play(PLAN, tmp_path) as playing:
        [whole] = asyncio.run(all_answers(playing, 1))
        play = playing.provider.plays[0]
        data = b"".join(play.body)
        pieces = [data[place : place + 1] for place in range(len(data))]
        playing.provider.plays = [replace(play, body=pieces)]
        [split] = asyncio.run(all_answers(playing, 1))
    assert split.shown == whole.shown
    assert split.thought == whole.thought
    assert calls_of(split) == calls_of(whole)
    assert split.response.usage == whole.response.usage
    assert split.response.stop_reason == whole.response.stop_reason
