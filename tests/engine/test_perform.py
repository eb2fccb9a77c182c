"""Single actions, as a session has them performed."""

import asyncio

import pytest

from agent_host.core.events import (
    ApprovalRequested,
    InputGiven,
    InputRequested,
    ToolFinished,
    UserSaid,
)
from agent_host.core.loop import AwaitUser, End, Park
from agent_host.engine.perform import Performer
from agent_host.engine.session import Session
from tests.fakes.rooms import AnsweringApprover, MemoryJournal, said, session


def events(s: Session, kind: type) -> list:
    return [r.event for r in s.feed.journal.records if isinstance(r.event, kind)]


def test_a_question_that_was_let_go_is_asked_again_and_recorded_once():
    async def scene():
        never = asyncio.Event()
        s = session(
            MemoryJournal(), plan=[["ask_me"]], approver=AnsweringApprover({"ask_me": never})
        )
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(s.run())
            while s.conversation.awaiting != "approval":
                await asyncio.sleep(0)
            task.cancel()
        never.set()
        await s.run()
        assert len(events(s, ApprovalRequested)) == 1
        [finished] = events(s, ToolFinished)
        assert finished.result.error is None

    asyncio.run(scene())


def test_an_answer_to_a_servers_question_is_recorded():
    async def scene():
        s = session(MemoryJournal())
        s.record(InputRequested(input_id="i", server="w", mode="form", message="Which?"))
        assert s.conversation.awaiting == "input"
        s.tell(InputGiven(input_id="i", action="decline", by="me"))
        assert s.conversation.awaiting == "user"
        assert len(events(s, InputGiven)) == 1

    asyncio.run(scene())


@pytest.mark.parametrize("action", [AwaitUser(), Park(), End()])
def test_what_only_waits_is_no_work_and_records_nothing(action):
    async def scene():
        s = session(MemoryJournal())
        before = len(s.feed.journal.records)
        assert Performer(s).perform(action) is None
        assert len(s.feed.journal.records) == before

    asyncio.run(scene())
