"""`agent-host servers`: a table of actions, one file each.

Theory of operation: as with the commands themselves, only the module of the action that was asked
for is imported: its options are read when its parser first parses.
"""

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any

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


class _ActionParser(argparse.ArgumentParser):
    """Asks the action's module for its options once they are needed."""

    module = ""

    def parse_known_args(  # type: ignore[override]  # the namespace is what was handed in
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """See argparse."""
        if self.module:
            import_module(self.module).configure(self)
        return super().parse_known_args(args, namespace)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions of the command."""
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=_ActionParser
    )
    for name, (module, text) in ACTIONS.items():
        said = f"{text[0].upper()}{text[1:]}."
        actions.add_parser(name, help=text, description=said).module = module


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    return int(import_module(ACTIONS[options.action][0]).execute(options))
