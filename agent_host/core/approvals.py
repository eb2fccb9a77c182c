"""Whose yes counts, and for what: the rules of an approval.

Theory of operation: a question is bound to one call of one run, with exactly these arguments, to
exactly this definition of the tool, and to the rules and terms that ask; `binding` is the hash of
all that, and an answer from outside names it. A call that was approved before (and may have run) is
asked about under another binding, so no answer is ever used twice. A yes counts if whoever says it
may say it (`refused`), and each person counts once. Yeses add up only while they are to the same
arguments: an edit starts the count anew. A no of anybody ends the question. Pure values;
`decisions` applies them.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from agent_host.core.events import ApprovalGiven, ApprovalRequested
from agent_host.core.types import ApprovalTerms, JsonObject, Principal, RolesNeeded


@dataclass(frozen=True, slots=True)
class Yes:
    """One person's yes to the arguments of that digest."""

    by: str
    authenticated_by: str
    digest: str
    roles: tuple[str, ...] = ()


def digest(value: object) -> str:
    """Return the SHA-256 (hex) of a JSON value. As JSON has it, 1, 1.0 and true differ; the order
    of an object's members does not count."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def binding(run_id: str, question: ApprovalRequested, shown: JsonObject, uses: int) -> str:
    """Return the SHA-256 (hex) of what an approval is for. `shown`: the arguments as records show
    them, which are the same in every process; `uses`: how often the call was approved before."""
    terms = terms_of(question)
    return digest(
        [
            run_id,
            question.call_id,
            question.server,
            question.tool,
            question.fingerprint,
            shown,
            question.in_doubt,
            sorted(question.rules),
            [sorted(terms.approvers), terms.needed, terms.self_approval, terms.seconds],
            *([sorted(one.roles), one.needed] for one in terms.also),
            question.requester,
            question.requester_from,
            uses,
        ]
    )


def terms_of(question: ApprovalRequested) -> ApprovalTerms:
    """The terms of a question; one of an older record has none."""
    return question.terms or ApprovalTerms()


def refused(
    question: ApprovalRequested, given: ApprovalGiven, before: Iterable[Yes] = ()
) -> str | None:
    """Return why an answer does not count, for people, or None. `before`: the yeses so far."""
    other = given.binding and given.binding != question.binding
    if other or given.call_id != question.call_id:
        return "the answer is to another question: the call, its arguments or its tool changed"
    if given.decision == "deny":
        return None
    terms = terms_of(question)
    who = Principal(id=given.by, authenticated_by=given.authenticated_by, roles=given.roles)
    reason = not_entitled(terms, question.requester, question.requester_from, who)
    if reason is not None:
        return reason
    if given.scope != "once" and not terms.anybody:
        return "this can be approved once only"
    arguments = digest(question.arguments if given.arguments is None else given.arguments)
    said = (given.by, given.authenticated_by, arguments)
    if any((yes.by, yes.authenticated_by, yes.digest) == said for yes in before):
        return f"{given.by} has approved this already; another person has to"
    return None


def not_entitled(
    terms: ApprovalTerms, requester: str, requester_from: str, who: Principal
) -> str | None:
    """Return why this person may not approve, for people, or None."""
    if not terms.anybody and not who.authenticated_by:
        return "it takes a person of whom is known who they are"
    if not any(_meets(one, who.roles) for one in terms.demands):
        roles = dict.fromkeys(role for one in terms.demands for role in one.roles)
        return f"it takes somebody with the role {' or '.join(roles)}"
    same = (who.id, who.authenticated_by) == (requester, requester_from)
    if same and not terms.self_approval:
        return "whoever asks for it cannot approve it; another person has to"
    return None


def lacking(terms: ApprovalTerms, yeses: Iterable[Yes]) -> tuple[RolesNeeded, ...]:
    """Return what is still demanded after these yeses: how many more of which roles."""
    given = tuple(yeses)
    left = (
        replace(one, needed=one.needed - sum(_meets(one, yes.roles) for yes in given))
        for one in terms.demands
    )
    return tuple(one for one in left if one.needed > 0)


def _meets(demand: RolesNeeded, roles: Iterable[str]) -> bool:
    return not demand.roles or bool(set(demand.roles) & set(roles))


def counted(before: Iterable[Yes], yes: Yes) -> tuple[Yes, ...]:
    """The yeses that count together after one more: those to the same arguments."""
    return (*(y for y in before if y.digest == yes.digest), yes)
