"""`agent-host approvals`: what waits for somebody's yes, and to say yes or no to it.

Theory of operation: a table of actions, one file each. A question waits in state.db, which all
runs of one user share; what is answered here is taken by the run, at once if it is alive, else when
it is resumed.
"""

import argparse

from agent_host.cli.actions import configure_actions, execute_action

ACTIONS = {
    "list": ("agent_host.cli.approvals_list", "list the calls that wait for approval"),
    "show": ("agent_host.cli.approvals_show", "show one, whole: what would run, why it asks"),
    "approve": ("agent_host.cli.approvals_approve", "say yes to one, also with other arguments"),
    "deny": ("agent_host.cli.approvals_deny", "say no to one, with a reason for the model"),
}
"""Name -> (module with `configure` and `execute`, one line of help)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    configure_actions(parser, ACTIONS)


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    return execute_action(options, ACTIONS)
