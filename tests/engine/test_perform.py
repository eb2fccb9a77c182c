"""Single actions, as a session has them performed."""

import asyncio

import pytest

from agent_host.core.events import (
    ApprovalGiven,
    ApprovalRequested,
    InputGiven,
    InputRequested,
    ToolFinished,
    UserSaid,
)
from agent_host.core.loop import AwaitUser, End, Park
from agent_host.engine.answers import RequestDesk
from agent_host.engine.perform import Performer
from agent_host.engine.session import Session
from agent_host.ports import ApprovalQuestion
from tests.fakes.rooms import AnsweringApprover, MemoryJournal, World, said, session


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
        assert Performer(s, RequestDesk(s)).perform(action) is None
        assert len(s.feed.journal.records) == before

    asyncio.run(scene())


class Stubborn:
    """Answers yes although it is told that the question is no longer asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return ApprovalGiven(call_id=question.call_id, decision="approve", by="tester")
        raise AssertionError("nobody sets that")


def test_an_answer_to_what_is_over_is_not_recorded():
    async def scene():
        approver, world = Stubborn(), World(gates={"read": asyncio.Event()})
        s = session(MemoryJournal(), plan=[["ask_me", "read"]], world=world, approver=approver)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await approver.asked.wait()
            world.tools_table = {}
            world.gates["read"].set()
        assert not events(s, ApprovalGiven)
        assert [f.result.error for f in events(s, ToolFinished)].count("unknown_tool") == 1

    asyncio.run(scene())
