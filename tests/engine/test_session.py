"""What a session does with what happens to it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent_host.core.errors import RecordError, UsageError
from agent_host.core.events import (
    ApprovalGiven,
    ApprovalRequested,
    Interrupted,
    LimitReached,
    ModelFailed,
    ModelResponded,
    PolicyDecided,
    ServerConnected,
    ServerLog,
    TextDelta,
    ToolArgumentsDelta,
    ToolFinished,
    ToolProgress,
    UserSaid,
)
from agent_host.core.limits import Limits
from agent_host.core.loop import outcome
from agent_host.core.types import Image, ModelFailure, Resource, Text, ToolResult
from agent_host.engine.rooms import Retry
from agent_host.engine.session import Session
from agent_host.ports import Deferred
from tests.fakes.rooms import (
    AnsweringApprover,
    MemoryJournal,
    PlannedModel,
    TablePolicy,
    Watcher,
    World,
    answer,
    call,
    said,
    session,
)

BUSY = ModelFailure(kind="overloaded", message="busy", retryable=True)
DOWN = ModelFailure(kind="auth", message="bad key")


def play(made: Callable[[], Session], *steps: Callable[[Session], None]) -> Session:
    """Say hi, take the steps, run."""

    async def scene() -> Session:
        s = made()
        if s.conversation.awaiting == "user" and not s.conversation.messages:
            s.tell(UserSaid(message=said("hi")))
        for step in steps:
            step(s)
        await s.run()
        return s

    return asyncio.run(scene())


def results(s: Session) -> dict[str, ToolResult]:
    return {
        r.event.result.call_id: r.event.result
        for r in s.feed.journal.records
        if isinstance(r.event, ToolFinished)
    }


def events(s: Session, kind: type) -> list:
    return [r.event for r in s.feed.journal.records if isinstance(r.event, kind)]


def text(result: ToolResult) -> str:
    return "".join(b.text for b in result.content if isinstance(b, Text))


def test_allowed_calls_run_while_a_human_is_asked_about_another():
    async def scene():
        world, answered = World(), asyncio.Event()
        for name in ("read", "pay"):
            world.started[name] = asyncio.Event()
        s = session(
            MemoryJournal(),
            plan=[["ask_me", "read", "pay"]],
            world=world,
            approver=AnsweringApprover({"ask_me": answered}),
        )
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await world.started["read"].wait()
            await world.started["pay"].wait()
            assert s.conversation.awaiting == "approval"
            answered.set()
        assert [name for _, name in world.done] == ["read", "pay", "ask_me"]

    asyncio.run(scene())


def test_each_result_is_recorded_as_it_lands_and_told_in_source_order():
    async def scene():
        world = World()
        world.gates["read"] = asyncio.Event()
        s = session(MemoryJournal(), plan=[["read", "put"]], world=world)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            while "c0.1" not in results(s):
                await asyncio.sleep(0)
            assert "c0.0" not in results(s)
            world.gates["read"].set()
        tool_message = s.conversation.messages[2]
        assert [b.call_id for b in tool_message.content] == ["c0.0", "c0.1"]

    asyncio.run(scene())


def test_an_unknown_tool_gets_a_result_that_names_near_ones():
    s = play(lambda: session(MemoryJournal(), plan=[["reed"]]))
    assert results(s)["c0.0"].error == "unknown_tool"
    assert "w__read" in text(results(s)["c0.0"])


def test_an_unknown_tool_without_a_near_name_is_refused_plainly():
    s = play(lambda: session(MemoryJournal(), plan=[["zzzzzzzzzz"]]))
    assert text(results(s)["c0.0"]).endswith("there is no tool w__zzzzzzzzzz")


def test_invalid_arguments_are_refused_before_policy_is_asked():
    plan = [answer("", call("a", "read", bad=1))]
    s = play(lambda: session(MemoryJournal(), plan=plan))
    assert results(s)["a"].error == "invalid_arguments"
    assert not events(s, PolicyDecided)


def test_a_call_that_was_cut_off_is_never_executed():
    world = World()
    plan = [answer("", call("a", "read"), stop_reason="max_tokens")]
    s = play(lambda: session(MemoryJournal(), plan=plan, world=world))
    assert results(s)["a"].error == "truncated_call"
    assert world.done == []


def test_a_denied_call_tells_the_model_the_rule_and_counts_as_a_refusal():
    s = play(lambda: session(MemoryJournal(), plan=[["never"]]))
    assert results(s)["c0.0"].error == "denied"
    assert "rule table" in text(results(s)["c0.0"])
    assert outcome(s.conversation) == "refused"


def test_a_refusal_with_a_reason_reaches_the_model():
    approver = AnsweringApprover({"ask_me": {"decision": "deny", "feedback": "wrong order"}})
    s = play(lambda: session(MemoryJournal(), plan=[["ask_me"]], approver=approver))
    assert "wrong order" in text(results(s)["c0.0"])


def test_edited_arguments_are_what_runs():
    world = World()
    approver = AnsweringApprover({"ask_me": {"arguments": {"amount": 5}}})
    play(lambda: session(MemoryJournal(), plan=[["ask_me"]], world=world, approver=approver))
    assert world.arguments == {"c0.0": {"amount": 5}}


def test_an_edit_that_breaks_the_schema_does_not_run():
    world = World()
    approver = AnsweringApprover({"ask_me": {"arguments": {"bad": 5}}})
    s = play(lambda: session(MemoryJournal(), plan=[["ask_me"]], world=world, approver=approver))
    assert results(s)["c0.0"].error == "invalid_arguments"
    assert world.done == []


def test_an_edit_into_what_policy_denies_does_not_run():
    world = World()
    approver = AnsweringApprover({"ask_me": {"arguments": {"forbidden": 5}}})
    s = play(lambda: session(MemoryJournal(), plan=[["ask_me"]], world=world, approver=approver))
    assert results(s)["c0.0"].error == "denied"
    assert world.done == []


@pytest.mark.parametrize(
    ("scope", "arguments", "questions"),
    [
        ("once", {"n": 1}, 2),
        ("session_call", {"n": 1}, 1),
        ("session_call", {"n": 2}, 2),
        ("session_call", {"n": True}, 2),
        ("session_call", {"n": 1.0}, 2),
        ("session_tool", {"n": 2}, 1),
    ],
)
def test_always_reaches_as_far_as_was_shown_and_no_further(scope, arguments, questions):
    approver = AnsweringApprover({"ask_me": {"scope": scope}})
    plan = [answer("", call("a", "ask_me", n=1)), answer("", call("b", "ask_me", **arguments))]
    s = play(lambda: session(MemoryJournal(), plan=plan, approver=approver))
    assert len(approver.questions) == questions
    assert all(r.error is None for r in results(s).values())


def test_two_questions_at_once_know_how_many_wait():
    approver = AnsweringApprover()
    play(lambda: session(MemoryJournal(), plan=[["ask_me", "ask_me"]], approver=approver))
    assert sorted(approver.waiting) == [0, 1]
    assert approver.questions[0].invalid({"bad": 1}) is not None


def test_a_question_that_nobody_can_answer_parks_the_run_and_a_resume_asks_again():
    journal = MemoryJournal()
    plan = [["ask_me", "read"]]
    parked = play(
        lambda: session(journal, plan=plan, approver=AnsweringApprover({"ask_me": Deferred()}))
    )
    assert outcome(parked.conversation) is None
    assert parked.conversation.awaiting == "approval"
    assert set(results(parked)) == {"c0.1"}
    resumed = play(lambda: session(MemoryJournal(journal.records), plan=plan))
    assert outcome(resumed.conversation) == "done"
    assert set(results(resumed)) == {"c0.0", "c0.1"}


def test_an_approval_from_elsewhere_answers_the_question_being_asked():
    async def scene():
        never = asyncio.Event()
        approver = AnsweringApprover({"ask_me": never})
        s = session(MemoryJournal(), plan=[["ask_me"]], approver=approver)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await approver.asked.wait()
            s.tell(ApprovalGiven(call_id="c0.0", decision="approve", by="another terminal"))
        assert results(s)["c0.0"].error is None

    asyncio.run(scene())


def test_an_approval_from_elsewhere_wakes_a_parked_session():
    async def scene():
        approver = AnsweringApprover({"ask_me": Deferred()})
        s = session(MemoryJournal(), plan=[["ask_me"]], approver=approver)
        s.tell(UserSaid(message=said("hi")))
        await s.run()
        s.tell(ApprovalGiven(call_id="c0.0", decision="approve", by="another terminal"))
        await s.run()
        assert results(s)["c0.0"].error is None

    asyncio.run(scene())


def test_approving_what_is_not_pending_is_a_usage_error_and_records_nothing():
    s = play(lambda: session(MemoryJournal(), plan=[]))
    before = len(s.feed.journal.records)
    with pytest.raises(UsageError):
        s.tell(ApprovalGiven(call_id="c0.0", decision="approve", by="x"))
    assert len(s.feed.journal.records) == before


def test_an_interruption_stops_tools_questions_and_leaves_a_legal_conversation():
    async def scene():
        world = World()
        world.gates["pay"] = asyncio.Event()
        world.gates["read"] = asyncio.Event()
        world.started["pay"] = asyncio.Event()
        approver = AnsweringApprover({"ask_me": asyncio.Event()})
        s = session(
            MemoryJournal(), plan=[["pay", "read", "ask_me"]], world=world, approver=approver
        )
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await world.started["pay"].wait()
            await approver.asked.wait()
            s.tell(Interrupted(by="tester"))
            s.tell(Interrupted(by="tester"))
        assert {r.error for r in results(s).values()} == {"cancelled"}
        assert "may or may not" in text(results(s)["c0.0"])
        assert "changed nothing" in text(results(s)["c0.1"])
        assert world.cancelled == ["c0.0", "c0.1"]
        assert outcome(s.conversation) == "interrupted"
        s.tell(UserSaid(message=said("go on")))
        await s.run()
        assert outcome(s.conversation) == "done"

    asyncio.run(scene())


def test_an_interruption_while_the_model_answers_keeps_what_was_shown():
    async def scene():
        model = PlannedModel([[]])
        model.hold = asyncio.Event()
        s = session(MemoryJournal(), model=model)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await model.reached.wait()
            s.tell(Interrupted(by="tester"))
        [response] = events(s, ModelResponded)
        assert response.stop_reason == "interrupted"
        assert response.message.content == (Text(text="t0"),)
        assert model.closed == 1
        assert outcome(s.conversation) == "interrupted"

    asyncio.run(scene())


def test_an_interruption_before_the_first_word_records_a_cancelled_request():
    class Silent(PlannedModel):
        async def stream(self, request):
            self.reached.set()
            await asyncio.Event().wait()
            yield TextDelta(text="never")

    async def scene():
        model = Silent([])
        s = session(MemoryJournal(), model=model)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await model.reached.wait()
            s.tell(Interrupted(by="tester"))
        assert [e.kind for e in events(s, ModelFailed)] == ["cancelled"]
        assert outcome(s.conversation) == "interrupted"

    asyncio.run(scene())


def test_an_interruption_while_servers_start_ends_the_step_at_once():
    async def scene():
        world = World(is_ready=asyncio.Event())
        s = session(MemoryJournal(), world=world)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await asyncio.sleep(0)
            s.tell(Interrupted(by="tester"))
        assert outcome(s.conversation) == "interrupted"

    asyncio.run(scene())


def test_the_first_request_leaves_only_when_the_tools_are_known():
    async def scene():
        world, model = World(is_ready=asyncio.Event()), PlannedModel([])
        s = session(MemoryJournal(), world=world, model=model)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await asyncio.sleep(0)
            assert model.requests == []
            world.is_ready.set()
        assert len(model.requests) == 1

    asyncio.run(scene())


def test_a_cancelled_session_lets_go_without_inventing_outcomes():
    async def scene():
        world = World()
        world.gates["pay"] = world.gates["read"] = asyncio.Event()
        world.started["pay"] = asyncio.Event()
        approver = AnsweringApprover({"ask_me": asyncio.Event()})
        s = session(MemoryJournal(), plan=[["pay", "ask_me"]], world=world, approver=approver)
        s.tell(UserSaid(message=said("hi")))
        running = asyncio.get_running_loop().create_task(s.run())
        await world.started["pay"].wait()
        await approver.asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert results(s) == {}

    asyncio.run(scene())


def test_a_model_call_that_is_cancelled_from_outside_records_nothing_more():
    async def scene():
        model = PlannedModel([[]])
        model.hold = asyncio.Event()
        s = session(MemoryJournal(), model=model)
        s.tell(UserSaid(message=said("hi")))
        running = asyncio.get_running_loop().create_task(s.run())
        await model.reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert events(s, ModelResponded) == events(s, ModelFailed) == []

    asyncio.run(scene())


def test_a_busy_model_is_asked_again_and_each_attempt_is_recorded():
    class Recovering(PlannedModel):
        async def stream(self, request):
            self.requests.append(request)
            yield BUSY if len(self.requests) < 3 else answer("at last")

    s = play(lambda: session(MemoryJournal(), model=Recovering([])))
    assert [e.final for e in events(s, ModelFailed)] == [False, False]
    assert outcome(s.conversation) == "done"


def test_a_model_that_stays_busy_fails_in_the_end():
    s = play(
        lambda: session(
            MemoryJournal(), plan=[(BUSY,)], retry=Retry(attempts=2, first_wait=0.0, longest_wait=0)
        )
    )
    assert [e.final for e in events(s, ModelFailed)] == [False, True]
    assert outcome(s.conversation) == "model_unavailable"


def test_a_wait_that_would_outlast_the_deadline_is_not_waited():
    slow = ModelFailure(kind="rate_limit", message="later", retryable=True, retry_after=200)
    s = play(lambda: session(MemoryJournal(), plan=[(slow,)]))
    [failed] = events(s, ModelFailed)
    assert failed.final
    assert failed.retry_after == 200


def test_nothing_is_asked_again_once_something_was_shown():
    s = play(lambda: session(MemoryJournal(), plan=[(TextDelta(text="half"), BUSY)]))
    assert [e.final for e in events(s, ModelFailed)] == [True]


def test_a_call_that_was_cut_off_in_its_arguments_is_asked_for_again():
    class Cut(PlannedModel):
        async def stream(self, request):
            self.requests.append(request)
            if len(self.requests) == 1:
                yield ToolArgumentsDelta(index=0, name="w__pay", text='{"am')
                yield BUSY
            else:
                yield answer("whole")

    s = play(lambda: session(MemoryJournal(), model=Cut([])))
    assert outcome(s.conversation) == "done"


def test_a_failure_that_will_not_pass_is_not_retried():
    s = play(lambda: session(MemoryJournal(), plan=[(DOWN,)]))
    assert [e.final for e in events(s, ModelFailed)] == [True]


def test_an_interruption_while_waiting_to_ask_again_ends_the_step():
    async def scene():
        s = session(
            MemoryJournal(), plan=[(BUSY,)], retry=Retry(first_wait=30.0, longest_wait=60.0)
        )
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            while not events(s, ModelFailed):
                await asyncio.sleep(0)
            s.tell(Interrupted(by="tester"))
        assert outcome(s.conversation) == "interrupted"

    asyncio.run(scene())


def test_an_adapter_that_ends_without_an_answer_is_a_failure_not_a_hang():
    s = play(lambda: session(MemoryJournal(), plan=[()]))
    assert [e.kind for e in events(s, ModelFailed)] == ["protocol"]


def test_too_many_turns_end_the_step_with_the_limit_named():
    s = play(lambda: session(MemoryJournal(), plan=[["read"]] * 9, limits=Limits(max_turns=3)))
    assert events(s, LimitReached) == [LimitReached(name="turns", limit=3)]
    assert outcome(s.conversation) == "limit"


def test_calls_over_the_limit_are_refused_and_the_step_ends():
    world = World()
    s = play(
        lambda: session(
            MemoryJournal(),
            plan=[["read", "read"], ["read", "read"]],
            world=world,
            limits=Limits(max_tool_calls=3),
        )
    )
    assert len(world.done) == 3
    assert results(s)["c1.1"].error == "limit"
    assert outcome(s.conversation) == "limit"


def test_time_that_runs_out_stops_what_is_running():
    world = World()

    def made():
        world.gates["pay"] = asyncio.Event()
        return session(
            MemoryJournal(), plan=[["pay"]], world=world, limits=Limits(max_seconds=0.01)
        )

    s = play(made)
    assert events(s, LimitReached) == [LimitReached(name="seconds", limit=0.01)]
    assert results(s)["c0.0"].error == "cancelled"
    assert outcome(s.conversation) == "limit"


def test_time_is_up_before_anything_starts():
    clock = iter([0.0, 5.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0])
    s = play(
        lambda: session(
            MemoryJournal(),
            plan=[["read"]],
            limits=Limits(max_seconds=2),
            monotonic=lambda: next(clock),
        )
    )
    assert outcome(s.conversation) == "limit"


def test_time_that_runs_out_after_the_work_changes_nothing():
    async def scene():
        s = session(MemoryJournal(), plan=[], limits=Limits(max_seconds=100))
        s.tell(UserSaid(message=said("hi")))
        await s.run()
        s._out_of_time(100)
        assert events(s, LimitReached) == []

    asyncio.run(scene())


def test_an_oversized_result_is_kept_whole_and_shown_in_part():
    world = World()
    huge = "x" * 200_000
    world.results["read"] = ToolResult(
        call_id="",
        content=(
            Text(text=huge),
            Image(data="AA==", media_type="image/png"),
            Resource(uri="file:///x", text="inner"),
            Resource(uri="file:///y"),
        ),
    )
    s = play(lambda: session(MemoryJournal(), plan=[["read"]], world=world))
    result = results(s)["c0.0"]
    assert len(text(result)) < 70_000
    assert result.artifact == "artifacts/c0.0.txt"
    assert s.feed.journal.kept == {"c0.0.txt": f"{huge}\ninner".encode()}


def test_a_sink_that_fails_is_dropped_and_the_run_goes_on():
    good, bad = Watcher(), Watcher(fails=True)
    s = play(lambda: session(MemoryJournal(), plan=[["read"]], sinks=[bad, good]))
    assert outcome(s.conversation) == "done"
    assert len(s.feed.dropped) == 1
    assert any(isinstance(item, TextDelta) for item in good.items)
    assert any(isinstance(item, ToolProgress) for item in good.items)


def test_a_transcript_that_cannot_be_written_stops_the_run_before_the_effect():
    world = World()
    journal = MemoryJournal(full_at=5)
    with pytest.raises(RecordError, match="full"):
        play(lambda: session(journal, plan=[["pay"]], world=world))
    assert world.done == []


def test_what_servers_do_is_recorded_and_what_they_log_is_shown():
    watcher = Watcher()
    connected = ServerConnected(server="w", version="1", protocol="p", seconds=0.1)
    s = play(
        lambda: session(MemoryJournal(), sinks=[watcher]),
        lambda s: s.observe(connected),
        lambda s: s.observe(ServerLog(server="w", level="info", text="hello")),
    )
    assert events(s, ServerConnected) == [connected]
    assert any(isinstance(item, ServerLog) for item in watcher.items)


def test_a_full_disk_met_by_a_server_event_stops_the_run_too():
    async def scene():
        journal = MemoryJournal()
        model = PlannedModel([[]])
        model.hold = asyncio.Event()
        s = session(journal, model=model)
        s.tell(UserSaid(message=said("hi")))
        running = asyncio.get_running_loop().create_task(s.run())
        await model.reached.wait()
        journal.full_at = len(journal.records)
        s.observe(ServerConnected(server="w", version="1", protocol="p", seconds=0.1))
        with pytest.raises(RecordError, match="full"):
            await running

    asyncio.run(scene())


def test_a_changed_model_answers_from_the_next_turn_on():
    async def scene():
        s = session(MemoryJournal(), plan=[])
        s.tell(UserSaid(message=said("hi")))
        await s.run()
        other = PlannedModel([[], []])
        s.change_model(other, by="tester")
        s.tell(UserSaid(message=said("again")))
        await s.run()
        assert len(other.requests) == 1
        s.end("done")
        assert (await s.run()).awaiting == "nothing"

    asyncio.run(scene())


def test_a_bug_in_a_room_comes_out_as_itself():
    class Buggy(World):
        async def call(self, tool, arguments, context):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(lambda: session(MemoryJournal(), plan=[["read", "put"]], world=Buggy()))


def test_a_call_in_doubt_runs_again_only_after_a_human_said_so():
    journal = MemoryJournal()
    with pytest.raises(asyncio.CancelledError):
        started_and_killed(journal)
    for agreed, expected in (("deny", ["outcome_unknown"]), ("approve", [None])):
        world = World()
        approver = AnsweringApprover({"in doubt": {"decision": agreed}})
        copy = MemoryJournal(journal.records)
        s = play(
            lambda w=world, a=approver, j=copy: session(j, plan=[["pay"]], world=w, approver=a)
        )
        assert [e.in_doubt for e in events(s, ApprovalRequested)] == [True]
        assert [r.error for r in results(s).values()] == expected
        assert len(world.done) == (agreed == "approve")


@pytest.mark.parametrize("why", ["policy", "server", "total"])
def test_a_call_in_doubt_that_may_not_run_again_goes_on_counting(why):
    journal, world, policy = MemoryJournal(), World(), TablePolicy({})
    with pytest.raises(asyncio.CancelledError):
        started_and_killed(journal)
    if why == "policy":
        policy.table = {"pay": "deny"}
    elif why == "server":
        gone = ToolResult(call_id="", content=(Text(text="gone"),), error="server_unavailable")
        world.results["pay"] = gone
    else:
        policy.uncountable = "state.db is locked"
    approver = AnsweringApprover({"in doubt": {"decision": "approve"}})
    s = play(
        lambda: session(journal, plan=[["pay"]], world=world, policy=policy, approver=approver)
    )
    expected = "server_unavailable" if why == "server" else "outcome_unknown"
    assert [r.error for r in results(s).values()] == [expected]
    assert policy.taken_back == []


def started_and_killed(journal: MemoryJournal) -> None:
    async def scene():
        world = World()
        world.gates["pay"] = asyncio.Event()
        world.started["pay"] = asyncio.Event()
        s = session(journal, plan=[["pay"]], world=world)
        s.tell(UserSaid(message=said("hi")))
        running = asyncio.get_running_loop().create_task(s.run())
        await world.started["pay"].wait()
        running.cancel()
        await running

    asyncio.run(scene())


def test_arguments_nested_too_deeply_are_refused():
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    world = World()
    plan = [answer("", call("a", "read", deep=deep))]
    s = play(lambda: session(MemoryJournal(), plan=plan, world=world))
    assert results(s)["a"].error == "invalid_arguments"
    assert world.done == []


def test_an_oversized_result_that_cannot_be_kept_is_still_a_result():
    class Full(MemoryJournal):
        def keep(self, name, data):
            raise RecordError("full")

    world = World()
    world.results["read"] = ToolResult(call_id="", content=(Text(text="x" * 100_000),))
    s = play(lambda: session(Full(), plan=[["read"]], world=world))
    assert results(s)["c0.0"].artifact is None
    assert "could not be kept" in text(results(s)["c0.0"])


def test_a_tool_that_is_withdrawn_while_it_runs_still_gives_its_result():
    async def scene() -> Session:
        world = World(
            gates={"pay": asyncio.Event(), "read": asyncio.Event()},
            started={"pay": asyncio.Event()},
        )
        made = session(MemoryJournal(), plan=[["pay", "read"]], world=world)
        made.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(made.run())
            await world.started["pay"].wait()
            world.tools_table = {}
            world.gates["read"].set()
            await asyncio.sleep(0)
            world.gates["pay"].set()
        return made

    c = asyncio.run(scene()).conversation
    assert [r.error for m in c.messages for r in m.content if isinstance(r, ToolResult)] == [
        None,
        None,
    ]
    assert outcome(c) == "done"


def test_a_tool_that_is_withdrawn_while_a_human_is_asked_is_not_run_whatever_the_answer():
    async def scene() -> tuple[Session, World]:
        approver = AnsweringApprover({"ask_me": (answered := asyncio.Event())})
        world = World(gates={"read": asyncio.Event()})
        made = session(MemoryJournal(), plan=[["ask_me", "read"]], world=world, approver=approver)
        made.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(made.run())
            await approver.asked.wait()
            world.tools_table = {}
            world.gates["read"].set()
            await asyncio.sleep(0)
            answered.set()
        return made, world

    made, world = asyncio.run(scene())
    assert [name for _, name in world.done] == ["read"]
    results = [
        r.error for m in made.conversation.messages for r in m.content if isinstance(r, ToolResult)
    ]
    assert results == ["unknown_tool", None]
    assert outcome(made.conversation) == "done"


def test_a_yes_is_for_the_definition_that_was_shown():
    async def scene() -> tuple[Session, World]:
        approver = AnsweringApprover({"ask_me": (answered := asyncio.Event())})
        world = World()
        made = session(MemoryJournal(), plan=[["ask_me"]], world=world, approver=approver)
        made.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(made.run())
            await approver.asked.wait()
            other = replace(world.tools_table["w__ask_me"], fingerprint="another")
            world.tools_table = {**world.tools_table, "w__ask_me": other}
            answered.set()
        return made, world

    made, world = asyncio.run(scene())
    assert not world.done
    assert [
        r.error for m in made.conversation.messages for r in m.content if isinstance(r, ToolResult)
    ] == ["changed"]


def test_a_question_of_a_parked_run_is_asked_anew_for_another_definition():
    journal = MemoryJournal()
    park = AnsweringApprover({"ask_me": Deferred()})
    play(lambda: session(journal, plan=[["ask_me"]], approver=park))
    world = World()
    other = replace(world.tools_table["w__ask_me"], fingerprint="another")
    world.tools_table = {**world.tools_table, "w__ask_me": other}
    made = play(lambda: session(journal, plan=[["ask_me"]], world=world))
    asked = [r.event for r in journal.records if isinstance(r.event, ApprovalRequested)]
    assert [q.fingerprint for q in asked] == ["print-of-ask_me", "another"]
    assert [name for _, name in world.done] == ["ask_me"]
    assert outcome(made.conversation) == "done"
