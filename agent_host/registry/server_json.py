"""What a registry says of a server: a bounded, checked reading of its `server.json`.

Theory of operation: an entry is anybody's text. What is read has the right type and a bound; what
has not is left out, and where that changes how the server would be started it is a problem of that
package or argument, told and never fatal for the rest. Nothing is cleaned for a screen here (that
is the screen's affair), and nothing is trusted: `install` decides what may become a command.
Source: the registry's server.json schema of 2025-12-11 and its draft, and the API of 2025-12-01.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from agent_host.core.text import clean_line

Status = Literal["active", "deprecated", "deleted"]
InputFormat = Literal["string", "number", "boolean", "filepath"]

NAME = re.compile(r"[A-Za-z0-9.-]{1,100}/[A-Za-z0-9._-]{1,100}\Z")
"""A server's name: a reverse-DNS namespace, one slash, a name."""
OFFICIAL = "io.modelcontextprotocol.registry/official"
_FORMATS: dict[str, InputFormat] = {form: form for form in get_args(InputFormat)}
_TEXT = 4096
_LINE = 512
_MANY = 100
_PACKAGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A value: fixed (`value`, with `{variables}`), or for a person to say. `flag`: of a named
    argument; `hint`: what a positional one is called; `name`: of a variable or header."""

    name: str = ""
    flag: str = ""
    hint: str = ""
    description: str = ""
    value: str = ""
    default: str = ""
    placeholder: str = ""
    required: bool = False
    secret: bool = False
    repeated: bool = False
    format: InputFormat = "string"
    choices: tuple[str, ...] = ()
    variables: Mapping[str, "Input"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How a server is spoken to. `type`: stdio, streamable-http, sse, or what the entry says."""

    type: str = "stdio"
    url: str = ""
    headers: tuple[Input, ...] = ()
    variables: Mapping[str, Input] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package to run. `problem`: why its entry cannot be used as it is."""

    registry_type: str
    identifier: str
    version: str = ""
    base_url: str = ""
    sha256: str = ""
    runtime_hint: str = ""
    runtime_arguments: tuple[Input, ...] = ()
    arguments: tuple[Input, ...] = ()
    environment: tuple[Input, ...] = ()
    transport: Transport = Transport()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One version of a published server."""

    name: str
    version: str
    title: str = ""
    description: str = ""
    repository: str = ""
    website: str = ""
    packages: tuple[Package, ...] = ()
    remotes: tuple[Transport, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A server and what the registry says of it. Times are RFC 3339 as the registry wrote them."""

    server: Server
    status: Status = "active"
    status_message: str = ""
    published: str = ""
    updated: str = ""
    latest: bool = True


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why an entry is none; one clean line."""

    text: str


def read_listing(raw: object) -> Listing | Malformed:
    """Read one item of the API's `servers`, or what a version's own address answers."""
    if not isinstance(raw, dict) or not isinstance(raw.get("server", raw), dict):
        return Malformed("an entry is no JSON object")
    server = read_server(raw.get("server", raw))
    if isinstance(server, Malformed):
        return server
    meta = _object(_object(raw, "_meta"), OFFICIAL)
    status = _text(meta, "status")
    return Listing(
        server=server,
        # A status that is not known is not a recommendation.
        status=_status(status),
        status_message=_text(meta, "statusMessage", _LINE),
        published=_text(meta, "publishedAt", 40),
        updated=_text(meta, "updatedAt", 40),
        latest=meta.get("isLatest") is not False,
    )


def read_server(raw: object) -> Server | Malformed:
    """Read a `server.json`. Malformed: no name, a name that is none, or no version."""
    if not isinstance(raw, dict):
        return Malformed("a server.json is no JSON object")
    name, version = _text(raw, "name", 256), _exact(raw, "version", 255)
    if not name:
        return Malformed("an entry has no name")
    if not NAME.match(name):
        shown = clean_line(name, 80)
        return Malformed(f'an entry\'s name is "{shown}", which is not like com.example/server')
    if not version or version != version.strip() or not version.isprintable():
        return Malformed(f"{name} has no usable version")
    packages = [_package(p) for p in _list(raw, "packages", _PACKAGES) if isinstance(p, dict)]
    remotes = [_transport(r, "") for r in _list(raw, "remotes", _PACKAGES) if isinstance(r, dict)]
    return Server(
        name=name,
        version=version,
        title=_text(raw, "title", _LINE),
        description=_text(raw, "description", _LINE),
        repository=_text(_object(raw, "repository"), "url", 1024),
        website=_text(raw, "websiteUrl", 1024),
        packages=tuple(packages),
        remotes=tuple(remotes),
    )


def _package(raw: dict[str, Any]) -> Package:
    problem: list[str] = []
    kept = {
        key: tuple(_inputs(raw, key, _argument, problem))
        for key in ("runtimeArguments", "packageArguments")
    }
    return Package(
        registry_type=_exact(raw, "registryType", 40),
        identifier=_exact(raw, "identifier", 1024),
        version=_exact(raw, "version", 256),
        base_url=_exact(raw, "registryBaseUrl", 256),
        sha256=_exact(raw, "fileSha256", 128),
        runtime_hint=_exact(raw, "runtimeHint", 40),
        runtime_arguments=kept["runtimeArguments"],
        arguments=kept["packageArguments"],
        environment=tuple(_inputs(raw, "environmentVariables", _named, problem)),
        transport=_transport(_object(raw, "transport"), "stdio"),
        problem="; ".join(problem),
    )


def _inputs(
    raw: dict[str, Any],
    key: str,
    read: Callable[[dict[str, Any]], Input | None],
    problem: list[str],
) -> list[Input]:
    values = raw.get(key)
    if values is None:
        return []
    found = _list(raw, key, _MANY)
    inputs = [read(item) if isinstance(item, dict) else None for item in found]
    if not isinstance(values, list) or len(values) > _MANY or None in inputs:
        problem.append(f"its {key} are not what the format says")
    return [item for item in inputs if item is not None]


def _argument(raw: dict[str, Any]) -> Input | None:
    """Read an argument; None for one that says neither what it is nor what it is called."""
    if not _whole(raw):
        return None
    kind, flag = raw.get("type"), _exact(raw, "name", _LINE)
    hint = _text(raw, "valueHint", _LINE)
    if kind == "named" and flag:
        return _input(raw, flag=flag, hint=hint)
    if kind == "positional" and (hint or isinstance(raw.get("value"), str)):
        return _input(raw, hint=hint)
    return None


def _named(raw: dict[str, Any]) -> Input | None:
    name = _exact(raw, "name", 200)
    return _input(raw, name=name) if name and _whole(raw) else None


def _whole(raw: dict[str, Any]) -> bool:
    return raw.get("value") is None or (
        isinstance(raw["value"], str) and len(raw["value"]) <= _TEXT
    )


def _input(raw: dict[str, Any], *, name: str = "", flag: str = "", hint: str = "") -> Input:
    choices = [c for c in _list(raw, "choices", _MANY) if isinstance(c, str) and len(c) <= _LINE]
    return Input(
        name=name,
        flag=flag,
        hint=hint,
        description=_text(raw, "description"),
        value=_exact(raw, "value"),
        default=_scalar(raw.get("default")),
        placeholder=_text(raw, "placeholder", _LINE),
        required=raw.get("isRequired") is True,
        secret=raw.get("isSecret") is True,
        repeated=raw.get("isRepeated") is True,
        format=_FORMATS.get(str(raw.get("format")), "string"),
        choices=tuple(choices),
        variables=_variables(raw),
    )


def _variables(raw: dict[str, Any]) -> dict[str, Input]:
    """The variables of a text; those of a variable are none (the format knows one level)."""
    found = list(_object(raw, "variables").items())[:_MANY]
    return {
        name: _input({k: v for k, v in item.items() if k != "variables"}, name=name)
        for name, item in found
        if isinstance(item, dict) and len(name) <= 200
    }


def _transport(raw: dict[str, Any], default: str) -> Transport:
    ignored: list[str] = []
    return Transport(
        type=_text(raw, "type", 40) or default,
        url=_exact(raw, "url", 2048),
        headers=tuple(_inputs(raw, "headers", _named, ignored)),
        variables=_variables(raw),
    )


def _status(text: str) -> Status:
    if text in ("active", ""):
        return "active"
    return "deleted" if text == "deleted" else "deprecated"


def _text(raw: dict[str, Any], key: str, limit: int = _TEXT) -> str:
    """A text for people: cut where it is too long."""
    value = raw.get(key)
    return value[:limit] if isinstance(value, str) else ""


def _exact(raw: dict[str, Any], key: str, limit: int = _TEXT) -> str:
    """A text that means something: nothing where it is too long, never a part of it."""
    value = raw.get(key)
    return value if isinstance(value, str) and len(value) <= limit else ""


def _scalar(value: object) -> str:
    """Text as it is; numbers and truth values, which publishers write too, as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:_TEXT] if isinstance(value, str | int | float) else ""


def _object(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def _list(raw: dict[str, Any], key: str, limit: int) -> list[Any]:
    value = raw.get(key)
    return value[:limit] if isinstance(value, list) else []
