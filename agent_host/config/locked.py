"""One process at a time reads, changes and writes a file of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.config import paths
from agent_host.core.errors import ConfigError
from agent_host.state.folders import private_folder

_WAIT = 10.0
"""Seconds to wait for another process, which needs milliseconds."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock for `path` among processes of this user; it lies in the user's data folder.

    Raises ConfigError if that folder cannot be used, or if another process holds the lock for
    longer than anything takes. The package is imported here: it brings asyncio, which commands
    that only read do not pay for.
    """
    filelock: Any = import_module("filelock")
    folder = paths.user_data_folder()
    try:
        private_folder(folder)
        held = filelock.FileLock(folder / "config.lock", timeout=_WAIT, mode=0o600)
        held.acquire()
    except filelock.Timeout:
        raise ConfigError(
            f"{paths.shown(path)}: another agent-host is changing it; try again"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{paths.shown(folder)}: cannot be written ({error.strerror}); "
            "make that folder writable"
        ) from None
    try:  # what fails inside is the caller's to tell
        yield
    finally:
        held.release()
