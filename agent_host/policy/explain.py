"""One decision, with everything that led to it, as a value that can be told or printed.

Theory of operation: `RulePolicy.explain` says what came of each rule that is about the tool; this
adds the rules that are not, says which of them decided, whose yes it takes, and what the model is
told. Nothing here is cleaned: whoever shows it does that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from agent_host.core.types import ApprovalTerms, Decision, RolesNeeded, Tool
from agent_host.policy.covering import glob_matches
from agent_host.policy.plans import Rule
from agent_host.policy.rules import Explanation, RulePolicy

State = Literal["matched", "not matched", "undefined", "other tools"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What came of one rule. `counts`: it took part in the comparison; `decides`: it is (one of)
    those that gave the answer; `why`: of its globs or condition."""

    rule: str
    effect: Decision
    state: State
    counts: bool
    decides: bool
    level: str = ""
    where: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why a call is answered as it is. `terms`: whose yes it takes, in sentences; `told`: what
    the model gets to read, empty where that is the tool's own result; `totals`: what each stands
    at before and after this call, or why that is not known."""

    server: str
    tool: str
    decision: Decision
    rule: str
    reason: str
    where: str
    terms: tuple[str, ...]
    told: str
    rules: tuple[Looked, ...]
    totals: dict[str, Any]


def explained(policy: RulePolicy, found: Explanation, tool: Tool) -> Explained:
    """Return an explanation of what a policy said of a call of a tool."""
    answer = found.answer
    looked = list(_looked(policy, found, tool))
    deciding = [one for one in looked if one.decides]
    if answer.rule not in {one.rule for one in looked}:
        looked.append(_extra(found))
    return Explained(
        server=tool.server,
        tool=tool.tool,
        decision=answer.decision,
        rule=answer.rule,
        reason=answer.reason,
        where=answer.origin or next((one.where for one in deciding), ""),
        terms=tuple(demands(answer.terms)) if answer.decision == "ask" else (),
        told=told(answer.decision, answer.rule, answer.reason),
        rules=tuple(looked),
        totals={
            name: value if isinstance(value, str) else {"before": value[0], "after": value[1]}
            for name, value in found.totals.items()
        },
    )


def told(decision: Decision, rule: str, reason: str) -> str:
    """Return what the model is told of a call that this ends; see `core.loop`."""
    if decision != "deny":
        return ""
    why = f": {reason}" if reason else ""
    return f"not executed: policy denies this call (rule {rule}){why}"


def demands(terms: ApprovalTerms | None) -> Iterator[str]:
    """Yield whose yes a question takes, a sentence each."""
    terms = terms or ApprovalTerms()
    for demand in terms.demands:
        yield _demand(demand)
    if not terms.self_approval:
        yield "not of the user for whom the run acts"
    if terms.seconds is not None:
        yield f"within {span(terms.seconds)}"


def _demand(demand: RolesNeeded) -> str:
    who = f"with the role {' or '.join(demand.roles)}" if demand.roles else ""
    if demand.needed == 1:
        return f"one yes, of somebody {who}" if who else "one yes, of anybody"
    people = f"{demand.needed} people"
    return f"the yes of {people} {who}" if who else f"the yes of {people}"


def span(seconds: float) -> str:
    """Return a span of time for people, in the largest unit that fits whole."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            number = int(seconds // size)
            return f"{number} {name}{'' if number == 1 else 's'}"
    return f"{seconds:g} seconds"


def _looked(policy: RulePolicy, found: Explanation, tool: Tool) -> Iterator[Looked]:
    outcomes = {_key(one.rule): one for one in found.outcomes}
    answer = found.answer
    for rule in policy.rules:
        outcome = outcomes.get(_key(rule))
        if outcome is None:
            yield _one(rule, "other tools", why=_not_about(rule, tool))
            continue
        counts = bool(outcome.holds) or (outcome.holds is None and rule.effect != "allow")
        state: State = "undefined"
        if outcome.holds is not None:
            state = "matched" if outcome.holds else "not matched"
        decides = counts and rule.effect == answer.decision and _name(rule) in answer.rules
        why = outcome.why
        if rule.when is not None and not why:
            why = f"`{rule.when.text}` is {'true' if outcome.holds else 'false'}"
        elif state == "undefined":
            so = "counts as not matched" if rule.effect == "allow" else "counts as matched"
            why = f"{why}; {so}"
        yield _one(rule, state, counts=counts, decides=decides, why=why)


def _one(
    rule: Rule, state: State, *, counts: bool = False, decides: bool = False, why: str = ""
) -> Looked:
    return Looked(
        rule=_name(rule),
        effect=rule.effect,
        state=state,
        counts=counts,
        decides=decides,
        level=rule.level,
        where=rule.where,
        why=why,
    )


def _key(rule: Rule) -> tuple[str, str]:
    return rule.level, rule.id


def _name(rule: Rule) -> str:
    return rule.name or rule.id


def _not_about(rule: Rule, tool: Tool) -> str:
    if not glob_matches(rule.server, tool.server):
        return f'server "{rule.server}" is another one'
    if not any(glob_matches(glob, tool.tool) for glob in rule.tools):
        return f"tools {', '.join(rule.tools)} are other ones"
    return "no trusted server says that the tool only reads" if rule.read_only else ""


def _extra(found: Explanation) -> Looked:
    """What answered that is no rule of a list: the default, or a rule that is built in."""
    answer = found.answer
    return Looked(
        rule=answer.rule,
        effect=answer.decision,
        state="matched",
        counts=True,
        decides=True,
        where=answer.origin,
        why=answer.reason,
    )
