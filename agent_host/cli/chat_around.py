"""What the commands of a chat need beside its session: models, config, other runs, exports.

Theory of operation: each is looked up when a command asks for it, never before: a chat whose user
asks for nothing pays for nothing. A chat that goes on with another run is a new process in the
place of this one (execv), begun with the same options, once everything of this one is closed.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.config.load import Loaded
from agent_host.config.show import as_toml, entries
from agent_host.config.trust import own_command
from agent_host.core.errors import AgentHostError
from agent_host.core.events import Record
from agent_host.core.text import clean_line
from agent_host.host import HostSession
from agent_host.surfaces.chat_around import ConfigValue, ModelFacts

_MOST_READ = 5_000_000
"""Bytes of an artifact that are shown."""
_SAME = ("effort", "max_turns", "max_tool_calls", "max_tokens", "max_cost", "max_time")
"""Options of a plain value with which a chat goes on in another run."""


class Surroundings:
    """What is around one chat; see `surfaces.chat_around.Around`."""

    def __init__(self, loaded: Loaded, host: HostSession) -> None:
        self._loaded = loaded
        self._host = host

    def models(self) -> Sequence[ModelFacts]:
        """Return what is known of the models that `/model` lists."""
        facts: Any = import_module("agent_host.cli.facts")
        prices = facts.known_prices(self._loaded)
        return [self._facts(facts, name, prices) for name in self._host.models()]

    def _facts(self, facts: Any, name: str, prices: Any) -> ModelFacts:
        try:
            one = facts.facts_of(self._loaded, name, prices)
        except AgentHostError as error:
            return ModelFacts(name=name, key=clean_line(str(error), 120))
        if one.simulated:
            return ModelFacts(name=name, key="no AI")
        price = "" if one.price is None else f"{one.price.shown} a million tokens"
        key = clean_line(one.key, 80) if one.key_found is False else ""
        return ModelFacts(name=name, window=one.context_window or 0, price=price, key=key)

    def config(self) -> Sequence[ConfigValue]:
        """Return the values of the config that the chat was opened with."""
        return [
            ConfigValue(key=e.key, value=as_toml(e.value), origin=e.origin)
            for e in entries(self._loaded)
        ]

    def records(self) -> Iterable[Record]:
        """Return the records of this run, from its beginning."""
        return _records(self._host.transcript_path)

    def artifact(self, name: str) -> str | None:
        """Return what was kept whole, cut where it is very long; None if it is not there."""
        path = self._host.transcript_path
        folder = path.with_name(f"{self._host.run_id}.artifacts")
        wanted = folder / Path(name).name
        try:
            with wanted.open("rb") as file:
                data = file.read(_MOST_READ + 1)
        except OSError:
            return None
        text = data[:_MOST_READ].decode("utf-8", "replace")
        return f"{text}\n[... the rest is in {wanted.name} ...]" if len(data) > _MOST_READ else text


def _records(path: Path) -> Iterator[Record]:
    walk: Any = import_module("agent_host.records.walk")
    yield from walk.Walk(path)


def arguments_of(
    options: argparse.Namespace, onward: Sequence[str], host: HostSession, mode: str
) -> list[str]:
    """Return the arguments of `agent-host` that begin a chat like this one, with the model that
    answers now. `onward`: what is different; `mode`: how calls are approved now, which is kept
    unless it is the loosest and was chosen in the chat, for that chat alone."""
    words = ["chat", *onward, *shlex.split(host.resume_options())[2:]]
    if options.config is not None:
        words = ["--config", str(options.config), *words]
    for name in options.server or ():
        words += ["--server", name]
    words += ["--approve", options.approve if mode == "all" else mode]
    for name in _SAME:
        value = getattr(options, name, None)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return [*words, "--trust"] if options.trust else words


def go_on(arguments: Sequence[str]) -> None:
    """Become that command: the process keeps its number and its terminal. Does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = [*own_command(sys.executable), *arguments]
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted
