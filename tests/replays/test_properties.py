"""Whatever a run did, its replay does; whatever else is answered, there it leaves the record."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.events import ToolFinished, ToolStarted
from agent_host.replays.recording import Recording
from tests.fakes.rooms import AnsweringApprover, Crash, MemoryJournal, World
from tests.properties.test_runs import approvers, plans
from tests.replays.runs import assert_same, events, flipped, going_on, hello, play, replayed


def scripted(plan, answers, at=None):
    journal, world = MemoryJournal(crash_at=at), World()
    rooms = {"plan": plan, "world": world, "approver": AnsweringApprover(answers)}
    try:
        play(journal, hello, **rooms)
    except Crash:
        journal.crash_at = None
        play(journal, going_on, **rooms)
    return events(journal)


def answered(run):
    """The places of what came from outside of the engine."""
    started = {event.call_id for event in run if isinstance(event, ToolStarted)}
    return [
        place
        for place, event in enumerate(run)
        if flipped(event) is not None
        and not (isinstance(event, ToolFinished) and event.result.call_id not in started)
    ]


@given(plans, approvers)
@settings(max_examples=80, deadline=None)
def test_any_scripted_run_is_replayed_byte_for_byte(plan, answers):
    assert_same(scripted(plan, answers))


@given(plans, approvers, st.integers(1, 40))
@settings(max_examples=120, deadline=None)
def test_so_is_one_whose_process_died_at_any_record(plan, answers, at):
    assert_same(scripted(plan, answers, at))


@given(plans, approvers, st.data())
@settings(max_examples=120, deadline=None)
def test_another_answer_leaves_the_record_at_its_own_step(plan, answers, data):
    run = scripted(plan, answers)
    places = answered(run)
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    other = flipped(run[place])
    changed = [*run[:place], other, *run[place + 1 :]]
    found = replayed(changed, against=Recording(run))
    assert found.divergence is not None
    assert found.divergence.record == place
    assert len(found.events) == place
    assert found.divergence.step == Recording(run).step(place)
