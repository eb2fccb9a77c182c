"""`agent-host config init`: a first servers.toml, asked for step by step.

Theory of operation: at a terminal it looks for what is there (keys of providers in the
environment, model servers on this machine, servers that other applications are configured with),
asks four short questions whose usual answer is Enter, shows the file, and writes it only then;
what a person has seen whole and agreed to is trusted. Leaving in the middle writes nothing.
Elsewhere, and with `--yes`, the usual answers are taken. Nothing that is found is ever used
unasked, and no key is copied: the file refers to the variable that holds it.
"""

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_host.cli import servers_import
from agent_host.cli.config_texts import Wishes, text_of
from agent_host.cli.found import Found, look_around
from agent_host.cli.next_steps import sentence, steps
from agent_host.cli.trusting import at_terminal
from agent_host.config import paths
from agent_host.config.load import load
from agent_host.config.trust import TrustStore, trust
from agent_host.core.errors import ConfigError, ExitStatus
from agent_host.core.text import clean_line

_KEPT = "nothing was written"


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer that can be given: what it is, and a word about it."""

    what: str
    about: str = ""


class LeftError(Exception):
    """The person left in the middle."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the action."""
    parser.add_argument("path", nargs="?", metavar="PATH", help="where (default: here, or asked)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--yes", action="store_true", help="ask nothing, take the usual answers")


def execute(options: argparse.Namespace) -> int:
    """Run the action and return its exit status."""
    path = None if options.path is None else _file(Path(options.path).expanduser())
    if not options.yes and at_terminal(sys.stdin, sys.stdout, sys.stderr):
        return ask_and_write(path, force=options.force)
    path = path or Path(paths.FILE)
    _write(path, text_of(Wishes()), force=options.force)
    sys.stdout.write(f"wrote {paths.shown(path)}\n")
    sys.stderr.write("next: agent-host run 'What is the status of my order 12345?'\n")
    return ExitStatus.DONE


def ask_and_write(path: Path | None, *, force: bool = False) -> ExitStatus:
    """Ask at the terminal, show the file, write it, and say what to do next."""
    try:
        return _asked(path, force=force)
    except (LeftError, KeyboardInterrupt):
        _say(f"\n{_KEPT}")
        return ExitStatus.REFUSED


def _asked(path: Path | None, *, force: bool) -> ExitStatus:
    _say(sentence("A first servers.toml. Enter takes what has a *; Ctrl-C writes nothing."))
    path = path or _place()
    if not force:
        _refuse_existing(path)
    _say(sentence("looking for keys, model servers and other applications' servers ..."))
    found = look_around()
    wishes = Wishes(model=_model(found), demo=_servers(found), reads=False)
    take = bool(found.entries) and _yes(
        f"Take over servers of {', '.join(found.apps)}? You choose which, in a moment."
    )
    wishes = Wishes(model=wishes.model, demo=wishes.demo, reads=_reads(wishes))
    text = text_of(wishes)
    _say("\n" + sentence(f"{paths.shown(path)} will say, beside commented examples:") + "\n")
    said = [line for line in text.splitlines() if line and not line.startswith("#")]
    _say("".join(f"  {line}\n" for line in said).rstrip())
    if not _yes("Write it?"):
        _say(_KEPT)
        return ExitStatus.REFUSED
    _write(path, text, force=force)
    _say(f"wrote {paths.shown(path)}")
    loaded = load(path, os.environ)
    if not paths.is_users_own(path):
        trust(loaded, TrustStore.users())  # all of it was shown, and agreed to
    if take:
        _say("")
        servers_import.execute(_import_options(path))
    _say("\nnext:")
    at = "" if _found_by_itself(path) else f" --config {paths.shown(path)}"
    talk = "talk, with the tools of these servers"
    if "orders" in loaded.config.servers:
        talk += '; ask the demo shop: "What is the status of my order 12345?"'
    offered = (
        (f"agent-host{at} chat", talk),
        (f"agent-host{at} servers add", "add another; servers search finds published ones"),
        (f"agent-host{at} doctor", "is everything in order?"),
    )
    _say("\n".join(steps(offered)))
    return ExitStatus.DONE


def _found_by_itself(path: Path) -> bool:
    here = paths.working_folder() / paths.FILE
    return path.absolute() == here or paths.is_users_own(path)


def _place() -> Path:
    here, own = Path(paths.FILE), paths.user_config_file()
    home = paths.working_folder() == Path.home()
    number = _pick(
        "Where?",
        [
            Choice(
                paths.shown(here.absolute()),
                "this folder; others who get it must trust it",
            ),
            Choice(paths.shown(own), "your own, for folders without one"),
        ],
        usual=1 if home else 0,
    )
    return (here, own)[number]


def _model(found: Found) -> str:
    choices = [Choice("auto", found.auto)]
    choices += [Choice(name, "its key is in the environment") for name in found.models]
    choices += [Choice(local.hint, f"{local.name}, on this machine") for local in found.local]
    choices.append(Choice("offline", "no AI: matches words, to try things out"))
    usual = 0 if found.models or not found.local else 1 + len(found.models)
    return choices[_pick("Which model answers?", choices, usual=usual)].what


def _servers(found: Found) -> bool:
    choices = [
        Choice("the demo", "an order desk that comes with agent-host, to try things out"),
        Choice("none yet", "agent-host servers add and servers search find some"),
    ]
    return _pick("Which servers to begin with?", choices, usual=1 if found.entries else 0) == 0


def _reads(wishes: Wishes) -> bool:
    if not wishes.demo:
        return False
    choices = [
        Choice("what only reads", "the demo's tools that say so; everything else is asked about"),
        Choice("nothing", "each call is asked about"),
    ]
    return _pick("What may run without a question?", choices, usual=0) == 0


def _pick(question: str, choices: Sequence[Choice], *, usual: int) -> int:
    """Return which choice a person makes, from 0."""
    _say(f"\n{question}")
    width = max(len(clean_line(choice.what, 60)) for choice in choices)
    for number, choice in enumerate(choices):
        mark = "*" if number == usual else " "
        what = clean_line(choice.what, 60)
        for line in _folded(f" {mark}{number + 1}  {what:<{width}}  ", choice.about):
            _say(line)
    while True:
        answer = _line(f"1 to {len(choices)}, Enter for {usual + 1}: ")
        if not answer:
            return usual
        if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(choices):
            return int(answer) - 1


def _folded(head: str, about: str) -> list[str]:
    """Return a choice as lines no wider than the screen; under its name where that is long."""
    columns = max(shutil.get_terminal_size().columns - 1, 30)
    said = clean_line(about, 200)
    if len(head) + len(said) <= columns:
        return [(head + said).rstrip()]
    return [head.rstrip(), *(f"     {line}" for line in textwrap.wrap(said, columns - 5))]


def _yes(question: str) -> bool:
    while True:
        answer = _line(f"\n{question} [Y/n] ").lower()
        if answer in {"", "y", "yes"}:
            return True
        if answer in {"n", "no"}:
            return False


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise LeftError
    return line.strip()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _import_options(path: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    servers_import.configure(parser)
    options = parser.parse_args(["--file", str(path)])
    options.config = None
    return options


def _file(path: Path) -> Path:
    return path / paths.FILE if path.is_dir() else path


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise ConfigError(
            f"{paths.shown(path)}: is there already; --force replaces it, `agent-host servers add` "
            "adds to it"
        )


def _write(path: Path, text: str, *, force: bool) -> None:
    name = paths.shown(path)
    try:
        if paths.is_users_own(path):  # any other folder that is not there is a slip of the pen
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{name}: is there already; --force replaces it") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file name"
        raise ConfigError(
            f"{name}: cannot be written ({why}); name another place, as in "
            "`agent-host config init PATH`"
        ) from None
