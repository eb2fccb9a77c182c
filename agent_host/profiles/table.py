"""The rows of `profiles.toml`, with a user's own laid over them, and the way to find one."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent_host.profiles.profile import KEYS, Profile

_SUBTABLES = frozenset({"adapters", "models", "match"})
Row = Mapping[str, Any]


class Profiles:
    """All rows. `own`: a user's tables by provider, in the form of the built-in ones."""

    def __init__(self, own: Mapping[str, Row] | None = None) -> None:
        built_in = _built_in()
        self._adapters: Mapping[str, Row] = built_in["adapters"]
        self._rows: dict[str, Row] = dict(built_in["providers"])
        for name, row in (own or {}).items():
            self._rows[name] = _laid_over(self._rows.get(name, {}), row)

    @cached_property
    def providers(self) -> tuple[Profile, ...]:
        """One profile a provider, in the order of `auto`, for no model in particular."""
        return tuple(self.of(name, "") for name in self._rows)

    def named(self, name: str) -> Profile | None:
        """Return a provider's own profile, or None."""
        return next((p for p in self.providers if p.provider == name), None)

    def of(self, provider: str, model: str, adapter: str = "") -> Profile:
        """Return the profile of a model of a provider (one that is not known has the dialect's
        row alone), spoken to by its usual adapter or by another one."""
        row = self._rows.get(provider, {})
        adapter = adapter or str(row.get("adapter") or Profile().adapter)
        layers = [
            self._adapters.get(adapter, {}),
            row,
            row.get("adapters", {}).get(adapter, {}),
            *(one for one in row.get("models", ()) if _matches(model, one.get("match", ()))),
        ]
        keys: dict[str, Any] = {}
        for layer in layers:
            keys |= {key: _value(value) for key, value in layer.items() if key in KEYS}
        return replace(Profile(), **{**keys, "provider": provider, "adapter": adapter})

    def at(self, base_url: str) -> Profile | None:
        """Return the profile of the provider whose API is at a URL, or None."""
        try:
            parts = urlsplit(base_url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return None
        for profile in self.providers:
            for glob in profile.hosts or (_place(profile.base_url),):
                if glob and fnmatchcase(f"{host}:{port}" if ":" in glob else host, glob):
                    return profile
        return None

    def find(self, base_url: str, model: str, adapter: str = "") -> Profile:
        """Return the profile of a model behind a base URL, by its host."""
        known = self.at(base_url)
        return self.of(known.provider if known else "", model, adapter)


def _laid_over(row: Row, own: Row) -> Row:
    """A user's table over a built-in one; their rows for models come last, and so win."""
    merged = {**row, **own}
    merged["models"] = [*row.get("models", ()), *own.get("models", ())]
    merged["adapters"] = {**row.get("adapters", {}), **own.get("adapters", {})}
    return merged


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _matches(model: str, globs: Any) -> bool:
    name = model.lower()
    return bool(name) and any(fnmatchcase(name, glob) for glob in globs)


def _place(base_url: str) -> str:
    """A glob of a row without `hosts`: its own host, with the port if it is one of a machine."""
    if not base_url or "{" in base_url:
        return ""
    parts = urlsplit(base_url)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""


@cache
def _built_in() -> dict[str, dict[str, Row]]:
    text = Path(__file__).with_name("profiles.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, Row]] = tomllib.loads(text)
    return tables


def unknown_keys(row: Row) -> tuple[str, ...]:
    """Return the keys of a provider's table that no row has."""
    return tuple(key for key in row if key not in KEYS | _SUBTABLES)


@cache
def built_in() -> Profiles:
    """Return the rows without any user's own."""
    return Profiles()
