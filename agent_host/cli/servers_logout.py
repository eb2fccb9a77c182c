"""`agent-host servers logout`: forget a server's login, here and at its authorization server."""

import argparse
import os
import sys
from importlib import import_module

from agent_host.cli.live import enabled
from agent_host.cli.servers_login import COMMANDS, duration, http_spec, raw, run
from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.load import load
from agent_host.core.errors import ExitStatus
from agent_host.core.text import clean_line


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.add_argument("name", metavar="NAME")
    add_trust_option(parser)


def execute(options: argparse.Namespace) -> int:
    """Log out and return the exit status."""
    loaded = load(options.config, os.environ)
    enabled(loaded, [options.name])
    ensure_trusted(loaded, flag=options.trust)
    spec = http_spec(loaded, options.name)
    done = run(import_module(COMMANDS).log_out(spec, raw(spec)))
    shown = clean_line(options.name, 80)
    if not done.was_in:
        sys.stdout.write(f"nobody was logged in to {shown}\n")
        return ExitStatus.DONE
    sys.stdout.write(f"logged out of {shown}\n")
    if done.problem:
        sys.stderr.write(
            f"  its authorization server could not be told, so the tokens are good until they "
            f"end: {clean_line(done.problem)}\n"
        )
    elif not done.told:
        sys.stderr.write(
            "  its authorization server takes no logouts; the tokens end by themselves\n"
        )
    elif done.left is None or done.left > 0:
        when = "by itself" if done.left is None else f"in {duration(done.left)}"
        sys.stderr.write(f"  its last token cannot be taken back there; it ends {when}\n")
    return ExitStatus.DONE
