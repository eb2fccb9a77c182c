"""Rules by tool and condition; the strictest of all that match wins.

Theory of operation: what "strictest wins" means together with a default and built-in rules.

1. Every rule that matches a call counts, and the strictest effect among them is the answer: deny
   over ask over allow. The order of rules and of files means nothing. An allow therefore never
   opens what another rule closes, and adding a deny or an ask never lets anything more run unasked
   (an ask does open what only a default of "deny" closed, to a human's yes).
2. A rule matches if its globs do and its condition is true. A condition that is undefined (an
   error, something missing or not sound) counts as true for ask and deny, as false for allow.
3. The default answers when no rule matches, and only then: it takes no part in the comparison
   (a default of "ask" that counted as a rule would make every allow useless).
4. `trusted-read-only` is a built-in rule like any other: allow, for each tool that changes
   nothing according to a server whose annotations the config trusts. By 1, any rule that asks or
   denies for that tool wins over it. It is there to spare questions, so it exists only where the
   default is "ask". `flow` asks (or denies) before private data of this conversation can leave it
   by the word of strangers (see the file `flow`). `totals` asks about a call that cannot be
   counted in a total that it belongs to.
5. Of several rules with the strictest effect the one with the smallest id is named; those that
   could not be told and those that are built in come last. All of them are in
   `PolicyAnswer.rules`, and if they ask, what they demand is demanded together (`terms`).

Globs are those of fnmatch (`*`, `?`, `[seq]`, `[!seq]`), case-sensitive, over the whole name;
hyphens, underscores and dots mean themselves. Server and tool are matched separately.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from agent_host.core.conversation import Conversation
from agent_host.core.errors import ConfigError, RecordError
from agent_host.core.text import clean_line
from agent_host.core.types import ApprovalTerms, Decision, JsonObject, Principal, Tool, ToolCall
from agent_host.policy.case import FLOW, UNCOUNTED, Case, Common, Shares, flow_rule, known, numbers
from agent_host.policy.facts import Facts, Moment
from agent_host.policy.flow import Flow
from agent_host.policy.plans import Language, Outcome, Plan, Rule, matcher
from agent_host.policy.totals import Read, Total
from agent_host.ports import PolicyAnswer
from agent_host.state.totals import Call, Share, Totals

STRICTNESS: dict[Decision, int] = {"allow": 0, "ask": 1, "deny": 2}
"""How strict each answer is; the highest wins."""

TRUSTED_READ_ONLY = Rule(
    id="trusted-read-only",
    name="trusted-read-only",
    effect="allow",
    reason="a trusted server says that this tool changes nothing",
    read_only=True,
    built_in=True,
)
"""The built-in rule; see the theory of operation, 4."""

DEFAULT = "default"
"""What stands for the rule in an answer that no rule gave."""

RESERVED = frozenset({TRUSTED_READ_ONLY.id, FLOW, UNCOUNTED, DEFAULT})
"""Ids that the host itself uses."""

_PLANS = 4096


@dataclass(frozen=True, slots=True)
class Explanation:
    """What policy would say of a call, with what came of each rule about its tool, and what the
    totals stand at (or why that is not known)."""

    answer: PolicyAnswer
    outcomes: tuple[Outcome, ...]
    totals: Read


class RulePolicy:
    """Judges calls by rules; implements `ports.Policy`.

    `rules` are those of all layers; `default` answers where none matches, `default_where` is its
    place in a file. `flow`: what the rule about information flow does. `terms`: whose yes a
    question takes that no rule of the config asks. `language` evaluates conditions; without one
    there may be none. `totals` are kept in `kept`. `moment`: what time it is, and whether a person
    is there. ConfigError for an id that is empty, reserved or used twice in a layer, an unknown
    effect, or a rule without a glob.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        default: Decision = "ask",
        *,
        default_where: str = "",
        flow: Flow = "ask",
        terms: ApprovalTerms | None = None,
        language: Language | None = None,
        totals: Sequence[Total] = (),
        kept: Totals | None = None,
        moment: Callable[[], Moment] | None = None,
    ) -> None:
        _check(rules)
        if default not in STRICTNESS:
            raise ConfigError(
                f"policy.default: {clean_line(str(default), 60)!r} is no answer of a policy; write "
                '"allow", "ask" or "deny"'
            )
        self.default: Decision = default
        self.flow: Flow = flow
        self.totals: tuple[Total, ...] = tuple(sorted(totals, key=lambda one: one.name))
        self.rules: tuple[Rule, ...] = (*_named(rules), *_built_in(default, flow))
        self._kept = kept
        self._moment = moment or (lambda: Moment(now=time.time()))
        self._matchers = tuple(
            (matcher(rule.server, rule.tools), rule) for rule in self.rules if rule.id != FLOW
        )
        self._plans: dict[tuple[str, str, bool], Plan] = {}
        self._reserved: dict[Call, tuple[Share, ...]] = {}
        asked = terms or ApprovalTerms()
        fallback = PolicyAnswer(
            decision=default,
            rule=DEFAULT,
            reason="no rule matches, so policy.default answers",
            rules=(DEFAULT,),
            origin=default_where,
            terms=asked if default == "ask" else None,
        )
        self._common = Common(fallback, flow, asked, language)

    # -- the port ----------------------------------------------------------------------------

    def decide(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> PolicyAnswer:
        """Judge a call; see `ports.Policy`."""
        case = self._case(tool, arguments, conversation, principal)
        if not case.plan.totals:
            return case.answer({})
        place = _place(conversation, call.id)
        shares = case.shares()
        try:
            if not case.plan.counted:
                return case.answer(self._read(case, shares))
            return self._reserving(case, shares, place)
        except RecordError as error:
            return case.answer(dict.fromkeys(shares, clean_line(str(error), 300)))

    def _reserving(self, case: Case, shares: Shares, place: Call) -> PolicyAnswer:
        """Judge a call while no other process counts anything, and count it if it is allowed."""
        now, kept, mine = case.facts.moment.now, self._store(), case.counting(shares)
        with kept.book() as book:
            sums = book.sums(known(shares), now=now, apart=place)
            answer = case.answer(numbers(shares, sums))
            if answer.decision == "allow":
                book.put(place, mine, now=now)
        if answer.decision == "allow":
            self._reserved[place] = mine
            kept.prune(now)
        return answer

    def begin(
        self,
        call: ToolCall,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> str | None:
        """Count a call; see `ports.Policy`. What a human allowed although it cannot be counted
        counts as nothing. While they were thinking, others may have counted."""
        if not self._plan(tool).counted:
            return None
        case = self._case(tool, arguments, conversation, principal)
        shares = case.shares()
        mine = case.counting(shares)
        place = _place(conversation, call.id)
        if self._reserved.get(place) == mine:
            return None
        now = case.facts.moment.now
        state = conversation.call(call.id)
        try:
            kept = self._store()
            with kept.book() as book:
                sums = book.sums(known(shares), now=now, apart=place)
                answer = case.answer(numbers(shares, sums))
                moved = case.plan.moved(answer, None if state is None else state.rules)
                if moved is not None:
                    return moved
                book.put(place, mine, now=now)
            kept.prune(now)
        except RecordError as error:
            return str(error)
        self._reserved[place] = mine
        return None

    def end(self, conversation: Conversation, call_id: str) -> None:
        """Take a call back; see `ports.Policy`. Where that fails, it goes on counting."""
        if not self.totals or self._kept is None:
            return
        place = _place(conversation, call_id)
        self._reserved.pop(place, None)
        try:
            self._kept.remove(place)
        except RecordError:
            return

    @cached_property
    def fingerprint(self) -> str:
        """The hash of all rules in force, whatever order they come in."""
        rules = sorted(json.dumps(_described(rule)) for rule in self.rules)
        totals = sorted(json.dumps([one.name, *one.description]) for one in self.totals)
        whole = [rules, totals, self.default, self.flow, _terms_described(self._common.terms)]
        return hashlib.sha256(json.dumps(whole).encode("ascii")).hexdigest()

    # -- for people --------------------------------------------------------------------------

    def explain(
        self,
        arguments: JsonObject,
        tool: Tool,
        conversation: Conversation,
        principal: Principal,
    ) -> Explanation:
        """Return what `decide` would say, and why; nothing is counted."""
        case = self._case(tool, arguments, conversation, principal)
        shares = case.shares()
        try:
            read = self._read(case, shares)
        except RecordError as error:
            read = dict.fromkeys(shares, clean_line(str(error), 300))
        return Explanation(case.answer(read), case.outcomes(read), read)

    # -- inside ------------------------------------------------------------------------------

    def _plan(self, tool: Tool) -> Plan:
        key = (tool.server, tool.tool, tool.read_only)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            rules = [
                rule
                for matches, rule in self._matchers
                if matches(tool) and (tool.read_only or not rule.read_only)
            ]
            counted = [total for total in self.totals if total.matches(tool)]
            known = {total.name: total for total in self.totals}
            plan = self._plans[key] = Plan.of(rules, counted, known, self._common.language)
        return plan

    def _case(
        self, tool: Tool, arguments: JsonObject, conversation: Conversation, principal: Principal
    ) -> Case:
        facts = Facts(
            tool=tool,
            arguments=arguments,
            conversation=conversation,
            principal=principal,
            moment=self._moment(),
        )
        return Case(self._common, self._plan(tool), facts)

    def _store(self) -> Totals:
        if self._kept is None:
            raise RecordError("there is no state.db to keep running totals in")
        return self._kept

    def _read(self, case: Case, shares: Shares) -> Read:
        wanted = known(shares)
        sums = self._store().sums(wanted, now=case.facts.moment.now) if wanted else {}
        return numbers(shares, sums)


def _place(conversation: Conversation, call_id: str) -> Call:
    """The call, told from those of earlier turns: some providers give an id again."""
    return Call(run=conversation.run_id, call=f"{conversation.requests}:{call_id}")


def _built_in(default: Decision, flow: Flow) -> tuple[Rule, ...]:
    """The host's own rules that are in force."""
    quiet = (TRUSTED_READ_ONLY,) if default == "ask" else ()
    return quiet if flow == "off" else (*quiet, flow_rule(flow))


def _named(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules with the names that answers have: the id, with the level where several layers
    use it."""
    used = Counter(rule.id for rule in rules)
    return tuple(
        replace(rule, name=rule.id if used[rule.id] == 1 else f"{rule.level}:{rule.id}")
        for rule in rules
    )


def _described(rule: Rule) -> list[object]:
    condition = "" if rule.when is None else rule.when.text
    return [
        rule.level,
        rule.id,
        rule.effect,
        rule.server,
        sorted(rule.tools),
        condition,
        rule.reason,
        _terms_described(rule.terms),
        rule.read_only,
    ]


def _terms_described(terms: ApprovalTerms) -> list[object]:
    demands = [[sorted(one.roles), one.needed] for one in terms.demands]
    return [demands, terms.self_approval, terms.seconds]


def _check(rules: Sequence[Rule]) -> None:
    seen: dict[tuple[str, str], Rule] = {}
    for rule in rules:
        problem = _problem(rule, seen)
        if problem:
            where = f"{clean_line(rule.where, 300)}: " if rule.where else ""
            raise ConfigError(f"{where}policy rule {clean_line(rule.id, 60)!r}: {problem}")
        seen[rule.level, rule.id] = rule


def _problem(rule: Rule, seen: dict[tuple[str, str], Rule]) -> str:
    if not rule.id.strip():
        return "a rule needs an id; it is what decisions and errors name"
    if rule.id in RESERVED:
        return "the id is taken by the host itself; choose another one"
    if (rule.level, rule.id) in seen:
        first = seen[rule.level, rule.id].where
        also = f" (also at {clean_line(first, 300)})" if first else ""
        return f"two rules have this id{also}; give each its own"
    if rule.effect not in STRICTNESS:
        return f'{clean_line(str(rule.effect), 60)!r} is no effect; write "allow", "ask" or "deny"'
    if not rule.tools or not rule.server:
        return 'it names no server or no tool; write "*" for all'
    return ""
