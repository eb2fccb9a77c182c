"""References to secrets, resolved at the last moment: `${env:NAME}`, `${file:PATH}`,
`${keyring:SERVICE/NAME}`.

Theory of operation: config holds references, never secrets; `resolve` is called by whoever is
about to hand the value to a child process or to put it into a request, and its result is kept
nowhere. `$${` stands for a plain `${`. An unknown form is an error when the file is read, so that
a typing mistake never reaches a server as text. The system's keyring is asked through the package
`keyring`, which is optional and imported only then; it may ask its user to unlock it. No message
of this file holds a secret.
"""

import importlib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line

FILE_LIMIT = 64 * 1024
"""The most bytes a file named by a reference may hold."""

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_FORMS = "${env:NAME}, ${file:PATH} and ${keyring:SERVICE/NAME}"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def has_reference(text: str) -> bool:
    """Return whether `text` holds something that looks like a known reference."""
    return any(
        match[1] is not None and match[1].partition(":")[0] in ("env", "file", "keyring")
        for match in _REFERENCE.finditer(text)
    )


def is_reference(text: str) -> bool:
    """Return whether `text` is one reference and nothing else."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and match[1] is not None


def references(text: str) -> tuple[str, ...]:
    """Return what is between the braces of each reference in `text`, as `env:NAME`."""
    return tuple(match[1] for match in _REFERENCE.finditer(text) if match[1] is not None)


def variables(text: str) -> tuple[str, ...]:
    """Return the environment variables that `text` refers to."""
    return tuple(name[4:] for name in references(text) if name.startswith("env:"))


def check_references(text: str) -> str:
    """Return `text`; raise ValueError if it holds a reference that cannot be read."""
    for match in _REFERENCE.finditer(text):
        if match[1] is not None:
            _check(match[1], closed=bool(match[2]))
    return text


def _check(inner: str, *, closed: bool) -> None:
    if not closed:
        raise ValueError("has a reference without its closing }; write $${ for a plain ${")
    kind, _, rest = inner.partition(":")
    if kind == "env" and _VARIABLE.match(rest):
        return
    if kind == "file" and rest:
        return
    if kind == "keyring":
        if all(rest.rpartition("/")):
            return
        raise ValueError(
            "holds a ${keyring:...} reference without a service or a name; write "
            "${keyring:SERVICE/NAME}, as for `keyring set SERVICE NAME`"
        )
    raise ValueError(
        f"holds a reference of an unknown form; known are {_FORMS}, and $${{ is a plain ${{"
    )


def resolve(text: str, environ: Mapping[str, str], base: Path, *, key: str = "a value") -> str:
    """Return `text` with every reference replaced by what it stands for.

    `base`: the folder that relative paths start from (that of servers.toml). `key` names the
    value in errors, best as `Loaded.at` gives it (`servers.toml:12: servers.crm.env.TOKEN`).
    Raises ConfigError, never with the secret in it.
    """
    if "${" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        inner = match[1]
        if inner is None:
            return "${"
        try:
            _check(inner, closed=bool(match[2]))
        except ValueError as error:
            raise ConfigError(f"{key} {error}") from None
        kind, _, rest = inner.partition(":")
        if kind == "env":
            return _variable(rest, environ, key)
        return _keyring(rest, key) if kind == "keyring" else _file(rest, base, key)

    return _REFERENCE.sub(replace, text)


def _variable(name: str, environ: Mapping[str, str], key: str) -> str:
    value = environ.get(name, "")
    if not value:
        state = "empty" if name in environ else "not set"
        raise ConfigError(f"{key} needs the environment variable {name}, which is {state}; set it")
    return value


def _file(name: str, base: Path, key: str) -> str:
    shown = clean_line(name)
    try:
        path = base / Path(name).expanduser()
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
        text = data.decode().rstrip("\r\n")
    except (OSError, RuntimeError, UnicodeDecodeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not readable text"
        raise ConfigError(f"{key} needs the file {shown}: {why}; check the path") from None
    if len(data) > FILE_LIMIT:
        raise ConfigError(f"{key} needs the file {shown}, which is larger than {FILE_LIMIT} bytes")
    if not text or "\0" in text:
        state = "holds a NUL character" if text else "is empty"
        raise ConfigError(f"{key} needs the file {shown}, which {state}; check the path")
    return text


def _keyring(entry: str, key: str) -> str:
    service, _, name = entry.rpartition("/")
    shown = clean_line(shlex.join([service, name]), 160)
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise ConfigError(
            f"{key} needs the package keyring; install it with `pip install agent-host[keyring]`"
        ) from None
    try:
        value = keyring.get_password(service, name)
    except keyring.errors.NoKeyringError:
        raise ConfigError(
            f"{key} needs a keyring, and this system has none that works here; use ${{env:NAME}} "
            "or ${file:PATH}, or see what `keyring diagnose` says"
        ) from None
    except Exception as error:  # noqa: BLE001 - a backend is another program's code
        why = clean_line(type(error).__name__, 60)
        raise ConfigError(
            f"{key} could not be read from the keyring ({why}); unlock it and try again"
        ) from None
    if not value or "\0" in value:
        raise ConfigError(
            f"{key} needs the keyring's entry {shown}, which is not there; make it with "
            f"`keyring set {shown}`"
        )
    return str(value)
