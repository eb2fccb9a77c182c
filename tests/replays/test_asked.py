"""What servers asked for, stops, and conversations that were shortened: again from the record."""

import asyncio

import pytest

from agent_host.core.events import (
    ContextCompacted,
    InputRequested,
    Interrupted,
    SamplingRequested,
    SummaryRequested,
    ToolFinished,
    UserSaid,
)
from agent_host.engine.rooms import Compaction
from agent_host.ports import Deferred, SamplingAnswer
from tests.engine.test_answers import Asking, Pausing, Person, form, opened, sample
from tests.engine.test_compacting import Steady
from tests.fakes.rooms import MemoryJournal, PlannedModel, World, said
from tests.replays.runs import assert_same, events, hello, play


def of(run, kind):
    return [event for event in run if isinstance(event, kind)]


def paying(world, person=None, journal=None, **options):
    journal = journal or MemoryJournal()

    async def go():
        made = opened(world, person, journal, **options)
        if not made.conversation.messages:
            made.tell(UserSaid(message=said("pay")))
        await made.run()

    asyncio.run(go())
    return events(journal)


REFUSED = SamplingAnswer(allowed=False, by="tester")
WORLDS = {
    "forms one after another": lambda: Pausing((form("a"), form("b"))),
    "several rounds": lambda: Pausing((form("a"),), (form("b"),)),
    "without an end": lambda: Pausing((form("a"),), endless=True),
    "a form and the model": lambda: Pausing((form("a"), sample("b"))),
    "while it runs": lambda: Asking(form(), sample()),
    "together while it runs": lambda: Asking(form(), form(), sample(), sample()),
    "what is not sound": lambda: Asking(sample(messages=[]), sample(maxTokens=None)),
}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize(
    "person",
    [None, Person, lambda: Person(allows=REFUSED)],
    ids=["nobody", "somebody", "refusing"],
)
def test_what_servers_asked_for_comes_out_the_same(world, person):
    run = paying(world(), person and person())
    assert of(run, InputRequested | SamplingRequested)
    assert_same(run)


def test_a_form_that_was_answered_by_whoever_took_the_run_over_comes_out_the_same():
    journal = MemoryJournal()
    assert_same(paying(Pausing((form("a"),)), Person(gives=Deferred()), journal))
    run = paying(Pausing((form("a"),)), Person(), journal)
    assert of(run, ToolFinished)
    assert_same(run)


def stopping(world=None, model=None):
    async def turn(made):
        hello(made)
        working = asyncio.ensure_future(made.run())
        await (model.reached if model else world.started["read"]).wait()
        made.tell(Interrupted(by="tester"))
        await working

    return turn


def test_a_stop_while_the_model_writes_comes_out_the_same():
    async def go():
        model = PlannedModel([[]])
        model.hold = asyncio.Event()
        return model

    model = asyncio.run(go())
    run = play(MemoryJournal(), stopping(model=model), model=model)
    assert of(run, Interrupted)
    assert_same(run)


def test_a_stop_while_tools_run_comes_out_the_same():
    world = World(gates={"read": asyncio.Event()}, started={"read": asyncio.Event()})
    run = play(MemoryJournal(), stopping(world), plan=[["pay", "read", "ask_me"], []], world=world)
    assert of(run, Interrupted)
    assert_same(run)


@pytest.mark.parametrize("by_model", [False, True])
def test_a_conversation_that_was_shortened_comes_out_the_same(by_model):
    async def shorten(made):
        await made.compact("tester", "keep names")
        hello(made)

    def talk(made):
        made.tell(UserSaid(message=said("words " * 2_000)))

    run = play(
        MemoryJournal(),
        talk,
        talk,
        talk,
        shorten,
        model=Steady(),
        compaction=Compaction(by_model=by_model),
    )
    assert of(run, ContextCompacted)
    assert bool(of(run, SummaryRequested)) == by_model
    assert_same(run)
