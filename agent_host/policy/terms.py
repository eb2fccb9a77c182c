"""What several rules that ask demand together: all of it.

Theory of operation: each rule says how many people of which roles have to approve, whether the
user of the run is one, and for how long. Of the same roles the larger number counts, of different
roles each; one person may have roles of several. The user of the run may approve only if every rule
lets them; the shortest time counts.
"""

from collections.abc import Iterable

from agent_host.core.types import ApprovalTerms, RolesNeeded


def union(all_terms: Iterable[ApprovalTerms]) -> ApprovalTerms:
    """Return the terms that meet all these."""
    terms = tuple(all_terms)
    needed: dict[tuple[str, ...], int] = {}
    for one in terms:
        for demand in one.demands:
            roles = tuple(sorted(set(demand.roles)))
            needed[roles] = max(needed.get(roles, 0), demand.needed)
    most = max((count for roles, count in needed.items() if roles), default=0)
    if needed.get((), 0) <= most:
        needed.pop((), None)  # so many people there are anyhow
    demands = [RolesNeeded(roles=roles, needed=needed[roles]) for roles in sorted(needed)]
    times = [one.seconds for one in terms if one.seconds is not None]
    first, *others = demands or [RolesNeeded()]
    return ApprovalTerms(
        approvers=first.roles,
        needed=first.needed,
        self_approval=all(one.self_approval for one in terms),
        seconds=min(times, default=None),
        also=tuple(others),
    )
