"""Which rules are about a tool, and what they say of a call.

Theory of operation: globs are matched once for each (server, tool) and the rules that are left are
kept as a `Plan`. Its conditions are evaluated over one set of facts. Where there are several of one
effect, they are first evaluated as one, which is false only if each of them is, and that settles
most calls. A condition that is undefined counts as true for ask and deny, as false for allow.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from agent_host.core.types import ApprovalTerms, Decision, Tool
from agent_host.policy.facts import Facts
from agent_host.policy.reads import Reads
from agent_host.policy.totals import Read, Readable, Total
from agent_host.ports import PolicyAnswer


class Condition(Readable, Protocol):
    """A compiled condition; see `expressions.Expression`."""

    @property
    def text(self) -> str:
        """As it was written."""

    def holds(self, activation: Any) -> Any:
        """True, False, or something with a `why` if it is undefined."""


class Language(Protocol):
    """What evaluates conditions: the module `expressions`, where there is one."""

    def activation(self, data: Mapping[str, Any]) -> Any:
        """What conditions are evaluated on."""

    def counting(self, totals: Read) -> AbstractContextManager[None]:
        """Evaluate with these running totals."""

    def any_of(self, conditions: Sequence[Any]) -> Any:
        """One condition that is false only if each of these is; None if there can be none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `server` is a glob over server names, `tools` are globs over the servers' own
    tool names, `when` the condition, `reason` is told to people and to the model, `where` is the
    rule's place in a file (`servers.toml:12`), `level` whose file (see `config.layers`). `terms`:
    whose yes it takes, if it asks. `read_only` limits it to tools that a trusted server says
    change nothing. `name`: the id that answers have, which two layers' rules do not share."""

    id: str
    effect: Decision
    server: str = "*"
    tools: tuple[str, ...] = ("*",)
    when: Condition | None = None
    reason: str = ""
    terms: ApprovalTerms = ApprovalTerms()
    where: str = ""
    level: str = ""
    read_only: bool = False
    built_in: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that counts for a call. `why`: its condition could not be told."""

    rule: Rule
    why: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one rule: `holds` is None where its condition is undefined, and `why` says
    why."""

    rule: Rule
    holds: bool | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Group:
    """The rules of one effect with conditions. `shortcut`: false only if none of them is true
    or undefined."""

    rules: tuple[Rule, ...]
    shortcut: Condition | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The rules about one tool, the totals that its calls count in, and those that are read."""

    rules: tuple[Rule, ...]
    counted: tuple[Total, ...] = ()
    read: tuple[Total, ...] = ()
    reads: Reads = Reads()
    _always: Mapping[Decision, tuple[Match, ...]] = field(default_factory=dict)
    _groups: Mapping[Decision, _Group] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        rules: Iterable[Rule],
        counted: Iterable[Total],
        known: Mapping[str, Total],
        language: Language | None,
    ) -> Self:
        """Make a plan of the rules about a tool, the totals that its calls count in, and all
        totals, of which conditions may read any."""
        listed, counts = tuple(rules), tuple(counted)
        reads = Reads()
        for rule in listed:
            if rule.when is not None:
                reads |= rule.when.reads
        read = tuple(known[name] for name in sorted(reads.totals))
        for total in (*counts, *read):
            reads |= total.reads
        return cls(
            rules=listed,
            counted=counts,
            read=read,
            reads=reads,
            _always={
                effect: tuple(
                    Match(rule) for rule in listed if rule.effect == effect and rule.when is None
                )
                for effect in _EFFECTS
            },
            _groups={effect: _group(listed, effect, language) for effect in _EFFECTS},
        )

    @property
    def totals(self) -> bool:
        """Whether a call counts in totals, or conditions read some."""
        return bool(self.counted or self.read)

    def moved(self, answer: PolicyAnswer, agreed: Iterable[str] | None) -> str | None:
        """Return why a call that was allowed may not run any more, for people, or None: a rule
        denies it by now, or one that reads a total asks and is none of those that were `agreed`
        to (None: not known)."""
        asks = {rule.name for rule in self.rules if rule.when and rule.when.reads.totals}
        others = asks.intersection(answer.rules).difference(
            answer.rules if agreed is None else agreed
        )
        if answer.decision == "allow" or (answer.decision == "ask" and not others):
            return None
        rule = answer.rule if answer.decision == "deny" else min(others)
        verb = "denies it" if answer.decision == "deny" else "asks about it"
        why = f": {answer.reason}" if answer.reason and rule == answer.rule else ""
        return f"since it was allowed other calls were counted, and now the rule {rule} {verb}{why}"

    def matches(self, effect: Decision, facts: Facts, activation: Any) -> list[Match]:
        """Return the rules of an effect that count for a call."""
        found = list(self._always[effect])
        group = self._groups[effect]
        if not group.rules or _surely_none(group, facts, activation):
            return found
        found.extend(
            Match(outcome.rule, outcome.why)
            for outcome in outcomes(group.rules, facts, activation)
            if outcome.holds or (outcome.holds is None and effect != "allow")
        )
        return found


_EFFECTS: tuple[Decision, ...] = ("deny", "ask", "allow")


def outcomes(rules: Iterable[Rule], facts: Facts, activation: Any) -> Iterable[Outcome]:
    """Yield what came of each rule's condition. After `facts.data`."""
    for rule in rules:
        if rule.when is None:
            yield Outcome(rule, holds=True)
            continue
        why = facts.why_undefined(rule.when.reads)
        if why is not None:
            yield Outcome(rule, None, why)
            continue
        holds = rule.when.holds(activation)
        if holds is True or holds is False:
            yield Outcome(rule, holds)
        else:
            yield Outcome(rule, None, str(holds.why))


def _group(rules: Iterable[Rule], effect: Decision, language: Language | None) -> _Group:
    found = tuple(rule for rule in rules if rule.effect == effect and rule.when is not None)
    several = language is not None and len(found) > 1
    shortcut = language.any_of([rule.when for rule in found]) if several and language else None
    return _Group(found, shortcut)


def _surely_none(group: _Group, facts: Facts, activation: Any) -> bool:
    one = group.shortcut
    if one is None or facts.why_undefined(one.reads) is not None:
        return False
    return one.holds(activation) is False


def matcher(server: str, tools: Iterable[str]) -> Callable[[Tool], bool]:
    """Return whether a tool is meant by a glob over servers and globs over their own names."""
    of_server = _glob(server)
    of_tool = tuple(_glob(glob) for glob in tools)

    def matches(tool: Tool) -> bool:
        return bool(of_server(tool.server)) and any(match(tool.tool) for match in of_tool)

    return matches


def _glob(glob: str) -> Callable[[str], object]:
    """Compile a glob as fnmatch.fnmatchcase reads it; case counts on every platform."""
    return re.compile(fnmatch.translate(glob)).match
