"""Several rules that ask for one call: each of their demands has to be met."""

import pytest

from agent_host.core.approvals import Yes, binding, lacking, not_entitled, refused
from agent_host.core.events import ApprovalGiven, ApprovalRequested
from agent_host.core.types import ApprovalTerms, Principal, RolesNeeded

BOTH = ApprovalTerms(
    approvers=("finance",), needed=2, also=(RolesNeeded(roles=("security", "risk")),)
)


def yes(name, *roles):
    return Yes(name, "idp", "x", roles)


@pytest.mark.parametrize(
    ("yeses", "left"),
    [
        ([], [(("finance",), 2), (("security", "risk"), 1)]),
        ([yes("ana", "finance")], [(("finance",), 1), (("security", "risk"), 1)]),
        ([yes("ana", "finance"), yes("bo", "finance")], [(("security", "risk"), 1)]),
        ([yes("ana", "finance"), yes("bo", "risk")], [(("finance",), 1)]),
        ([yes("ana", "finance", "risk"), yes("bo", "finance")], []),
        ([yes("ana", "finance"), yes("bo", "finance"), yes("cy", "security")], []),
        ([yes("ana"), yes("bo"), yes("cy")], [(("finance",), 2), (("security", "risk"), 1)]),
    ],
)
def test_what_several_rules_demand_is_lacking_until_each_has_its_people(yeses, left):
    assert [(one.roles, one.needed) for one in lacking(BOTH, yeses)] == left


def test_where_a_rule_lets_anybody_approve_each_person_counts():
    terms = ApprovalTerms(approvers=("finance",), also=(RolesNeeded(needed=2),))
    assert lacking(terms, [yes("ana", "finance")]) == (RolesNeeded(needed=1),)
    assert lacking(terms, [yes("ana", "finance"), yes("bo")]) == ()
    assert not terms.anybody


def test_whoever_counts_for_one_of_the_demands_may_approve_and_nobody_else():
    def reason(*roles):
        who = Principal(id="cy", authenticated_by="idp", roles=roles)
        return not_entitled(BOTH, "ana", "idp", who)

    assert reason("risk") is None
    assert reason("finance", "sales") is None
    assert reason("sales") == "it takes somebody with the role finance or security or risk"


def question(terms):
    return ApprovalRequested(
        call_id="c",
        server="s",
        tool="t",
        fingerprint="f",
        arguments={},
        in_doubt=False,
        terms=terms,
        requester="ana",
        requester_from="idp",
    )


def test_an_answer_is_bound_to_all_demands():
    one = ApprovalTerms(approvers=("finance",), needed=2)
    assert binding("r", question(one), {}, 0) != binding("r", question(BOTH), {}, 0)


def test_a_person_counts_once_whatever_roles_they_come_with_the_second_time():
    asked = question(BOTH)
    given = ApprovalGiven(
        call_id="c", decision="approve", by="bo", authenticated_by="idp", roles=("risk",)
    )
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}
    before = [Yes("bo", "idp", digest, ("finance",))]
    assert "has approved this already" in (refused(asked, given, before) or "")
