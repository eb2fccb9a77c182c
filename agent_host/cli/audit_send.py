"""The options of `agent-host audit send`.

Theory of operation: only sending needs the whole config, which holds the collector's URL and
headers; so what does it (`audit_sending`) is imported once it was asked for, and the other actions
do not pay for it.
"""

import argparse
from importlib import import_module


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="try again for at most so long while the collector cannot take it (default 0)",
    )
    parser.add_argument("--status", action="store_true", help="say how it stands; send nothing")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="use the servers.toml as it is, this once; `agent-host trust` remembers",
    )


def send(options: argparse.Namespace) -> int:
    """Send what waits, and say how the collector stands."""
    return int(import_module("agent_host.cli.audit_sending").send(options))
