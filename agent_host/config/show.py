"""The config in effect, value by value, with its origin and without secrets.

Theory of operation: references are shown as they are written and never resolved. A value that is
written out where a secret may be (keys, headers, variables whose name sounds like one, the
password or query of a URL) is shown as hidden. Everything else is shown as it is.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from agent_host.config.layers import Layer, settings_of
from agent_host.config.lines import KeyPath
from agent_host.config.load import Loaded
from agent_host.config.problems import dotted
from agent_host.config.secrets import is_reference

HIDDEN = "(hidden)"

_SECRET_NAME = re.compile(r"(?i)key|token|secret|passw|pwd|auth|credential|cookie|session")
_SECRET_KEYS = frozenset(
    ("api_key", "client_secret", "private_key", "assertion", "idp_client_secret", "token")
)
_PLAIN_HEADERS = ("accept", "accept-language", "content-type", "user-agent")
_REFERENCES = re.compile(r"\$\{(?:env|file|keyring):[^}]*\}")
_URL = re.compile(r"https?://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value in effect: its key as in TOML, its value for people, and where it came from."""

    key: str
    value: Any
    origin: str


def mask(path: KeyPath, value: Any) -> Any:
    """Return `value` as it may be shown at `path`."""
    if not isinstance(value, str) or not path:
        return value
    table, key = path[-2] if len(path) > 1 else "", str(path[-1])
    if key in ("url", "base_url", "proxy") and table not in ("env", "headers"):
        return mask_url(value)
    if key == "model" and (url := _URL.search(value)):
        return value[: url.start()] + mask_url(value[url.start() :])
    secret = (
        (key in _SECRET_KEYS and table not in ("env", "headers"))
        or (table == "headers" and key.lower() not in _PLAIN_HEADERS)
        or (table == "env" and _SECRET_NAME.search(key) is not None)
    )
    if not secret or is_reference(value):
        return value
    references = _REFERENCES.findall(value)
    return f"{HIDDEN} {' '.join(references)}".strip()


def mask_url(url: str) -> str:
    """Return `url` without its password, query and fragment, unless they are references."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    who, at, host = parts.netloc.rpartition("@")
    if at and not is_reference(who):
        who = f"{who.partition(':')[0]}:{HIDDEN}" if ":" in who else HIDDEN
    query = HIDDEN if parts.query and not _only_references(parts.query) else parts.query
    fragment = HIDDEN if parts.fragment else ""
    return urlunsplit((parts.scheme, f"{who}{at}{host}", parts.path, query, fragment))


def _only_references(query: str) -> bool:
    return all(is_reference(pair.partition("=")[2]) for pair in query.split("&"))


def entries(loaded: Loaded) -> list[Entry]:
    """Return every value that is in effect, in the order of the schema; unset ones are left out.

    What the files above servers.toml say of policy comes last, under `organisation` and `user`.
    """
    settings = settings_of(loaded.layers)
    found = []
    for path, value in _leaves((), loaded.config.model_dump()):
        origin = loaded.origin(*path)
        if path[0] == "policy" and path[1] in settings:
            value, place = settings[str(path[1])]  # noqa: PLW2901  # what holds, whoever says it
            origin = place or "default"
        if origin != "default" or value not in (None, "", {}, []):
            ruled = loaded.organisation is not None and path[:2] == ("policy", "roles")
            origin += " (does not count)" if ruled and value else ""
            found.append(Entry(key=dotted(path), value=mask(path, value), origin=origin))
    return found + [entry for layer in loaded.above for entry in _of_layer(layer)]


def files(loaded: Loaded) -> list[tuple[str, str]]:
    """Return the files in force, the strictest first: name, and whose it is, for people."""
    whose = {
        "organisation": "the organisation's: it holds whatever the others say",
        "user": "your own policy, for every project",
        "project": "",
    }
    return [(layer.name, whose[layer.level]) for layer in loaded.layers]


def _of_layer(layer: Layer) -> Iterator[Entry]:
    """The rules, totals and roles of a file above servers.toml, with their places."""
    said = layer.policy.model_dump(exclude_unset=True)
    said = {key: said[key] for key in ("rules", "totals", "roles") if key in said}
    for path, value in _leaves(("policy",), said):
        key = dotted((layer.level, *path))
        yield Entry(key=key, value=mask(path, value), origin=layer.where(*path))


def _leaves(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves((*path, key), item)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            yield from _leaves((*path, index), item)
    else:
        yield path, value


def as_toml(value: Any) -> str:
    """Return a value for people, as TOML writes it."""
    return json.dumps(value, ensure_ascii=False)
