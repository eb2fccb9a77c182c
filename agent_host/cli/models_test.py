"""`agent-host models test NAME`: what works at an endpoint, seen by asking it.

This file holds what the help needs; what asks is loaded once it is to ask.
"""

import argparse
import math
import os
from importlib import import_module

from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.choose import choose_model
from agent_host.config.load import load
from agent_host.core.errors import UsageError
from agent_host.core.text import clean_line
from agent_host.profiles.adapters import WITHOUT_PROVIDER

_SECONDS = 120.0


def configure_test(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a name of the config, PROVIDER:MODEL, URL:MODEL, or ADAPTER+ before one of these",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, once all is done")
    parser.add_argument(
        "--only",
        metavar="CHECK,...",
        default="",
        help="only these checks, as text,stream; `reach` is always one",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=_SECONDS,
        help=f"what each check may take (default: {_SECONDS:g})",
    )
    add_trust_option(parser)


def execute_test(options: argparse.Namespace) -> int:
    """Test a model and return the exit status: 0 if nothing failed, 1 if something did, 6 if it
    cannot be reached."""
    loaded = load(options.config, os.environ, needed=False)
    choice = choose_model(loaded.config, os.environ, loaded.profiles, name=options.name)
    if choice.adapter in WITHOUT_PROVIDER:
        raise UsageError(
            f"{clean_line(choice.name, 80)} is no AI: nothing is reached, so there is nothing to "
            "certify; name a model of a provider, as in agent-host models list"
        )
    ensure_trusted(loaded, flag=options.trust)
    status: int = import_module("agent_host.cli.scorecard").run(options, loaded, choice)
    return status


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return value
