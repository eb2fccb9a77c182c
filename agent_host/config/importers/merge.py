"""Entries of several applications, and the servers that are there already, under distinct names.

Theory of operation: two entries are one only if everything of them is the same, secrets included:
the same command with another account's key is another server. Where two differ under one name, the
later gets its application's name as a suffix, then a number; two secrets under one variable get
variables of their own. What is in servers.toml already under
the same name and starts or contacts the same is left out, so that importing twice adds nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent_host.config.importers.build import Entry, legal_name
from agent_host.config.importers.taken import variable_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """`entries` have names that are free; `left_out` says for an entry why it is not among them."""

    entries: tuple[Entry, ...]
    left_out: tuple[tuple[Entry, str], ...]


def merged(entries: Iterable[Entry], existing: Mapping[str, Mapping[str, Any]]) -> Merged:
    """Settle the names of usable entries. `existing`: the servers of the target, as written."""
    kept: dict[str, Entry] = {}
    left: list[tuple[Entry, str]] = []
    seen: dict[str, Entry] = {}
    variables: dict[str, str] = {}
    for entry in entries:
        if entry.unusable:
            left.append((entry, entry.unusable))
            continue
        same = seen.setdefault(_whole(entry), entry)
        if same is not entry:
            left.append((entry, f"is the same as {same.said} of {same.app}"))
            continue
        if entry.name in existing and _core(existing[entry.name]) == _core(entry.table):
            left.append((entry, "is in servers.toml already"))
            continue
        name = free_name(entry, {*existing, *kept})
        notes = entry.notes if name == entry.said else (f"is named {name} here", *entry.notes)
        kept[name] = _own_variables(replace(entry, name=name, notes=notes), variables)
    return Merged(entries=tuple(kept.values()), left_out=tuple(left))


def placed(entry: Entry, folder: Path) -> Entry:
    """Return the entry as it stands in a servers.toml of `folder`, where commands start."""
    cwd = entry.table.get("cwd")
    if cwd is None:
        return entry
    table = dict(entry.table)
    if Path(cwd) == folder:
        del table["cwd"]
    elif Path(cwd).is_relative_to(folder):
        table["cwd"] = str(Path(cwd).relative_to(folder))
    return replace(entry, table=table)


def _own_variables(entry: Entry, known: dict[str, str]) -> Entry:
    """Return the entry with variables that stand for no other secret; they are added to `known`."""
    secrets = []
    table = json.dumps(entry.table)
    for secret in entry.secrets:
        name = secret.variable
        if secret.value and known.get(name) and known[name] != secret.value:
            name = variable_name(entry.name, secret.variable)
            table = table.replace(f"${{env:{secret.variable}}}", f"${{env:{name}}}")
        known[name] = known.get(name) or secret.value
        secrets.append(replace(secret, variable=name))
    return replace(entry, table=json.loads(table), secrets=tuple(secrets))


def free_name(entry: Entry, taken: set[str]) -> str:
    """Return the entry's name, or one like it that is not taken."""
    if entry.name not in taken:
        return entry.name
    suffix = legal_name(entry.app).lower()
    return next(name for name in _candidates(entry.name, suffix) if name not in taken)


def _candidates(name: str, suffix: str) -> Iterable[str]:
    yield f"{name[: 63 - len(suffix)]}-{suffix}"
    number = 2
    while True:
        yield f"{name[:58]}-{number}"
        number += 1


def _whole(entry: Entry) -> str:
    secrets = [(secret.variable, secret.value) for secret in entry.secrets]
    return json.dumps([legal_name(entry.said), entry.table, secrets], sort_keys=True, default=str)


def _core(table: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a server is, whatever its secrets are called."""
    url = str(table.get("url") or "").partition("?")[0]
    names = [sorted(table.get(key) or {}) for key in ("env", "headers")]
    return (table.get("command"), list(table.get("args") or []), url, *names)
