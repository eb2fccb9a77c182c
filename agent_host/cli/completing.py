"""What a shell offers at the Tab key: commands, options, and names of what is there.

Theory of operation: argcomplete asks the parsers, so nothing is said twice. Commands load their
options only once they are parsed; here the options of the one command that is being typed are
loaded first. Names (runs, models, servers) come from the folder and the config as they are; a
config that is wrong, or any other trouble, offers nothing and says nothing: a Tab key is no place
for errors. No server is started and no model asked.
"""

import argparse
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import argcomplete
from argcomplete.completers import FilesCompleter, SuppressCompleter

from agent_host.cli.actions import configure_now
from agent_host.cli.transcripts_index import place_of
from agent_host.config.choose import available
from agent_host.config.file import locate_transcripts
from agent_host.config.load import Loaded, load
from agent_host.config.paths import working_folder
from agent_host.core.errors import AgentHostError
from agent_host.core.text import clean_line
from agent_host.records.index import Index
from agent_host.records.index_search import newest
from agent_host.records.reader import LAST, run_ids

_T = TypeVar("_T")

_RUNS = 200
_TITLED = 30
"""Runs of which is said what they are about."""
_FILES = frozenset({"FILE", "PATH", "APP|FILE", "ID|FILE"})


def complete(parser_of: Callable[[str | None], argparse.ArgumentParser]) -> None:
    """Answer the shell and leave the process. `parser_of` makes the parser with one command's
    options."""
    words = _words(os.environ.get("COMP_LINE", ""))
    chosen = next((word for word in words if not word.startswith("-")), None)
    parser = parser_of(chosen)
    for below in _parsers(parser):
        configure_now(below)
    for every in (parser, *_parsers(parser)):
        for action in every._actions:  # noqa: SLF001 - argparse has no public way to list them
            completer = _completer(action)
            if completer is not None:
                action.completer = completer  # type: ignore[attr-defined]  # where argcomplete looks
    argcomplete.autocomplete(
        parser, default_completer=SuppressCompleter(), always_complete_options=False
    )


def _words(line: str) -> list[str]:
    """The words before the cursor but for the program and a `--config FILE`."""
    words = line.split()[1:]
    while "--config" in words:
        place = words.index("--config")
        del words[place : place + 2]
    return words


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers below one, which are made known while they are walked over."""
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for below in action.choices.values():
                yield below
                yield from _parsers(below)


def _completer(action: argparse.Action) -> object | None:
    """What may stand for an option or argument, by what its help calls it."""
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    if metavar in _FILES:
        return FilesCompleter()
    if action.dest in {"id", "ids", "resume", "run", "runs"}:
        return _runs
    if action.dest == "model":
        return _models
    if metavar in {"SERVER", "NAME"} and action.dest in {"server", "servers", "name", "names"}:
        return _servers
    return None


def _runs(parsed_args: argparse.Namespace, **_: object) -> dict[str, str]:
    folder = _quietly(
        lambda: locate_transcripts(_config(parsed_args), os.environ, working_folder())
    )
    known = [] if folder is None else _quietly(lambda: run_ids(folder)) or []
    titles = {} if folder is None or not known else _titles(folder)
    return {name: titles.get(name, "") for name in [*known[: -_RUNS - 1 : -1], LAST]}


def _titles(folder: Path) -> dict[str, str]:
    """What the newest runs are about, as far as the index can tell at once."""
    index = Index(folder, place_of(folder), patience=0.0)
    try:
        index.refresh(newest=_TITLED)
        return {run.run_id: clean_line(run.words, 60) for run in newest(index, _TITLED)[0]}
    except (AgentHostError, OSError, sqlite3.Error):
        return {}
    finally:
        index.close()


def _models(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    loaded = _loaded(parsed_args)
    if loaded is None:
        return ["offline"]
    with_key = _quietly(lambda: available(os.environ, loaded.profiles)) or ()
    return _clean([*loaded.config.models, *(p.provider for p in with_key), "offline"])


def _servers(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    loaded = _loaded(parsed_args)
    return [] if loaded is None else _clean(loaded.config.servers)


def _loaded(parsed_args: argparse.Namespace) -> Loaded | None:
    return _quietly(lambda: load(_config(parsed_args), os.environ))


def _config(parsed_args: argparse.Namespace) -> str | None:
    named: str | None = getattr(parsed_args, "config", None)
    return named


def _quietly(ask: Callable[[], _T]) -> _T | None:
    try:
        return ask()
    except AgentHostError:
        return None


def _clean(names: Iterable[str]) -> list[str]:
    return [name for name in names if clean_line(name, 200) == name]
