"""Going back, and what a view leaves out."""

from dataclasses import replace

import pytest

from agent_host.core.compaction import ANY_SPACE, asked, extract
from agent_host.core.context import view
from agent_host.core.conversation import apply, fold
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    ContextCompacted,
    ConversationRewound,
    Interrupted,
    ModelChanged,
    ModelFailed,
    ModelRequested,
    RunResumed,
    SummaryFinished,
    SummaryRequested,
    UserSaid,
)
from agent_host.core.limits import Limits
from agent_host.core.loop import AwaitUser, CallModel, decide, outcome
from agent_host.core.types import Usage
from tests.core.test_compaction import rounds, size, spoken
from tests.fakes.rooms import TESTER, said


def answered(count: int):
    """So many exchanges; the user is awaited."""
    c = spoken(count)
    c = apply(c, ModelRequested(request_id="z", provider="p", model="m"))
    return apply(c, ModelFailed(request_id="z", kind="timeout", message="late"))


SUMMARY = SummaryRequested(request_id="s", provider="p", model="m", messages=2)


def test_going_back_takes_the_newest_messages_and_nothing_of_what_it_cost():
    c = replace(answered(3), cost=1.5, counted=900)
    back = apply(c, ConversationRewound(messages=2, by="me"))
    assert back.messages == c.messages[:2]
    assert (back.cost, back.usage, back.grants, back.labels) == (1.5, c.usage, c.grants, c.labels)
    assert (back.failure, back.phase, outcome(back)) == (None, "user", "done")
    assert (back.counted, back.uncounted) == (0, size(back))
    assert decide(back, tools={}, limits=Limits()) == (AwaitUser(),)
    assert apply(c, ConversationRewound(messages=0)).messages == ()


def test_one_goes_back_to_before_a_message_of_the_user_and_only_in_peace():
    c = answered(3)
    for place in (1, 3, 7, -1, 99):
        with pytest.raises(UsageError, match="no message of the user"):
            apply(c, ConversationRewound(messages=place))
    with pytest.raises(UsageError, match="awaiting model"):
        apply(spoken(2), ConversationRewound(messages=0))
    with pytest.raises(UsageError, match="being asked"):
        apply(apply(c, SUMMARY), ConversationRewound(messages=0))


def test_who_went_back_and_left_is_asked_for_the_next_word():
    c = rounds(2)
    c = apply(c, Interrupted(by="me"))
    c = apply(c, UserSaid(message=said("other")))
    c = apply(c, Interrupted(by="me"))
    place = len(c.messages) - 1
    assert c.messages[place - 1].role == "tool"
    resumed = apply(apply(c, ConversationRewound(messages=place)), RunResumed(principal=TESTER))
    assert resumed.awaiting == "user"
    assert apply(c, RunResumed(principal=TESTER)).awaiting == "model"
    said_more = apply(resumed, UserSaid(message=said("third")))
    assert apply(said_more, RunResumed(principal=TESTER)).awaiting == "model"


def compacted(c):
    plan = asked(c, ANY_SPACE, "me")
    assert plan is not None
    return apply(c, extract(c, plan))


def test_going_back_behind_a_summary_brings_the_one_before_it_back():
    first = compacted(spoken(4))
    assert first.summarized == 8
    more = first
    for number in range(3):
        more = apply(more, UserSaid(message=said(f"more {number} " + "w" * 3000)))
    second = apply(compacted(more), Interrupted(by="me"))
    assert second.summarized == 11
    back = apply(second, ConversationRewound(messages=10))
    assert back.summarized == 8
    assert view(back) == (first.head[0], *second.messages[8:10])
    whole = apply(second, ConversationRewound(messages=2))
    assert view(whole) is whole.messages
    assert whole.stubbed == whole.covered == 0


def test_results_that_come_after_going_back_are_not_left_out():
    c = rounds(6, 2000)
    event = ContextCompacted(messages=0, summary="", results=11, reason="window")
    c = apply(apply(c, event), Interrupted(by="me"))
    c = apply(apply(c, UserSaid(message=said("next"))), Interrupted(by="me"))
    back = apply(c, ConversationRewound(messages=0))
    assert (back.stubbed, back.head) == (0, ())


@pytest.mark.parametrize(("messages", "results"), [(0, 0), (99, 0), (0, 99), (-1, 2), (2, -1)])
def test_a_compaction_of_messages_that_are_not_there_is_not_legal(messages, results):
    with pytest.raises(UsageError, match="cannot be compacted"):
        apply(spoken(2), ContextCompacted(messages=messages, summary="", results=results))


def test_results_left_out_later_keep_the_summary_and_a_smaller_summary_replaces_no_larger():
    c = apply(rounds(8, 2000), ContextCompacted(messages=5, summary="they read"))
    c = apply(c, ContextCompacted(messages=0, summary="", results=9))
    assert view(c)[0] == said("they read")
    assert "out here" in str(view(c)[2])
    assert "out here" not in str(view(c)[6])


def test_a_summary_is_written_alone_and_what_it_cost_counts():
    c = answered(3)
    writing = apply(c, SUMMARY)
    for event in (
        SUMMARY,
        ModelChanged(provider="p", model="m", adapter="a", by="me"),
    ):
        with pytest.raises(UsageError):
            apply(writing, event)
    asking = apply(writing, UserSaid(message=said("and?")))
    assert decide(asking, tools={}, limits=Limits()) == ()
    with pytest.raises(UsageError, match="a summary is being written"):
        apply(asking, ModelRequested(request_id="q", provider="p", model="m"))
    with pytest.raises(UsageError, match="not being written"):
        apply(c, SummaryFinished(request_id="s"))
    done = SummaryFinished(
        request_id="s", text="t", usage=Usage(input_tokens=7, output_tokens=2), cost=0.5
    )
    after = apply(asking, done)
    assert (after.usage.input_tokens - c.usage.input_tokens, after.cost) == (7, 0.5)
    assert after.unpriced == c.unpriced
    assert decide(after, tools={}, limits=Limits()) == (CallModel(key="model"),)
    assert apply(asking, replace(done, cost=None)).unpriced == c.unpriced + 1
    assert apply(asking, SummaryFinished(request_id="s", error="x")).unpriced == c.unpriced
    assert apply(writing, RunResumed(principal=TESTER)).summarizing is None


def test_a_summary_is_not_begun_while_the_model_is_asked():
    c = apply(spoken(2), ModelRequested(request_id="q", provider="p", model="m"))
    with pytest.raises(UsageError, match="being asked"):
        apply(c, SUMMARY)


def test_the_fold_is_the_same_each_time():
    events = [ContextCompacted(messages=0, summary="", results=9)]
    c = rounds(8, 2000)
    assert apply(c, events[0]) == apply(c, events[0])
    assert fold([]) == fold([])
