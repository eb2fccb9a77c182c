"""`agent-host policy check`: what is wrong with the rules, before any call."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from agent_host.cli.policy_ground import (
    add_tools_options,
    ground_of,
    only_server,
    rules_of,
    tools_of,
    total_texts,
)
from agent_host.config.load import Loaded, load
from agent_host.core.errors import ConfigError, ExitStatus
from agent_host.core.text import clean_line
from agent_host.host.policy import make_policy
from agent_host.policy.check import Finding, Severity, check
from agent_host.policy.covering import glob_matches
from agent_host.policy.ledger import GivenTotals

_LONGEST = 700


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.description = (
        "Say what is wrong with the rules of every file of policy: what no tool, no argument and "
        "nobody can ever match. Tools are those of servers.lock. Ends with 1 for an error."
    )
    parser.add_argument("--server", metavar="NAME", help="only rules about this server")
    parser.add_argument("--strict", action="store_true", help="end with 1 for a warning too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_tools_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Print what is wrong with the rules, and return the exit status."""
    loaded = load(options.config, os.environ)
    servers = tools_of(loaded, options)
    ground = ground_of(loaded, servers)
    rules, totals = rules_of(loaded.layers), total_texts(loaded.layers)
    found = check(rules, totals, ground)
    if all(one.severity != "error" for one in found):
        found += _unusable(loaded)
    if options.server is not None:
        only_server(servers, options.server)
        names = {"policy"} | {
            f'rule "{r.id}"' for r in rules if glob_matches(r.server, options.server)
        }
        names |= {f'total "{t.name}"' for t in totals if glob_matches(t.server, options.server)}
        found = [one for one in found if one.subject in names]
    if options.json:
        sys.stdout.write(json.dumps(_document(found), indent=2) + "\n")
    else:
        for one in found:
            sys.stdout.write(_line(one) + "\n")
        sys.stdout.write(_summary(found, len(rules), len(totals)) + "\n")
    worst = {"error", "warning"} if options.strict else {"error"}
    failed = any(one.severity in worst for one in found)
    return ExitStatus.FAILED if failed else ExitStatus.DONE


def _unusable(loaded: Loaded) -> list[Finding]:
    """What a run would refuse to start with, and nothing above has found."""
    try:
        make_policy(loaded, os.environ, kept=GivenTotals({}))
    except ConfigError as error:
        where, _, text = str(error).partition(": ")
        return [Finding(severity="error", where=where, subject="policy", text=text)]
    return []


def _line(one: Finding) -> str:
    place = f"{_at(one)}: " if _at(one) else ""
    text = f"{one.where}: {one.severity}: {one.subject}: {place}{one.text}"
    return clean_line(text, _LONGEST)


def _at(one: Finding) -> str:
    """Where in the text of a condition it is, for people."""
    if not one.line:
        return ""
    line = f"line {one.line}, " if one.line > 1 else ""
    return f"{one.key}, {line}column {one.column}"


def _document(found: Sequence[Finding]) -> dict[str, object]:
    counts = Counter(one.severity for one in found)
    return {
        "errors": counts["error"],
        "warnings": counts["warning"],
        "notes": counts["note"],
        "findings": [asdict(one) for one in found],
    }


def _summary(found: Sequence[Finding], rules: int, totals: int) -> str:
    counts = Counter(one.severity for one in found)
    looked = _count(rules, "rule") + (f" and {_count(totals, 'total')}" if totals else "")
    if not found:
        return f"{looked}: nothing is wrong"
    kinds: tuple[Severity, ...] = ("error", "warning", "note")
    parts = [_count(counts[kind], kind) for kind in kinds if counts[kind]]
    return f"{looked}: {', '.join(parts)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
