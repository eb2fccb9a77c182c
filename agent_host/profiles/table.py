"""The rows of `profiles.toml`, with a user's own laid over them, and the way to find one."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent_host.profiles.profile import KEYS, Profile

Row = Mapping[str, Any]


class Profiles:
    """All rows. `own`: tables by provider, in the form of the built-in ones, each laid over those
    before it."""

    def __init__(self, *own: Mapping[str, Row]) -> None:
        self._own_tables = own

    @cached_property
    def _rows(self) -> dict[str, list[Row]]:
        """The tables of each provider, the built-in one first. Read when they are first needed:
        that takes some milliseconds."""
        rows: dict[str, list[Row]] = {}
        for tables in (_built_in()["providers"], *self._own_tables):
            for name, row in tables.items():
                rows.setdefault(name, []).append(row)
        return rows

    @cached_property
    def providers(self) -> tuple[Profile, ...]:
        """One profile a provider, in the order of `auto`, for no model in particular."""
        return tuple(self.of(name, "") for name in self._rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The providers' names, in the order of `auto`."""
        return tuple(self._rows)

    def named(self, name: str) -> Profile | None:
        """Return a provider's own profile, or None."""
        return next((p for p in self.providers if p.provider == name), None)

    def of(self, provider: str, model: str, adapter: str = "") -> Profile:
        """Return the profile of a model of a provider (one that is not known has the dialect's
        row alone), spoken to by its usual adapter or by another one."""
        adapter = adapter or self._usual_adapter(provider, model)
        keys: dict[str, Any] = {}
        for row in (_built_in()["adapters"].get(adapter, {}), *self._own(provider, model, adapter)):
            keys |= {key: _value(value) for key, value in row.items() if key in KEYS}
        return replace(Profile(), **{**keys, "provider": provider, "adapter": adapter})

    def stated(self, provider: str, model: str, adapter: str = "") -> frozenset[str]:
        """Return the keys that are said of a model itself: what `of` has of the others comes from
        its dialect, and may be otherwise."""
        adapter = adapter or self._usual_adapter(provider, model)
        return frozenset(key for row in self._own(provider, model, adapter) for key in row)

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
        """Return the profile of a model behind a base URL, by its host; where a provider has a
        URL for each dialect, that says the adapter."""
        known = self.at(base_url)
        provider = known.provider if known else ""
        return self.of(provider, model, adapter or self._adapter_at(provider, model, base_url))

    def _usual_adapter(self, provider: str, model: str) -> str:
        usual = Profile().adapter
        for row in self._rows.get(provider, ()):
            for one in (row, *_of_models(row, model)):
                usual = str(one.get("adapter") or usual)
        return usual

    def _adapter_at(self, provider: str, model: str, base_url: str) -> str:
        """The adapter whose own root is the longest beginning of a URL, else the usual one. Two
        roots that only `/v1` tells apart are one: people write it with and without."""
        url = base_url.rstrip("/") + "/"
        usual = self._usual_adapter(provider, model)
        others = [name for row in self._rows.get(provider, ()) for name in row.get("adapters", {})]
        roots = {
            name: self.of(provider, model, name).base_url.rstrip("/").removesuffix("/v1")
            for name in (usual, *others)
        }
        known = {name: root for name, root in roots.items() if root and url.startswith(f"{root}/")}
        return max(known, key=lambda name: len(known[name]), default=usual)

    def _own(self, provider: str, model: str, adapter: str) -> Iterator[Row]:
        """The rows that apply: those of the model's family, the provider's built-in ones, a
        user's, and of each the most general first."""
        yield from _matching(_built_in()["models"], model)
        for row in self._rows.get(provider, ()):
            yield row
            yield row.get("adapters", {}).get(adapter, {})
            yield from _of_models(row, model)


def _of_models(row: Row, model: str) -> list[Row]:
    return _matching(row.get("models", ()), model)


def _matching(rows: Iterable[Row], model: str) -> list[Row]:
    return [one for one in rows if _matches(model, one.get("match", ()))]


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
def _built_in() -> dict[str, Any]:
    text = Path(__file__).with_name("profiles.toml").read_text(encoding="utf-8")
    tables: dict[str, Any] = tomllib.loads(text)
    return tables


@cache
def built_in() -> Profiles:
    """Return the rows without any user's own."""
    return Profiles()
