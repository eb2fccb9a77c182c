"""What is legal, and what each fact does."""

from dataclasses import replace

import pytest

from agent_host.core.context import deeper_than, shorten, view
from agent_host.core.conversation import LEGAL, Conversation, apply, fold
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    ApprovalGiven,
    ApprovalRequested,
    ContextCompacted,
    Event,
    InputGiven,
    InputRequested,
    Interrupted,
    LimitReached,
    ModelChanged,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PolicyDecided,
    RunEnded,
    RunResumed,
    RunStarted,
    SamplingFinished,
    SamplingRequested,
    ServerConnected,
    ServerLost,
    ToolFinished,
    ToolsChanged,
    ToolStarted,
    UserSaid,
)
from agent_host.core.limits import Limits, calls_left, reached
from agent_host.core.loop import AskApproval, CheckPolicy, Refuse, RunTool, decide, outcome
from agent_host.core.types import (
    Message,
    Principal,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from tests.fakes.rooms import TESTER, TOOLS, call, said

START = RunStarted(run_id="r", principal=TESTER, provider="p", model="m", adapter="a")
HI = UserSaid(message=said("hi"))
ASK = ModelRequested(request_id="1", provider="p", model="m")


def responded(*calls: ToolCall, request_id: str = "1", text: str = "t", stop: str = "tool_use"):
    content = (*((Text(text=text),) if text else ()), *calls)
    return ModelResponded(
        request_id=request_id,
        message=Message(role="assistant", content=content),
        stop_reason=stop,
        usage=Usage(input_tokens=10, output_tokens=5, cache_read_tokens=2, cache_write_tokens=1),
    )


def finished(call_id: str, error: str | None = None) -> ToolFinished:
    return ToolFinished(result=ToolResult(call_id=call_id, content=(Text(text="r"),), error=error))


def started(call_id: str) -> ToolStarted:
    return ToolStarted(call_id=call_id, server="w", tool="pay", fingerprint="f", arguments={})


def question(call_id: str, **more: object) -> ApprovalRequested:
    fields = {"server": "w", "tool": "pay", "fingerprint": "f", "arguments": {}, **more}
    return ApprovalRequested(call_id=call_id, **fields)


def decided(call_id: str, decision: str) -> PolicyDecided:
    return PolicyDecided(call_id=call_id, decision=decision, rule="r", reason="because")


def story(*events: Event) -> Conversation:
    return fold([START, HI, ASK, *events])


ONE_CALL = (responded(call("a", "pay")),)


def test_the_table_of_legal_moves_names_every_event():
    assert set(LEGAL) == set(Event.__args__)


def test_nothing_comes_before_the_start_and_nothing_starts_twice():
    with pytest.raises(UsageError, match="start"):
        apply(Conversation(), HI)
    with pytest.raises(UsageError):
        fold([START, START])


@pytest.mark.parametrize(
    "event",
    [
        ModelRequested(request_id="2", provider="p", model="m"),
        responded(request_id="other"),
        ModelFailed(request_id="other", kind="auth", message=""),
        HI,
        finished("a"),
        decided("a", "allow"),
    ],
)
def test_moves_that_are_illegal_while_the_model_is_asked(event):
    with pytest.raises(UsageError):
        story(event)


@pytest.mark.parametrize(
    "events",
    [
        (started("a"),),
        (decided("a", "ask"), started("a")),
        (decided("a", "deny"), started("a")),
        (decided("a", "allow"), started("a"), started("a")),
        (decided("a", "allow"), started("a"), decided("a", "deny")),
        (decided("a", "allow"), started("a"), question("a")),
        (ApprovalGiven(call_id="a", decision="approve", by="x"),),
        (finished("b"),),
        (finished("a"), finished("a")),
        (
            decided("a", "ask"),
            question("a"),
            ApprovalGiven(call_id="a", decision="deny", by="x"),
            started("a"),
        ),
    ],
)
def test_no_tool_starts_without_leave_and_no_call_ends_twice(events):
    with pytest.raises(UsageError):
        story(*ONE_CALL, *events)


def test_two_calls_of_one_response_may_not_share_an_id():
    with pytest.raises(UsageError, match="share an id"):
        story(responded(call("a", "pay"), call("a", "read")))


def test_a_malformed_call_may_not_start():
    bad = ToolCall(id="a", name="w__pay", arguments={}, fault="malformed_call", raw="{")
    with pytest.raises(UsageError):
        story(responded(bad), decided("a", "allow"), started("a"))
    [refusal] = decide(story(responded(bad)), tools=TOOLS, limits=Limits())
    assert isinstance(refusal, Refuse)
    assert refusal.error == "malformed_call"


def test_usage_adds_up_over_the_run():
    c = story(responded(), HI, replace(ASK, request_id="2"), responded(request_id="2"))
    assert c.usage == Usage(
        input_tokens=20, output_tokens=10, cache_read_tokens=4, cache_write_tokens=2
    )


def test_an_empty_answer_adds_no_message():
    c = story(responded(text=""))
    assert [m.role for m in c.messages] == ["user"]


def test_a_failure_that_is_not_final_leaves_the_model_to_be_asked_again():
    c = story(ModelFailed(request_id="1", kind="overloaded", message="", final=False))
    assert c.awaiting == "model"
    assert c.failure is None


@pytest.mark.parametrize(("kind", "reason"), [("auth", "model_unavailable"), ("script", "failed")])
def test_a_final_failure_awaits_the_user_and_says_so(kind, reason):
    c = story(ModelFailed(request_id="1", kind=kind, message=""))
    assert outcome(c) == reason


def test_an_interruption_between_steps_ends_the_step_at_once():
    c = fold([START, HI, Interrupted(by="x")])
    assert outcome(c) == "interrupted"


def test_a_limit_during_a_request_waits_for_the_request_to_close():
    c = story(LimitReached(name="seconds", limit=1))
    assert c.awaiting == "model"
    assert decide(c, tools=TOOLS, limits=Limits()) == ()
    c = apply(c, ModelFailed(request_id="1", kind="cancelled", message="", final=False))
    assert outcome(c) == "limit"


def test_calls_are_refused_once_a_limit_is_reached():
    c = story(*ONE_CALL, LimitReached(name="seconds", limit=1))
    [refusal] = decide(c, tools=TOOLS, limits=Limits())
    assert refusal.error == "limit"
    c = apply(c, finished("a", "limit"))
    assert outcome(c) == "limit"


def test_a_run_that_ended_waits_for_nothing_and_keeps_its_reason():
    c = story(responded(), RunEnded(reason="done"))
    assert c.awaiting == "nothing"
    assert outcome(c) == "done"
    assert outcome(story()) is None


def test_a_resumed_run_asks_the_model_again_if_it_never_answered():
    c = story(ModelFailed(request_id="1", kind="auth", message=""), RunResumed(principal=TESTER))
    assert c.awaiting == "model"
    c = story(responded(), RunResumed(principal=Principal(id="other")))
    assert c.awaiting == "user"
    assert c.principal.id == "other"
    assert fold([START, RunResumed(principal=TESTER)]).awaiting == "user"


def test_after_a_resume_what_was_started_is_in_doubt_and_what_was_approved_is_not_lost():
    two = responded(call("a", "pay"), call("b", "pay"), call("c", "read"))
    yes = ApprovalGiven(call_id="b", decision="approve", by="x")
    c = story(
        two,
        decided("a", "allow"),
        started("a"),
        decided("b", "ask"),
        question("b", fingerprint=TOOLS["w__pay"].fingerprint),
        yes,
        decided("c", "allow"),
        started("c"),
        finished("c"),
        RunResumed(principal=TESTER),
    )
    a, b, done = c.calls
    assert (a.in_doubt, b.in_doubt, b.approval) == (True, False, "approve")
    assert done.result is not None
    assert [type(x) for x in decide(c, tools=TOOLS, limits=Limits())] == [CheckPolicy, CheckPolicy]
    c = apply(apply(c, decided("a", "allow")), decided("b", "ask"))
    kinds = [type(x) for x in decide(c, tools=TOOLS, limits=Limits())]
    assert kinds == [AskApproval, RunTool]


@pytest.mark.parametrize("name", ["read", "put"])
def test_a_call_in_doubt_runs_again_by_itself_only_if_a_trusted_server_calls_it_repeatable(name):
    c = story(
        responded(call("a", name)),
        decided("a", "allow"),
        started("a"),
        RunResumed(principal=TESTER),
        decided("a", "allow"),
    )
    [action] = decide(c, tools=TOOLS, limits=Limits())
    assert isinstance(action, RunTool)
    untrusted = {n: replace(t, trusted=False) for n, t in TOOLS.items()}
    [action] = decide(c, tools=untrusted, limits=Limits())
    assert isinstance(action, AskApproval)


def in_doubt(*more: Event) -> Conversation:
    return story(
        *ONE_CALL, decided("a", "allow"), started("a"), RunResumed(principal=TESTER), *more
    )


def test_what_is_in_doubt_is_reported_as_unknown_however_it_ends():
    interrupted = in_doubt(Interrupted(by="x"))
    assert [a.error for a in decide(interrupted, tools=TOOLS, limits=Limits())] == [
        "outcome_unknown"
    ]
    assert [a.error for a in decide(in_doubt(), tools={}, limits=Limits())] == ["outcome_unknown"]
    refused = in_doubt(
        decided("a", "allow"), question("a"), ApprovalGiven(call_id="a", decision="deny", by="x")
    )
    assert [a.error for a in decide(refused, tools=TOOLS, limits=Limits())] == ["outcome_unknown"]


def test_a_call_that_runs_in_this_process_is_left_to_its_task():
    c = story(*ONE_CALL, decided("a", "allow"), started("a"))
    assert decide(c, tools=TOOLS, limits=Limits()) == ()


def test_a_model_may_change_between_requests_only():
    changed = ModelChanged(provider="q", model="n", adapter="b", by="x", simulated=True)
    c = story(responded(), changed)
    assert (c.origin.model, c.simulated) == ("n", True)
    with pytest.raises(UsageError, match="being asked"):
        story(changed)


def test_a_request_for_input_is_answered_once():
    wanted = InputRequested(input_id="i", server="w", mode="form", message="?")
    given = InputGiven(input_id="i", action="decline", by="x")
    c = story(wanted)
    assert c.awaiting == "input"
    assert apply(c, given).awaiting == "model"
    with pytest.raises(UsageError, match="not asked"):
        apply(c, replace(given, input_id="j"))


def test_a_servers_request_for_the_model_ends_once():
    asked = SamplingRequested(sampling_id="s", server="w", params={})
    ended = SamplingFinished(
        sampling_id="s", outcome="answered", by="x", usage=Usage(input_tokens=2)
    )
    c = apply(story(asked), ended)
    assert (c.samplings, c.sampled, c.usage.input_tokens, c.unpriced) == ((), 1, 2, 1)
    with pytest.raises(UsageError, match="not asked"):
        apply(c, ended)


def test_what_servers_do_changes_no_conversation():
    c = story()
    for event in (
        ServerConnected(server="w", version="1", protocol="p", seconds=0.1),
        ServerLost(server="w", reason="gone"),
        ToolsChanged(server="w", added=("x",)),
    ):
        assert apply(c, event) == c


def test_a_compaction_changes_the_view_and_not_the_messages():
    c = story(responded(text="answer"))
    assert view(c) == c.messages
    shorter = apply(c, ContextCompacted(messages=1, summary="they greeted"))
    assert shorter.messages == c.messages
    assert view(shorter) == (said("they greeted"), c.messages[1])
    with pytest.raises(UsageError):
        apply(c, ContextCompacted(messages=9, summary=""))


def test_limits_are_compared_with_what_was_used():
    c = story(responded(call("a", "pay"), call("b", "pay")))
    assert reached(c, Limits(), 0.0) is None
    assert reached(c, Limits(max_tokens=15), 0.0).name == "tokens"
    assert reached(c, Limits(max_turns=1), 0.0).name == "turns"
    assert reached(c, Limits(max_turns=None, max_tool_calls=1), 0.0).name == "tool_calls"
    assert reached(c, Limits(max_tool_calls=2), 0.0) is None
    assert reached(c, Limits(max_seconds=1.0), 0.5) is None
    assert reached(c, Limits(max_seconds=1.0), 1.0).name == "seconds"
    assert calls_left(c, Limits(max_tool_calls=None)) == 2
    assert calls_left(c, Limits(max_tool_calls=1)) == 1


def test_a_long_text_keeps_head_and_tail_and_says_how_much_is_missing():
    short = shorten("a" * 75 + "b" * 900 + "c" * 25, 100)
    assert short == "a" * 75 + "\n[... 900 characters left out ...]\n" + "c" * 25
    assert shorten("abc", 3) == "abc"
    assert shorten("abcdef", 0) == "\n[... 6 characters left out ...]\n"


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"k": [value]}
    return value


def test_depth_is_counted_in_levels_of_lists_and_objects():
    assert not deeper_than(nested(32), 64)
    assert deeper_than(nested(33), 64)
    assert deeper_than(nested(50_000), 64)
    assert not deeper_than({"a": 1, "b": []}, 1)


def test_a_yes_to_another_definition_leaves_what_is_in_doubt_unknown():
    yes = ApprovalGiven(call_id="a", decision="approve", by="x")
    c = in_doubt(decided("a", "ask"), question("a"), yes)
    assert [a.error for a in decide(c, tools=TOOLS, limits=Limits())] == ["outcome_unknown"]
