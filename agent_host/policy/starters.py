"""A first policy for a server: labels of its tools, and rules with reasons.

Theory of operation: starters.toml holds one for each common kind of server. A server is known by
its published name (a package among its arguments, its program, its host), which is what a person
chose, or by its tools, which is what it says of itself. So what allows is proposed only for the
former; and nothing of a proposal holds before a person has added it to a file. Where the tools are
known, only rules and labels that match one of them are proposed, since a rule that never matches
misleads. For a server of no known kind the proposal follows the hints that it gives about its tools
(MCP annotations): they come from the server, so they are taken as warnings and never as leave.
"""

import fnmatch
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent_host.core.text import clean_line
from agent_host.core.types import Tool

ENOUGH = 3
"""Tools that tell a kind, unless its table says another number."""
MOST = 60
"""Tools that a proposed rule names one by one."""

_SHORT = 40
"""Characters of a server's name in the ids of its rules."""

_KEYS = (
    r"(?i)(^|/)(\.ssh|\.gnupg|\.aws|\.azure|\.kube|\.docker|\.netrc|\.npmrc|\.pypirc"
    r"|\.git-credentials|\.env[^/]*|id_(rsa|dsa|ecdsa|ed25519)[^/]*"
    r"|[^/]*\.(pem|key|p12|pfx|kdbx))(/|$)"
)
_INSIDE = (
    r"(?i)^[a-z]+://([^/@]*@)?(localhost|127\.|0\.|10\.|192\.168\.|172\.(1[6-9]|2[0-9]|3[01])\."
    r"|\[|[0-9]+([:/]|$)|[^/.]+([:/]|$)|[^/]*\.(local|internal|lan|home|corp)([:/]|$))"
)
_VERSION = re.compile(r"(?<=.)(@|==|~=|>=|\[|:).*", re.DOTALL)

Table = Mapping[str, Any]
"""A table as TOML has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What could be added to a servers.toml for one server.

    `about`: what kind of server it is taken for, and why, for people. `labels`, `rules`, `totals`:
    as the file has them. `allows`: further rules, which let tools run without a question.
    """

    about: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rules: Sequence[Table] = ()
    allows: Sequence[Table] = ()
    totals: Mapping[str, Table] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.labels or self.rules or self.allows)

    def renamed(self, taken: Collection[str]) -> "Proposal":
        """Return it with other ids for those rules whose ids are taken."""
        used = set(taken)
        return replace(
            self,
            rules=[_renamed(rule, used) for rule in self.rules],
            allows=[_renamed(rule, used) for rule in self.allows],
        )


def proposed(
    server: str,
    *,
    command: Sequence[str] = (),
    url: str = "",
    tools: Sequence[Tool] | None = None,
) -> Proposal:
    """Return what to propose for a server.

    `command`: its program and arguments; `url`: where it is instead; `tools`: those it has, None
    if they are not known yet.
    """
    names = None if tools is None else [tool.tool for tool in tools]
    kind = _by_name(command, url)
    if kind is not None:
        table = _kinds()[kind]
        return _filled(table, server, names, about=f"{table['about']} (by its published name)")
    kind = _by_tools(names or ())
    if kind is not None:
        table = _kinds()[kind]
        about = f"{table['about']} (by the names of its tools, so nothing is allowed)"
        return replace(_filled(table, server, names, about=about), allows=())
    return _by_hints(server, tools or ())


def kinds() -> tuple[str, ...]:
    """Return the names of the kinds of servers that there is a policy for."""
    return tuple(_kinds())


@cache
def _kinds() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name("starters.toml").read_text(encoding="utf-8"))


def _by_name(command: Sequence[str], url: str) -> str | None:
    words = {_bare(word) for word in command[1:]}
    program = command[0].replace("\\", "/").rpartition("/")[2] if command else ""
    host = (_host(url) or "").lower()
    for kind, table in _kinds().items():
        if (
            words & set(table.get("packages", ()))
            or program in table.get("programs", ())
            or host in table.get("hosts", ())
        ):
            return kind
    return None


def _bare(word: str) -> str:
    """A package's name without what says which version of it."""
    if word.startswith("@"):
        return "@" + _VERSION.sub("", word[1:])
    return _VERSION.sub("", word)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _by_tools(names: Iterable[str]) -> str | None:
    """The kind that most of its signs are there for."""
    there = set(names)
    found: tuple[int, str] | None = None
    for kind, table in _kinds().items():
        signs = len(there & set(table.get("signs", ())))
        if signs and signs >= table.get("enough", ENOUGH) and (not found or signs > found[0]):
            found = (signs, kind)
    return None if found is None else found[1]


def _filled(table: Table, server: str, names: Sequence[str] | None, *, about: str) -> Proposal:
    """A kind's table for one server, with what can match one of its tools."""
    rules = [_rule(rule, server) for rule in table["rules"]]
    rules = [rule for rule in rules if _narrowed(rule["tools"], names)]
    for rule in rules:
        rule["tools"] = _narrowed(rule["tools"], names)
    text = " ".join(rule.get("when", "") for rule in rules)
    totals = {
        _named(name, server): {"server": server, **total}
        for name, total in table.get("totals", {}).items()
    }
    labels = table.get("labels", {})
    return Proposal(
        about=about,
        labels={glob: labels[glob] for glob in labels if _narrowed([glob], names)},
        rules=[rule for rule in rules if rule["effect"] != "allow"],
        allows=[rule for rule in rules if rule["effect"] == "allow"],
        totals={name: total for name, total in totals.items() if f'"{name}"' in text},
    )


def _rule(rule: Table, server: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": _named(rule["id"], server),
        "server": server,
        "tools": list(rule["tools"]),
    }
    if "when" in rule:
        made["when"] = _named(rule["when"], server).replace("{keys}", _KEYS)
        made["when"] = made["when"].replace("{inside}", _INSIDE)
    return {**made, "effect": rule["effect"], "reason": rule["reason"]}


def _named(text: str, server: str) -> str:
    return text.replace("{server}", server[:_SHORT])


def _narrowed(globs: Sequence[str], names: Sequence[str] | None) -> list[str]:
    if names is None:
        return list(globs)
    return [glob for glob in globs if any(fnmatch.fnmatchcase(name, glob) for name in names)]


def _by_hints(server: str, tools: Sequence[Tool]) -> Proposal:
    """For a server of no known kind: its own hints, as warnings."""
    destroys = [tool.tool for tool in tools if tool.annotations.destructive is True]
    silent = [
        tool.tool
        for tool in tools
        if tool.annotations.read_only is not True and tool.annotations.destructive is not True
    ]
    outside = [tool.tool for tool in tools if tool.annotations.open_world is True]
    short = server[:_SHORT]
    rules = [
        _asks(f"{short}-destroys", server, destroys, "the server says that it may destroy"),
        _asks(f"{short}-changes", server, silent, "the server does not say that it only reads"),
    ]
    return Proposal(
        about="no kind that is known, so this follows what it says of its own tools; nobody has "
        "checked that, and nothing is allowed because of it",
        labels={_exact(name): ["untrusted", "egress"] for name in outside[:MOST]},
        rules=[rule for rule in rules if rule["tools"]],
    )


def _asks(name: str, server: str, tools: Sequence[str], reason: str) -> dict[str, Any]:
    globs = [_exact(tool) for tool in tools] if len(tools) <= MOST else ["*"]
    return {"id": name, "server": server, "tools": globs, "effect": "ask", "reason": reason}


def _exact(name: str) -> str:
    """A glob that matches this name alone."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", clean_line(name, 200))


def _renamed(rule: Table, used: set[str]) -> Table:
    base = rule["id"][:60]
    name = next(
        candidate
        for candidate in (base, *(f"{base}-{number}" for number in range(2, 1000)))
        if candidate not in used
    )
    used.add(name)
    return {**rule, "id": name}
