"""Sandboxes out of what a config says of its servers."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import agent_host
from agent_host.config import paths
from agent_host.config.load import Loaded
from agent_host.config.server_tables import ServerConfig
from agent_host.config.trust import is_demo
from agent_host.core.errors import ConfigError
from agent_host.sandbox import machine
from agent_host.sandbox.confine import Sandbox
from agent_host.sandbox.machine import Machine
from agent_host.sandbox.wish import Grant, MissingPathError, Wish, grants

Probe = Callable[..., Machine]


def sandbox_of(
    name: str,
    server: ServerConfig,
    loaded: Loaded,
    environ: Mapping[str, str],
    probe: Probe = machine.available,
) -> Sandbox | None:
    """Return what a server is confined to, None for nothing. `probe` finds out what this machine
    has (`machine.available`). Raises ConfigError for a path that cannot be granted."""
    table = server.sandbox
    if table.mode == "off":
        return None
    folder = loaded.folder.resolve()

    def where(key: str) -> str:
        return loaded.where("servers", name, "sandbox", *([key] if key else []))

    def granted(
        key: str, named: Sequence[str], writable: Sequence[Grant] = ()
    ) -> tuple[Grant, ...]:
        try:
            return grants(named, folder, writable)
        except MissingPathError as error:
            at = loaded.at("servers", name, "sandbox", key)
            raise ConfigError(f"{at}: {error}") from None

    write = granted("write", table.write)
    if any(grant.real == "/" for grant in write):
        at = loaded.at("servers", name, "sandbox", "write")
        raise ConfigError(f'{at}: "/" is everything; name what it may write to, or mode = "off"')
    home = environ.get("HOME") or str(Path.home())
    own = (str(folder), str(paths.user_data_folder()), str(paths.user_config_file().parent))
    return Sandbox(
        wish=Wish(
            server=name,
            command=server.command or "",
            mode=table.mode,
            read=granted("read", table.read, write),
            write=write,
            network=table.network,
            memory=table.memory,
            processes=table.processes,
            program=tuple(_own_program()) if is_demo(server) else (),
            guarded=tuple(_guarded(loaded)),
            hidden=tuple(os.path.realpath(path) for path in (loaded.transcripts, own[1])),
            private=(home, *own),
            home=os.path.normpath(home),
            where=where,
        ),
        machine=probe(environ, loopback=table.network == "loopback"),
    )


def _guarded(loaded: Loaded) -> Iterator[str]:
    """What decides what servers may do: no server changes it, also where it may write around it."""
    folder = loaded.folder.resolve()
    yield from (str(folder / name) for name in (paths.FILE, "servers.lock", paths.POLICY_FILE))
    yield os.path.realpath(loaded.path)
    yield os.path.realpath(paths.user_config_file().parent)
    yield from (str(folder / ".git" / name) for name in ("hooks", "config"))


def _own_program() -> Iterator[str]:
    """What the bundled server consists of beside the interpreter: the folders of packages."""
    yield str(Path(agent_host.__file__).resolve().parents[1])
    for entry in sys.path:
        if Path(entry).name in ("site-packages", "dist-packages") and Path(entry).is_dir():
            yield entry
