"""Which model answers: `auto`, a name under [models], `provider:model`, `URL:model`, `offline`.

Theory of operation: a name is looked up in this order: the tables under `[models]`; `auto`;
`offline`; `script:FILE` and `replay:FILE`; a known provider, with or without a model after the
colon; a URL with a model after the colon. `auto` takes the first provider (see `providers`) whose
key is in the environment, else `offline`; it never takes a server on this machine. A key is only
ever a reference here: who makes the adapter resolves it.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent_host.config.problems import nearest
from agent_host.config.providers import PROVIDERS, Provider, provider_at, provider_named
from agent_host.config.schema import Config, ModelConfig
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line

_AT_URL = re.compile(
    r"(?P<url>https?://(?:\[[^\]]*\]|[^/:\[\]]+)(?::\d+)?(?P<path>/[^:]*)?):(?P<model>.+)\Z"
)

_PORT = re.compile(r"\d{1,5}(?:/|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """The model that answers.

    `name` is what to say for it in `--model`, `provider` who serves it (for `Origin`),
    `settings` complete but for its references, `why` one clause for people.
    """

    name: str
    provider: str
    settings: ModelConfig
    why: str


def choose_model(
    config: Config, environ: Mapping[str, str], *, name: str | None = None, origin: str = ""
) -> ModelChoice:
    """Return the model that `name` (by default `config.model`) stands for.

    `origin` says in errors where the name came from, best as `Loaded.origin("model")` gives it.
    Raises ConfigError for an unknown name, and for a hosted provider without its key.
    """
    name = name if name is not None else config.model
    at = f"{origin}: " if origin and origin != "default" else ""
    if name in config.models:
        return _named(name, config.models[name], environ, at)
    if name == "auto":
        return _automatic(environ)
    if name == "offline":
        return _offline("offline was asked for")
    if name.startswith(("http://", "https://")):
        return _at_url(name, environ, at)
    head, _, tail = name.partition(":")
    if head in ("script", "replay") and tail:
        settings = ModelConfig(adapter=head, path=tail)  # type: ignore[arg-type]
        return ModelChoice(name=name, provider=head, settings=settings, why=f"plays {tail}")
    provider = provider_named(head)
    if provider is None:
        known = ["auto", "offline", *config.models, *(p.name for p in PROVIDERS)]
        raise ConfigError(
            f'{at}there is no model "{clean_line(name, 80)}"{nearest(head, known)}; '
            "`agent-host models list` shows them"
        )
    return _of_provider(provider, tail or provider.default_model, environ, at)


def available(environ: Mapping[str, str]) -> tuple[Provider, ...]:
    """Return the hosted providers whose key is in the environment, in the order of `auto`."""
    return tuple(p for p in PROVIDERS if p.key_variable and environ.get(p.key_variable))


def _automatic(environ: Mapping[str, str]) -> ModelChoice:
    for provider in available(environ):
        return _of_provider(
            provider,
            provider.default_model,
            environ,
            "",
            why=f"auto: {provider.key_variable} is set",
        )
    return _offline("auto: no provider's key is in the environment")


def _offline(why: str) -> ModelChoice:
    return ModelChoice(
        name="offline", provider="offline", settings=ModelConfig(adapter="offline"), why=why
    )


def _of_provider(
    provider: Provider,
    model: str | None,
    environ: Mapping[str, str],
    at: str,
    *,
    why: str = "named by provider",
) -> ModelChoice:
    if model is None:
        raise ConfigError(f"{at}say which model, as in {provider.name}:MODEL")
    settings = ModelConfig(
        adapter="openai-chat",
        model=model,
        base_url=provider.base_url,
        api_key=_key(provider, environ, f"{at}the model {provider.name}:{clean_line(model, 80)}"),
    )
    return ModelChoice(
        name=f"{provider.name}:{model}", provider=provider.name, settings=settings, why=why
    )


def _key(provider: Provider | None, environ: Mapping[str, str], what: str) -> str | None:
    """Return the reference to a provider's usual key; raise ConfigError if it is not there."""
    if provider is None or provider.key_variable is None:
        return None
    if not environ.get(provider.key_variable):
        raise ConfigError(
            f"{what} needs a key: set {provider.key_variable}, or use --model offline"
        )
    return f"${{env:{provider.key_variable}}}"


def _at_url(name: str, environ: Mapping[str, str], at: str) -> ModelChoice:
    found = _AT_URL.match(name)
    if found is None or (found["path"] is None and _PORT.match(found["model"])):
        raise ConfigError(
            f"{at}say which model of {clean_line(name, 120)}, as in http://127.0.0.1:11434/v1:MODEL"
        )
    url, model = found["url"].rstrip("/"), found["model"]
    provider = provider_at(url)
    settings = ModelConfig(
        adapter="openai-chat",
        model=model,
        base_url=url,
        api_key=_key(provider, environ, f"{at}the model {clean_line(name, 120)}"),
    )
    who = provider.name if provider else _host(url)
    return ModelChoice(name=name, provider=who, settings=settings, why="named by URL")


def _named(name: str, settings: ModelConfig, environ: Mapping[str, str], at: str) -> ModelChoice:
    why = f"[models.{name}]"
    if settings.adapter != "openai-chat":
        return ModelChoice(name=name, provider=settings.adapter, settings=settings, why=why)
    provider = provider_at(settings.base_url)
    if settings.api_key is None:
        key = _key(provider, environ, f"{at}[models.{name}]")
        settings = settings.model_copy(update={"api_key": key})
    who = provider.name if provider else _host(settings.base_url or "")
    return ModelChoice(name=name, provider=who, settings=settings, why=why)


def _host(url: str) -> str:
    """Return host and port of a URL, without what else a URL may hold (a password)."""
    host, port = "", None
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    return clean_line(f"{host}:{port}" if port else host or "unknown", 80)
