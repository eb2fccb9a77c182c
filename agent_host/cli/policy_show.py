"""`agent-host policy show`: the rules in force, by file.

Theory of operation: everything that decides is shown with its place: the rules of each file, the
strictest first, the host's own, what answers where no rule matches, totals, roles, labels; and for
a server without any rule of its own the first policy that there is for its kind.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_host.cli.policy_ground import add_tools_options, only_server, tools_of
from agent_host.config.edit_policy import PolicyPart
from agent_host.config.layers import (
    Layer,
    default_of,
    expires_of,
    flow_of,
    max_asks_of,
    roles_of,
    totals_of,
)
from agent_host.config.load import Loaded, load
from agent_host.config.trust import is_demo
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean, clean_line
from agent_host.core.types import Tool
from agent_host.host.known import KnownTools
from agent_host.host.policy import make_policy
from agent_host.policy.covering import glob_matches
from agent_host.policy.explain import demands, span
from agent_host.policy.plans import Rule
from agent_host.policy.rules import RulePolicy
from agent_host.policy.starters import Proposal, proposed

_LINE = 700
_FILES = {
    "organisation": "the organisation's file",
    "user": "your own file",
    "project": "the servers.toml in use",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What is shown. `starters`: what is proposed for servers that no rule names."""

    loaded: Loaded
    policy: RulePolicy
    server: str | None
    starters: Mapping[str, Proposal]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.description = (
        "Show the rules in force, by file, with what else decides: the answer where no rule "
        "matches, running totals, roles, labels, and first policies that would fit a server."
    )
    parser.add_argument("--server", metavar="NAME", help="only what is about this server")
    parser.add_argument(
        "--starter", metavar="NAME", help="print the first policy that there is for this server"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_tools_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Print the rules in force, and return the exit status."""
    loaded = load(options.config, os.environ)
    servers = tools_of(loaded, options)
    for name in filter(None, (options.server, options.starter)):
        only_server(servers, name)
    if options.starter is not None:
        return _starter(loaded, servers, options.starter)
    shown = _Shown(
        loaded=loaded,
        policy=make_policy(loaded, os.environ),
        server=options.server,
        starters=_starters(loaded, servers, options.server),
    )
    if options.json:
        sys.stdout.write(json.dumps(_document(shown), indent=2) + "\n")
    else:
        for line in _lines(shown):
            sys.stdout.write(line + "\n")
    return ExitStatus.DONE


def in_force(loaded: Loaded) -> list[str]:
    """Return the rules in force as lines for people. Raises ConfigError."""
    policy = make_policy(loaded, os.environ)
    return list(_lines(_Shown(loaded=loaded, policy=policy, server=None, starters={})))


# -- starters --------------------------------------------------------------------------------------


def _starters(loaded: Loaded, servers: KnownTools, only: str | None) -> dict[str, Proposal]:
    """What is proposed for servers that no rule names, beside those for every server."""
    rules = [rule for layer in loaded.layers for rule in layer.policy.rules]
    named = [rule.server for rule in rules if rule.server != "*"]
    found = {}
    for name in loaded.config.servers:
        if any(glob_matches(glob, name) for glob in named) or only not in {None, name}:
            continue
        proposal = _proposal(loaded, name, servers.get(name))
        if proposal:
            found[name] = proposal
    return found


def _proposal(loaded: Loaded, name: str, tools: Sequence[Tool] | None) -> Proposal:
    server = loaded.config.servers.get(name)
    if server is None or is_demo(server):
        return Proposal(about="")
    command = (server.command, *server.args) if server.command else ()
    found = proposed(name, command=command, url=server.url or "", tools=tools)
    return found.renamed({rule.id for layer in loaded.layers for rule in layer.policy.rules})


def _starter(loaded: Loaded, servers: KnownTools, name: str) -> int:
    proposal = _proposal(loaded, name, servers.get(name))
    if not proposal:
        sys.stderr.write(f"there is no first policy for {clean_line(name, 80)}\n")
        return ExitStatus.FAILED
    part = PolicyPart(
        server=name,
        labels=proposal.labels,
        rules=[*proposal.rules, *proposal.allows],
        totals=proposal.totals,
    )
    about = clean_line(proposal.about, 300)
    text = "\n".join(filter(None, (part.labels_text, part.rules_text)))
    sys.stdout.write(f"# {clean_line(name, 80)}: {about}\n{clean(text).strip()}\n")
    return ExitStatus.DONE


# -- for people ----------------------------------------------------------------------------------


def _lines(shown: _Shown) -> Iterator[str]:
    layers = shown.loaded.layers
    for layer in layers:
        yield from _layer(shown, layer)
    yield "The host's own"
    for rule in shown.policy.rules:
        if rule.built_in:
            yield from _rule(rule)
    yield ""
    yield from _common(layers)
    for title, texts in (
        ("Running totals", _totals(shown)),
        ("Roles", _roles(layers)),
        ("Labels", _labels(shown)),
        ("First policies that would fit", _fitting(shown.starters)),
    ):
        lines = list(texts)
        if lines:
            yield ""
            yield title
            yield from ("  " + clean_line(text, _LINE) for text in lines)


def _layer(shown: _Shown, layer: Layer) -> Iterator[str]:
    rules = [rule for rule in shown.policy.rules if rule.level == layer.level]
    about = [rule for rule in rules if shown.server is None or _concerns(rule, shown.server)]
    yield clean_line(f"{layer.name} ({_FILES[layer.level]})", _LINE)
    for rule in about:
        yield from _rule(rule)
    left = len(rules) - len(about)
    if left:
        yield f"  {left} rules about other servers"
    elif not about:
        yield "  no rules"
    yield ""


def _concerns(rule: Rule, server: str) -> bool:
    return glob_matches(rule.server, server)


def _rule(rule: Rule) -> Iterator[str]:
    where = f"  {rule.where}" if rule.where else ""
    head = f"{rule.effect:<6}{rule.name or rule.id}  {_about(rule)}{where}"
    yield "  " + clean_line(head, _LINE)
    details = []
    if rule.when is not None:
        details.append(f"when {rule.when.text}")
    if rule.effect == "ask" and not rule.built_in:
        details.append("; ".join(demands(rule.terms)))
    if rule.reason:
        details.append(rule.reason)
    for text in details:
        yield "        " + clean_line(text, _LINE)


def _about(rule: Rule) -> str:
    if rule.read_only:
        return "tools that only read, of trusted servers"
    if rule.built_in:
        return "tools with the label egress"
    return f"{rule.server}/{', '.join(rule.tools)}"


def _common(layers: Sequence[Layer]) -> Iterator[str]:
    default, where = default_of(layers)
    flow, flow_where = flow_of(layers)
    for name, value, place in (
        ("default", default, where),
        ("flow", flow, flow_where),
        ("expires", span(expires_of(layers)), ""),
        ("max_asks", str(max_asks_of(layers)), ""),
    ):
        yield clean_line(f"{name:<10}{value}{f'  {place}' if place else ''}", _LINE)


def _totals(shown: _Shown) -> Iterator[str]:
    for name, (total, layer) in totals_of(shown.loaded.layers).items():
        if shown.server is not None and not glob_matches(total.server, shown.server):
            continue
        per = f" per {', '.join(total.per)}" if total.per else ""
        yield (
            f"{name}: {total.value} of {total.server}/{', '.join(total.tools)} in {total.window}"
            f"{per}  {layer.where('policy', 'totals', name)}"
        )


def _roles(layers: Sequence[Layer]) -> Iterator[str]:
    for role, members in roles_of(layers):
        yield f"{role}: {', '.join(member.name for member in members) or 'nobody'}"


def _labels(shown: _Shown) -> Iterator[str]:
    for name, server in shown.loaded.config.servers.items():
        if shown.server in {None, name}:
            for glob, labels in server.labels.items():
                yield f"{name}/{glob}: {', '.join(labels)}"


def _fitting(starters: Mapping[str, Proposal]) -> Iterator[str]:
    for name, proposal in starters.items():
        rules = len(proposal.rules) + len(proposal.allows)
        yield (
            f"{name}: {proposal.about}; {rules} rules, printed by "
            f"`agent-host policy show --starter {name}`"
        )


# -- for programs --------------------------------------------------------------------------------


def _document(shown: _Shown) -> dict[str, object]:
    layers = shown.loaded.layers
    return {
        "files": [{"level": layer.level, "name": layer.name} for layer in layers],
        "rules": [
            _rule_document(rule)
            for rule in shown.policy.rules
            if shown.server is None or _concerns(rule, shown.server)
        ],
        "default": default_of(layers)[0],
        "flow": flow_of(layers)[0],
        "expires": expires_of(layers),
        "max_asks": max_asks_of(layers),
        "totals": {
            name: {**total.model_dump(), "where": layer.where("policy", "totals", name)}
            for name, (total, layer) in totals_of(layers).items()
        },
        "roles": _role_document(layers),
        "labels": {
            name: {glob: list(labels) for glob, labels in server.labels.items()}
            for name, server in shown.loaded.config.servers.items()
            if server.labels
        },
        "starters": {name: proposal.about for name, proposal in shown.starters.items()},
        "fingerprint": shown.policy.fingerprint,
    }


def _role_document(layers: Sequence[Layer]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for role, members in roles_of(layers):
        found.setdefault(role, []).extend(member.name for member in members)
    return found


def _rule_document(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name or rule.id,
        "effect": rule.effect,
        "level": rule.level or "built-in",
        "where": rule.where,
        "server": rule.server,
        "tools": list(rule.tools),
        "when": None if rule.when is None else rule.when.text,
        "reason": rule.reason,
        "takes": list(demands(rule.terms)) if rule.effect == "ask" else [],
    }
