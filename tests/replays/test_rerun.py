"""A run of the engine, and the same again from its record."""

from dataclasses import replace

import pytest

from agent_host.core.events import ModelChanged, RunEnded, ToolFinished, ToolStarted
from agent_host.core.types import ModelFailure, Text, ToolResult
from agent_host.ports import Deferred
from tests.fakes.rooms import (
    ORIGIN,
    AnsweringApprover,
    Crash,
    MemoryJournal,
    PlannedModel,
    Substitutes,
    World,
)
from tests.replays.runs import assert_same, events, going_on, hello, play, replayed

WIDE = [["read", "put", "pay"], ["read", "read"], []]


def test_a_plain_run_comes_out_the_same():
    assert_same(play(MemoryJournal(), plan=[["read"], []]))


def test_calls_that_ran_at_the_same_time_end_in_the_order_of_the_record():
    run = play(MemoryJournal(), plan=WIDE)
    ends = [place for place, event in enumerate(run) if isinstance(event, ToolFinished)]
    swapped = list(run)
    swapped[ends[0]], swapped[ends[1]] = swapped[ends[1]], swapped[ends[0]]
    assert_same(run)
    assert_same(swapped)


def test_a_run_that_a_human_was_asked_in_comes_out_the_same():
    answers = {"ask_me": {"decision": "deny", "feedback": "no"}}
    for given in ({}, answers, {"ask_me": {"arguments": {"sum": 2}}}):
        approver = AnsweringApprover(given)
        assert_same(play(MemoryJournal(), plan=[["ask_me", "read"], []], approver=approver))


def test_what_was_asked_for_in_the_middle_of_a_call_comes_out_the_same():
    assert_same(play(MemoryJournal(), plan=[["form"], []]))


def test_calls_that_never_ran_come_out_the_same():
    assert_same(play(MemoryJournal(), plan=[["never", "ghost"], []]))


def test_a_run_that_parked_and_was_taken_over_comes_out_the_same():
    journal, plan = MemoryJournal(), [["ask_me"], []]
    play(journal, plan=plan, approver=AnsweringApprover({"ask_me": Deferred()}))
    assert_same(events(journal))
    assert_same(play(journal, going_on, plan=plan))


def test_a_run_whose_process_died_anywhere_comes_out_the_same():
    for at in range(2, 24):
        journal, world = MemoryJournal(crash_at=at), World()
        try:
            play(journal, plan=WIDE, world=world)
        except Crash:
            pass
        assert_same(events(journal))
        journal.crash_at = None
        assert_same(play(journal, going_on, plan=WIDE, world=world))


def test_a_model_that_stood_in_for_another_stands_in_again():
    failing = PlannedModel([(ModelFailure(kind="overloaded", message="busy"),)])
    other = PlannedModel([[]], origin=type(ORIGIN)(provider="b", model="b", adapter="b"))
    run = play(MemoryJournal(), model=failing, fallback=Substitutes(other))
    assert any(isinstance(event, ModelChanged) for event in run)
    assert_same(run)


def test_a_run_that_went_back_comes_out_the_same():
    journal = MemoryJournal()
    plan = [["read"], [], [], []]

    def back(made):
        made.rewind(0, "tester")
        hello(made)

    assert_same(play(journal, hello, hello, back, plan=plan))


def test_the_end_of_a_run_is_brought_in():
    def end(made):
        made.end("done")

    run = play(MemoryJournal(), hello, end, plan=[[]])
    assert isinstance(run[-1], RunEnded)
    assert_same(run)


def test_a_result_that_was_too_long_is_cut_in_the_same_way():
    long = ToolResult(call_id="c0.0", content=(Text(text="line of text\n" * 20_000),))
    run = play(MemoryJournal(), plan=[["read"], []], world=World(results={"read": long}))
    assert any(isinstance(e, ToolFinished) and e.result.artifact for e in run)
    assert_same(run)


@pytest.mark.parametrize("secret", ["x" * 40, "x" * 8])
@pytest.mark.parametrize("lines", [3, 19_000])
def test_a_long_result_whose_secret_was_replaced_is_cut_in_the_same_way(secret, lines):
    text = "line of text\n" * 20_000
    place = lines * len("line of text\n")
    long = ToolResult(
        call_id="c0.0", content=(Text(text=text[:place] + secret + text[place:]), Text(text="end"))
    )
    run = play(MemoryJournal(), plan=[["read"], []], world=World(results={"read": long}))
    mark = "[secret:github-token:3f0da9]"
    recorded = [
        replace(
            event,
            result=replace(
                event.result,
                content=tuple(
                    replace(b, text=b.text.replace(secret, mark)) for b in event.result.content
                ),
            ),
        )
        if isinstance(event, ToolFinished)
        else event
        for event in run
    ]
    assert recorded != run
    assert_same(recorded)


def test_an_event_that_the_engine_would_not_record_is_where_the_replay_leaves():
    run = play(MemoryJournal(), plan=[["read", "put"], []])
    started = next(p for p, event in enumerate(run) if isinstance(event, ToolStarted))
    found = replayed([*run[:started], *run[started + 1 :]])
    assert found.divergence is not None
    assert (found.divergence.step.turn, found.divergence.step.call) == (1, "c0.0")


def test_a_record_that_goes_on_without_a_cause_is_left_and_nothing_hangs():
    run = play(MemoryJournal(), plan=[["read"], []])
    found = replayed([*run, next(e for e in run if isinstance(e, ToolFinished))])
    assert found.divergence is not None
    assert found.divergence.record == len(run)
