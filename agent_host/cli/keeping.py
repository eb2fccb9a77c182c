"""Where a secret is kept that servers.toml only refers to.

Theory of operation: three places. The system's keyring, where there is one; a file of the user's
data folder that nobody else can read; or the environment, which means that the person sets the
variable. `place` says what the reference will be, so that it can be shown before anything is
kept; `put` keeps it. An entry that is there with another value stays, and the new one gets a
number, because another servers.toml may refer to it. A secret that has to be typed is not echoed.
"""

import getpass
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from agent_host.cli.trusting import at_terminal
from agent_host.config import paths
from agent_host.core.errors import ConfigError, UsageError
from agent_host.core.text import clean_line
from agent_host.state.folders import private_folder

Where = Literal["keyring", "file", "env"]
WHERE: tuple[Where, ...] = ("keyring", "file", "env")
SERVICE = "agent-host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A secret of a server and the reference that stands for it in servers.toml."""

    server: str
    variable: str
    reference: str
    where: Where
    value: str = field(default="", repr=False)


def default_reference(variable: str) -> str:
    """Return the reference to an environment variable."""
    return f"${{env:{variable}}}"


def place(server: str, variable: str, value: str, where: Where) -> Kept:
    """Return where a secret will be. Nothing is kept yet. Raises ConfigError."""
    name = f"{server}.{variable}"
    if where == "keyring":
        entry = next(n for n in _numbered(name) if _in_keyring(n) in (None, value))
        reference = f"${{keyring:{SERVICE}/{entry}}}"
    elif where == "file":
        path = next(p for p in map(_file, _numbered(name)) if _in_file(p) in (None, value))
        reference = f"${{file:{_homely(path)}}}"
    else:
        reference = default_reference(variable)
    return Kept(server=server, variable=variable, reference=reference, where=where, value=value)


def put(kept: Iterable[Kept]) -> None:
    """Keep the secrets where they were placed. Raises ConfigError; what was kept stays."""
    for one in kept:
        inner = one.reference[2:-1].partition(":")[2]
        if one.where == "keyring":
            _to_keyring(inner.removeprefix(f"{SERVICE}/"), one.value)
        elif one.where == "file":
            _to_file(Path(inner).expanduser(), one.value)


def has_keyring() -> bool:
    """Return whether this system has a keyring that can be used here."""
    try:
        keyring: Any = import_module("keyring")
        return bool(keyring.get_keyring().priority > 0)
    except Exception:  # noqa: BLE001 - absent, or a backend that is another program's code
        return False


def chosen(given: str | None, what: str) -> Where:
    """Return where to keep secrets: as `--secrets` says, else asked at a terminal, else `env`."""
    if given is not None:
        return next(where for where in WHERE if where == given)
    if not at_terminal(sys.stdin, sys.stderr):
        return "env"
    keyring = has_keyring()
    lines = [f"{what}. servers.toml holds references only. Keep it in:"]
    if keyring:
        lines.append("  k  the keyring of this system")
    lines += [
        f"  f  a file that only you can read, in {_homely(_folder())}",
        "  e  the environment: you set the variable where agent-host runs",
    ]
    keys = {"k": "keyring", "f": "file", "e": "env"} if keyring else {"f": "file", "e": "env"}
    sys.stderr.write("\n".join(lines) + "\n")
    while True:
        sys.stderr.write(f"[{'/'.join(keys)}] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not answer:
            raise UsageError("no answer; say --secrets keyring, file or env")
        found = keys.get(answer.strip().lower()[:1])
        if found is not None:
            return next(where for where in WHERE if where == found)


def typed(variable: str, description: str, *, hidden: bool) -> str:
    """Return what a person types for a secret at the terminal; empty if nothing."""
    about = f" ({clean_line(description, 200)})" if description else ""
    prompt = f"{clean_line(variable, 100)}{about}, or Enter for later: "
    if hidden:
        try:
            return getpass.getpass(prompt, stream=sys.stderr).strip()
        except EOFError:
            return ""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _numbered(name: str) -> Iterable[str]:
    yield name
    for number in range(2, 1000):
        yield f"{name}-{number}"


def _keyring() -> Any:
    try:
        return import_module("keyring")
    except ImportError:
        raise ConfigError(
            "the package keyring is not installed; `pip install agent-host[keyring]`, or say "
            "--secrets file"
        ) from None


def _in_keyring(entry: str) -> str | None:
    keyring = _keyring()
    try:
        found = keyring.get_password(SERVICE, entry)
    except Exception as error:  # noqa: BLE001 - a backend is another program's code
        raise _unusable(error) from None
    return None if found is None else str(found)


def _to_keyring(entry: str, value: str) -> None:
    keyring = _keyring()
    try:
        keyring.set_password(SERVICE, entry, value)
        kept = keyring.get_password(SERVICE, entry)
    except Exception as error:  # noqa: BLE001 - a backend is another program's code
        raise _unusable(error) from None
    if kept != value:
        raise ConfigError("the keyring did not keep the secret; say --secrets file or env")


def _unusable(error: Exception) -> ConfigError:
    why = clean_line(type(error).__name__, 60)
    return ConfigError(f"the keyring cannot be used ({why}); say --secrets file or env")


def _folder() -> Path:
    return paths.user_data_folder() / "secrets"


def _file(name: str) -> Path:
    return _folder() / name


def _in_file(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return ""


def _to_file(path: Path, value: str) -> None:
    try:
        private_folder(path.parent)
        path.parent.chmod(0o700)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor
            file.write(value + "\n")
        partial.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{paths.shown(path)}: cannot be written ({error.strerror}); say --secrets env"
        ) from None


def _homely(path: Path) -> str:
    """Return a path with `~` for the home folder, which a reference may hold."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
