"""Where the audit log is and who signs it, found without the whole config.

Theory of operation: the log is in `audit`, beside state.db, unless `[audit] folder` of the
organisation's file or else of servers.toml says otherwise. Nothing here needs pydantic, so
`agent-host audit` does not pay for it; `load` comes to the same.
"""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_host.config import paths, rooted
from agent_host.config.file import decoded, parse, read
from agent_host.core.errors import ConfigError

FOLDER = "audit"
KEY = "audit.key"


def usual_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the log where no file names one."""
    return paths.state_file(environ).with_name(FOLDER)


def key_file(environ: Mapping[str, str]) -> Path:
    """Return the file of the user's key."""
    return paths.state_file(environ).with_name(KEY)


def locate_audit(
    config: str | None,
    environ: Mapping[str, str],
    cwd: Path,
    organisation: Path = paths.ORGANISATION_FILE,
) -> Path:
    """Return the folder of the log that a run with this config writes. Raises ConfigError for a
    file that is named and not there, that is no TOML, or that cannot be believed."""
    above = _organisations(organisation)
    if above is not None:
        return _of_home(above) if above else usual_folder(environ)
    try:
        found = paths.find(config, environ, cwd)
    except ConfigError:
        if config or environ.get(paths.CONFIG_VARIABLE):
            raise
        return usual_folder(environ)
    name = paths.shown(found, cwd)
    folder = _folder(parse(read(found, name)[1], name))
    return found.parent / Path(folder).expanduser() if folder else usual_folder(environ)


def _organisations(path: Path) -> str | None:
    """What the organisation's file names: None if it has no [audit], "" if that names none."""
    data = rooted.read(path, 0)
    if data is None:
        return None
    table = parse(decoded(data, str(path)), str(path))
    return _folder(table) if "audit" in table else None


def _folder(table: Mapping[str, Any]) -> str:
    audit = table.get("audit")
    folder = audit.get("folder") if isinstance(audit, dict) else None
    return folder if isinstance(folder, str) else ""


def _of_home(folder: str) -> Path:
    """The user's home is what the system says, not what a variable does."""
    if not folder.startswith("~/"):
        return Path(folder)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir) / folder[2:]
    except KeyError:
        raise ConfigError(f"{folder}: this user has no home folder") from None
