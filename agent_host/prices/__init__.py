"""What models cost: US dollars for tokens, or nothing said.

Theory of operation: the prices are those of the `genai-prices` package, which its maintainers keep
current; nothing is fetched, a newer package knows newer prices. A provider is looked up by its
profile's `prices` key; a model of a provider that the package does not know, or at a URL of
somebody's own, has no price, and says so: never 0, and never the price of a namesake elsewhere. A
price of the config (`[models.x] price`) goes before all. What no AI answers costs nothing. Reading
the package takes a tenth of a second, so that happens beside the first request, in a thread.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from agent_host.core.money import shown_cost
from agent_host.core.types import Origin, Usage
from agent_host.profiles.table import Profiles, built_in

__all__ = ["PER", "Price", "Prices", "price_of", "shown_cost"]

PER = 1_000_000
"""Tokens that a price is for."""
_FREE = frozenset({"offline", "script", "replay"})
_CACHED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for a million tokens. `cache_read`, `cache_write`: of input that was read from or
    written to a prompt cache, None for the price of any other input."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    @property
    def shown(self) -> str:
        """The price for people: input and output, for a million tokens."""
        return f"${self.input:g} in, ${self.output:g} out"

    def of(self, usage: Usage) -> float:
        """Return US dollars for what was used."""
        read = min(usage.cache_read_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - read)
        plain = usage.input_tokens - read - written
        total = plain * self.input + usage.output_tokens * self.output
        total += read * (self.input if self.cache_read is None else self.cache_read)
        total += written * (self.input if self.cache_write is None else self.cache_write)
        return total / PER


class Prices:
    """Implements `ports.Pricing`. `own`: prices of the config, by provider and model."""

    def __init__(
        self,
        own: Mapping[tuple[str, str], Price] | None = None,
        profiles: Profiles | None = None,
    ) -> None:
        self._own = own or {}
        self._profiles = profiles or built_in()
        self._found: dict[tuple[str, str], Any] = {}
        self._reading: asyncio.Future[Any] | None = None

    def begin(self, origin: Origin) -> None:
        """Begin to read the prices, in a thread, if that model could have one there."""
        if not self._is_listed(origin.provider) or origin.adapter in _FREE:
            return
        if self._reading is None or self._reading.cancelled():
            loop = asyncio.get_running_loop()
            self._reading = loop.run_in_executor(None, _package)

    async def ready(self, origin: Origin) -> None:
        """Return once the prices are read, if that model could have one."""
        self.begin(origin)
        if self._reading is not None:
            await asyncio.shield(self._reading)

    def cost(self, origin: Origin, usage: Usage, served: str = "") -> float | None:
        """Return US dollars, None if the price is not known; see `ports.Pricing`."""
        if origin.adapter in _FREE:
            return 0.0
        own = self._own.get((origin.provider, origin.model))
        if own is not None:
            return own.of(usage)
        for model in filter(None, (origin.model, served)):
            found = self._model(origin.provider, model)
            if found is not None:
                return _calculated(found, usage)
        return None

    def price(self, provider: str, model: str) -> Price | None:
        """Return the price of a small request for a million tokens, or None if it is not known."""
        own = self._own.get((provider, model))
        if own is not None:
            return own
        found = self._model(provider, model)
        if found is None:
            return None
        small = 1000
        each = [
            _calculated(found, usage)
            for usage in (
                Usage(input_tokens=small),
                Usage(output_tokens=small),
                Usage(input_tokens=small, cache_read_tokens=small),
                Usage(input_tokens=small, cache_write_tokens=small),
            )
        ]
        if None in each:
            return None
        dollars = [round((one or 0.0) * PER / small, 6) for one in each]
        return Price(
            input=dollars[0], output=dollars[1], cache_read=dollars[2], cache_write=dollars[3]
        )

    def _model(self, provider: str, model: str) -> tuple[Any, Any] | None:
        """The package's provider and model, or None."""
        key = (provider, model)
        if key not in self._found:
            if len(self._found) >= _CACHED:
                self._found.clear()
            self._found[key] = self._look_up(provider, model)
        found: tuple[Any, Any] | None = self._found[key]
        return found

    def _is_listed(self, provider: str) -> bool:
        """Whether the package may know a provider: no server of one's own, no unknown URL."""
        profile = self._profiles.named(provider)
        return profile is not None and not profile.port

    def _look_up(self, provider: str, model: str) -> tuple[Any, Any] | None:
        if not self._is_listed(provider):
            return None
        snapshot = _package().data_snapshot.get_snapshot()
        name = self._profiles.of(provider, model).prices or provider
        try:
            found: tuple[Any, Any] = snapshot.find_provider_model(model, None, name, None)
        except LookupError:
            return None
        return found


def _package() -> Any:
    import_module("genai_prices.data_snapshot").get_snapshot()
    return import_module("genai_prices")


def _calculated(found: tuple[Any, Any], usage: Usage) -> float | None:
    provider, model = found
    package = _package()
    used = package.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=min(usage.cache_read_tokens, usage.input_tokens),
        cache_write_tokens=min(
            usage.cache_write_tokens, max(usage.input_tokens - usage.cache_read_tokens, 0)
        ),
    )
    try:
        answer = package.calc_price(used, model_ref=model.id, provider_id=provider.id)
    except (LookupError, ValueError):
        return None
    return float(answer.total_price)


def price_of(provider: str, model: str) -> Price | None:
    """Return the price of a provider's model, or None if it is not known."""
    return _SHARED.price(provider, model)


_SHARED = Prices()
