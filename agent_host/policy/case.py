"""One call that is judged: its facts, what it counts, and the answer.

Theory of operation: the facts are made once, whatever is evaluated on them. `shares` says what the
call would count in which total; with what the totals stand at, `answer` evaluates the rules, the
strictest effect first, and stops at the first effect that some rule has.
"""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from agent_host.core.text import clip
from agent_host.core.types import ApprovalTerms, Decision
from agent_host.policy.facts import Facts
from agent_host.policy.flow import Flow, flow_reason
from agent_host.policy.plans import Language, Match, Outcome, Plan, Rule, outcomes
from agent_host.policy.terms import union
from agent_host.policy.totals import Read, amount
from agent_host.ports import PolicyAnswer
from agent_host.state.totals import Share

FLOW = "flow"
UNCOUNTED = "totals"

Shares = Mapping[str, Share | str]
"""What a call adds to totals, by name, or why that is not known."""

_LONGEST_REASON = 1000
_EFFECTS: tuple[Decision, ...] = ("deny", "ask", "allow")


@dataclass(frozen=True, slots=True)
class Common:
    """What all calls have in common. `terms`: whose yes a question of a built-in rule takes."""

    fallback: PolicyAnswer
    flow: Flow
    terms: ApprovalTerms
    language: Language | None


class Case:
    """One call that is judged."""

    def __init__(self, common: Common, plan: Plan, facts: Facts) -> None:
        self.plan = plan
        self.facts = facts
        self._common = common
        self._activation: Any = None
        if plan.reads.names or plan.reads.totals:
            self._activation = self._speaking().activation(facts.data(plan.reads))

    def shares(self) -> dict[str, Share | str]:
        """Return what the call adds to the totals that it counts in, and the keys of those that
        conditions read."""
        found: dict[str, Share | str] = {}
        for total in self.plan.read:
            found[total.name] = total.share(self.facts, self._activation, counts=False)
        for total in self.plan.counted:
            found[total.name] = total.share(self.facts, self._activation, counts=True)
        return found

    def counting(self, shares: Shares) -> tuple[Share, ...]:
        """Return what is written when the call counts."""
        mine = (shares[total.name] for total in self.plan.counted)
        return tuple(share for share in mine if not isinstance(share, str))

    def answer(self, read: Read) -> PolicyAnswer:
        """Return the answer, with what the totals stand at."""
        flow = self._common.flow
        why = (
            None if flow == "off" else flow_reason(self.facts.tool, self.facts.conversation.labels)
        )
        with self._speaking().counting(read) if self.plan.read else nullcontext():
            for effect in _EFFECTS:
                found = self.plan.matches(effect, self.facts, self._activation)
                if why is not None and flow == effect:
                    found.append(Match(replace(flow_rule(effect), reason=why)))
                if effect == "ask":
                    found += self._uncounted(read)
                if found:
                    return self._answered(effect, found)
        return self._common.fallback

    def outcomes(self, read: Read) -> tuple[Outcome, ...]:
        """Return what came of each rule about the tool."""
        with self._speaking().counting(read) if self.plan.read else nullcontext():
            found = list(outcomes(self.plan.rules, self.facts, self._activation))
        if self._common.flow != "off":
            why = flow_reason(self.facts.tool, self.facts.conversation.labels)
            rule = flow_rule(self._common.flow)
            found.append(
                Outcome(rule if why is None else replace(rule, reason=why), why is not None)
            )
        return tuple(found)

    def _speaking(self) -> Language:
        language = self._common.language
        assert language is not None, "a condition without a language"
        return language

    def _uncounted(self, read: Read) -> list[Match]:
        """What cannot be counted is asked about."""
        found = []
        for total in self.plan.counted:
            why = read[total.name]
            if isinstance(why, str):
                reason = f'the call cannot be counted in the total "{total.name}": {why}'
                rule = Rule(
                    id=UNCOUNTED, name=UNCOUNTED, effect="ask", reason=reason, built_in=True
                )
                found.append(Match(rule))
        return found

    def _answered(self, effect: Decision, found: Iterable[Match]) -> PolicyAnswer:
        """The answer of all rules that have the strictest effect; the first is named."""
        ordered = sorted(found, key=_order)
        first = ordered[0]
        said = [_reason(first)]
        said += [one.rule.reason for one in ordered[1:] if one.rule.built_in and effect != "allow"]
        terms = None
        if effect == "ask":
            terms = union(
                self._common.terms if one.rule.built_in else one.rule.terms for one in ordered
            )
        return PolicyAnswer(
            decision=effect,
            rule=first.rule.name,
            reason=clip("; ".join(text for text in said if text), _LONGEST_REASON),
            rules=tuple(dict.fromkeys(one.rule.name for one in ordered)),
            origin=first.rule.where,
            terms=terms,
        )


def _order(match: Match) -> tuple[bool, bool, str, str]:
    rule = match.rule
    return rule.built_in, bool(match.why), rule.id, rule.name


def _reason(match: Match) -> str:
    if not match.why:
        return match.rule.reason
    untold = f"it cannot be told whether its condition holds: {match.why}"
    return f"{match.rule.reason} ({untold})" if match.rule.reason else untold


def flow_rule(effect: Decision) -> Rule:
    """Return the built-in rule about information flow."""
    return Rule(
        id=FLOW,
        name=FLOW,
        effect=effect,
        reason="private data and data of strangers are in the conversation, and the tool sends out",
        built_in=True,
    )


def known(shares: Shares) -> list[Share]:
    """Return the shares that are known."""
    return [share for share in shares.values() if not isinstance(share, str)]


def numbers(shares: Shares, sums: Mapping[str, int]) -> Read:
    """Return what conditions read of totals, from what is counted in them (by their ids)."""
    found: dict[str, tuple[float, float] | str] = {}
    for name, share in shares.items():
        if isinstance(share, str):
            found[name] = share
        else:
            before = sums[share.total]
            found[name] = amount(before), amount(before + share.units)
    return found
