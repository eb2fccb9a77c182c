"""Cases for rules: a call, its circumstances, and what policy should answer.

Theory of operation: a file of `[[cases]]` tables is read into values, strictly: an unknown key is
an error, because a case that says less than its writer thinks tests nothing. Comparing an answer
with what was expected names every difference. Pure: neither files nor the engine are here.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from agent_host.core.types import ApprovalTerms, Decision, JsonObject
from agent_host.ports import PolicyAnswer

Problem = tuple[tuple[str | int, ...], str]
"""The place of what is wrong in the file, and one sentence."""

ANSWERS = ("allow", "ask", "deny")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case. `at`: seconds since 1970, None for now; `user`: None for whoever runs the test.
    `expect` and, where they are not None, `rule` and the terms are compared. `place`: in the
    file."""

    name: str
    server: str
    tool: str
    expect: Decision
    args: JsonObject = field(default_factory=dict)
    user: str | None = None
    issuer: str = ""
    roles: tuple[str, ...] = ()
    claims: JsonObject | None = None
    labels: tuple[str, ...] = ()
    cost: float = 0.0
    at: float | None = None
    interactive: bool = True
    totals: Mapping[str, float] = field(default_factory=dict)
    rule: str | None = None
    approvers: tuple[str, ...] | None = None
    approvals: int | None = None
    self_approval: bool | None = None
    place: tuple[str | int, ...] = ()


def read_cases(table: Mapping[str, Any]) -> tuple[list[Case], list[Problem]]:
    """Return the cases of a parsed file, and what is wrong with it."""
    problems: list[Problem] = [
        ((key,), f'unknown key "{key}"; a file of cases has [[cases]] tables only')
        for key in table
        if key != "cases"
    ]
    listed = table.get("cases", [])
    if not isinstance(listed, list) or not listed:
        return [], [*problems, (("cases",), "there is no [[cases]] table, so nothing to test")]
    cases: list[Case] = []
    seen: dict[str, int] = {}
    for number, raw in enumerate(listed):
        found = _case(raw, ("cases", number), problems)
        if found is None:
            continue
        if found.name in seen:
            text = f'the name "{found.name}" is that of case {seen[found.name]} too; rename one'
            problems.append((("cases", number, "name"), text))
        seen.setdefault(found.name, number + 1)
        cases.append(found)
    return cases, problems


def differences(case: Case, answer: PolicyAnswer) -> list[str]:
    """Return how an answer differs from what a case expects, for people; not cleaned."""
    found = []
    if answer.decision != case.expect:
        found.append(f"expected {case.expect}, got {answer.decision}")
    if case.rule is not None and answer.rule != case.rule:
        found.append(f'expected of rule "{case.rule}", got it of rule "{answer.rule}"')
    terms = answer.terms or ApprovalTerms()
    roles = {role for demand in terms.demands for role in demand.roles}
    if case.approvers is not None and roles != set(case.approvers):
        found.append(f"expected approvers {_said(case.approvers)}, got {_said(roles)}")
    needed = max(demand.needed for demand in terms.demands)
    for key, wanted, got in (
        ("approvals", case.approvals, needed),
        ("self_approval", case.self_approval, terms.self_approval),
    ):
        if wanted is not None and wanted != got:
            found.append(f"expected {key} = {json.dumps(wanted)}, got {json.dumps(got)}")
    return found


def _said(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "anybody"


def when(text: Any) -> float | None:
    """Return the seconds since 1970 of a time as TOML or RFC 3339 has it, UTC where it names no
    zone; None for what is none."""
    if isinstance(text, str):
        try:
            text = datetime.fromisoformat(text)
        except ValueError:
            return None
    if isinstance(text, date) and not isinstance(text, datetime):
        text = datetime(text.year, text.month, text.day, tzinfo=UTC)
    if not isinstance(text, datetime):
        return None
    return (text if text.tzinfo else text.replace(tzinfo=UTC)).timestamp()


# -- reading -------------------------------------------------------------------------------------


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _texts(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return None
    return tuple(value)


def _table(value: Any) -> JsonObject | None:
    return value if isinstance(value, dict) and _is_json(value) else None


def _is_json(value: Any) -> bool:
    """TOML's dates are none of JSON's values."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _numbers(value: Any) -> Mapping[str, float] | None:
    if not isinstance(value, dict) or any(_number(one) is None for one in value.values()):
        return None
    return {key: float(one) for key, one in value.items()}


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _answer(value: Any) -> Any:
    return value if value in ANSWERS else None


_KEYS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "name": (_text, "a text"),
    "server": (_text, "the name of a server"),
    "tool": (_text, "the tool's own name"),
    "expect": (_answer, '"allow", "ask" or "deny"'),
    "args": (_table, "a table of JSON values"),
    "user": (_text, "a user's id"),
    "issuer": (_text, "who vouches for the user"),
    "roles": (_texts, "an array of texts"),
    "claims": (_table, "a table of JSON values"),
    "labels": (_texts, "an array of texts"),
    "cost": (_number, "a number of US dollars"),
    "at": (when, "a time, as 2026-03-01T22:00:00Z"),
    "interactive": (_truth, "true or false"),
    "totals": (_numbers, "a table of numbers"),
    "rule": (_text, "the id of a rule"),
    "approvers": (_texts, "an array of roles"),
    "approvals": (_whole, "a whole number from 1 on"),
    "self_approval": (_truth, "true or false"),
}
_NEEDED = ("name", "server", "tool", "expect")


def _case(raw: Any, place: tuple[str | int, ...], problems: list[Problem]) -> Case | None:
    if not isinstance(raw, dict):
        problems.append((place, "a case is a table"))
        return None
    before = len(problems)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, list(_KEYS), n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; known: {', '.join(_KEYS)}"
            problems.append(((*place, key), f'unknown key "{key}" in a case{hint}'))
            continue
        read, what = _KEYS[key]
        values[key] = read(value)
        if values[key] is None:
            problems.append(((*place, key), f"{key} has to be {what}"))
    problems += [
        (place, f'a case needs the key "{key}": {_KEYS[key][1]}')
        for key in _NEEDED
        if key not in raw
    ]
    return Case(**values, place=place) if len(problems) == before else None
