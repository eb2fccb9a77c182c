"""`agent-host servers add`: a server by its command, its URL, or its name in the registry.

Theory of operation: the words become one table. What looks like a secret is taken out of it and
kept where a person says; the table and what it starts are shown, asked about, written and trusted
(`adding`); then the server is connected to once. One that does not work yet is added all the same,
because most of what is wrong is mended outside of the file (a program to install, a variable to
set); `--test-first` writes nothing unless it works. Last a first policy is offered
(`servers_add_policy`).
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent_host.cli.adding import (
    Addition,
    Target,
    add_writing_options,
    agreed,
    free,
    print_dry,
    show,
    target_of,
    write,
)
from agent_host.cli.first_look import first_look
from agent_host.cli.keeping import chosen
from agent_host.cli.published import add_registry_options
from agent_host.cli.referring import referred
from agent_host.cli.servers_add_policy import add_policy_options, dry, offer
from agent_host.cli.trusting import at_terminal
from agent_host.config import paths
from agent_host.config.edit import checked
from agent_host.config.importers.build import legal_name
from agent_host.config.importers.taken import Secret, Taken
from agent_host.config.looks import looks_secret
from agent_host.core.errors import ExitStatus, UsageError
from agent_host.core.text import clean_line

USAGE = """%(prog)s NAME [OPTIONS] -- COMMAND [ARG ...]
       %(prog)s NAME URL [OPTIONS]
       %(prog)s REGISTRY-NAME [OPTIONS]"""
_URL = re.compile(r"https?://", re.IGNORECASE)
_HEADER = re.compile(r"([A-Za-z0-9-]+)\s*[:=]\s*(.*)\Z", re.DOTALL)
_HOST_PREFIXES = ("www", "mcp", "api", "server")
_KINDS = ("npm", "pypi", "oci", "nuget", "mcpb", "remote")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the action."""
    parser.usage = USAGE
    _options(parser)
    # What stands after the name is read by a second parser, so that options may stand anywhere
    # before `--`, and nothing after it is taken for one of ours.
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="NAME ...")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env",
        metavar="KEY=VALUE",
        action="append",
        help="a variable for the command; KEY alone: a secret, asked for or from the environment",
    )
    parser.add_argument("--cwd", metavar="FOLDER", help="where the command starts")
    parser.add_argument(
        "--header", metavar="KEY=VALUE", action="append", help="an HTTP header for the URL"
    )
    parser.add_argument("--sse", action="store_true", help="the URL is of the older SSE transport")
    parser.add_argument("--auth", choices=("oauth",), help="the URL wants a login")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, help="for one tool call")
    parser.add_argument(
        "--roots", metavar="FOLDER", action="append", help="a folder that it is told it may work in"
    )
    parser.add_argument("--tools", metavar="GLOB", action="append", help="only these of its tools")
    parser.add_argument(
        "--as", dest="name", metavar="NAME", help="the name for a registry's server"
    )
    parser.add_argument("--version", metavar="V", default="", help="its version, not the latest")
    parser.add_argument("--package", choices=_KINDS, help="which of its packages, or its remote")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", help="one of the inputs that it needs"
    )
    add_registry_options(parser)
    add_writing_options(parser)
    add_policy_options(parser)
    parser.add_argument("--no-test", action="store_true", help="do not connect to it")
    parser.add_argument(
        "--test-first", action="store_true", help="write it only if it can be connected to"
    )


@dataclass(kw_only=True)
class _Wanted:
    """What the words say: a command, a URL, or a registry's name."""

    name: str
    command: list[str] = field(default_factory=list)
    url: str = ""
    published: str = ""


def execute(options: argparse.Namespace) -> int:
    """Add one server and return the exit status."""
    options, wanted = _read(options)
    if options.allow_reads and not options.policy:
        raise UsageError("--allow-reads goes with --policy; say both")
    target = Target(target_of(options))
    addition = _addition(options, wanted, target)
    if addition is None:
        return ExitStatus.DONE
    checked(addition.name, addition.table)
    if options.dry_run:
        print_dry([addition])
        dry(options, addition)
        return ExitStatus.DONE
    show(target, [addition])
    if not agreed("Add this?", yes=options.yes, typed=not wanted.published):
        sys.stderr.write("nothing was written\n")
        return ExitStatus.REFUSED
    if options.test_first and (status := first_look(target.trial(addition), addition.name)):
        sys.stderr.write("so nothing was written\n")
        return status
    loaded = write(target, [addition])
    sys.stdout.write(f"added servers.{addition.name} to {loaded.name}\n")
    sys.stdout.flush()
    enabled = addition.table.get("enabled", True)
    tested = options.no_test or options.test_first or not enabled
    status = ExitStatus.DONE if tested else first_look(loaded, addition.name)
    offer(options, loaded, addition.name)
    if status == ExitStatus.DONE:
        sys.stderr.write(
            f"next: agent-host chat, or agent-host tools list --server {addition.name}\n"
        )
    return status


def _read(options: argparse.Namespace) -> tuple[argparse.Namespace, _Wanted]:
    """Read the words after the action with the options between them."""
    words = list(options.words)
    command: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, command = words[:at], words[at + 1 :]
        if not command:
            raise UsageError(
                "no command after --; as in: servers add files -- npx -y PACKAGE@1.2.3"
            )
    parser = argparse.ArgumentParser(
        prog="agent-host servers add", usage=USAGE, description="Add a server."
    )
    _options(parser)
    parser.add_argument("names", nargs="*", metavar="NAME")
    _complain_of_missing_dashes(words, command)
    options = parser.parse_intermixed_args(words, options)
    return options, _wanted(options, command)


def _complain_of_missing_dashes(words: list[str], command: list[str]) -> None:
    """`add NAME npx -y x`: its options would be taken for ours."""
    if command or len(words) < 2 or words[0].startswith("-"):
        return
    second = words[1]
    if not second.startswith("-") and not _URL.match(second):
        rest = " ".join(words[1:])
        raise UsageError(
            f'"{clean_line(second, 60)}" is no URL; if it is a command, put -- before it, as in: '
            f"servers add {clean_line(words[0], 60)} -- {clean_line(rest, 200)}"
        )


def _wanted(options: argparse.Namespace, command: list[str]) -> _Wanted:
    names = options.names
    if command:
        if len(names) != 1:
            raise UsageError("say one NAME before --, as in: servers add files -- npx -y PACKAGE")
        return _Wanted(name=options.name or names[0], command=command)
    if len(names) == 2 and _URL.match(names[1]):
        return _Wanted(name=options.name or names[0], url=names[1])
    if len(names) == 1 and _URL.match(names[0]):
        return _Wanted(name=options.name or _named_after(names[0]), url=names[0])
    if len(names) == 1:
        return _Wanted(name=options.name or "", published=names[0])
    raise UsageError(
        "say what to add: NAME -- COMMAND, NAME URL, or a registry's name (servers search finds it)"
    )


def _named_after(url: str) -> str:
    labels = [p for p in (urlsplit(url).hostname or "").split(".") if p not in _HOST_PREFIXES]
    return legal_name(labels[0] if labels else "server")


def _addition(options: argparse.Namespace, wanted: _Wanted, target: Target) -> Addition | None:
    """Return what to add; None if it is there already."""
    if wanted.published:
        # What speaks HTTP is imported for this alone.
        module: Any = import_module("agent_host.cli.servers_add_published")
        addition: Addition = module.from_registry(options, wanted.published, wanted.name, target)
        table = {**addition.table, **_shared(options, target)}
        return _unless_there(replace(addition, table=table), target)
    _check_options(options, wanted)
    taken = Taken(legal_name(wanted.name))
    notes: list[str] = []
    table = (
        _local(options, wanted.command, taken, target, notes)
        if wanted.command
        else _remote(options, wanted.url, taken)
    )
    table |= _shared(options, target)
    if _unless_there(Addition(name=wanted.name, table=table), target) is None:
        return None
    secrets = tuple(taken.secrets.values())
    where = _place_for(options, secrets)
    table, kept, told = referred(wanted.name, table, secrets, where)
    return Addition(name=wanted.name, table=table, notes=(*notes, *told), kept=kept)


def _unless_there(addition: Addition, target: Target) -> Addition | None:
    known = target.servers.get(addition.name)
    if known is None:
        return addition
    if dict(known) == dict(addition.table):
        sys.stdout.write(f"{target.name} has servers.{addition.name} already, as it is\n")
        return None
    other = free(addition.name, target.servers)
    raise UsageError(
        f'{target.name} has another server "{addition.name}" already; choose another name, as '
        f"{other}, or remove that one first: agent-host servers remove {addition.name}"
    )


def _place_for(options: argparse.Namespace, secrets: tuple[Secret, ...]) -> Any:
    """Return where to keep secrets; raise UsageError for one that was typed and nobody can be
    asked about."""
    if not secrets or options.dry_run:
        return "env"
    written = [secret for secret in secrets if secret.value]
    if written and options.secrets is None and not at_terminal(sys.stdin, sys.stderr):
        name = written[0].variable
        raise UsageError(
            f"what was given for {name} looks like a secret, which servers.toml does not hold; "
            f"write '${{env:{name}}}' for it and set that variable, or say --secrets keyring or "
            "--secrets file"
        )
    names = ", ".join(secret.variable for secret in secrets)
    said = "looks like a secret" if written else "is a secret"
    return chosen(options.secrets, f"{clean_line(names, 200)} {said}")


def _check_options(options: argparse.Namespace, wanted: _Wanted) -> None:
    """Refuse options of another kind of server, lest they are ignored in silence."""
    of_url = {"--header": options.header, "--sse": options.sse, "--auth": options.auth}
    of_command = {"--env": options.env, "--cwd": options.cwd}
    of_registry = {"--set": options.set, "--version": options.version, "--package": options.package}
    wrong = {**of_registry, **(of_url if wanted.command else of_command)}
    for name, value in wrong.items():
        if value:
            kind = "a command" if wanted.command else "a URL"
            raise UsageError(f"{name} means nothing for {kind}; leave it out")


def _local(
    options: argparse.Namespace,
    command: list[str],
    taken: Taken,
    target: Target,
    notes: list[str],
) -> dict[str, Any]:
    table: dict[str, Any] = {"command": command[0]}
    if command[1:]:
        table["args"] = command[1:]
    env = dict(_variable(text, taken) for text in options.env or ())
    if env:
        table["env"] = env
    here = paths.working_folder()
    if options.cwd:
        table["cwd"] = _seen_from(target.folder, here / Path(options.cwd).expanduser())
    elif here != target.folder and any(_is_here(here, word) for word in command):
        table["cwd"] = str(here)
        notes.append(f"it starts in this folder, because it names files of it: {here}")
    notes += [
        f"argument {number} looks like a secret: every user of this machine can read a command "
        "line; does it take a variable instead (--env)?"
        for number, (before, word) in enumerate(pairwise(command), 1)
        if looks_secret(before.strip("-") if before.startswith("-") else "", word)
    ]
    return table


def _remote(options: argparse.Namespace, url: str, taken: Taken) -> dict[str, Any]:
    table: dict[str, Any] = {"url": taken.url(url)}
    headers = {}
    for text in options.header or ():
        match = _HEADER.match(text)
        if match is None:
            raise UsageError(f'--header "{clean_line(text, 40)}" is not KEY=VALUE')
        headers[match[1]] = taken.header(match[1], match[2].strip())
    if headers:
        table["headers"] = headers
    if options.sse:
        table["sse"] = True
    if options.auth:
        table["auth"] = {"type": options.auth}
    return table


def _shared(options: argparse.Namespace, target: Target) -> Mapping[str, Any]:
    table: dict[str, Any] = {}
    if options.timeout is not None:
        seconds = options.timeout
        table["timeout"] = int(seconds) if seconds == int(seconds) else seconds
    if options.tools:
        table["tools"] = {"include": options.tools}
    if options.roots:
        here = paths.working_folder()
        table["roots"] = [
            _seen_from(target.folder, here / Path(root).expanduser()) for root in options.roots
        ]
    return table


def _variable(text: str, taken: Taken) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name:
        raise UsageError(f'--env "{clean_line(text, 40)}" is not KEY=VALUE')
    if not separator:
        if os.environ.get(name):
            return name, f"${{env:{name}}}"
        return name, taken.reference(name, "")
    return name, taken.value(name, value)


def _is_here(folder: Path, word: str) -> bool:
    try:
        relative = not word.startswith(("-", "/", "~")) and "://" not in word
        return relative and bool(word) and os.path.lexists(folder / word)
    except (OSError, ValueError):
        return False


def _seen_from(folder: Path, path: Path) -> str:
    path = Path(os.path.normpath(path))
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
