"""What is wrong with rules before any call: `policy check`.

Theory of operation: each rule is looked at with the tools that it is about: its globs, its
condition (compiled, then read over each tool's schema: `outcomes`, `notes`), the roles, labels and
totals that it names; then rules are compared with each other (`covering`). What is said to be
impossible is impossible; what is not known is not said. A file above the project's is written for
many projects, so a server or tool that is not here is no fault of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agent_host.core.types import Tool
from agent_host.policy.conditions import Checked, Meant, Part, condition, near
from agent_host.policy.covering import glob_matches, shadows
from agent_host.policy.ground import Ground, Key, RuleText, TotalText, variables

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. `where` is `servers.toml:12`, `subject` the rule or total;
    `key` of it, `line` and `column` (from 1) in the text of that key, 0 where they are not known.
    `text` says what is wrong and what to do, as it was found: not cleaned."""

    severity: Severity
    where: str
    subject: str
    text: str
    key: str = ""
    line: int = 0
    column: int = 0


def check(rules: Sequence[RuleText], totals: Sequence[TotalText], ground: Ground) -> list[Finding]:
    """Return what is wrong with rules and totals, in their order."""
    checking = _Checking(ground, {one.name: one for one in totals})
    found = [one for rule in rules for one in checking.rule(rule)]
    found += [one for total in totals for one in checking.total(total)]
    found += [
        Finding(severity="warning", where=rule.place(), subject=_rule(rule.id), text=text)
        for rule, text in shadows(rules, checking.key, checking.always)
    ]
    return found


def _rule(name: str) -> str:
    return f'rule "{name}"'


class _Checking:
    def __init__(self, ground: Ground, totals: dict[str, TotalText]) -> None:
        self._ground = ground
        self._totals = totals
        self._shapes: dict[tuple[str, str], Meant] = {}
        self._checked: dict[tuple[str, str, str, tuple[str, ...]], Checked] = {}

    def key(self, rule: RuleText) -> object:
        """What two rules with the same condition have in common."""
        return None if rule.when is None else self._condition(rule, "when", rule.when).key

    def always(self, rule: RuleText) -> bool:
        """Whether a rule's condition never keeps it from matching."""
        if rule.when is None:
            return True
        found = self._condition(rule, "when", rule.when)
        if found.anyhow.false:
            return False
        return rule.effect != "allow" or not (found.anyhow.undefined or found.unsound)

    # -- rules -----------------------------------------------------------------------------------

    def rule(self, rule: RuleText) -> Iterator[Finding]:
        """Yield what is wrong with one rule by itself."""
        yield from self._globs(rule, _rule(rule.id))
        yield from self._approvers(rule)
        if rule.when is None:
            return
        found = self._condition(rule, "when", rule.when)
        yield from self._parts(rule, _rule(rule.id), "when", found)
        yield from self._words(rule, found)
        yield from self._outcome(rule, found)

    def _condition(self, rule: RuleText | TotalText, key: Key, text: str) -> Checked:
        known = (key, text, rule.server, rule.tools)
        if known not in self._checked:
            tree = self._ground.compiled(key, text)
            meant = self._matched(rule)
            self._checked[known] = condition(text, tree, meant, numeric=key == "value")
        return self._checked[known]

    def _matched(self, rule: RuleText | TotalText) -> list[Meant]:
        return [
            self._meant(tool)
            for server, tools in self._ground.servers.items()
            if glob_matches(rule.server, server)
            for tool in tools or ()
            if any(glob_matches(glob, tool.tool) for glob in rule.tools)
        ]

    def _meant(self, tool: Tool) -> Meant:
        """A tool's schema is read once, whatever the number of rules."""
        key = (tool.server, tool.tool)
        if key not in self._shapes:
            self._shapes[key] = Meant(tool, variables(tool))
        return self._shapes[key]

    def _globs(self, rule: RuleText | TotalText, subject: str) -> Iterator[Finding]:
        """Servers and tools that are not there."""
        severity: Severity = "error" if rule.level == "project" else "note"
        servers = self._ground.servers
        here = [name for name in servers if glob_matches(rule.server, name)]
        if not here:
            text = f'server "{rule.server}" matches no configured server'
            hint = near(rule.server, servers) or "; add the server, or take the rule out"
            yield _finding(severity, rule, subject, "server", text + hint)
            return
        unseen = [name for name in here if servers[name] is None]
        known = list(dict.fromkeys(tool.tool for name in here for tool in servers[name] or ()))
        if unseen:
            if _literal(rule.server) or len(unseen) == len(here):
                yield _finding("warning", rule, subject, "server", _not_seen(unseen))
            return
        for glob in rule.tools:
            if not any(glob_matches(glob, name) for name in known):
                who = f"{here[0]} has" if len(here) == 1 else f"{len(here)} servers have"
                text = f'tools "{glob}" matches none of the {len(known)} tools that {who}'
                yield _finding(severity, rule, subject, "tools", text + near(glob, known))

    def _approvers(self, rule: RuleText) -> Iterator[Finding]:
        ground = self._ground
        for role in rule.approvers:
            if role not in ground.roles and not ground.more_roles:
                text = f'nobody has the role "{role}", so what this rule asks nobody can approve'
                hint = near(role, ground.roles) or "; give it to somebody in [policy.roles]"
                yield _finding("error", rule, _rule(rule.id), "approvers", text + hint)
        people = self._people(rule.approvers)
        if rule.approvers and people is not None and 0 < len(people) < rule.approvals:
            has = "person has" if len(people) == 1 else "people have"
            text = (
                f"it takes {rule.approvals} approvals, but {len(people)} {has} the role "
                f"{' or '.join(rule.approvers)}; ask fewer, or give the role to more people"
            )
            yield _finding("error", rule, _rule(rule.id), "approvals", text)
        elif people is not None and len(people) == 1 and not rule.self_approval:
            text = (
                f"{next(iter(people))} alone has the role {' or '.join(rule.approvers)} and may "
                "not approve what they ask for themselves; give the role to another person too"
            )
            yield _finding("warning", rule, _rule(rule.id), "approvers", text)
        if rule.level == "organisation" and rule.approvers and not ground.identified:
            yield _finding("warning", rule, _rule(rule.id), "approvers", _NOT_IDENTIFIED)

    def _people(self, roles: Iterable[str]) -> frozenset[str] | None:
        """Everybody who has one of these roles, or None if that is not known."""
        if self._ground.more_roles:
            return None
        found: frozenset[str] = frozenset()
        for role in roles:
            who = self._ground.roles.get(role, frozenset())
            if who is None:
                return None
            found |= who
        return found

    def _words(self, rule: RuleText, found: Checked) -> Iterator[Finding]:
        """Roles, labels and totals that a condition names and nobody gives."""
        ground = self._ground
        upper: Severity = "note" if rule.level != "project" else "error"
        for part in found.words:
            text = ""
            severity: Severity = "error"
            if part.kind == "role" and part.word not in ground.roles and not ground.more_roles:
                text = f'nobody has the role "{part.word}"'
                text += near(part.word, ground.roles) or "; give it to somebody in [policy.roles]"
            elif part.kind == "label" and part.word not in ground.labels:
                severity = "warning" if ground.more_labels else upper
                text = f'no server gives the label "{part.word}"'
                text += near(part.word, ground.labels) or "; give it in [servers.NAME.labels]"
            elif part.kind == "total" and part.word not in self._totals:
                text = f'there is no total "{part.word}"'
                text += near(part.word, self._totals) or "; define it in [policy.totals]"
            if text:
                told = replace(part, text=text)
                yield _of_part(severity, rule, _rule(rule.id), "when", told)
        relies = any(part.kind == "role" for part in found.words) or found.claims
        if rule.level == "organisation" and relies and not ground.identified:
            yield _finding("warning", rule, _rule(rule.id), "when", _NOT_IDENTIFIED)

    def _parts(
        self, rule: RuleText | TotalText, subject: str, key: str, found: Checked
    ) -> Iterator[Finding]:
        effect = rule.effect if isinstance(rule, RuleText) else "allow"
        for part in found.parts:
            if part.kind == "syntax":
                yield _of_part("error", rule, subject, key, part)
            elif part.everywhere:
                text = part.text + _consequence(rule, found)
                yield _of_part("error", rule, subject, key, replace(part, text=text))
            elif part.kind != "field" or (part.undefined and effect != "allow"):
                hint = _GUARD.format(part.path) if part.kind == "field" else ""
                said = replace(part, text=part.text + hint)
                yield _of_part("warning", rule, subject, key, said)

    def _outcome(self, rule: RuleText, found: Checked) -> Iterator[Finding]:
        if found.never:
            part = replace(found.never, text=found.never.text + _consequence(rule, found))
            yield _of_part("error", rule, _rule(rule.id), "when", part)
        elif found.always:
            text = "the condition is true for every call that it can be asked about; leave it out"
            yield _finding("warning", rule, _rule(rule.id), "when", text)

    # -- totals ----------------------------------------------------------------------------------

    def total(self, total: TotalText) -> Iterator[Finding]:
        """Yield what is wrong with one total."""
        subject = f'total "{total.name}"'
        yield from self._globs(total, subject)
        texts: list[tuple[Key, str]] = [("value", total.value)]
        texts += [("per", text) for text in total.per]
        for key, text in texts:
            found = self._condition(total, key, text)
            yield from self._parts(total, subject, key, found)
            if key == "value" and found.kinds and "number" not in found.kinds:
                said = f"`{text}` is no number, so nothing can be counted; write what a call adds"
                yield _finding("error", total, subject, key, said)


_GUARD = (
    "; there it is undefined, which counts as matched: name the tools that have it, or write "
    "has({}) && ..."
)
_NOT_IDENTIFIED = (
    "it relies on roles, but this file has no [identity]: users are those of the operating system, "
    "so whoever can become another user of a machine has that one's roles; name an issuer of ID "
    "tokens in [identity]"
)


def _consequence(rule: RuleText | TotalText, found: Checked) -> str:
    """What a condition that is wrong makes of its rule, as far as that is certain."""
    if isinstance(rule, TotalText):
        return ""
    if rule.effect == "allow":
        return "" if found.true else "; this rule never allows anything"
    acts = _ACTS[rule.effect]
    if not found.false:
        return f"; what cannot be told counts as matched, so this rule always {acts}"
    if found.true:
        return ""
    if found.undefined or found.unsound:
        return f"; this rule {acts} only where it is undefined, as for a missing value"
    return "; this rule never matches"


_ACTS = {"ask": "asks", "deny": "denies", "allow": "allows"}


def _literal(glob: str) -> bool:
    return not any(mark in glob for mark in "*?[")


def _not_seen(unseen: Sequence[str]) -> str:
    names = ", ".join(unseen)
    return (
        f"the tools of {names} are not in servers.lock, so they cannot be checked; run "
        "`agent-host policy check --live`"
    )


def _finding(
    severity: Severity, rule: RuleText | TotalText, subject: str, key: str, text: str
) -> Finding:
    return Finding(severity=severity, where=rule.place(key), subject=subject, text=text, key=key)


def _of_part(
    severity: Severity, rule: RuleText | TotalText, subject: str, key: str, part: Part
) -> Finding:
    found = _finding(severity, rule, subject, key, part.text)
    return replace(found, line=part.line, column=part.column)
