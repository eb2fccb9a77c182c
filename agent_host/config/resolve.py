"""What a `[models.x]` table stands for: which provider, which adapter, and how it is spoken to.

Theory of operation: a table may name a provider, a URL, an adapter, or several of them; what it
leaves out comes from the profile (`agent_host.profiles`) of what it names. `resolved` returns that
profile, `completed` the table with nothing left out. `problems` says what only the profiles can
tell to be wrong, so that a wrong table is an error when the file is read, whether it is used or
not.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from agent_host.config.near import nearest
from agent_host.config.schema import Config, ModelConfig, PriceConfig
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.profiles.adapters import WIRES, WITHOUT_PROVIDER
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import Profiles

_PLACE = re.compile(r"\{([A-Z][A-Z0-9_]*(?:,[A-Z][A-Z0-9_]*)*)\}")
_IN_URL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def resolved(table: ModelConfig, profiles: Profiles) -> Profile:
    """Return how the model of a table is spoken to; its `provider` is empty if nothing is known
    of the place, or if nobody is reached."""
    adapter, model = table.adapter or "", table.model or ""
    if adapter in WITHOUT_PROVIDER:
        return Profile(adapter=adapter)
    provider = table.provider
    if provider is None and table.base_url is not None:
        return profiles.find(table.base_url, model, adapter)
    provider = provider or WIRES.get(adapter, "")
    if provider and not model:
        model = profiles.of(provider, "").default_model
    return profiles.of(provider, model, adapter)


def served_by(table: ModelConfig, profile: Profile) -> str:
    """Return who serves a model, for its `Origin`: the provider, else host and port of its URL,
    else the adapter."""
    if profile.provider or table.base_url is None:
        return profile.provider or profile.adapter
    return _host(table.base_url)


def stated_prices(config: Config, profiles: Profiles) -> dict[tuple[str, str], PriceConfig]:
    """Return the prices that a config states, by provider and model; no key is needed for one."""
    found: dict[tuple[str, str], PriceConfig] = {}
    for name, table in config.models.items():
        if table.price is not None:
            profile = resolved(table, profiles)
            model = table.model or profile.default_model or name
            found[served_by(table, profile), model] = table.price
    return found


def filled(url: str, environ: Mapping[str, str], what: str) -> str:
    """Return a profile's URL with the environment's values in it: an account, a region.

    `what` begins the sentence of the ConfigError for one that is not there, or that could make
    another host of the URL.
    """

    def value(match: re.Match[str]) -> str:
        names = match[1].split(",")
        name = next((one for one in names if environ.get(one)), "")
        if not name:
            raise ConfigError(
                f"{what} needs the environment variable {' or '.join(names)}, as part of {url}; "
                "set it"
            )
        if not _IN_URL.match(environ[name]):
            raise ConfigError(
                f"{what}: the environment variable {name} is put into {url}, so it may hold "
                "letters, digits, dots, hyphens and underscores only; correct it"
            )
        return environ[name]

    return _PLACE.sub(value, url)


def problems(table: ModelConfig, profiles: Profiles) -> Iterator[tuple[str, str]]:
    """Yield (key, sentence that follows it) of what is wrong with a table."""
    if table.provider is not None and profiles.named(table.provider) is None:
        yield (
            "provider",
            f'is "{table.provider}", which is not known{nearest(table.provider, profiles.names)}',
        )
        return
    profile = resolved(table, profiles)
    if table.provider is not None and not (table.model or profile.default_model):
        yield "provider", f'is "{table.provider}", which has no usual model; add the key "model"'
    if table.provider is not None and not (table.base_url or profile.base_url):
        yield "provider", f'is "{table.provider}", which has no URL; add the key "base_url"'
    if table.effort is not None and (wrong := effort_problem(table.effort, profile, table.model)):
        yield "effort", wrong


def effort_problem(effort: str, profile: Profile, model: str | None) -> str:
    """Return what is wrong with a reasoning effort for a model, empty if nothing is."""
    if not profile.effort:
        what = model or profile.default_model or profile.adapter
        return f"means nothing to {clean_line(what, 80)}; remove it"
    if profile.efforts and effort not in profile.efforts:
        quoted = [f'"{one}"' for one in profile.efforts]
        legal = " or ".join([*([", ".join(quoted[:-1])] if quoted[:-1] else []), quoted[-1]])
        return f'must be {legal}, not text "{clean_line(effort, 60)}"'
    return ""


def _host(url: str) -> str:
    """Return host and port of a URL, without what else a URL may hold (a password)."""
    name, port = "", None
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port
    return clean_line(f"{name}:{port}" if port else name or "unknown", 80)
