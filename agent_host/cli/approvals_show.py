"""`agent-host approvals show`: all that somebody has to know who is to say yes.

Theory of operation: the same lines as the terminal of the run shows, whole; at a terminal a page at
a time, because what has scrolled away nobody has read.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from agent_host.cli.approvals_found import Found, found, named, open_inbox
from agent_host.cli.approvals_list import document, in_json, resume_command, standing
from agent_host.core.errors import ExitStatus
from agent_host.core.events import ApprovalRequested
from agent_host.core.text import clean
from agent_host.core.types import JsonObject, Tool
from agent_host.ports import ApprovalQuestion
from agent_host.state.approvals import Waiting
from agent_host.surfaces.arguments import tree
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.pages import rows
from agent_host.surfaces.question import head


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("id", metavar="ID", help="as `approvals list` says it, or its beginning")
    parser.add_argument("--json", action="store_true", help="print it as one document")


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    with open_inbox(options.config) as inbox:
        one = named(found(inbox), options.id)
        if options.json:
            sys.stdout.write(in_json(document(one, inbox)))
            return ExitStatus.DONE
        out = Outlet(sys.stdout, {})
        lines = [*question_lines(one, out.width), "", *_what_next(one, out.width)]
        paged(lines, out, ask_line)
    return ExitStatus.DONE


def asked_of(waiting: Waiting) -> ApprovalRequested:
    """Return the question as the run has recorded it."""
    return ApprovalRequested(
        call_id=waiting.call_id,
        server=waiting.server,
        tool=waiting.tool,
        fingerprint=waiting.fingerprint,
        arguments=waiting.arguments,
        in_doubt=waiting.in_doubt,
        rules=waiting.rules,
        reason=waiting.reason,
        terms=waiting.terms,
        requester=waiting.requester,
        requester_from=waiting.requester_from,
        expires_at=waiting.expires_at,
        binding=waiting.binding,
    )


def question_lines(one: Found, width: int, arguments: JsonObject | None = None) -> list[str]:
    """Return a question as its run's terminal shows it. `arguments`: instead of the proposed."""
    waiting = one.waiting
    question = ApprovalQuestion(
        call_id=waiting.call_id,
        tool=waiting.definition or _unknown(waiting),
        arguments=waiting.arguments if arguments is None else arguments,
        rule=waiting.rule,
        reason=waiting.reason,
        in_doubt=waiting.in_doubt,
        invalid=lambda _arguments: None,
        waiting=lambda: 0,
        asked=asked_of(waiting),
        yeses=waiting.yeses,
        labels=waiting.labels,
        origin=waiting.origin,
    )
    above = [("run", standing(one)), ("for", clean(waiting.requester) or "somebody")]
    return [
        *rows([*above, *head(question)], width),
        *tree(question.arguments, width, whole=True).lines,
    ]


def _unknown(waiting: Waiting) -> Tool:
    """The tool of a question that was found in a transcript, which holds no definitions."""
    return Tool(
        name="",
        server=waiting.server,
        tool=waiting.tool,
        description="",
        input_schema={},
        fingerprint=waiting.fingerprint,
    )


def _what_next(one: Found, width: int) -> list[str]:
    pairs = [
        ("yes", f"agent-host approvals approve {one.short} (--edit or --set KEY=VALUE changes it)"),
        ("no", f"agent-host approvals deny {one.short} --reason TEXT"),
    ]
    if one.place == "parked":
        pairs.append(("then", resume_command(one)))
    return rows([(name, clean(text)) for name, text in pairs], width)


def ask_line(prompt: str) -> str | None:
    """Ask at the terminal; None at the end of input."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    return line.strip() if line else None


def paged(lines: Sequence[str], out: Outlet, ask: Callable[[str], str | None]) -> bool:
    """Print lines, at a terminal a page at a time; return whether all of them were shown."""
    if not (out.tty and sys.stdin.isatty()):
        out.write("\n".join(lines) + "\n")
        return True
    page = max(out.height - 2, 3)
    for start in range(0, len(lines), page):
        out.write("\n".join(lines[start : start + page]) + "\n")
        left = len(lines) - start - page
        if left > 0 and (answer := ask(f"-- {left} more lines; Enter shows them, q stops -- ")) in {
            None,
            "q",
        }:
            return answer == ""
    return True
