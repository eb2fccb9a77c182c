"""Which files of other applications there are, and what they say.

Theory of operation: a file is read bounded and parsed by its name's ending: TOML, YAML, else JSON;
JSON that is none is read once more as JSON5, which VS Code's comments and trailing commas are. A
file that somebody named is recognized by its content, the most telling form first.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from agent_host.config import paths
from agent_host.config.importers import (
    claude_code,
    claude_desktop,
    codex,
    cursor,
    gemini,
    goose,
    vscode,
)
from agent_host.config.importers.build import Entry, build
from agent_host.config.importers.raw import App, Machine, Place
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line

APPS: tuple[App, ...] = (
    claude_desktop.APP,
    codex.APP,
    goose.APP,
    vscode.APP,
    cursor.APP,
    gemini.APP,
    claude_code.APP,
)
"""In the order in which a file is tried; the last reads whatever has `mcpServers`."""

SIZE_LIMIT = 32 * 1024 * 1024
"""Bytes: Claude Code keeps the history of every project in the same file."""
COMMENTED_LIMIT = 1024 * 1024
"""Bytes of a file with comments, which takes a hundred times longer."""
_PROJECT_FOLDERS = (".vscode", ".cursor", ".gemini", ".codex")


def known(machine: Machine, apps: tuple[App, ...] = APPS) -> Iterator[tuple[App, Place]]:
    """Yield the files of these applications that are on this machine."""
    for app in apps:
        for place in app.places(machine):
            if place.path.is_file():
                yield app, place


def entries_of(app: App, place: Place, machine: Machine) -> list[Entry]:
    """Return the servers of a file of a known application. Raises ConfigError for a broken one."""
    return _built(app, parsed(place.path), place, machine)


def entries_in(path: Path, machine: Machine) -> list[Entry]:
    """Return the servers of a file whose application its content tells. Raises ConfigError."""
    return _recognized(path, parsed(path), machine)


def entries_of_text(text: str, machine: Machine) -> list[Entry]:
    """Return the servers of a piece of JSON, TOML or YAML that somebody pasted."""
    start, name = text.lstrip()[:1], "the input"
    if start == "{":
        data = _json(text, name)
    else:
        data = _toml(text, name) if start == "[" else _yaml(text, name)
    return _recognized(machine.here / "pasted", data, machine)


def _recognized(path: Path, data: Mapping[str, Any], machine: Machine) -> list[Entry]:
    app = next((app for app in APPS if app.recognizes(path, data)), None)
    if app is None:
        raise ConfigError(
            f"{paths.shown(path)}: names no MCP servers in a form that is known: mcpServers, "
            "servers, mcp_servers or extensions"
        )
    return _built(app, data, Place(path, _project(path, machine)), machine)


def _built(app: App, data: Mapping[str, Any], place: Place, machine: Machine) -> list[Entry]:
    return [build(raw, app, place, machine) for raw in app.servers(data, machine)]


def _project(path: Path, machine: Machine) -> Path | None:
    folder = path.parent
    if folder.name in _PROJECT_FOLDERS:
        return None if folder.parent == machine.home else folder.parent
    return folder if path.name == ".mcp.json" else None


def parsed(path: Path) -> Mapping[str, Any]:
    """Return the table that a file says; raise ConfigError for one that cannot be read."""
    name = paths.shown(path)
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror}); check the path") from None
    if len(data) > SIZE_LIMIT:
        raise ConfigError(f"{name}: is larger than {SIZE_LIMIT} bytes; is it a config?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: is not UTF-8 text; save it as UTF-8") from None
    if path.suffix == ".toml":
        return _toml(text, name)
    return _yaml(text, name) if path.suffix in (".yaml", ".yml") else _json(text, name)


def _toml(text: str, name: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{name}: invalid TOML: {clean_line(str(error))}") from None


def _yaml(text: str, name: str) -> Mapping[str, Any]:
    yaml: Any = import_module("yaml")
    _small(text, name)
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{name}: invalid YAML: {clean_line(str(error))}") from None
    return _mapping(data, name)


def _json(text: str, name: str) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(text), name)
    except (ValueError, RecursionError) as error:
        why = clean_line(str(error))
    _small(text, name)
    json5: Any = import_module("json5")
    try:
        return _mapping(json5.loads(text), name)
    except (ValueError, RecursionError):
        raise ConfigError(f"{name}: invalid JSON: {why}; correct that, and try again") from None


def _small(text: str, name: str) -> None:
    if len(text) > COMMENTED_LIMIT:
        raise ConfigError(f"{name}: is larger than {COMMENTED_LIMIT} bytes; is it a config?")


def _mapping(data: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{name}: is no table of servers")
    return data
