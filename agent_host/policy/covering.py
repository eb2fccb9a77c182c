"""Which rule leaves another nothing to say.

Theory of operation: a rule is shadowed by one that matches wherever it does and is stricter, and
adds nothing beside one that matches wherever it does and says the same. "Wherever" is decided by
the globs themselves, so that it holds for tools that nobody has seen yet. It is said only where it
is certain: globs with `?` or `[` cover only what they spell out.
"""

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence

from agent_host.core.types import Decision
from agent_host.policy.ground import RuleText

_STANDS_FOR = {"*": "\ue000", "?": "\ue001", "[": "\ue002"}
"""Private characters that stand for what a covered glob may become; no name has them."""
_SPECIAL = re.compile(r"[*?\[]")


def glob_matches(glob: str, name: str) -> bool:
    """Return whether a glob matches a name, as the rules themselves do."""
    return fnmatch.fnmatchcase(name, glob)


def glob_covers(wide: str, narrow: str) -> bool:
    """Return whether every name that `narrow` matches is matched by `wide`; false if that is not
    certain."""
    if wide in {narrow, "*"}:
        return True
    if not _SPECIAL.search(narrow):
        return glob_matches(wide, narrow)
    if "?" in wide or "[" in wide:
        return False
    # Only the stars of the wide one can take what the narrow one leaves open.
    spelled = _SPECIAL.sub(lambda found: _STANDS_FOR[found[0]], narrow)
    return glob_matches(wide, spelled)


def tools_cover(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Return whether every tool that some glob of `narrow` matches is matched by one of `wide`."""
    return all(any(glob_covers(one, other) for one in wide) for other in narrow)


STRICTNESS: dict[Decision, int] = {"allow": 0, "ask": 1, "deny": 2}


def shadows(
    rules: Sequence[RuleText],
    key: Callable[[RuleText], object],
    always: Callable[[RuleText], bool],
) -> Iterator[tuple[RuleText, str]]:
    """Yield the rules that another leaves nothing to say, and what to tell of each.

    `key`: what two rules with the same condition have in common; `always`: a rule's condition
    never keeps it from matching.
    """
    free = {rule.id: always(rule) for rule in rules}
    for place, rule in enumerate(rules):
        for other_place, other in enumerate(rules):
            if other is rule or not _covers(other, rule):
                continue
            same = key(other) == key(rule)
            if not (free[other.id] or same):
                continue
            text = _said(rule, other, same=same, later=place > other_place)
            if text:
                yield rule, text
                break


def _covers(wide: RuleText, narrow: RuleText) -> bool:
    return glob_covers(wide.server, narrow.server) and tools_cover(wide.tools, narrow.tools)


def _said(rule: RuleText, other: RuleText, *, same: bool, later: bool) -> str:
    at = f'rule "{other.id}" ({other.place()})'
    if STRICTNESS[other.effect] > STRICTNESS[rule.effect]:
        does = "asks" if other.effect == "ask" else "denies"
        return (
            f"it never decides anything: {at} {does} wherever this one would {rule.effect}; narrow "
            "that one, or take this one out"
        )
    if other.effect != rule.effect or not _adds_nothing(rule, other):
        return ""
    if _covers(rule, other) and same:
        return f"it says the same as {at}; take one of the two out" if later else ""
    return f"it adds nothing to {at}, which matches wherever this one does; take it out"


def _adds_nothing(rule: RuleText, other: RuleText) -> bool:
    """Whether an ask has no terms of its own."""
    mine = (rule.approvers, rule.approvals, rule.self_approval)
    return mine in {((), 1, True), (other.approvers, other.approvals, other.self_approval)}
