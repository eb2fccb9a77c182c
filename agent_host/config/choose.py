"""Which model answers: `auto`, a name under [models], `provider:model`, `URL:model`, `offline`.

Theory of operation: a name is looked up in this order: the tables under `[models]`; `auto`;
`offline`; `script:FILE` and `replay:FILE`; a known provider, with or without a model after the
colon; a URL with a model after the colon. `ADAPTER+` before a provider or URL says how it is spoken
to. `auto` takes the first provider whose key is there and that has a usual model, in the order of
the profiles, else `offline`; it never takes a server on this machine. A key is only ever a
reference here: who makes the adapter resolves it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent_host.config.near import nearest
from agent_host.config.resolve import filled, resolved, served_by
from agent_host.config.schema import Config, ModelConfig
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.profiles.adapters import is_adapter
from agent_host.profiles.profile import Profile
from agent_host.profiles.table import Profiles

_AT_URL = re.compile(
    r"(?P<url>https?://(?:\[[^\]]*\]|[^/:\[\]]+)(?::\d+)?(?P<path>/[^:]*)?):(?P<model>.+)\Z"
)
_WITH_ADAPTER = re.compile(r"(?P<adapter>[A-Za-z0-9._-]+)\+(?P<rest>.+)\Z")

_PORT = re.compile(r"\d{1,5}(?:/|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """The model that answers.

    `name` is what to say for it in `--model`, `provider` who serves it (for `Origin`),
    `settings` complete but for its references, `profile` how it is spoken to, `why` one clause
    for people.
    """

    name: str
    provider: str
    settings: ModelConfig
    profile: Profile
    why: str

    @property
    def adapter(self) -> str:
        """Which adapter speaks to it."""
        return self.profile.adapter


def choose_model(
    config: Config,
    environ: Mapping[str, str],
    profiles: Profiles,
    *,
    name: str | None = None,
    origin: str = "",
    usable: bool = True,
) -> ModelChoice:
    """Return the model that `name` (by default `config.model`) stands for.

    `origin` says in errors where the name came from, best as `Loaded.origin("model")` gives it.
    `usable`: false for a choice that is only looked at. Raises ConfigError for an unknown name,
    and, unless it is only looked at, for what the environment lacks: a hosted provider's key, a
    part of its URL.
    """
    name = name if name is not None else config.model
    at = f"{origin}: " if origin and origin != "default" else ""
    if name in config.models:
        return _Chooser(environ, profiles, at, name, usable).named(config.models[name])
    if name == "auto":
        return _automatic(environ, profiles)
    if name == "offline":
        return _offline("offline was asked for")
    chooser = _Chooser(environ, profiles, at, name, usable)
    head, _, tail = name.partition(":")
    if head in ("script", "replay") and tail:
        return chooser.playing(head, tail)
    wanted, adapter = name, ""
    if found := _WITH_ADAPTER.match(name):
        wanted, adapter = found["rest"], found["adapter"]
        if not is_adapter(adapter):
            raise ConfigError(f"{at}there is no adapter {adapter!r} to speak to {shown(wanted)}")
    if wanted.startswith(("http://", "https://")):
        return chooser.at_url(wanted, adapter)
    head, _, tail = wanted.partition(":")
    if profiles.named(head) is None:
        known = ["auto", "offline", *config.models, *profiles.names]
        raise ConfigError(
            f'{at}there is no model "{clean_line(name, 80)}"{nearest(head, known)}; '
            "`agent-host models list` shows them"
        )
    return chooser.of_provider(head, tail, adapter)


def available(environ: Mapping[str, str], profiles: Profiles) -> tuple[Profile, ...]:
    """Return the hosted providers whose key is there, in the order of `auto`."""
    return tuple(p for p in profiles.providers if key_of(p, environ))


def key_of(profile: Profile, environ: Mapping[str, str]) -> str:
    """Return the reference to a provider's usual key, where it is: the variable if it is set,
    else what the config says; empty if there is none."""
    if profile.key_variable and environ.get(profile.key_variable):
        return f"${{env:{profile.key_variable}}}"
    return profile.api_key


def url_in(name: str) -> str | None:
    """Return the URL that a model's name holds, as `URL:model` or `ADAPTER+URL:model`, or None."""
    found = _WITH_ADAPTER.match(name)
    rest = found["rest"] if found else name
    return rest if rest.startswith(("http://", "https://")) else None


def shown(name: str) -> str:
    """A name, bounded, for an error."""
    return clean_line(name, 120)


def _automatic(environ: Mapping[str, str], profiles: Profiles) -> ModelChoice:
    for provider in available(environ, profiles):
        if provider.default_model:
            name = f"{provider.provider}:{provider.default_model}"
            set_ = bool(provider.key_variable and environ.get(provider.key_variable))
            said = f"{provider.key_variable} is set" if set_ else "its key is configured"
            chooser = _Chooser(environ, profiles, "", name, usable=True)
            return chooser.of_provider(provider.provider, "", "", why=f"auto: {said}")
    return _offline("auto: no provider's key is in the environment")


def _offline(why: str) -> ModelChoice:
    return ModelChoice(
        name="offline",
        provider="offline",
        settings=ModelConfig(adapter="offline"),
        profile=Profile(adapter="offline"),
        why=why,
    )


@dataclass(frozen=True, slots=True)
class _Chooser:
    """Makes the choice for one name. `at`: the beginning of an error."""

    environ: Mapping[str, str]
    profiles: Profiles
    at: str
    name: str
    usable: bool

    def playing(self, adapter: str, path: str) -> ModelChoice:
        return self._made(ModelConfig(adapter=adapter, path=path), self.name, f"plays {path}")

    def of_provider(
        self, provider: str, model: str, adapter: str, *, why: str = "named by provider"
    ) -> ModelChoice:
        model = model or self.profiles.of(provider, "").default_model
        if not model:
            raise ConfigError(f"{self.at}say which model, as in {provider}:MODEL")
        settings = ModelConfig(provider=provider, model=model, adapter=adapter or None)
        name = f"{adapter}+{provider}:{model}" if adapter else f"{provider}:{model}"
        return self._made(settings, name, why, what=f"the model {clean_line(name, 80)}")

    def at_url(self, wanted: str, adapter: str) -> ModelChoice:
        found = _AT_URL.match(wanted)
        if found is None or (found["path"] is None and _PORT.match(found["model"])):
            raise ConfigError(
                f"{self.at}say which model of {shown(self.name)}, "
                "as in http://127.0.0.1:11434/v1:MODEL"
            )
        settings = ModelConfig(
            model=found["model"], base_url=found["url"].rstrip("/"), adapter=adapter or None
        )
        return self._made(settings, self.name, "named by URL", what=f"the model {shown(self.name)}")

    def named(self, settings: ModelConfig) -> ModelChoice:
        table = f"[models.{self.name}]"
        return self._made(settings, self.name, table, what=table)

    def _made(self, table: ModelConfig, name: str, why: str, *, what: str = "") -> ModelChoice:
        """Return the choice with what the table leaves out."""
        profile = resolved(table, self.profiles)
        what = f"{self.at}{what or name}"
        updates: dict[str, object] = {
            "adapter": profile.adapter,
            "model": table.model or profile.default_model or None,
        }
        if table.base_url is None and profile.base_url:
            updates["base_url"] = self._filled(profile.base_url, what)
        if table.api_key is None:
            updates["api_key"] = self._key(profile, what)
        settings = table.model_copy(update=updates)
        if profile.auth in ("aws", "google") and settings.api_key:
            profile = replace(profile, auth="bearer")  # a key goes before a signature
        return ModelChoice(
            name=name,
            provider=served_by(settings, profile),
            settings=settings,
            profile=profile,
            why=why,
        )

    def _filled(self, url: str, what: str) -> str:
        try:
            return filled(url, self.environ, what)
        except ConfigError:
            if self.usable:
                raise
            return url

    def _key(self, profile: Profile, what: str) -> str | None:
        """Return the reference to a provider's usual key; raise ConfigError if it must be there
        and is not."""
        key = key_of(profile, self.environ)
        unneeded = not profile.key_variable or profile.auth in ("aws", "google", "none")
        if key or unneeded or not self.usable:
            return key or None
        raise ConfigError(f"{what} needs a key: set {profile.key_variable}, or use --model offline")
