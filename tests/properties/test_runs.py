"""Properties of a run: whatever the model asks for, whenever the process dies."""

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.conversation import Conversation, fold
from agent_host.core.events import ToolFinished, ToolStarted, UserSaid
from agent_host.core.limits import Limits
from agent_host.core.loop import decide
from agent_host.core.types import ToolCall, ToolResult
from tests.fakes.rooms import (
    TOOLS,
    AnsweringApprover,
    Crash,
    MemoryJournal,
    World,
    said,
    session,
)

NAMES = ["read", "put", "pay", "ask_me", "never", "ghost", "form"]
plans = st.lists(st.lists(st.sampled_from(NAMES), max_size=4), max_size=4)
approvers = st.sampled_from([{}, {"ask_me": {"decision": "deny", "feedback": "no"}}])


def go(journal: MemoryJournal, world: World, plan: list[list[str]], answers: dict) -> Conversation:
    async def play() -> Conversation:
        approver = AnsweringApprover(answers)
        made = session(journal, plan=plan, world=world, approver=approver)
        if not made.conversation.messages and made.conversation.awaiting == "user":
            made.tell(UserSaid(message=said("hi")))
        return await made.run()

    return asyncio.run(play())


def assert_legal(c: Conversation) -> None:
    for place, message in enumerate(c.messages):
        calls = [b.id for b in message.content if isinstance(b, ToolCall)]
        if calls:
            results = c.messages[place + 1]
            assert results.role == "tool"
            assert [b.call_id for b in results.content if isinstance(b, ToolResult)] == calls


@given(plans, approvers)
@settings(max_examples=120, deadline=None)
def test_every_call_gets_exactly_one_result_and_the_log_folds_to_the_live_state(plan, answers):
    journal, world = MemoryJournal(), World()
    c = go(journal, world, plan, answers)
    assert fold(r.event for r in journal.records) == c
    assert_legal(c)
    finished = Counter(
        r.event.result.call_id for r in journal.records if isinstance(r.event, ToolFinished)
    )
    assert set(finished.values()) <= {1}
    assert not any(name in {"never", "ghost"} for _, name in world.done)
    assert c.awaiting == "user"


@given(plans, approvers, st.integers(0, 60))
@settings(max_examples=300, deadline=None)
def test_a_crash_at_any_record_and_a_resume_never_repeat_an_unsafe_call(plan, answers, at):
    world, journal = World(), MemoryJournal(crash_at=at)
    try:
        go(journal, world, plan, answers)
    except Crash:
        pass
    if not journal.records:
        return
    journal.crash_at = None
    c = go(journal, world, plan, answers)
    assert c.awaiting == "user"
    assert_legal(c)
    unsafe = [call_id for call_id, name in world.done if name in {"pay", "ask_me", "form"}]
    assert len(unsafe) == len(set(unsafe))
    assert fold(r.event for r in journal.records) == c


@given(plans, approvers, st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_any_prefix_of_a_log_folds_and_decides_the_same_way_twice(plan, answers, length):
    journal, world = MemoryJournal(), World()
    go(journal, world, plan, answers)
    prefix = [r.event for r in journal.records[:length]]
    first, second = fold(prefix), fold(prefix)
    assert first == second
    assert decide(first, tools=TOOLS, limits=Limits()) == decide(
        second, tools=TOOLS, limits=Limits()
    )


@given(plans, approvers)
@settings(max_examples=100, deadline=None)
def test_a_tool_never_starts_before_its_intent_is_recorded_and_on_disk(plan, answers):
    class Careful(World):
        async def call(self, tool, arguments, context):
            intents = [
                r.seq
                for r in journal.records
                if isinstance(r.event, ToolStarted) and r.event.call_id == context.call_id
            ]
            assert intents
            if not tool.repeatable:
                assert journal.synced > intents[-1]
            return await super().call(tool, arguments, context)

    journal = MemoryJournal()
    go(journal, Careful(), plan, answers)
