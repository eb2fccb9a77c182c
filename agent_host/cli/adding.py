"""Servers that come into a servers.toml: which file, what is shown, asked, written and trusted.

Theory of operation: what will be written and started is shown whole, with control characters made
visible, before anything happens; a yes at the terminal, `--yes`, or (for what was itself typed on
the command line) nobody to ask, lets it be written. Exactly what was shown is then trusted: nothing
else of the file, and not even that if the file says something else by then.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_host.cli.keeping import WHERE, Kept, put
from agent_host.cli.trusting import at_terminal, confirmed
from agent_host.cli.unpinned import warnings_of
from agent_host.config import paths
from agent_host.config.edit import checked, rendered, rewrite, with_server
from agent_host.config.file import parse
from agent_host.config.load import Loaded, load, loaded_as
from agent_host.config.organisation import read_organisation
from agent_host.config.secrets import variables
from agent_host.config.trust import TrustItem, TrustStore, is_demo, server_item, trust_these
from agent_host.core.errors import UsageError
from agent_host.core.text import clean, clean_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A server to add. `notes` are for the person, before it is written; `comment` stands above its
    table."""

    name: str
    table: Mapping[str, Any]
    notes: Sequence[str] = ()
    kept: Sequence[Kept] = ()
    comment: str = ""

    @property
    def text(self) -> str:
        """Its table as TOML."""
        return rendered(self.name, self.table, self.comment)

    def put_into(self, text: str, file: str) -> str:
        """Return the text of a servers.toml with this server added. Raises ConfigError."""
        return with_server(text, file, self.name, self.table, self.comment)

    @property
    def item(self) -> TrustItem:
        """What trusting it covers. Raises ConfigError for a wrong table."""
        return server_item(self.name, checked(self.name, self.table))


class Target:
    """The servers.toml to add to, there or not. Raises ConfigError if it is broken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = paths.shown(path)
        self.loaded: Loaded | None = load(path, os.environ) if path.exists() else None

    @property
    def servers(self) -> Mapping[str, Mapping[str, Any]]:
        """The servers that it has, as they are written."""
        if self.loaded is None:
            return {}
        return dict(parse(self.loaded.text, self.name).get("servers", {}))

    @property
    def folder(self) -> Path:
        """Where its commands start."""
        return self.path.parent

    def trial(self, addition: Addition) -> Loaded:
        """Return the config as it would be with one server more; nothing is written."""
        text = addition.put_into(self.loaded.text if self.loaded else "", self.name)
        known = self.loaded.organisation if self.loaded else read_organisation()
        return loaded_as(
            text.encode(), self.path, os.environ, cwd=paths.working_folder(), organisation=known
        )


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which file, and what need not be asked."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--file", metavar="PATH", help="the servers.toml to change")
    where.add_argument(
        "--user",
        action="store_true",
        help="your own servers.toml (default: the project's if there is one, else your own)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def add_writing_options(parser: argparse.ArgumentParser) -> None:
    """Add the target's options and those of what is written."""
    add_target_options(parser)
    parser.add_argument(
        "--secrets",
        choices=WHERE,
        help="where secrets are kept that servers.toml refers to (default: asked, else env)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be written, and do nothing"
    )


def target_of(options: argparse.Namespace) -> Path:
    """Return the servers.toml that the options name; it need not be there."""
    here = paths.working_folder()
    named = options.file or options.config
    if options.user:
        if named:
            raise UsageError("--user and another file are both named; leave one out")
        return paths.user_config_file()
    named = named or os.environ.get(paths.CONFIG_VARIABLE)
    if named:
        path = here / Path(named).expanduser()
        return path / paths.FILE if path.is_dir() else path
    return here / paths.FILE if (here / paths.FILE).exists() else paths.user_config_file()


def free(name: str, taken: Iterable[str]) -> str:
    """Return a name like this one that is not taken."""
    known = set(taken)
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 10000))) if n not in known)


def show(target: Target, additions: Sequence[Addition]) -> None:
    """Show on stderr what would be written, what it would start or contact, and what to know."""
    new = "" if target.path.exists() else " (a new file)"
    out = [f"to {target.name}{new}:", ""]
    for addition in additions:
        out += [clean(addition.text).rstrip("\n")]
        out += [f"  {line}" for line in addition.item.lines]
        out += [f"  note: {note}" for note in _notes(addition)]
        out += [
            f"  secret: {clean_line(kept.variable, 100)} goes into {_where(kept)}"
            for kept in addition.kept
            if kept.value
        ]
        out.append("")
    sys.stderr.write("\n".join(out))


def agreed(question: str, *, yes: bool, typed: bool) -> bool:
    """Return whether a person agrees. `typed`: what is asked about was itself typed, so it may go
    on where nobody can be asked; else that raises UsageError."""
    if yes:
        return True
    if at_terminal(sys.stdin, sys.stderr):
        return confirmed(question)
    if typed:
        return True
    raise UsageError("nobody can be asked here; look at it with --dry-run, then say --yes")


def write(target: Target, additions: Sequence[Addition]) -> Loaded:
    """Keep the secrets, write the tables, trust what was shown; return the config as it is now.

    Raises ConfigError if anything of that cannot be done; the file is then as it was.
    """
    put(kept for addition in additions for kept in addition.kept)

    def change(text: str) -> str:
        for addition in additions:
            text = addition.put_into(text, target.name)
        return text

    rewrite(target.path, change)
    loaded = load(target.path, os.environ)
    items = [a.item for a in additions if not is_demo(checked(a.name, a.table))]
    if items and not paths.is_users_own(loaded.path):
        for key in trust_these(loaded, TrustStore.users(), items):
            sys.stderr.write(f"{loaded.name}: {key} was changed meanwhile, so it is not trusted\n")
    return loaded


def print_dry(additions: Sequence[Addition]) -> None:
    """Print the tables and nothing else; on stderr, what to know of them."""
    sys.stdout.write("\n".join(addition.text for addition in additions))
    sys.stdout.flush()
    for addition in additions:
        for note in _notes(addition):
            sys.stderr.write(f"note: {clean_line(addition.name, 80)}: {note}\n")


def _notes(addition: Addition) -> list[str]:
    told = [*addition.notes, *_unset(addition), *warnings_of(addition.table)]
    return [clean_line(note, 600) for note in told]


def _unset(addition: Addition) -> list[str]:
    """Return what has to be set before the server can start, unless a note says it."""
    names = dict.fromkeys(variables(json.dumps(addition.table)))
    said = " ".join(addition.notes)
    return [
        f"set the variable {name} where agent-host runs"
        for name in names
        if not os.environ.get(name) and name not in said
    ]


def _where(kept: Kept) -> str:
    inner = clean_line(kept.reference[2:-1].partition(":")[2], 200)
    return f"the keyring ({inner})" if kept.where == "keyring" else inner
