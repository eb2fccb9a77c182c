"""`agent-host servers import`: servers that other applications are configured with.

Theory of operation: the known files of each application on this machine are looked for, or a file
that is named is recognized by its content (`config/importers`). What was found is listed with what
cannot be taken over and why; a person picks; what will be written is shown whole, and only that
becomes trusted. The files of the others are only read.
"""

import argparse
import fnmatch
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from agent_host.cli.adding import (
    Addition,
    Target,
    add_writing_options,
    agreed,
    print_dry,
    show,
    target_of,
    write,
)
from agent_host.cli.keeping import Where, chosen
from agent_host.cli.referring import referred
from agent_host.cli.trusting import at_terminal
from agent_host.config import paths
from agent_host.config.edit import checked
from agent_host.config.importers.build import Entry
from agent_host.config.importers.merge import Merged, merged, placed
from agent_host.config.importers.raw import Machine
from agent_host.config.importers.read import (
    APPS,
    entries_in,
    entries_of,
    entries_of_text,
    known,
)
from agent_host.core.errors import ConfigError, ExitStatus, UsageError
from agent_host.core.text import clean_line

_STDIN_LIMIT = 1024 * 1024
_RANGE = re.compile(r"(\d+)(?:-(\d+))?\Z")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    names = ", ".join(app.name for app in APPS)
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="APP|FILE",
        help=f"where from: {names}; a file; or - for standard input (default: whatever is here)",
    )
    parser.add_argument("--all", action="store_true", help="take all of them")
    parser.add_argument(
        "--only", metavar="GLOB", action="append", help="take only those with such a name"
    )
    add_writing_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Import servers and return the exit status."""
    target = Target(target_of(options))
    entries, broken = _found(options.sources)
    result = merged([placed(entry, target.folder) for entry in entries], target.servers)
    picked = _named(result.entries, options.only)
    _say_found(result, picked, broken)
    if not picked:
        sys.stderr.write("there is nothing to import\n")
        return ExitStatus.USAGE if broken else ExitStatus.DONE
    if options.dry_run:
        print_dry([_addition(entry, "env", ask=False) for entry in picked])
        return ExitStatus.DONE
    picked = _picked(picked, all_of_them=options.all or options.yes or bool(options.only))
    if not picked:
        sys.stderr.write("nothing was written\n")
        return ExitStatus.REFUSED
    where = _where(picked, options.secrets)
    additions = [_addition(entry, where, ask=True) for entry in picked]
    show(target, additions)
    if not agreed(f"Add {_servers(len(additions))}?", yes=options.yes, typed=False):
        sys.stderr.write("nothing was written\n")
        return ExitStatus.REFUSED
    loaded = write(target, additions)
    names = ", ".join(addition.name for addition in additions)
    sys.stdout.write(f"added {_servers(len(additions))} to {loaded.name}: {names}\n")
    sys.stderr.write(
        "a server gets only the variables that its table names\n"
        "next: agent-host servers list says how each is doing\n"
    )
    return ExitStatus.DONE


def _machine() -> Machine:
    return Machine(
        home=Path.home(), here=paths.working_folder(), system=sys.platform, environ=os.environ
    )


def _found(sources: Sequence[str]) -> tuple[list[Entry], list[str]]:
    """Return the servers of the sources, and what is wrong with files that nobody named."""
    machine = _machine()
    entries: list[Entry] = []
    broken: list[str] = []
    if not sources:
        for app, place in known(machine):
            try:
                entries += entries_of(app, place, machine)
            except ConfigError as error:
                broken.append(str(error))
        return entries, broken
    for source in sources:
        named = next((app for app in APPS if app.name == source), None)
        if named is not None:
            places = [place for _, place in known(machine, (named,))]
            if not places:
                looked = ", ".join(paths.shown(place.path) for place in named.places(machine))
                raise UsageError(f"{named.title} has no file here; looked for {looked}")
            for place in places:
                entries += entries_of(named, place, machine)
        elif source == "-":
            entries += entries_of_text(sys.stdin.read(_STDIN_LIMIT), machine)
        else:
            entries += entries_in(machine.here / Path(source).expanduser(), machine)
    return entries, broken


def _named(entries: Sequence[Entry], globs: Sequence[str] | None) -> list[Entry]:
    if not globs:
        return list(entries)
    found = [e for e in entries if any(fnmatch.fnmatchcase(e.name, glob) for glob in globs)]
    if not found:
        names = ", ".join(entry.name for entry in entries)
        raise UsageError(
            f"no server has such a name; there are: {clean_line(names, 400) or 'none'}"
        )
    return found


def _say_found(result: Merged, picked: Sequence[Entry], broken: Sequence[str]) -> None:
    out = [f"not read: {problem}" for problem in broken]
    for number, entry in enumerate(picked, 1):
        file = paths.shown(entry.place.path)
        what = entry.table.get("url") or entry.table.get("command")
        out.append(f"{number:3}  {entry.name}  {clean_line(str(what), 60)}  ({entry.app}: {file})")
    for entry, why in result.left_out:
        said = clean_line(entry.said, 80)
        out.append(f"  -  {said}  left out: {clean_line(why, 200)}  ({entry.app})")
    if out:
        sys.stderr.write("\n".join(out) + "\n")


def _picked(entries: list[Entry], *, all_of_them: bool) -> list[Entry]:
    if all_of_them or not at_terminal(sys.stdin, sys.stderr):
        return entries
    while True:
        sys.stderr.write("Which? Numbers as 1,3-5, Enter for all, n for none: ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not answer or answer.strip().lower() in ("n", "none", "no"):
            return []
        if not answer.strip():
            return entries
        chosen_numbers = _numbers(answer, len(entries))
        if chosen_numbers is not None:
            return [entry for i, entry in enumerate(entries, 1) if i in chosen_numbers]


def _numbers(answer: str, count: int) -> set[int] | None:
    found: set[int] = set()
    for word in answer.replace(",", " ").split():
        match = _RANGE.match(word)
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= count:
            return None
        found |= set(range(first, last + 1))
    return found


def _where(entries: Sequence[Entry], given: str | None) -> Where:
    secrets = [secret for entry in entries for secret in entry.secrets]
    if not secrets:
        return "env"
    names = ", ".join(dict.fromkeys(secret.variable for secret in secrets))
    count = "1 secret" if len(secrets) == 1 else f"{len(secrets)} secrets"
    return chosen(given, f"{count}: {clean_line(names, 300)}")


def _addition(entry: Entry, where: Where, *, ask: bool) -> Addition:
    table, kept, told = referred(entry.name, entry.table, entry.secrets, where if ask else "env")
    checked(entry.name, table)
    return Addition(name=entry.name, table=table, notes=(*entry.notes, *told), kept=kept)


def _servers(count: int) -> str:
    return "1 server" if count == 1 else f"{count} servers"
