"""Questions that take particular people: what the screen says, and which keys there are."""

import asyncio
from dataclasses import replace

import pytest

from agent_host.core.approvals import Yes
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    ModelResponded,
)
from agent_host.core.types import (
    ApprovalTerms,
    JsonObject,
    LabelSeen,
    RolesNeeded,
    ToolCall,
)
from agent_host.ports import ApprovalQuestion, Deferred
from agent_host.surfaces.approval import FixedApprover
from agent_host.surfaces.cards import Narrator
from agent_host.surfaces.people import at_terminal
from agent_host.surfaces.question import demanded, labelled
from tests.fakes.screens import FORBIDDEN, HOSTILE, outlet, question, record, says, tool
from tests.fakes.typists import typist
from tests.surfaces.test_approval import Typed, approver

ORDER: JsonObject = {"order_id": "12345", "amount": 250}
TWO = ApprovalTerms(approvers=("lead", "owner"), needed=2, self_approval=False)


def asked(
    terms: ApprovalTerms | None = TWO, *, expires_at: str = "", **more: object
) -> ApprovalQuestion:
    recorded = ApprovalRequested(
        call_id="c1",
        server="orders",
        tool="refund_order",
        fingerprint="f",
        arguments=ORDER,
        terms=terms,
        expires_at=expires_at,
        binding="3f2a91bc" * 8,
    )
    return replace(question(ORDER), asked=recorded, **more)


def play(one: ApprovalQuestion, *lines: str, leave: bool = False) -> tuple[object, str, Typed]:
    out, screen = outlet(tty=True, NO_COLOR="1")
    typed = Typed(lines)
    given = asyncio.run(approver(typed, out, leave=leave).approve(one))
    return given, screen.getvalue(), typed


def test_a_question_says_whose_yes_it_takes_and_what_is_in_the_conversation() -> None:
    one = asked(
        expires_at="2026-11-25T10:00:00Z",
        origin="servers.toml:12",
        yeses=(Yes("bob", "os", "d", ("lead",)),),
        labels=(
            LabelSeen(label="private", server="crm", tool="get"),
            LabelSeen(label="untrusted", server="web", tool=""),
        ),
    )
    _, screen, _ = play(one, "n")
    for row in (
        "  rule      default (servers.toml:12)",
        "  data      private from crm · get; untrusted from web",
        "  takes     2 people with the role lead or owner; not the one for whom the run",
        "  said yes  bob; 1 more needed",
        "  until     2026-11-25T10:00:00Z, then it is refused",
    ):
        assert row in screen.splitlines(), row


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (ApprovalTerms(), "1 person"),
        (ApprovalTerms(needed=2), "2 people"),
        (ApprovalTerms(approvers=("lead",)), "1 person with the role lead"),
        (
            ApprovalTerms(approvers=("lead",), also=(RolesNeeded(roles=("cfo",), needed=2),)),
            "1 person with the role lead; 2 people with the role cfo",
        ),
    ],
)
def test_terms_are_told_in_words(terms: ApprovalTerms, words: str) -> None:
    assert demanded(terms) == words


def test_of_many_sources_of_a_label_a_few_are_named() -> None:
    many = [LabelSeen(label="private", server="crm", tool=f"t{n}") for n in range(5)]
    assert labelled(many) == "private from crm · t0, crm · t1, crm · t2 and 2 more"


def test_what_takes_particular_people_can_be_approved_once_only() -> None:
    given, screen, typed = play(asked(), "a", "t", "y")
    assert isinstance(given, ApprovalGiven)
    assert given.scope == "once"
    assert typed.prompts[0] == "approve? [y/n/r/e] "
    assert screen.count("this can be approved once only") == 2
    assert "always in this session" not in screen


def test_who_may_not_approve_can_refuse_and_wait_and_nothing_else() -> None:
    one = asked(not_you="it takes somebody with the role lead")
    given, screen, typed = play(one, "y", "a", "t", "e", "l", "n")
    assert isinstance(given, ApprovalGiven)
    assert given.decision == "deny"
    assert set(typed.prompts) == {"waiting for another person [n/r] "}
    assert typed.offered == []
    assert screen.count("you cannot approve this: it takes somebody with the role lead") == 4
    assert "'l' is no answer" in screen
    assert "another person answers with: agent-host approvals approve 3f2a91bc" in screen
    assert "  y  yes" not in screen


def test_a_run_can_be_left_waiting_where_others_have_to_answer() -> None:
    given, screen, typed = play(asked(not_you="another has to"), "l", leave=True)
    assert given == Deferred()
    assert typed.prompts == ["waiting for another person [n/r/l] "]
    assert "  l  leave" in screen
    assert isinstance(play(asked(), "l", "n", leave=True)[0], ApprovalGiven)


def test_letters_that_only_look_like_others_are_said_to_be_there() -> None:
    fake = replace(question({"to": "p\u0430ypal.com"}))
    _, screen, _ = play(fake, "n")
    assert "LETTERS" in screen
    assert 'to  "p\\u{430}ypal.com"' in screen
    assert "LETTERS" not in play(question(ORDER), "n")[1]


def test_no_hostile_text_leaves_its_place_in_what_is_new() -> None:
    for text in HOSTILE:
        one = asked(
            ApprovalTerms(approvers=(text,), self_approval=False),
            expires_at=text,
            origin=text,
            not_you=text,
            yeses=(Yes(text, text, "d"),),
            labels=(LabelSeen(label=text, server=text, tool=text),),
        )
        assert not set(FORBIDDEN) & set(play(one, "n")[1])


# threat 47
def test_nothing_approves_by_itself_what_takes_particular_people() -> None:
    for one in (asked(), asked(ApprovalTerms(self_approval=False)), asked(ApprovalTerms(needed=2))):
        assert asyncio.run(FixedApprover("all").approve(one)) == Deferred()
        doubtful = replace(one, in_doubt=True)
        assert asyncio.run(FixedApprover("all").approve(doubtful)) == Deferred()
    free = asyncio.run(FixedApprover("all").approve(asked(ApprovalTerms(seconds=5.0))))
    assert isinstance(free, ApprovalGiven)
    assert free.decision == "approve"


def test_a_chat_that_approves_all_asks_for_what_takes_particular_people() -> None:
    out, _ = outlet(tty=True)
    made = at_terminal("all", typist("n"), by="ann", screen=out, hold=(), sign="", browser=None)
    given = asyncio.run(made.approver.approve(asked()))
    assert isinstance(given, ApprovalGiven)
    assert (given.decision, given.by) == ("deny", "ann")


# -- cards -----------------------------------------------------------------------------------


def told(*events: object) -> list[str]:
    narrator = Narrator()
    call = ToolCall(id="c1", name="orders__refund_order", arguments=ORDER)
    first = ModelResponded(request_id="r", message=says("", call), stop_reason="tool_use")
    return [card.text for event in (first, *events) for card in narrator.tell(record(event))]


def yes(by: str, **more: object) -> ApprovalGiven:
    return ApprovalGiven(call_id="c1", decision="approve", by=by, roles=("lead",), **more)


REQUESTED = asked().asked
assert REQUESTED is not None


def test_a_yes_of_one_of_several_people_is_told() -> None:
    assert told(REQUESTED, yes("bob"), yes("eve", via="approvals:1")) == [
        "orders · refund_order  approved by bob; 1 more needed",
        "orders · refund_order  approved by eve, from elsewhere",
    ]


def test_an_edit_from_elsewhere_is_told_and_starts_the_count_anew() -> None:
    edited = {"order_id": "12345", "amount": 5}
    lines = told(REQUESTED, yes("bob"), yes("eve", arguments=edited, via="approvals:1"))
    assert lines[1].endswith("approved with other arguments by eve, from elsewhere; 1 more needed")


def test_ones_own_yes_is_not_told_again_and_a_no_from_elsewhere_is() -> None:
    free = replace(REQUESTED, terms=None)
    assert told(free, yes("ann")) == []
    no = ApprovalGiven(call_id="c1", decision="deny", by="eve", via="approvals:2")
    assert told(free, no) == ["orders · refund_order  refused by eve, from elsewhere"]
    assert told(free, ApprovalExpired(call_id="c1")) == [
        "orders · refund_order  nobody approved it in time"
    ]


def test_the_tool_of_a_question_is_named_as_it_is() -> None:
    fake = replace(asked(), tool=tool("ord\u0435rs", "refund"))
    assert "ord\\u{435}rs" in play(fake, "n")[1]
