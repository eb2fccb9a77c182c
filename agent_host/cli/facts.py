"""What is known of a model before it is asked: what it can do, whether its key is there, its price.

Theory of operation: the facts come from the profiles, the config and the prices; nothing is sent
anywhere. What nobody has said is None and shown as nothing, never as no: a model that is not known
is not a model that cannot. Of a key it is told where it is looked for and whether it is there.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agent_host.config.choose import ModelChoice, choose_model, key_of
from agent_host.config.load import Loaded
from agent_host.config.resolve import stated_prices
from agent_host.config.secrets import references, resolve
from agent_host.config.show import mask_url
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.profiles.adapters import WITHOUT_PROVIDER
from agent_host.profiles.profile import Profile

if TYPE_CHECKING:
    from agent_host.prices import Price, Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One model. `key_found` is None if there is nothing to find or it cannot be known; `source`
    is where the model is named; `where` its URL, masked. Everything that is None is not known."""

    name: str
    title: str
    provider: str
    adapter: str
    model: str | None
    where: str
    source: str
    key: str
    key_found: bool | None
    images: bool | None = None
    audio: bool | None = None
    files: bool | None = None
    tool_images: bool | None = None
    effort: bool | None = None
    efforts: tuple[str, ...] | None = None
    structured: str | None = None
    max_tools: int | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    price: "Price | None" = None
    simulated: bool = False


def facts_of(loaded: Loaded, name: str, prices: "Prices", *, source: str = "") -> ModelFacts:
    """Return the facts of the model that a name stands for. Raises ConfigError."""
    choice = choose_model(loaded.config, os.environ, loaded.profiles, name=name, usable=False)
    profile, settings = choice.profile, choice.settings
    key, found = _key(loaded, choice)
    simulated = profile.adapter in WITHOUT_PROVIDER
    return ModelFacts(
        name=choice.name,
        title=profile.title,
        provider=choice.provider,
        adapter=profile.adapter,
        model=settings.model or settings.path,
        where=mask_url(settings.base_url) if settings.base_url else "",
        source=source or _source(loaded, choice),
        key=key,
        key_found=found,
        price=None if simulated else prices.price(choice.provider, settings.model or ""),
        simulated=simulated,
        **({} if simulated else _abilities(loaded, profile, settings.model or "")),
    )


def known_prices(loaded: Loaded) -> "Prices":
    """Return the prices of the config and of the package. What computes them is loaded only
    now: help needs none of it."""
    prices: Any = import_module("agent_host.prices")
    stated = stated_prices(loaded.config, loaded.profiles)
    own = {key: prices.Price(**price.model_dump()) for key, price in stated.items()}
    made: Prices = prices.Prices(own, loaded.profiles)
    return made


def provider_source(loaded: Loaded, provider: str) -> str:
    """Return which file says the most special things of a provider."""
    if provider in loaded.config.providers:
        return loaded.where("providers", provider)
    return loaded.own_profiles_name if provider in loaded.own_profiles else "built in"


def _source(loaded: Loaded, choice: ModelChoice) -> str:
    if choice.name in loaded.config.models:
        return loaded.where("models", choice.name)
    known = choice.profile.provider or choice.profile.adapter in WITHOUT_PROVIDER
    return provider_source(loaded, choice.profile.provider) if known else "the name itself"


def _abilities(loaded: Loaded, profile: Profile, model: str) -> Mapping[str, Any]:
    """What the rows of a model say of it; what only its dialect has is left out."""
    said = loaded.profiles.stated(profile.provider, model, profile.adapter)
    plain = ("images", "audio", "files", "tool_images", "structured")
    found: dict[str, Any] = {key: getattr(profile, key) for key in plain if key in said}
    if "effort" in said or "efforts" in said:
        found["effort"] = bool(profile.effort)
        found["efforts"] = profile.efforts or None
    for key in ("max_tools", "context_window", "max_output_tokens"):
        found[key] = getattr(profile, key) or None if key in said else None
    return found


def _key(loaded: Loaded, choice: ModelChoice) -> tuple[str, bool | None]:
    """Return what is known of a model's key, never the key, and whether it is there."""
    profile = choice.profile
    written = choice.settings.api_key or key_of(profile, os.environ)
    if profile.adapter in WITHOUT_PROVIDER:
        return "not needed", None
    if written:
        return _written(loaded, written)
    if profile.auth in ("aws", "google"):
        kind = "AWS" if profile.auth == "aws" else "Google"
        return f"{kind} credentials, as its SDK finds them", None
    if profile.key_variable and profile.auth != "none":
        return f"{profile.key_variable} is not set", False
    return ("not needed" if profile.port else "none"), None


def _written(loaded: Loaded, text: str) -> tuple[str, bool]:
    """What is known of a key that is written down or referred to."""
    named = references(text)
    if not named:
        return "configured", True
    found = True
    try:
        resolve(text, os.environ, loaded.folder)
    except ConfigError:
        found = False
    kind, _, rest = named[0].partition(":")
    if kind == "env":
        return f"{rest} is {'set' if found else 'not set'}", found
    where = "the keyring" if kind == "keyring" else "the file"
    return f"{where} {clean_line(rest, 80)}{'' if found else ': not there'}", found
