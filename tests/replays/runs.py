"""Runs of the engine with rooms of the tests, and their replays."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from agent_host.core.events import (
    ApprovalGiven,
    Event,
    InputGiven,
    ModelResponded,
    ToolFinished,
    UserSaid,
)
from agent_host.core.types import Message, Text, ToolCall
from agent_host.engine.session import Session
from agent_host.records.codec import encode_value
from agent_host.replays.recording import Recording
from agent_host.replays.rerun import Rerun, rerun
from tests.fakes.rooms import MemoryJournal, said, session

Turn = Callable[[Session], Any]


def hello(made: Session) -> None:
    made.tell(UserSaid(message=said("hi")))


def going_on(made: Session) -> None:
    """What whoever takes the run over does."""
    if not made.conversation.messages:
        hello(made)


def play(journal: MemoryJournal, *turns: Turn, **rooms: Any) -> list[Event]:
    """One process: what each turn does, then the run until somebody is awaited."""

    async def go() -> None:
        made = session(journal, **rooms)
        for turn in turns or (hello,):
            done = turn(made)
            if asyncio.iscoroutine(done):
                await done
            await made.run()

    asyncio.run(go())
    return events(journal)


def events(journal: MemoryJournal) -> list[Event]:
    return [record.event for record in journal.records]


def replayed(run: Sequence[Event], **options: Any) -> Rerun:
    return rerun(Recording(run), encode_value, **options)


def assert_same(run: Sequence[Event]) -> None:
    found = replayed(run)
    assert found.divergence is None, [
        found.divergence.reason,
        str(found.divergence.step),
        *found.divergence.lines(),
    ]
    assert [encode_value(event) for event in found.events] == [encode_value(e) for e in run]


def flipped(event: Event) -> Event | None:
    """The same answer with other content, None for an event that is nobody's answer."""
    match event:
        case ModelResponded():
            return replace(event, message=_other_words(event.message))
        case ToolFinished():
            content = (*event.result.content, Text(text="and more"))
            return replace(event, result=replace(event.result, content=content))
        case ApprovalGiven():
            return replace(event, feedback=f"{event.feedback}!")
        case InputGiven() if event.content is not None:
            return replace(event, content={**event.content, "more": 1})
        case _:
            return None


def _other_words(message: Message) -> Message:
    calls = tuple(b for b in message.content if isinstance(b, ToolCall))
    return replace(message, content=(Text(text="something else"), *calls))
