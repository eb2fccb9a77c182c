"""`agent-host policy test`: the rules, tried on a file of cases.

Theory of operation: each case is asked of the policy that a run would have, with running totals as
the case says and nothing of state.db, so that the same cases come out the same on every machine.
What differs from what was expected is told with the line of the case and everything that led to the
answer.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from agent_host.cli.policy_ground import add_tools_options, find_tool, tools_of
from agent_host.cli.policy_question import Question, Told, ask, unknown_tool
from agent_host.config.file import parse, read
from agent_host.config.lines import line_of, locate
from agent_host.config.load import Loaded, load
from agent_host.config.paths import shown
from agent_host.core.errors import ConfigError, ExitStatus, UsageError
from agent_host.core.text import clean_line
from agent_host.host.known import KnownTools
from agent_host.policy.cases import Case, differences, read_cases

_LINE = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A case and what came of it. `problems` is empty if it is as expected; `notes`: what else
    whoever reads it should know."""

    case: Case
    where: str
    told: Told
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.description = (
        "Try the rules on a file of cases: calls, their circumstances, and the answer that is "
        "expected. Nothing is called. Ends with 1 if any answer differs."
    )
    parser.add_argument("file", metavar="CASES", help="a TOML file of [[cases]]; docs/policy.md")
    parser.add_argument("--junit", metavar="FILE", help="write the outcome as JUnit XML too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_tools_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Try every case, print what differs, and return the exit status."""
    path = Path(options.file).expanduser()
    name = shown(path)
    text = read(path, name)[1]
    lines = locate(text)
    cases, problems = read_cases(parse(text, name))
    if problems:
        place, sentence = min(problems, key=lambda one: line_of(lines, one[0]))
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(f"{name}:{line_of(lines, place)}: {clean_line(sentence, 400)}{more}")
    loaded = load(options.config, os.environ)
    servers = tools_of(loaded, options)
    tried = [_try(loaded, servers, case, f"{name}:{line_of(lines, case.place)}") for case in cases]
    if options.junit:
        _write_junit(Path(options.junit), name, tried)
    if options.json:
        sys.stdout.write(json.dumps([_document(one) for one in tried], indent=2) + "\n")
    else:
        for one in tried:
            for line in _lines(one):
                sys.stdout.write(line + "\n")
        failed = sum(bool(one.problems) for one in tried)
        sys.stdout.write(f"{len(tried)} cases: {len(tried) - failed} as expected, {failed} not\n")
    return ExitStatus.FAILED if any(one.problems for one in tried) else ExitStatus.DONE


def _try(loaded: Loaded, servers: KnownTools, case: Case, where: str) -> Tried:
    begun = time.perf_counter()
    try:
        tool = find_tool(servers, case.server, case.tool)
        notes = () if tool else (f"{case.server}/{case.tool} is not known: judged by its name",)
        question = Question(
            tool=tool or unknown_tool(case.server, case.tool),
            arguments=case.args,
            user=case.user,
            issuer=case.issuer,
            roles=case.roles,
            claims=case.claims,
            labels=case.labels,
            cost=case.cost,
            at=case.at,
            interactive=case.interactive,
            totals=case.totals,
            kept=False,
        )
        told = ask(loaded, question)
    except UsageError as error:
        raise ConfigError(f"{where}: {clean_line(str(error), 400)}") from None
    if told.invalid is not None:
        notes = (*notes, f"no such call comes to policy: {told.invalid}")
    found = Tried(
        case=case,
        where=where,
        told=told,
        problems=tuple(differences(case, told.answer)),
        notes=notes,
    )
    return replace(found, seconds=time.perf_counter() - begun)


def _lines(one: Tried) -> Iterator[str]:
    sign = "FAILED" if one.problems else "ok"
    yield clean_line(f"{sign:<7}{one.case.name}", _LINE)
    if not one.problems:
        for text in one.notes:
            yield "         note: " + clean_line(text, _LINE)
        return
    for text in _details(one):
        yield "         " + clean_line(text, _LINE)


def _details(one: Tried) -> Iterator[str]:
    yield one.where
    yield from one.problems
    found = one.told.explained
    at = f" ({found.where})" if found.where else ""
    yield f"decided: {found.rule}{at}{': ' + found.reason if found.reason else ''}"
    for looked in found.rules:
        if looked.state not in {"other tools", "not matched"} and not looked.decides:
            place = f" ({looked.where})" if looked.where else ""
            yield f"also {looked.state}: {looked.rule} ({looked.effect}){place} {looked.why}"
    wanted = one.case.rule
    for looked in found.rules:
        if looked.rule == wanted and not looked.counts:
            yield f'"{wanted}" ({looked.where}) is {looked.state}: {looked.why}'
    if wanted is not None and all(looked.rule != wanted for looked in found.rules):
        yield f'there is no rule "{wanted}"'
    yield from one.notes


def _document(one: Tried) -> dict[str, object]:
    return {
        "name": one.case.name,
        "where": one.where,
        "ok": not one.problems,
        "expected": one.case.expect,
        "decision": one.told.answer.decision,
        "rule": one.told.answer.rule,
        "rule_where": one.told.explained.where,
        "problems": list(one.problems),
        "notes": list(one.notes),
    }


def _write_junit(path: Path, name: str, tried: Sequence[Tried]) -> None:
    """Write the outcome as most CI systems read it. ConfigError if that is not possible."""
    failed = sum(bool(one.problems) for one in tried)
    head = f'name={_attribute(name)} tests="{len(tried)}" failures="{failed}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuite {head}>"]
    for one in tried:
        case = (
            f"  <testcase name={_attribute(one.case.name)} classname={_attribute(name)} "
            f'time="{one.seconds:.4f}"'
        )
        if not one.problems:
            lines.append(f"{case}/>")
            continue
        message = _attribute("; ".join(one.problems))
        details = "\n".join(clean_line(text, _LINE) for text in _details(one))
        lines += [f"{case}>", f"    <failure message={message}>{escape(details)}</failure>"]
        lines.append("  </testcase>")
    lines.append("</testsuite>")
    try:
        path.expanduser().write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{shown(path)}: cannot be written ({error.strerror}); name another file with --junit"
        ) from None


def _attribute(text: str) -> str:
    return f'"{escape(clean_line(text, _LINE))}"'
