"""`agent-host approvals deny`: a no, with a reason for the model."""

import argparse

from agent_host.cli.approvals_answer import add_options, answering, given_by, hand_in
from agent_host.cli.approvals_found import open_inbox
from agent_host.core.events import ApprovalGiven


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    add_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    with open_inbox(options.config) as inbox:
        to = answering(options, inbox)
        no = ApprovalGiven(
            call_id=to.one.waiting.call_id, decision="deny", by="", feedback=options.reason
        )
        return hand_in(to, given_by(to, no, inbox), inbox)
