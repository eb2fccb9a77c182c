"""Runs that are stopped, killed, resumed and taken back at any moment come out the same.

Each seed is a run: a script for the model, tools that take some steps of the loop, people who think
for a while, and in the middle of it stops, kills, answers from elsewhere. Nothing else is random.
"""

import asyncio
import random
from dataclasses import replace

import pytest

from agent_host.core.conversation import fold
from agent_host.core.errors import UsageError
from agent_host.core.events import ApprovalGiven, InputGiven, Interrupted, TextDelta, UserSaid
from agent_host.core.limits import Limits
from agent_host.core.types import ModelFailure, Origin, ServerRequest, Text, ToolResult
from agent_host.engine.rooms import Retry, Sampling
from agent_host.ports import CallPaused, Deferred, SamplingAnswer
from tests.fakes.rooms import (
    ORIGIN,
    SIZE_FORM,
    TOOLS,
    Crash,
    MemoryJournal,
    PlannedModel,
    Substitutes,
    World,
    answer,
    call,
    said,
    session,
)
from tests.replays.runs import assert_same, events

RUNS = 800
NAMES = ["read", "put", "pay", "ask_me", "never", "ghost", "form"]
THINK = ServerRequest(
    method="sampling/createMessage",
    key="think",
    params={"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}],
            "maxTokens": 10},
)  # fmt: skip
LABELLED = TOOLS | {
    name: replace(TOOLS[name], labels=("private",)) for name in ("w__read", "w__ask_me")
}
OTHER = Origin(provider="test", model="other", adapter="planned")


class Chance(random.Random):
    """What happens, and how many steps of the loop it takes."""

    def __init__(self, seed):
        super().__init__(seed)
        self.thinking = False

    async def steps(self, most=4):
        for _ in range(self.randint(0, most)):
            await asyncio.sleep(0)

    async def unwind(self):
        for _ in range(self.choice([0, 0, 1, 3])):
            await asyncio.sleep(0)


class SlowWorld(World):
    def __init__(self, chance, journal):
        super().__init__(tools_table=chance.choice([TOOLS, LABELLED]))
        self.chance, self.journal, self.made = chance, journal, None

    async def call(self, tool, arguments, context):
        chance = self.chance
        if tool.tool == "form" and context.answers is None:
            await chance.steps()
            held = chance.choice([(SIZE_FORM,), (SIZE_FORM, replace(SIZE_FORM, key="colour"))])
            return CallPaused(requests=held, state="size?")
        try:
            await chance.steps()
            if chance.random() < 0.3:
                await self._ask(context)
        except asyncio.CancelledError:
            await chance.unwind()
            raise
        return ToolResult(call_id=context.call_id, content=(Text(text="ok"),))

    async def _ask(self, context):
        """As a server of the old protocol does, in the middle of a call."""
        chance = self.chance
        if chance.random() < 0.6:
            await self.made.answer("w", replace(SIZE_FORM, key=""), context.call_id)
        elif not chance.thinking:  # one at a time: see the limit in docs/replay.md
            chance.thinking = True
            try:
                await self.made.answer("w", replace(THINK, key=""), context.call_id)
            finally:
                chance.thinking = False
        await chance.steps()


class SlowModel(PlannedModel):
    def __init__(self, chance, plan, origin):
        super().__init__(plan, origin)
        self.chance = chance

    async def stream(self, request):
        turn = sum(m.role == "assistant" for m in request.messages)
        step = self.plan[turn] if turn < len(self.plan) else []
        try:
            await self.chance.steps(2)
            if self.chance.random() < 0.15:
                yield ModelFailure(kind="overloaded", message="busy", retryable=True)
                return
            for number in range(self.chance.randint(0, 3)):
                yield TextDelta(text=f"d{number} ")
                await self.chance.steps(2)
            yield answer(f"t{turn}", *(call(f"c{turn}.{i}", n) for i, n in enumerate(step)))
        except asyncio.CancelledError:
            await self.chance.unwind()
            raise


class SlowPeople:
    def __init__(self, chance):
        self.chance = chance

    async def approve(self, question):
        await self.chance.steps()
        if self.chance.random() < 0.1:
            return Deferred()
        decision = "approve" if self.chance.random() < 0.6 else "deny"
        return ApprovalGiven(call_id=question.call_id, decision=decision, by="tester")

    async def answer(self, question, waiting):
        await self.chance.steps()
        if self.chance.random() < 0.1:
            return Deferred()
        given = {"action": "accept", "content": {"a": 1}, "by": "tester"}
        return InputGiven(input_id=question.input_id, **given)

    async def allow(self, question):
        await self.chance.steps()
        found = self.chance.random()
        return Deferred() if found < 0.2 else SamplingAnswer(allowed=found < 0.7, by="tester")


class StoppingJournal(MemoryJournal):
    """Tells when a record is appended."""

    told = None

    def append(self, record):
        super().append(record)
        if self.told is not None:
            self.told()


def recorded(seed):
    """What up to three processes record of one run."""
    chance = Chance(seed)
    plan = [
        [chance.choice(NAMES) for _ in range(chance.randint(0, 3))]
        for _ in range(chance.randint(0, 4))
    ]
    journal = StoppingJournal()
    processes = chance.randint(1, 3)
    for number in range(processes):
        last = number == processes - 1
        journal.crash_at = None if last else len(journal.records) + chance.randint(3, 30)
        journal.told = None
        chance.thinking = False
        try:
            asyncio.run(work(journal, plan, chance, number))
        except Crash:
            continue
        except BaseExceptionGroup as group:
            if group.split(Crash)[1] is not None:
                raise
    return events(journal)


def opened(journal, plan, chance):
    """A session on what the journal holds."""
    people = SlowPeople(chance)
    origin = fold(r.event for r in journal.records).origin if journal.records else ORIGIN
    world = SlowWorld(chance, journal)
    world.made = session(
        journal,
        world=world,
        model=SlowModel(chance, plan, origin),
        approver=people,
        respondent=people,
        sampling=Sampling(ask=True),
        limits=chance.choice([None, Limits(max_turns=2), Limits(max_turns=6, max_tool_calls=2)]),
        fallback=chance.choice([None, Substitutes(SlowModel(chance, plan, OTHER))]),
        retry=chance.choice([None, Retry(attempts=1, first_wait=0.0, longest_wait=0.0)]),
    )
    return world.made


async def work(journal, plan, chance, number):
    made = opened(journal, plan, chance)
    for part in range(chance.randint(1, 3)):
        if made.conversation.awaiting == "user":
            made.tell(UserSaid(message=said(f"hi {number} {part}")))
        if chance.random() < 0.85:
            stop_later(made, journal, chance)
        await made.run()
        journal.told = None
        await between(made, plan, chance)
    if chance.random() < 0.5 and made.conversation.awaiting == "user":
        made.end("done")


def stop_later(made, journal, chance):
    """Stop the run some steps of the loop behind some record."""
    loop, left, delay = asyncio.get_running_loop(), [chance.randint(1, 12)], chance.randint(0, 4)

    def stop(steps):
        if steps:
            loop.call_soon(stop, steps - 1)
        elif journal.crash_at is not None and len(journal.records) >= journal.crash_at:
            return
        elif made.conversation.awaiting not in {"user", "nothing"}:
            made.tell(Interrupted(by="tester"))

    def told():
        left[0] -= 1
        if left[0] == 0:
            loop.call_soon(stop, delay)

    journal.told = told


async def between(made, plan, chance):
    """What a person may do before the next message."""
    c = made.conversation
    waiting = [s.call.id for s in c.calls if s.asked and s.approval is None and s.result is None]
    if c.awaiting == "approval" and waiting and chance.random() < 0.7:
        who = {"by": "boss", "via": "cli"}
        made.tell(ApprovalGiven(call_id=waiting[0], decision="approve", **who))
        await made.run()
    places = [place for place, m in enumerate(made.conversation.messages) if m.role == "user"]
    try:
        if chance.random() < 0.2 and places:
            made.rewind(chance.choice(places), "tester")
        if chance.random() < 0.15:
            made.change_model(SlowModel(chance, plan, ORIGIN), "tester")
    except UsageError:
        return  # not now


@pytest.mark.parametrize("block", range(8))
def test_a_run_that_was_stopped_and_killed_anywhere_comes_out_the_same(block):
    size = RUNS // 8
    for seed in range(block * size, (block + 1) * size):
        assert_same(recorded(seed))


def test_the_runs_hold_every_kind_of_stop():
    """Lest the test above becomes one of runs in which nothing happens."""
    texts = set()
    kinds = set()
    for seed in range(60):
        for event in recorded(seed):
            kinds.add(event.type)
            if event.type == "tool_finished" and event.result.error == "cancelled":
                texts.add(event.result.content[0].text.partition(";")[0])
    assert texts == {
        "cancelled while it was running",
        "cancelled",
        "not executed: the user stopped this step",
    }
    assert kinds >= {
        "interrupted", "run_resumed", "model_failed", "conversation_rewound", "tool_paused",
        "input_given", "sampling_finished", "limit_reached", "model_changed",
    }  # fmt: skip
