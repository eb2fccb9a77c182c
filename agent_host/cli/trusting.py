"""The question whether a servers.toml may start what it names, for the commands that start it."""

import argparse
import sys
from typing import TextIO

from agent_host.config.load import Loaded
from agent_host.config.trust import TrustStore, describe, needs_trust, refusal, trust
from agent_host.core.errors import AgentHostError, ExitStatus


class NotTrustedError(AgentHostError):
    """The config in use starts or names what nobody has trusted."""

    exit_status = ExitStatus.REFUSED


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Add `--trust`."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="use the servers.toml as it is, this once; `agent-host trust` remembers",
    )


def ensure_trusted(loaded: Loaded, *, flag: bool, store: TrustStore | None = None) -> None:
    """Return if the config may be used; ask at a terminal; else raise NotTrustedError.

    `flag`: `--trust` was given, which counts for this process and is not remembered. A yes at
    the terminal is remembered. Nothing of the config has been started before this returns.
    """
    if flag:
        return
    store = store or TrustStore.users()
    items = needs_trust(loaded, store)
    if not items:
        return
    if not at_terminal(sys.stdin, sys.stderr):
        raise NotTrustedError(refusal(loaded, items))
    sys.stderr.write(f"{loaded.name} is not trusted yet. It names:\n{describe(items)}\n")
    if not confirmed("Trust this?"):
        raise NotTrustedError(f"{loaded.name}: not trusted, so nothing was started")
    trust(loaded, store)


def at_terminal(*streams: TextIO | None) -> bool:
    """Return whether all of these are terminals; one that was closed (None) is not."""
    return all(stream is not None and stream.isatty() for stream in streams)


def confirmed(question: str) -> bool:
    """Ask at the terminal; anything but yes, and end of input, is no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
