"""What is on this machine that a first config could use."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from agent_host.config import paths
from agent_host.config.choose import available
from agent_host.config.importers.build import Entry
from agent_host.config.importers.raw import Machine
from agent_host.config.importers.read import entries_of, known
from agent_host.config.local import LocalServer, local_hint
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.profiles.table import built_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`models`: a usual model of each provider whose key is there, as `provider:model`; `auto`:
    what `auto` would take; `local`: model servers; `entries`: servers of other applications, and
    `apps` their titles."""

    models: tuple[str, ...]
    auto: str
    local: tuple[LocalServer, ...]
    entries: tuple[Entry, ...]
    apps: tuple[str, ...]


def look_around() -> Found:
    """Look at the environment, at the usual ports of this machine, and at the files of other
    applications; what cannot be read counts as not there."""
    keys = [p for p in available(os.environ, built_in()) if p.default_model]
    models = tuple(f"{p.provider}:{p.default_model}" for p in keys)
    entries: list[Entry] = []
    apps: dict[str, None] = {}
    machine = Machine(
        home=Path.home(), here=paths.working_folder(), system=sys.platform, environ=os.environ
    )
    for app, place in known(machine):
        try:
            said = entries_of(app, place, machine)
        except ConfigError:
            continue
        entries += said
        if said:
            apps[clean_line(app.title, 60)] = None
    auto = f"now {models[0]}, by its key" if models else "no key is set yet, so offline (no AI)"
    return Found(
        models=models, auto=auto, local=local_hint(), entries=tuple(entries), apps=tuple(apps)
    )
