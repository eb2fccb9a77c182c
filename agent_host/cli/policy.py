"""`agent-host policy`: the tools of the people who write rules, one file each."""

import argparse

from agent_host.cli.actions import configure_actions, execute_action

ACTIONS: dict[str, tuple[str, str]] = {
    "check": ("agent_host.cli.policy_check", "say what is wrong with the rules, before any call"),
    "explain": ("agent_host.cli.policy_explain", "say what the rules answer to one call, and why"),
    "test": ("agent_host.cli.policy_test", "try the rules on a file of cases"),
    "simulate": (
        "agent_host.cli.policy_simulate",
        "say what the rules would have answered in recorded runs",
    ),
    "show": ("agent_host.cli.policy_show", "show the rules in force, by file"),
}
"""Name -> (module with `configure` and `execute`, one line of help)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    configure_actions(parser, ACTIONS)


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    return execute_action(options, ACTIONS)
