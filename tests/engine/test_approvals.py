"""Questions to humans as a session puts them: bound, in time, by the right people."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    Interrupted,
    PolicyDecided,
    ServerLog,
    ToolFinished,
    ToolStarted,
    UserSaid,
)
from agent_host.core.loop import outcome
from agent_host.core.types import (
    ApprovalTerms,
    JsonObject,
    Message,
    Principal,
    Text,
    ToolResult,
)
from agent_host.engine.session import Session
from agent_host.ports import ApprovalQuestion, Deferred, PolicyAnswer
from tests.fakes.rooms import (
    TOOLS,
    AnsweringApprover,
    MemoryJournal,
    TablePolicy,
    Watcher,
    World,
    answer,
    call,
    said,
    session,
)

TWO = ApprovalTerms(approvers=("lead",), needed=2, self_approval=False)
HOUR = ApprovalTerms(seconds=3600.0)
PLAN = [answer("", call("a", "ask_me", amount=250))]


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Scripted:
    """An approver that does each of these in turn with its question."""

    def __init__(self, *steps: Callable[[ApprovalQuestion], Any]) -> None:
        self.steps = list(steps)
        self.questions: list[ApprovalQuestion] = []

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        self.questions.append(question)
        given = self.steps.pop(0)(question) if self.steps else Deferred()
        if isinstance(given, asyncio.Event):
            await given.wait()
            given = yes("tester", authenticated_by="")
        return given


def yes(by: str, **more: object) -> ApprovalGiven:
    fields = {"call_id": "a", "authenticated_by": "os", "roles": ("lead",), **more}
    return ApprovalGiven(decision="approve", by=by, **fields)


def asking(terms: ApprovalTerms | None = None) -> TablePolicy:
    policy = TablePolicy()
    if terms is not None:
        policy.terms["ask_me"] = terms
    return policy


def events(s: Session, kind: type) -> list:
    return [r.event for r in s.feed.journal.records if isinstance(r.event, kind)]


def errors(s: Session) -> list:
    return [e.result.error for e in events(s, ToolFinished)]


def play(made: Session) -> Session:
    async def scene() -> None:
        if made.conversation.awaiting == "user":
            made.tell(UserSaid(message=said("hi")))
        await made.run()

    asyncio.run(scene())
    return made


def run(
    *steps: Callable[[ApprovalQuestion], Any],
    journal: MemoryJournal | None = None,
    terms: ApprovalTerms | None = None,
    **more: Any,
) -> tuple[Session, Scripted, World]:
    approver, world = Scripted(*steps), World()
    options: dict[str, Any] = {"policy": asking(terms), "plan": PLAN, "world": world, **more}
    made = session(journal or MemoryJournal(), approver=approver, **options)
    return play(made), approver, options["world"]


def always(given: Any) -> Callable[[ApprovalQuestion], Any]:
    return lambda _question: given


def test_a_question_says_who_asks_for_what_until_when_and_who_may_answer():
    s, approver, _ = run(terms=replace(TWO, seconds=60.0), wall=Clock())
    [asked] = events(s, ApprovalRequested)
    assert (asked.requester, asked.requester_from, asked.terms.needed) == ("tester", "os", 2)
    assert asked.expires_at == "2027-01-15T08:01:00Z"
    [question] = approver.questions
    assert question.asked == asked
    assert "the role lead" in question.not_you
    assert len(asked.binding) == 64
    [decision] = events(s, PolicyDecided)
    assert (decision.server, decision.tool, decision.policy) == ("w", "ask_me", "table")


def test_two_of_two_people_make_a_call_run():
    s, approver, world = run(
        always(yes("bob")),
        always(yes("eve")),
        terms=TWO,
    )
    assert errors(s) == [None]
    assert [[y.by for y in q.yeses] for q in approver.questions] == [[], ["bob"]]
    assert len(events(s, ApprovalRequested)) == 1
    assert world.done == [("a", "ask_me")]


def test_an_edit_of_the_first_is_what_the_second_is_asked_about():
    s, approver, world = run(
        always(yes("bob", arguments={"amount": 5})), always(yes("eve")), terms=TWO
    )
    assert [q.arguments for q in approver.questions] == [{"amount": 250}, {"amount": 5}]
    first, second = events(s, ApprovalRequested)
    assert (second.arguments, first.binding != second.binding) == ({"amount": 5}, True)
    assert world.arguments == {"a": {"amount": 5}}


# threat 47; the rules of who may say yes
@pytest.mark.parametrize(
    ("terms", "given", "why"),
    [
        (TWO, yes("tester"), "cannot approve it"),
        (TWO, yes("bob", roles=()), "the role lead"),
        (TWO, ApprovalGiven(call_id="a", decision="approve", by="--approve all"), "the role"),
        (
            ApprovalTerms(self_approval=False),
            ApprovalGiven(call_id="a", decision="approve", by="--approve all"),
            "cannot approve it",
        ),
        (
            ApprovalTerms(needed=2),
            yes("bob", scope="session_tool"),
            "once only",
        ),
        (None, yes("bob", binding="of another run"), "another question"),
    ],
)
def test_an_answer_that_does_not_count_is_not_taken_and_said(terms, given, why):
    watcher = Watcher()
    s, _, world = run(always(given), terms=terms, sinks=[watcher])
    assert world.done == []
    assert not events(s, ApprovalGiven)
    assert s.conversation.awaiting == "approval"
    [log] = [item for item in watcher.items if isinstance(item, ServerLog)]
    assert why in log.text


def test_an_answer_at_this_terminal_is_that_of_the_runs_own_user():
    given = ApprovalGiven(call_id="a", decision="approve", by="root")
    s, _, _ = run(always(given), terms=ApprovalTerms(needed=2))
    [recorded] = events(s, ApprovalGiven)
    assert (recorded.by, recorded.authenticated_by) == ("tester", "os")
    [again] = [q for q in s.rooms.approver.questions if q.yeses]
    assert again.not_you == "you have approved it; it takes another person as well"
    s, _, _ = run(always(given))
    assert events(s, ApprovalGiven) == [given]  # nobody in particular is wanted


def resumed(s: Session, *steps: Callable[[ApprovalQuestion], Any], **more: Any) -> Any:
    return run(*steps, journal=MemoryJournal(s.feed.journal.records), **more)


def test_another_process_asks_the_same_question_with_the_same_end():
    clock = Clock()
    parked, _, _ = run(terms=HOUR, wall=clock)
    clock.now += 1800
    s, _, _ = resumed(parked, terms=HOUR, wall=clock)
    first, second = events(s, ApprovalRequested)
    assert (first.binding, first.expires_at) == (second.binding, second.expires_at)
    s, _, _ = resumed(s, always(yes("tester", binding=first.binding)), terms=HOUR, wall=clock)
    assert errors(s) == [None]


def test_a_question_of_a_parked_run_that_ran_out_is_not_asked_again():
    """fault 9: the wall clock counts while nobody runs."""
    clock = Clock()
    parked, _, _ = run(terms=HOUR, wall=clock)
    clock.now += 3600
    s, approver, world = resumed(parked, always(yes("tester")), terms=HOUR, wall=clock)
    assert approver.questions == []
    assert errors(s) == ["denied"]
    assert len(events(s, ApprovalExpired)) == 1
    assert world.done == []


def test_what_was_approved_and_not_used_in_time_does_not_run():
    clock = Clock()
    journal = MemoryJournal(crash_at=None)
    s, _, _ = run(always(yes("tester")), journal=journal, terms=HOUR, wall=clock)
    cut = next(n for n, r in enumerate(journal.records) if isinstance(r.event, ToolStarted))
    for late, wanted in ((0, [None]), (3600, ["denied"])):
        clock.now = 1_800_000_000.0 + late
        again, approver, _ = run(
            journal=MemoryJournal(journal.records[:cut]), terms=HOUR, wall=clock
        )
        assert errors(again) == wanted
        assert approver.questions == []
    assert errors(s) == [None]


SOON = ApprovalTerms(seconds=1.0)
ALMOST = 1_800_000_000.999
"""A millisecond before what is asked for a second ends: ends are whole seconds."""


def test_a_question_ends_by_itself_and_its_call_does_not_run():
    s, _, world = run(always(asyncio.Event()), terms=SOON, wall=Clock(ALMOST))
    assert (errors(s), world.done) == (["denied"], [])
    assert len(events(s, ApprovalExpired)) == 1


class LastMoment:
    """Has the session told an answer while its question ends."""

    session: Session

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven:
        try:
            await asyncio.Event().wait()
        finally:
            self.session.record(ApprovalGiven(call_id="a", decision="deny", by="eve"))
        raise AssertionError("nobody sets that")


def test_an_answer_in_the_last_moment_counts_and_the_end_does_not():
    approver = LastMoment()
    s = session(
        MemoryJournal(), plan=PLAN, policy=asking(SOON), approver=approver, wall=Clock(ALMOST)
    )
    approver.session = s
    play(s)
    assert errors(s) == ["denied"]
    assert not events(s, ApprovalExpired)


def test_a_yes_that_comes_after_the_clock_was_set_forward_is_too_late():
    """fault 9: the timer knows nothing of the wall clock."""
    clock = Clock()

    def late(_question: ApprovalQuestion) -> ApprovalGiven:
        clock.now += 8 * 86400
        return yes("tester")

    s, _, world = run(late, terms=HOUR, wall=clock)
    assert (errors(s), world.done) == (["denied"], [])
    assert not events(s, ApprovalGiven)
    clock.now = 1_800_000_000.0

    def refusal(_question: ApprovalQuestion) -> ApprovalGiven:
        clock.now += 8 * 86400
        return ApprovalGiven(call_id="a", decision="deny", by="tester")

    s, _, _ = run(refusal, terms=HOUR, wall=clock)
    assert len(events(s, ApprovalGiven)) == 1


def test_an_end_that_is_no_time_has_come():
    """A transcript that somebody has changed opens nothing."""
    clock = Clock()
    parked, _, _ = run(terms=HOUR, wall=clock)
    records = [
        replace(r, event=replace(r.event, expires_at="never"))
        if isinstance(r.event, ApprovalRequested)
        else r
        for r in parked.feed.journal.records
    ]
    s, approver, _ = run(journal=MemoryJournal(records), terms=HOUR, wall=clock)
    assert (errors(s), approver.questions) == (["denied"], [])


def test_arguments_that_were_changed_after_the_question_do_not_run():
    """threat 40: whoever holds the dict could change it between the yes and the call."""

    def change(question: ApprovalQuestion) -> ApprovalGiven:
        question.arguments["amount"] = 9999
        return yes("tester")

    plan = [answer("", call("a", "ask_me", amount=250))]
    s, _, world = run(change, plan=plan)
    assert (errors(s), world.done) == (["changed"], [])
    assert "arguments changed" in events(s, ToolFinished)[0].result.content[0].text


# threat 47: an edit is no way around policy
def test_an_edit_that_cannot_run_is_known_before_it_is_approved():
    s, approver, _ = run(terms=None)
    [question] = approver.questions
    assert question.invalid({"amount": 5}) is None
    assert question.invalid({"bad": 5}) == "bad is not allowed"
    assert question.invalid({"forbidden": 1}) == (
        "policy denies this call (rule no-forbidden): not that"
    )
    deep: JsonObject = {}
    for _ in range(100):
        deep = {"k": deep}
    assert "nested too deeply" in question.invalid(deep)
    assert outcome(s.conversation) is None


class Unexplained(TablePolicy):
    """Denies large amounts without a reason, and wants two leads from 100 on."""

    def decide(self, call: Any, arguments: JsonObject, *more: Any) -> PolicyAnswer:
        amount = arguments.get("amount", 0)
        if amount > 1000:
            return PolicyAnswer(decision="deny", rule="cap")
        terms = TWO if amount >= 100 else None
        return PolicyAnswer(
            decision="ask", rule="some", rules=("large",) if terms else ("small",), terms=terms
        )


def test_an_edit_into_what_takes_other_people_is_asked_of_them():
    plan = [answer("", call("a", "ask_me", amount=5))]
    s, approver, world = run(
        always(yes("tester", arguments={"amount": 500})), policy=Unexplained(), plan=plan
    )
    assert world.done == []
    first, second = approver.questions
    assert (first.not_you, second.arguments) == (None, {"amount": 500})
    assert "the role lead" in second.not_you
    assert first.invalid({"amount": 5000}) == "policy denies this call (rule cap)"
    assert s.conversation.awaiting == "approval"


def test_an_interruption_ends_the_question_and_a_late_answer_is_no_legal_move():
    """fault 27: an approval that comes late, or for a run that was stopped."""

    async def scene() -> Session:
        approver = AnsweringApprover({"ask_me": asyncio.Event()})
        s = session(MemoryJournal(), plan=PLAN, policy=asking(), approver=approver)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await approver.asked.wait()
            s.tell(Interrupted(by="tester"))
        with pytest.raises(Exception, match="not possible while awaiting user"):
            s.tell(yes("tester"))
        return s

    s = asyncio.run(scene())
    assert errors(s) == ["cancelled"]
    assert not events(s, ApprovalGiven)


def test_the_second_of_two_answers_is_no_legal_move():
    """fault 27: the first wins."""

    async def scene() -> Session:
        never = asyncio.Event()
        approver = AnsweringApprover({"ask_me": never})
        world = World(gates={"ask_me": asyncio.Event()}, started={"ask_me": asyncio.Event()})
        s = session(MemoryJournal(), plan=PLAN, policy=asking(), approver=approver, world=world)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await approver.asked.wait()
            s.tell(yes("tester"))
            with pytest.raises(Exception, match="approval"):
                s.tell(ApprovalGiven(call_id="a", decision="deny", by="eve"))
            await world.started["ask_me"].wait()
            world.gates["ask_me"].set()
        return s

    s = asyncio.run(scene())
    assert errors(s) == [None]


# threat 45: what cannot be counted does not run, whoever allowed it
def test_a_call_that_cannot_be_counted_does_not_run():
    policy = asking()
    policy.uncountable = "the running total cannot be written"
    s, _, world = run(always(yes("tester")), policy=policy)
    assert (errors(s), world.done) == (["denied"], [])
    assert "cannot be written" in events(s, ToolFinished)[0].result.content[0].text
    assert policy.taken_back == ["a"]


def test_a_call_that_never_reached_its_server_is_taken_back():
    world = World(
        results={
            "ask_me": ToolResult(
                call_id="a", content=(Text(text="gone"),), error="server_unavailable"
            )
        }
    )
    policy = asking()
    s, _, _ = run(always(yes("tester")), policy=policy, world=world)
    assert errors(s) == ["server_unavailable"]
    assert policy.counted == policy.taken_back == ["a"]


class Moved(TablePolicy):
    """Finds, when a call is about to run, that others have counted since: policy then says
    `later`."""

    def __init__(self, later: PolicyAnswer) -> None:
        super().__init__({"ask_me": "ask"})
        self.later: PolicyAnswer | None = None
        self._later = later

    def decide(self, *about: Any) -> PolicyAnswer:
        return self.later or PolicyAnswer(decision="ask", rule="default", rules=("default",))

    def begin(self, *about: Any) -> str | None:
        first, self.later = self.later is None, self._later
        return "others were counted" if first or self._later.decision == "deny" else None


# threat 45: several questions at once do not pass a limit together
def test_what_policy_denies_by_the_time_it_would_run_is_denied_by_that_rule():
    denies = PolicyAnswer(decision="deny", rule="limit", rules=("limit",), reason="500 a day")
    s, _, world = run(always(yes("tester")), policy=Moved(denies))
    assert (errors(s), world.done) == (["denied"], [])
    assert "500 a day" in events(s, ToolFinished)[0].result.content[0].text
    assert [d.rule for d in events(s, PolicyDecided)] == ["default", "limit"]


def test_what_another_rule_asks_by_the_time_it_would_run_is_asked_again():
    asks = PolicyAnswer(decision="ask", rule="limit", rules=("limit",))
    s, _, world = run(always(yes("tester")), always(yes("tester")), policy=Moved(asks))
    assert (errors(s), world.done) == ([None], [("a", "ask_me")])
    assert [q.rules for q in events(s, ApprovalRequested)] == [("default",), ("limit",)]


class Masks:
    """A vault that writes `[hidden]` for `4711` to the model, and back for the tool."""

    def conceal(self, result: ToolResult) -> ToolResult:
        [block] = result.content
        text = block.text.replace("4711", "[hidden]")
        return replace(result, content=(Text(text=text),))

    def reveal(self, tool: Any, arguments: JsonObject) -> JsonObject:
        return {k: "4711" if v == "[hidden]" else v for k, v in arguments.items()}

    def missing(self, tool: Any, arguments: JsonObject) -> str | None:
        return "[gone] is gone" if "[gone]" in arguments.values() else None


def test_secrets_reach_the_tool_and_neither_model_nor_record():
    world = World(
        results={"ask_me": ToolResult(call_id="a", content=(Text(text="the pin is 4711"),))}
    )
    plan = [answer("", call("a", "ask_me", pin="[hidden]"))]
    approver = Scripted(always(yes("tester")))
    s = session(MemoryJournal(), plan=plan, world=world, approver=approver, policy=asking())
    s.rooms = replace(s.rooms, vault=Masks())
    play(s)
    assert world.arguments == {"a": {"pin": "4711"}}
    assert events(s, ToolStarted)[0].arguments == {"pin": "[hidden]"}
    assert events(s, ToolFinished)[0].result.content[0].text == "the pin is [hidden]"


def test_a_call_that_lacks_a_secret_does_not_run_and_the_model_is_told():
    world = World(results={})
    plan = [answer("", call("a", "ask_me", pin="[gone]"))]
    approver, policy = Scripted(always(yes("tester"))), asking()
    s = session(MemoryJournal(), plan=plan, world=world, approver=approver, policy=policy)
    s.rooms = replace(s.rooms, vault=Masks())
    play(s)
    assert world.arguments == {}
    assert events(s, ToolStarted) == []
    [finished] = events(s, ToolFinished)
    assert finished.result.error == "invalid_arguments"
    assert finished.result.content[0].text == "not executed: [gone] is gone"
    assert policy.taken_back == ["a"]


def test_a_tools_labels_come_with_what_it_returns():
    labelled = {
        **TOOLS,
        "w__ask_me": replace(TOOLS["w__ask_me"], labels=("private",)),
    }
    result = ToolResult(call_id="a", content=(Text(text="r"),), labels=("untrusted",))
    world = World(tools_table=labelled, results={"ask_me": result})
    s, approver, _ = run(
        lambda question: yes("tester", call_id=question.call_id),
        world=world,
        plan=[*PLAN, answer("", call("b", "ask_me"))],
    )
    assert [one.label for one in s.conversation.labels] == ["private", "untrusted"]
    assert approver.questions[0].labels == ()
    assert [one.label for one in approver.questions[1].labels] == ["private", "untrusted"]


def test_a_policy_that_restricts_who_may_say_yes_is_not_answered_by_an_earlier_always():
    plan = [answer("", call("a", "ask_me")), answer("", call("b", "ask_me"))]
    policy = asking()

    def tighten(_question: ApprovalQuestion) -> ApprovalGiven:
        policy.terms["ask_me"] = TWO
        return yes("tester", scope="session_tool")

    s, approver, _ = run(tighten, plan=plan, policy=policy)
    assert len(approver.questions) == 2
    assert approver.questions[1].not_you is not None
    assert s.conversation.awaiting == "approval"


def test_who_is_known_by_another_name_is_another_person():
    s = session(
        MemoryJournal(),
        plan=PLAN,
        policy=asking(TWO),
        approver=Scripted(always(yes("tester", authenticated_by="https://idp.example"))),
    )
    s.principal = Principal(id="tester", authenticated_by="os")
    play(s)
    assert len(events(s, ApprovalGiven)) == 1
    assert isinstance(s.conversation.messages[-1], Message)
