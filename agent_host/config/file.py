"""The config file itself: its bytes, its TOML, and the one key that needs nothing else.

Theory of operation: bounded reading and parsing with every way that it can fail said in one line.
Nothing here needs pydantic, so `transcripts list` does not pay for it.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_host.config import paths
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line

SIZE_LIMIT = 1024 * 1024
"""The most bytes a servers.toml may hold."""


def read(path: Path, name: str) -> tuple[bytes, str]:
    """Return a file's bytes and text; raise ConfigError for what cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except IsADirectoryError:
        raise ConfigError(f"{name}: is a folder; name a file, as in {name}/servers.toml") from None
    except PermissionError:
        raise ConfigError(f"{name}: may not be read; change its permissions") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file name"
        raise ConfigError(f"{name}: cannot be read ({why}); check the path") from None
    return data, decoded(data, name)


def decoded(data: bytes, name: str) -> str:
    """Return the text of a file's bytes (at most SIZE_LIMIT + 1 of them); raise ConfigError."""
    if len(data) > SIZE_LIMIT:
        raise ConfigError(f"{name}: is larger than {SIZE_LIMIT} bytes; is it a config?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: is not UTF-8 text; save it as UTF-8") from None
    return text.replace("\r\n", "\n")


def parse(text: str, name: str) -> dict[str, Any]:
    """Return the table that a TOML text says; raise ConfigError with line and column."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, line, column = _position(str(error), text)
        what = clean_line(what[:1].lower() + what[1:])
        raise ConfigError(
            f"{name}:{line}:{column}: invalid TOML: {what}; correct that line"
        ) from None
    except RecursionError:
        raise ConfigError(f"{name}: is nested too deeply; is it a config?") from None


def _position(message: str, text: str) -> tuple[str, int, int]:
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if found is None:
        return message, 1, 1
    what = message[: found.start()]
    if found[1]:
        return what, int(found[1]), int(found[2])
    last = text.rstrip("\n")
    return f"{what}, at the end of the file", last.count("\n") + 1, len(last.split("\n")[-1]) + 1


def locate_transcripts(config: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the folder of transcripts for commands that need nothing else of a config.

    The same folder that `load` gives, without validating the whole file. Without any config:
    that of the user's data folder. Raises ConfigError for a named file that is not there, or one
    that is no TOML.
    """
    if environ.get(paths.TRANSCRIPTS_VARIABLE):
        return paths.transcripts_folder(cwd / paths.FILE, None, environ, cwd)
    try:
        found = paths.find(config, environ, cwd)
    except ConfigError:
        if config or environ.get(paths.CONFIG_VARIABLE):
            raise
        return paths.user_data_folder() / "transcripts"
    name = paths.shown(found, cwd)
    said = parse(read(found, name)[1], name).get("transcripts")
    return paths.transcripts_folder(found, said if isinstance(said, str) else None, environ, cwd)
