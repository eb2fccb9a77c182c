"""`agent-host trust`: say that a servers.toml may start and contact what it names."""

import argparse
import os
import sys
from pathlib import Path

from agent_host.cli.columns import columns
from agent_host.cli.trusting import at_terminal, confirmed
from agent_host.config import paths
from agent_host.config.load import load
from agent_host.config.trust import TrustStore, describe, items_of, needs_trust, trust
from agent_host.core.errors import ExitStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = (
        "Show what the servers.toml in use starts, contacts and allows, and remember that you "
        "trust exactly that. At a terminal it asks first. Any later change asks again."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list the files that are trusted")
    what.add_argument("--revoke", action="store_true", help="trust the file no longer")
    what.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--full", action="store_true", help="show long lines whole, and what is trusted already"
    )


def execute(options: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    store = TrustStore.users()
    if options.list:
        return _list(store)
    if options.revoke:
        return _revoke(store, options.config)
    loaded = load(options.config, os.environ)
    if not items_of(loaded):
        sys.stdout.write(f"{loaded.name} needs no trust: it starts and names nothing of its own\n")
        return ExitStatus.DONE
    asked = needs_trust(loaded, store)
    if options.full and not asked:
        sys.stdout.write(f"{loaded.name}\n{describe(items_of(loaded), whole=True)}\n")
    if not asked:
        sys.stdout.write(f"{loaded.name} is trusted already, as it is\n")
        return ExitStatus.DONE
    sys.stdout.write(f"{loaded.name}\n{describe(asked, whole=options.full)}\n")
    sys.stdout.flush()
    if not options.yes and at_terminal(sys.stdin) and not confirmed("Trust this?"):
        sys.stderr.write("not trusted\n")
        return ExitStatus.REFUSED
    trust(loaded, store)
    sys.stdout.write(f"{loaded.name} is trusted, as long as this does not change\n")
    return ExitStatus.DONE


def _list(store: TrustStore) -> int:
    rows = [
        (path, ", ".join(sorted(items)), "" if Path(path).exists() else "is gone")
        for path, items in sorted(store.files().items())
    ]
    if rows:
        sys.stdout.write(columns(("file", "trusted", ""), rows) + "\n")
    else:
        sys.stderr.write("no file is trusted yet\n")
    return ExitStatus.DONE


def _revoke(store: TrustStore, config: str | None) -> int:
    # The file may be gone or broken: it is found, not read.
    path = paths.find(config, os.environ, paths.working_folder())
    name = paths.shown(path)
    if store.revoke(path):
        sys.stdout.write(f"{name} is trusted no longer\n")
    else:
        sys.stderr.write(f"{name} was not trusted\n")
    return ExitStatus.DONE
