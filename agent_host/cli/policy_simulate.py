"""`agent-host policy simulate`: what the rules would have answered in recorded runs.

Theory of operation: the transcripts are read as `transcripts show` reads them, without a lock; the
policy is the one of the config, or of another file; tools, labels and roles are as the config has
them now. Nothing is started, state.db is neither read nor written, and what is printed of a call
has been cleaned. A damaged transcript is told of and left out.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from agent_host.cli.policy_ground import add_tools_options, tools_of
from agent_host.cli.policy_question import short
from agent_host.config.load import Loaded, load
from agent_host.config.values import seconds
from agent_host.core.errors import ExitStatus, RecordError, UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import Decision, Principal, Tool
from agent_host.host.identity import in_roles
from agent_host.host.known import KnownTools, bare_spec
from agent_host.host.policy import make_policy
from agent_host.policy.ledger import SimulatedTotals
from agent_host.policy.recorded import Recorded, RecordedCall, recorded
from agent_host.policy.simulate import Clock, Group, Simulated, Simulation, World, simulate
from agent_host.records.reader import find, run_ids, salvage
from agent_host.servers.tools.labelling import labels_of

_LINE = 700
_VERDICTS = ("same", "stricter", "looser")
_ANSWERS: tuple[Decision, ...] = ("allow", "ask", "deny")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.description = (
        "Say what these rules would have answered to the calls of recorded runs, against what was "
        "answered then. Running totals start at nothing; nothing is called or written."
    )
    parser.add_argument(
        "runs", metavar="RUN", nargs="*", help="only these runs: an id, a beginning, or `last`"
    )
    parser.add_argument("--since", metavar="SPAN", help="only calls of the last 30d, 12h, ...")
    parser.add_argument(
        "--policy", metavar="FILE", help="the [policy] of this file, instead of the config's own"
    )
    parser.add_argument("--all", action="store_true", help="show what stays the same, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_tools_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Print what would have been decided, and return the exit status."""
    loaded = load(options.config, os.environ)
    ruling = load(options.policy, os.environ) if options.policy else loaded
    since = _since(options.since)
    clock = Clock()
    policy = make_policy(ruling, os.environ, moment=clock, kept=SimulatedTotals())
    world = _world(loaded, ruling, tools_of(loaded, options))
    runs, problems = _read(_paths(loaded.transcripts, options.runs))
    calls = [call for run in runs for call in run.calls if call.at >= since]
    found = simulate(calls, policy, clock, world)
    unasked = sum(run.unasked for run in runs)
    if options.json:
        document = _document(found, runs=len(runs), unasked=unasked, problems=problems)
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        for line in _lines(found, calls, runs=len(runs), everything=options.all):
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
        for problem in problems:
            sys.stderr.write(f"agent-host: {clean_line(problem, 1000)}\n")
    return ExitStatus.DONE


def _since(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        return time.time() - seconds(text)
    except ValueError:
        said = clean_line(text, 60)
        raise UsageError(f'--since "{said}" is no span of time, as in 30d, 12h or 90m') from None


def _paths(folder: Path, runs: Sequence[str]) -> list[Path]:
    if runs:
        return list(dict.fromkeys(find(folder, name) for name in runs))
    return [folder / f"{name}.jsonl" for name in run_ids(folder)]


def _read(paths: Sequence[Path]) -> tuple[list[Recorded], list[str]]:
    """Return the calls of each sound transcript, and what is wrong with the others."""
    runs: list[Recorded] = []
    problems: list[str] = []
    for path in paths:
        try:
            reading = salvage(path)
        except RecordError as error:
            problems.append(f"left out: {error}")
            continue
        run = recorded(reading.records)
        if reading.damaged or run.problem:
            why = reading.damaged or f"{clean_line(str(path), 500)}: {run.problem}"
            problems.append(f"left out: {why}")
            continue
        if reading.torn:
            problems.append(reading.torn)
        runs.append(run)
    return runs, problems


def _world(loaded: Loaded, ruling: Loaded, servers: KnownTools) -> World:
    tools = {(t.server, t.tool): t for those in servers.values() for t in those or ()}
    configured = loaded.config.servers

    def unseen(name: str, server: str, own: str) -> Tool:
        tool = Tool(
            name=name, server=server, tool=own, description="", input_schema={"type": "object"}
        )
        if server not in configured:
            return tool
        spec = bare_spec(server, configured[server])
        return replace(tool, trusted=spec.trust_annotations, labels=labels_of(spec, tool))

    users: dict[tuple[str, str, tuple[str, ...]], Principal] = {}

    def user(principal: Principal) -> Principal:
        key = (principal.id, principal.authenticated_by, principal.roles)
        if key not in users or users[key].claims != principal.claims:
            users[key] = in_roles(ruling, principal)
        return users[key]

    return World(
        tools=tools,
        exposed={tool.name: tool for tool in tools.values()},
        unseen=unseen,
        user=user,
    )


# -- for people ----------------------------------------------------------------------------------


def _lines(
    found: Simulation, calls: Sequence[RecordedCall], *, runs: int, everything: bool
) -> Iterator[str]:
    span = ""
    if calls:
        first, last = min(call.at for call in calls), max(call.at for call in calls)
        span = f" from {_moment(first)} to {_moment(last)}"
    counts = ", ".join(
        f"{found.verdicts.get(one, 0)} {one}" for one in ("same", "stricter", "looser")
    )
    yield f"{_count(runs, 'run')}, {_count(found.calls, 'call')}{span}: {counts}"
    if found.calls:
        yield ""
        yield from _matrix(found)
    for verdict in ("looser", "stricter", *(["same"] if everything else [])):
        groups = [group for group in found.groups if group.verdict == verdict]
        if groups:
            yield ""
            yield verdict.upper()
        for group in groups:
            yield from _group(group)
    notes = list(_notes(found))
    if notes:
        yield ""
        yield from notes


def _matrix(found: Simulation) -> Iterator[str]:
    """How often which answer became which."""
    yield f"{'was, now':<10}" + "".join(f"{answer:>8}" for answer in _ANSWERS)
    for was in _ANSWERS:
        numbers = [found.answers.get((was, now), 0) for now in _ANSWERS]
        if any(numbers):
            yield f"{was:<10}" + "".join(f"{number or '.':>8}" for number in numbers)


def _group(group: Group) -> Iterator[str]:
    change = group.now if group.was == group.now else f"{group.was} -> {group.now}"
    where = f" ({group.where})" if group.where else ""
    count = _count(group.count, "call")
    runs = f" in {group.runs} runs" if group.runs > 1 else ""
    text = f"{change}  {group.server}/{group.tool}: {count}{runs}, rule {group.rule}{where}"
    yield "  " + clean_line(text, _LINE)
    if group.reason:
        yield "      " + clean_line(group.reason, _LINE)
    for one in group.examples:
        yield "      " + clean_line(_example(one), _LINE)


def _example(one: Simulated) -> str:
    call = one.call
    then = "always" if call.granted else call.decided
    rule = f" by {call.rule}" if call.rule else ""
    ran = "ran" if call.ran else "did not run"
    return f"{call.run_id} {_moment(call.at)} {short(call.arguments)}  {then}{rule}, {ran}"


def _notes(found: Simulation) -> Iterator[str]:
    for what, tools in (
        ("the definition has changed since", found.changed),
        ("is not known any more, so only its name and labels counted", found.unknown),
    ):
        for (server, tool), count in sorted(tools.items()):
            yield clean_line(f"{server}/{tool}: {what} ({_count(count, 'call')})", _LINE)
    if found.untold:
        yield f"{_count(found.untold, 'call')} left out: which server was called is not recorded"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


# -- for programs --------------------------------------------------------------------------------


def _document(
    found: Simulation, *, runs: int, unasked: int, problems: Sequence[str]
) -> dict[str, object]:
    return {
        "runs": runs,
        "calls": found.calls,
        "never_judged": unasked,
        "verdicts": dict(found.verdicts),
        "answers": [
            {"was": was, "now": now, "count": count}
            for (was, now), count in sorted(found.answers.items())
        ],
        "groups": [_group_document(group) for group in found.groups],
        "changed": _tools(found.changed),
        "unknown": _tools(found.unknown),
        "untold": found.untold,
        "problems": list(problems),
    }


def _tools(tools: Mapping[tuple[str, str], int]) -> list[dict[str, object]]:
    return [
        {"server": server, "tool": tool, "count": count}
        for (server, tool), count in sorted(tools.items())
    ]


def _group_document(group: Group) -> dict[str, object]:
    return {
        "verdict": group.verdict,
        "was": group.was,
        "now": group.now,
        "rule": group.rule,
        "where": group.where,
        "reason": group.reason,
        "server": group.server,
        "tool": group.tool,
        "count": group.count,
        "runs": group.runs,
        "examples": [
            {
                "run": one.call.run_id,
                "call": one.call.call.id,
                "at": datetime.fromtimestamp(one.call.at, UTC).isoformat(),
                "arguments": short(one.call.arguments),
                "was_rule": one.call.rule,
                "always": one.call.granted,
                "ran": one.call.ran,
                "changed": one.changed,
            }
            for one in group.examples
        ],
    }
