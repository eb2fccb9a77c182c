"""Whose yes counts, and for what."""

from dataclasses import replace

import pytest

from agent_host.core.approvals import Yes, binding, counted, digest, not_entitled, refused
from agent_host.core.conversation import Conversation, apply, fold
from agent_host.core.decisions import granted, intact
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    Event,
    ModelRequested,
    ModelResponded,
    PolicyDecided,
    RunResumed,
    RunStarted,
    ToolFinished,
    ToolStarted,
    UserSaid,
)
from agent_host.core.labels import MAX_LABELS, with_labels
from agent_host.core.limits import Limits
from agent_host.core.loop import AskApproval, Refuse, RunTool, decide
from agent_host.core.types import (
    ApprovalTerms,
    LabelSeen,
    Message,
    Principal,
    Text,
    ToolResult,
)
from tests.fakes.rooms import TESTER, TOOLS, call, said

LEADS = ApprovalTerms(approvers=("lead", "owner"), needed=2, self_approval=False)
ARGUMENTS = {"order": "1", "amount": 250}
QUESTION = ApprovalRequested(
    call_id="a",
    server="w",
    tool="pay",
    fingerprint=TOOLS["w__pay"].fingerprint,
    arguments=ARGUMENTS,
    rules=("large",),
    terms=LEADS,
    requester="tester",
    requester_from="os",
    binding="b1",
)


def yes(by: str, *roles: str, **more: object) -> ApprovalGiven:
    fields = {"call_id": "a", "authenticated_by": "os", "roles": roles or ("lead",), **more}
    return ApprovalGiven(decision="approve", by=by, **fields)


def no(by: str = "anybody", **more: object) -> ApprovalGiven:
    return ApprovalGiven(call_id="a", decision="deny", by=by, **more)


def asked(**more: object) -> PolicyDecided:
    fields = {"decision": "ask", "rule": "large", "rules": ("large",), "terms": LEADS, **more}
    return PolicyDecided(call_id="a", **fields)


def story(*events: Event) -> Conversation:
    return fold(
        [
            RunStarted(run_id="r", principal=TESTER, provider="p", model="m", adapter="a"),
            UserSaid(message=said("hi")),
            ModelRequested(request_id="1", provider="p", model="m"),
            ModelResponded(
                request_id="1",
                message=Message(role="assistant", content=(call("a", "pay", **ARGUMENTS),)),
                stop_reason="tool_use",
            ),
            *events,
        ]
    )


def next_of(c: Conversation, **limits: int) -> object:
    [action] = decide(c, tools=TOOLS, limits=Limits(**limits))
    return action


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (yes("bob"), None),
        (yes("bob", "owner", "else"), None),
        (yes("bob", "clerk"), "the role lead or owner"),
        (replace(yes("bob"), roles=()), "the role lead or owner"),
        (yes("bob", authenticated_by=""), "who they are"),
        (yes("tester"), "cannot approve it"),
        (yes("tester", authenticated_by="https://idp.example"), None),
        (yes("bob", binding="b1"), None),
        (yes("bob", binding="b2"), "to another question"),
        (yes("bob", scope="session_call"), "once only"),
        (yes("bob", scope="session_tool"), "once only"),
        (no(), None),
        (no(binding="b2"), "to another question"),
    ],
)
def test_a_yes_counts_only_of_whom_and_for_what_was_asked(given, why):
    found = refused(QUESTION, given)
    assert (found is None) == (why is None)
    assert why is None or why in found
    if why is None and given.decision == "approve":
        assert story(asked(), QUESTION, given).calls[0].yeses
    elif why is not None:
        with pytest.raises(UsageError):
            story(asked(), QUESTION, given)


def test_an_answer_to_another_call_is_no_answer():
    assert refused(replace(QUESTION, call_id="b"), yes("bob")) is not None


def test_an_answer_with_a_binding_is_no_answer_to_a_question_without_one():
    assert refused(replace(QUESTION, binding=""), yes("bob", binding="b1")) is not None


def test_without_terms_anybody_may_say_yes_for_as_long_as_they_like():
    free = replace(QUESTION, terms=None)
    for given in (yes("tester"), yes("--approve all", authenticated_by="", scope="session_tool")):
        assert refused(free, given) is None
    assert ApprovalTerms(seconds=1.0).anybody
    assert not_entitled(ApprovalTerms(needed=2), "", "", Principal(id="x")) is None


# threat 41 (the same person twice), 46
def test_it_takes_two_different_people_and_the_same_arguments():
    c = story(asked(), QUESTION, yes("bob"))
    action = next_of(c)
    assert isinstance(action, AskApproval)
    assert action.key.startswith("approval1:")
    with pytest.raises(UsageError, match="bob has approved this already"):
        apply(c, yes("bob"))
    assert isinstance(next_of(apply(c, yes("eve"))), RunTool)


def test_an_edit_starts_the_count_anew_and_is_what_runs():
    edited = {**ARGUMENTS, "amount": 25}
    c = story(asked(), QUESTION, yes("bob"), yes("eve", arguments=edited))
    assert [y.by for y in c.calls[0].yeses] == ["eve"]
    assert c.calls[0].approval is None
    second = replace(QUESTION, arguments=edited, binding="b2")
    done = fold_on(c, second, yes("bob", binding="b2"))
    assert done.calls[0].arguments == edited
    assert isinstance(next_of(done), RunTool)


def fold_on(c: Conversation, *events: Event) -> Conversation:
    for event in events:
        c = apply(c, event)
    return c


def test_a_no_of_anybody_ends_the_question():
    refusal = next_of(story(asked(), QUESTION, yes("bob"), no(feedback="too much")))
    assert isinstance(refusal, Refuse)
    assert refusal.text.endswith("too much")


def test_what_nobody_approved_in_time_is_refused_and_says_so():
    expired = ApprovalExpired(call_id="a")
    for events in ((), (yes("bob"),), (yes("bob"), yes("eve"))):
        refusal = next_of(story(asked(), QUESTION, *events, expired))
        assert (refusal.error, "in time" in refusal.text) == ("denied", True)
    with pytest.raises(UsageError, match="awaits no approval"):
        story(asked(), expired)


@pytest.mark.parametrize(
    "other",
    [
        {"rules": ("other",)},
        {"rules": ("large", "other")},
        {"terms": replace(LEADS, needed=1)},
        {"terms": None},
    ],
)
def test_a_yes_is_no_answer_to_other_rules_or_terms(other):
    for given in ((yes("bob"),), (yes("bob"), yes("eve"))):
        c = story(asked(), QUESTION, *given, RunResumed(principal=TESTER), asked(**other))
        assert isinstance(next_of(c), AskApproval)
        assert c.calls[0].yeses == ()


def test_yeses_survive_a_resume_as_long_as_policy_asks_for_the_same():
    c = story(asked(), QUESTION, yes("bob"), RunResumed(principal=TESTER), asked(), QUESTION)
    assert isinstance(next_of(apply(c, yes("eve"))), RunTool)
    for decision, action in (("allow", RunTool), ("deny", Refuse)):
        told = fold_on(c, yes("eve"), RunResumed(principal=TESTER), asked(decision=decision))
        assert isinstance(next_of(told), action)


def test_an_approval_is_used_once_also_when_nobody_knows_whether_it_was():
    """threat 40: after the approved call was started, the question of another process is another
    one."""
    ran = ToolStarted(call_id="a", server="w", tool="pay", fingerprint="f", arguments=ARGUMENTS)
    c = story(asked(), QUESTION, yes("bob"), yes("eve"), ran, RunResumed(principal=TESTER), asked())
    [state] = c.calls
    assert (state.in_doubt, state.approval, state.yeses, state.approvals) == (True, None, (), 1)
    first = binding("r", QUESTION, ARGUMENTS, 0)
    assert binding("r", QUESTION, ARGUMENTS, state.approvals) != first
    assert isinstance(next_of(c), AskApproval)


@pytest.mark.parametrize(
    "changed",
    [
        {"call_id": "b"},
        {"server": "v"},
        {"tool": "put"},
        {"fingerprint": "other"},
        {"in_doubt": True},
        {"rules": ("other",)},
        {"terms": replace(LEADS, needed=1)},
        {"terms": replace(LEADS, approvers=())},
        {"terms": replace(LEADS, self_approval=True)},
        {"terms": None},
        {"requester": "other"},
        {"requester_from": "other"},
    ],
)
def test_the_binding_is_of_everything_that_is_approved(changed):
    before = binding("r", QUESTION, ARGUMENTS, 0)
    assert binding("r", replace(QUESTION, **changed), ARGUMENTS, 0) != before
    assert binding("s", QUESTION, ARGUMENTS, 0) != before
    for arguments in ({}, {**ARGUMENTS, "amount": 250.0}, {**ARGUMENTS, "amount": "250"}):
        assert binding("r", QUESTION, arguments, 0) != before
    same = replace(QUESTION, arguments={}, binding="x", expires_at="later", reason="why")
    assert binding("r", same, dict(reversed(ARGUMENTS.items())), 0) == before


def test_arguments_that_were_changed_in_place_are_noticed():
    """threat 40: everybody who holds the dict could change it."""
    mine = {"order": "1", "amount": 250}
    c = story(asked(), replace(QUESTION, arguments=mine))
    mine["amount"] = 9999
    c = fold_on(c, yes("bob"), yes("eve"))
    assert not intact(c.calls[0])
    mine["amount"] = 250
    assert intact(c.calls[0])
    edited = {"order": "1", "amount": 5}
    c = story(asked(terms=None), replace(QUESTION, terms=None), yes("bob", arguments=edited))
    assert intact(c.calls[0])
    edited["amount"] = 9999
    assert not intact(c.calls[0])
    assert intact(story(asked()).calls[0])


def grant_of(c: Conversation, **more: object) -> object:
    fields = {
        "server": "w",
        "tool": "pay",
        "fingerprint": QUESTION.fingerprint,
        "arguments": ARGUMENTS,
        "rules": ("large",),
        **more,
    }
    return granted(c, **fields)


@pytest.mark.parametrize(
    ("scope", "wanted", "covered"),
    [
        ("session_call", {}, True),
        ("session_call", {"arguments": {"order": "2", "amount": 250}}, False),
        ("session_call", {"arguments": {"order": "1", "amount": 250.0}}, False),
        ("session_tool", {"arguments": {"order": "2"}}, True),
        ("session_tool", {"rules": ()}, True),
        ("session_tool", {"rules": ("large", "night")}, False),
        ("session_tool", {"rules": ("night",)}, False),
        ("session_tool", {"fingerprint": "changed"}, False),
        ("session_tool", {"server": "v"}, False),
        ("session_tool", {"tool": "put"}, False),
        ("once", {}, False),
    ],
)
def test_always_is_never_broader_than_what_was_shown(scope, wanted, covered):
    """threats 41 and 42."""
    free = replace(QUESTION, terms=None)
    c = story(asked(terms=None), free, yes("tester", scope=scope))
    assert (grant_of(c, **wanted) is not None) == covered


def test_an_always_does_not_change_with_the_dict_that_it_was_given_for():
    mine = {"order": "1"}
    free = replace(QUESTION, terms=None, arguments=mine)
    c = story(asked(terms=None), free, yes("tester", scope="session_call"))
    mine["order"] = "2"
    assert grant_of(c, arguments=mine) is None
    assert grant_of(c, arguments={"order": "1"}) is not None


def test_yeses_to_other_arguments_do_not_count():
    bob, eve = Yes("bob", "os", digest({"n": 1})), Yes("eve", "os", digest({"n": True}))
    assert counted((bob,), eve) == (eve,)
    assert counted((bob,), replace_yes(eve, bob.digest)) == (bob, replace_yes(eve, bob.digest))


def replace_yes(one: Yes, value: str) -> Yes:
    return replace(one, digest=value)


def test_questions_have_a_limit_for_one_message():
    """threat 46: an endless row of questions is no way to a tired yes."""
    c = story(asked(), QUESTION)
    assert isinstance(next_of(c, max_asks=1), AskApproval)  # this one is being asked
    c = apply(c, RunResumed(principal=TESTER))
    c = replace(apply(c, asked()), asks=1)
    refusal = next_of(c, max_asks=1)
    assert (refusal.error, "a human was asked 1 times" in refusal.text) == ("denied", True)


def seen(label: str, tool: str = "t") -> LabelSeen:
    return LabelSeen(label=label, server="w", tool=tool)


def test_a_context_remembers_its_labels_and_where_each_came_from():
    result = ToolResult(call_id="a", content=(Text(text="r"),), labels=("private", "untrusted"))
    ran = ToolStarted(call_id="a", server="w", tool="pay", fingerprint="f", arguments={})
    c = story(asked(decision="allow"), ran, ToolFinished(result=result))
    assert c.labels == (seen("private", "pay"), seen("untrusted", "pay"))
    c = apply(c, ModelRequested(request_id="2", provider="p", model="m"))
    done = ModelResponded(request_id="2", message=said("x"), stop_reason="end_turn")
    attached = UserSaid(message=said("more"), labels=(seen("private", "pay"), seen("egress", "")))
    c = fold_on(c, done, attached, RunResumed(principal=TESTER))
    assert c.labels == (seen("private", "pay"), seen("untrusted", "pay"), seen("egress", ""))


def test_a_call_that_never_ran_brings_no_labels():
    refused_call = ToolResult(call_id="a", content=(), error="denied", labels=("private",))
    assert story(asked(), ToolFinished(result=refused_call)).labels == ()


def test_labels_are_bounded_and_no_new_label_is_lost():
    many = with_labels((), (seen("private", f"t{n}") for n in range(3 * MAX_LABELS)))
    assert len(many) == MAX_LABELS
    assert with_labels(many, [seen("private", "other")]) is many
    assert with_labels(many, [seen("untrusted")])[-1] == seen("untrusted")


def test_a_call_that_nobody_asks_about_is_not_approved_while_another_one_is():
    two = (call("a", "pay", **ARGUMENTS), call("b", "pay"))
    c = fold(
        [
            RunStarted(run_id="r", principal=TESTER, provider="p", model="m", adapter="a"),
            UserSaid(message=said("hi")),
            ModelRequested(request_id="1", provider="p", model="m"),
            ModelResponded(
                request_id="1",
                message=Message(role="assistant", content=two),
                stop_reason="tool_use",
            ),
            asked(),
            QUESTION,
        ]
    )
    with pytest.raises(UsageError, match="'b' awaits no approval"):
        apply(c, yes("bob", call_id="b"))
