"""Where things are: servers.toml, the user's folders, transcripts.

Theory of operation: one servers.toml is used, the first of: `--config`, `$AGENT_HOST_CONFIG`,
`servers.toml` in the working folder, `servers.toml` in the user's config folder. Folders above
the working folder are not searched on purpose: a file decides which programs start and what they
may do, so it is either named or in plain sight. Relative paths inside the file start from the
file's own folder. Beside the user's own servers.toml may be a `profiles.toml`: what it says of
providers holds whatever servers.toml is used; so does the user's own `policy.toml` there. The
organisation's `policy.toml` is at one place that no variable moves. The user's folders come from
platformdirs, which reads the process environment (XDG_CONFIG_HOME, XDG_DATA_HOME).
"""

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line

APP = "agent-host"
FILE = "servers.toml"
PROFILES_FILE = "profiles.toml"
POLICY_FILE = "policy.toml"
ORGANISATION_FILE = Path("/etc/agent-host/policy.toml")
"""The organisation's file of policy: one fixed place, whatever the environment says."""
CONFIG_VARIABLE = "AGENT_HOST_CONFIG"
TRANSCRIPTS_VARIABLE = "AGENT_HOST_TRANSCRIPTS"
STATE_VARIABLE = "AGENT_HOST_STATE"


def user_config_file() -> Path:
    """Return the place of the user's own servers.toml, there or not."""
    return platformdirs.user_config_path(APP, appauthor=False) / FILE


def user_profiles_file() -> Path:
    """Return the place of the user's own tables of providers, there or not."""
    return user_config_file().with_name(PROFILES_FILE)


def user_policy_file() -> Path:
    """Return the place of the user's own policy for every project, there or not."""
    return user_config_file().with_name(POLICY_FILE)


def user_data_folder() -> Path:
    """Return the folder for what the program keeps for this user, there or not."""
    return platformdirs.user_data_path(APP, appauthor=False)


def state_file(environ: Mapping[str, str]) -> Path:
    """Return the place of state.db: in `$AGENT_HOST_STATE`, a folder, else in the user's data
    folder."""
    named = environ.get(STATE_VARIABLE)
    return (Path(named).expanduser() if named else user_data_folder()) / "state.db"


def working_folder() -> Path:
    """Return the working folder; raise ConfigError if it does not exist any more."""
    try:
        return Path.cwd()
    except OSError:
        raise ConfigError("the working folder does not exist any more; change to another") from None


def shown(path: Path, cwd: Path | None = None) -> str:
    """Return `path` for people: relative where that is shorter, with `~` for the home folder."""
    text = str(path)
    for start, short in ((cwd or _current(), ""), (os.path.expanduser("~"), "~" + os.sep)):  # noqa: PTH111
        prefix = str(start).rstrip(os.sep) + os.sep
        if len(prefix) > 1 and text.startswith(prefix):
            return clean_line(short + text[len(prefix) :])
    return clean_line(text)


def _current() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        return os.sep


def find(named: str | Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the absolute path of the servers.toml to use.

    Raises ConfigError when there is none: where was looked, and what to do.
    """
    for origin, name in (("--config", named), (f"${CONFIG_VARIABLE}", _named(environ))):
        if name:
            path = cwd / Path(name).expanduser()
            if not _exists(path):
                raise ConfigError(
                    f"{shown(path, cwd)}: there is no such file (named by {origin}); "
                    "check the path, or write one with `agent-host config init`"
                )
            return path
    here, own = cwd / FILE, user_config_file()
    for path in (here, own):
        if _exists(path):
            return path
    raise ConfigError(
        f"no {FILE}: looked for ./{FILE} and {shown(own, cwd)}; write one with "
        "`agent-host config init`, or name one with --config"
    )


def anything_to_use(named: str | Path | None, environ: Mapping[str, str], cwd: Path) -> bool:
    """Return whether a servers.toml is named, or is in one of the two usual places."""
    if named or _named(environ):
        return True
    return _exists(cwd / FILE) or _exists(user_config_file())


def _named(environ: Mapping[str, str]) -> str | None:
    return environ.get(CONFIG_VARIABLE)


def _exists(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a NUL in the name
        return False


def is_users_own(path: Path) -> bool:
    """Return whether `path` is the servers.toml of the user's config folder."""
    return os.path.realpath(path) == os.path.realpath(user_config_file())


def transcripts_folder(
    path: Path, in_file: str | None, environ: Mapping[str, str], cwd: Path
) -> Path:
    """Return the folder of transcripts for the config file at `path`, whose key says `in_file`."""
    from_environment = environ.get(TRANSCRIPTS_VARIABLE)
    if from_environment:
        return cwd / Path(from_environment).expanduser()
    if in_file:
        return path.parent / Path(in_file).expanduser()
    return user_data_folder() / "transcripts" if is_users_own(path) else path.parent / "transcripts"
