"""What several rules demand together."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent_host.core.approvals import Yes, lacking
from agent_host.core.types import ApprovalTerms, RolesNeeded
from agent_host.policy.terms import union

ROLES = st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(tuple)
TERMS = st.builds(
    ApprovalTerms,
    approvers=ROLES,
    needed=st.integers(1, 3),
    self_approval=st.booleans(),
    seconds=st.sampled_from([None, 60.0, 3600.0]),
)


def test_one_rules_terms_are_its_own():
    one = ApprovalTerms(approvers=("b", "a"), needed=2, self_approval=False, seconds=5.0)
    assert union([one]) == ApprovalTerms(
        approvers=("a", "b"), needed=2, self_approval=False, seconds=5.0
    )
    assert union([]) == ApprovalTerms()


def test_anybody_beside_particular_people_adds_nothing_unless_more_are_needed():
    lead = ApprovalTerms(approvers=("lead",))
    assert union([lead, ApprovalTerms()]) == lead
    assert union([lead, ApprovalTerms(needed=2)]) == ApprovalTerms(
        needed=2, also=(RolesNeeded(roles=("lead",)),)
    )


@given(
    st.lists(TERMS, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 4), ROLES), max_size=5, unique_by=lambda one: one[0]),
)
def test_they_are_met_when_each_is_met_and_only_then(all_terms, people):
    yeses = [Yes(f"p{number}", "idp", "x", roles) for number, roles in people]
    together = not lacking(union(all_terms), yeses)
    assert together is all(not lacking(one, yeses) for one in all_terms)


@given(st.lists(TERMS, min_size=1, max_size=4))
def test_the_strictest_of_the_rest_counts_in_any_order(all_terms):
    found = union(all_terms)
    assert found.self_approval is all(one.self_approval for one in all_terms)
    assert found.seconds == min((o.seconds for o in all_terms if o.seconds), default=None)
    assert all(union(order) == found for order in itertools.permutations(all_terms))
