"""`agent-host policy explain`: what the rules answer to one call, and why.

Theory of operation: the very policy that a run would have is asked, and every rule of every file is
shown with what came of it. Nothing is started and nothing is counted.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict

from agent_host.cli.arguments import add_arguments, arguments_of, check_given
from agent_host.cli.policy_ground import add_tools_options, find_tool, tools_of
from agent_host.cli.policy_question import Question, Told, ask, unknown_tool
from agent_host.config.load import load
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.core.text import clean_line
from agent_host.host.known import LOCK_FILE
from agent_host.policy.cases import when
from agent_host.policy.explain import Explained, Looked

_LINE = 700


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.description = (
        "Say what the rules answer to a call of a tool: which rules match and which do not, and "
        "why, which one decides, and whose yes it takes. Nothing is called or counted."
    )
    parser.add_argument("server", metavar="SERVER", help="the server's name")
    parser.add_argument("tool", metavar="TOOL", help="the tool's own name")
    add_arguments(parser)
    parser.add_argument("--user", metavar="ID", help="for this user (default: you)")
    parser.add_argument(
        "--issuer", metavar="URL", default="", help="who vouches for the user (default: as here)"
    )
    parser.add_argument(
        "--role", metavar="R", action="append", default=[], help="a role of the user; repeatable"
    )
    parser.add_argument(
        "--claims", metavar="JSON", help="the claims of the user's token, as a JSON object"
    )
    parser.add_argument(
        "--label",
        metavar="L",
        action="append",
        default=[],
        help="a label of the data that the conversation holds; repeatable",
    )
    parser.add_argument("--cost", metavar="N", type=float, default=0.0, help="US dollars so far")
    parser.add_argument("--at", metavar="TIME", help="at this time, as 2026-03-01T22:00Z")
    parser.add_argument(
        "--total",
        metavar="NAME=N",
        action="append",
        default=[],
        help="what a running total stands at (default: as counted in state.db)",
    )
    parser.add_argument(
        "--unattended", action="store_true", help="as where no person sits (run.interactive)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_tools_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Print what policy says of a call, and return the exit status."""
    check_given(options)
    loaded = load(options.config, os.environ)
    servers = tools_of(loaded, options)
    tool = find_tool(servers, options.server, options.tool)
    known = tool is not None
    tool = tool or unknown_tool(options.server, options.tool)
    question = Question(
        tool=tool,
        arguments=arguments_of(options, tool),
        user=options.user,
        issuer=options.issuer,
        roles=tuple(options.role),
        claims=_claims(options.claims),
        labels=tuple(options.label),
        cost=options.cost,
        at=_time(options.at),
        interactive=not options.unattended,
        totals=dict(_total(text) for text in options.total),
    )
    told = ask(loaded, question)
    note = "" if known else _unknown(tool.server, tool.tool, seen=servers[tool.server] is not None)
    if options.json:
        document = {
            **asdict(told.explained),
            "user": {"id": told.principal.id, "roles": list(told.principal.roles)},
            "known_tool": known,
            "invalid_arguments": told.invalid,
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return ExitStatus.DONE
    for line in _lines(told):
        sys.stdout.write(line + "\n")
    for text in filter(None, (note, _invalid(told))):
        sys.stdout.flush()
        sys.stderr.write(f"agent-host: {clean_line(text, 1000)}\n")
    return ExitStatus.DONE


def _claims(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--claims is not JSON: {clean_line(str(error))}") from None
    if not isinstance(found, dict):
        raise UsageError('--claims must be a JSON object, as in \'{"team": "support"}\'')
    return found


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    at = when(text)
    if at is None:
        raise UsageError(
            f'--at "{clean_line(text, 60)}" is no time; write it as 2026-03-01T22:00:00Z'
        )
    return at


def _total(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise UsageError(
            f'--total "{clean_line(text, 80)}" is no NAME=NUMBER, as in refunds=120'
        ) from None


def _unknown(server: str, tool: str, *, seen: bool) -> str:
    why = "has no such tool" if seen else f"is not in {LOCK_FILE}"
    return (
        f"{server}/{tool} is not known ({server} {why}), so this is what the rules say of its name "
        "alone; --live asks the servers"
    )


def _invalid(told: Told) -> str:
    if told.invalid is None:
        return ""
    return f"no such call comes to policy: {told.invalid}"


def _lines(told: Told) -> Iterator[str]:
    one = told.explained
    yield clean_line(f"{one.server}/{one.tool}: {one.decision}", _LINE)
    yield _row("rule", f"{one.rule}{_at(one.where)}")
    if one.reason:
        yield _row("reason", one.reason)
    for number, text in enumerate(one.terms):
        yield _row("" if number else "takes", text)
    yield _row("user", _user(told))
    if one.told:
        yield _row("model", f"is told: {one.told}")
    for name, value in one.totals.items():
        yield _row("total", f"{name}: {_standing(value)}")
    yield ""
    for looked in sorted(one.rules, key=lambda each: each.state == "other tools"):
        yield from _rule(looked, one)


def _row(name: str, text: str) -> str:
    return f"  {name:<8}{clean_line(text, _LINE)}"


def _at(where: str) -> str:
    return f" ({where})" if where else ""


def _user(told: Told) -> str:
    who = told.principal
    roles = f", roles {', '.join(who.roles)}" if who.roles else ", no roles"
    return f"{who.id} ({who.authenticated_by}){roles}"


def _standing(value: object) -> str:
    if isinstance(value, dict):
        return f"{value['before']:g}, {value['after']:g} with this call"
    return f"not known: {value}"


def _rule(looked: Looked, one: Explained) -> Iterator[str]:
    mark = "->" if looked.decides else "  "
    level = f", {looked.level}" if looked.level else ""
    head = f"{looked.rule} ({looked.effect}{level}): {looked.state}"
    yield f"{mark} " + clean_line(f"{head}{_at(looked.where)}", _LINE)
    about_it = looked.state != "other tools"
    if looked.why and about_it and not (looked.decides and looked.why == one.reason):
        yield "     " + clean_line(looked.why, _LINE)
