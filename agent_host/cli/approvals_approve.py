"""`agent-host approvals approve`: a yes, to what was proposed or to a change of it.

Theory of operation: what would be sent is shown whole, with what a change changes, and confirmed;
`--yes` is for whoever has read it before. A change has to fit the tool's schema, and must not reach
what policy denies, as far as both are known here; the run looks again.
"""

import argparse
import sys

from agent_host.cli.approvals_answer import (
    Answering,
    NotCountedError,
    add_options,
    answering,
    given_by,
    hand_in,
)
from agent_host.cli.approvals_edit import add_edit_options, edited
from agent_host.cli.approvals_found import open_inbox
from agent_host.cli.approvals_show import ask_line, paged, question_lines
from agent_host.cli.trusting import at_terminal
from agent_host.core.approvals import digest
from agent_host.core.errors import UsageError
from agent_host.core.events import ApprovalGiven
from agent_host.core.types import JsonObject
from agent_host.surfaces.arguments import difference
from agent_host.surfaces.outlet import Outlet


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    add_options(parser)
    add_edit_options(parser)
    parser.add_argument("--yes", action="store_true", help="ask nothing")


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    with open_inbox(options.config) as inbox:
        to = answering(options, inbox)
        proposed = to.one.waiting.arguments
        # Whoever cannot approve is told before they have edited anything.
        given_by(to, _yes(to, None, options.reason), inbox)
        arguments = edited(options, to)
        change = None if arguments is None or digest(arguments) == digest(proposed) else arguments
        given = given_by(to, _yes(to, change, options.reason), inbox)
        if not options.yes and not _confirmed(to, change):
            raise NotCountedError("not approved; it waits as before")
        return hand_in(to, given, inbox)


def _yes(to: Answering, arguments: JsonObject | None, reason: str) -> ApprovalGiven:
    return ApprovalGiven(
        call_id=to.one.waiting.call_id,
        decision="approve",
        by="",
        arguments=arguments,
        feedback=reason,
    )


def _confirmed(to: Answering, change: JsonObject | None) -> bool:
    if not at_terminal(sys.stdin, sys.stdout):
        raise UsageError(
            f"nobody can be asked here; read it (agent-host approvals show {to.one.short}) and say "
            "--yes"
        )
    out = Outlet(sys.stdout, {})
    lines = question_lines(to.one, out.width, change)
    if change is not None:
        lines += ["  changed:", *difference(to.one.waiting.arguments, change, out.width)]
    if not paged(lines, out, ask_line):
        return False
    return (ask_line("approve this? [y/N] ") or "").lower() in {"y", "yes"}
