"""`agent-host servers`: a table of actions, one file each (see `actions`)."""

import argparse

from agent_host.cli.actions import configure_actions, execute_action

ACTIONS: dict[str, tuple[str, str]] = {
    "list": ("agent_host.cli.servers_list", "start every server and say how it is doing"),
    "add": ("agent_host.cli.servers_add", "add a server by its command, URL or registry name"),
    "remove": ("agent_host.cli.servers_remove", "take a server out of servers.toml"),
    "import": ("agent_host.cli.servers_import", "take over the servers of other applications"),
    "test": (
        "agent_host.cli.servers_test",
        "start one server and say what works, what does not and what to do",
    ),
    "lock": (
        "agent_host.cli.servers_lock",
        "compare the servers with servers.lock, and accept what changed",
    ),
    "login": ("agent_host.cli.servers_login", "log in to a server behind a URL"),
    "logout": ("agent_host.cli.servers_logout", "forget a server's login, here and there"),
    "search": ("agent_host.cli.servers_search", "find published servers in the MCP registry"),
    "show": ("agent_host.cli.servers_show", "say what a published server is and how to add it"),
}
"""Name -> (module with `configure` and `execute`, one line of help)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    configure_actions(parser, ACTIONS)


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    return execute_action(options, ACTIONS)
