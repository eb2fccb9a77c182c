"""`agent-host config`: what is configured, and a first config.

Theory of operation: a table of actions, one file each.
"""

import argparse

from agent_host.cli.actions import configure_actions, execute_action

ACTIONS = {
    "show": ("agent_host.cli.config_show", "print every value in effect and where it came from"),
    "init": ("agent_host.cli.config_init", "make a first servers.toml: looks around, asks, shows"),
    "schema": (
        "agent_host.cli.config_schema",
        "print the JSON Schema of servers.toml",
    ),
}
"""Name -> (module with `configure` and `execute`, one line of help)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    configure_actions(parser, ACTIONS)


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    return execute_action(options, ACTIONS)
