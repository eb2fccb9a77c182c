"""Model adapters out of what a config or a user names."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from agent_host.config.choose import ModelChoice, choose_model
from agent_host.config.load import Loaded
from agent_host.config.resolve import effort_problem, stated_prices
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.core.types import Origin, Usage
from agent_host.engine.rooms import Window
from agent_host.engine.startup import Loader
from agent_host.host.secrets import Secrets
from agent_host.models.registry import made_by, module_of, not_loaded
from agent_host.models.settings import AdapterSettings
from agent_host.ports import ModelAdapter
from agent_host.prices import Price, Prices
from agent_host.records.redact import Redactor

Change = Callable[[AdapterSettings], AdapterSettings]


class Models:
    """Makes model adapters from what the config or a user names. `choice` is the newest one;
    `prices` are what models cost; `effort` is what was asked for instead of the tables'."""

    choice: ModelChoice

    def __init__(self, loaded: Loaded, secrets: Secrets, loader: Loader) -> None:
        self._loaded = loaded
        self._secrets = secrets
        self._loader = loader
        self.made: list[ModelAdapter] = []
        self.effort: str | None = None
        self._windows: dict[Origin, Window] = {}
        self.prices = Prices(self._own_prices(), loaded.profiles)

    def choose(self, name: str | None, origin: str = "--model") -> ModelChoice:
        """Return what a name stands for, by default the config's. Raises ConfigError, which says
        that the name came from `origin`."""
        origin = origin if name is not None else self._loaded.origin("model")
        loaded = self._loaded
        return choose_model(
            loaded.config, self._secrets.environ, loaded.profiles, name=name, origin=origin
        )

    async def make(
        self, name: str | None, origin: str = "--model", *, change: Change | None = None
    ) -> tuple[ModelChoice, ModelAdapter]:
        """Return a choice and its adapter. Raises ConfigError, also for one whose price is not
        known while money is limited. `change`: makes other settings of those that were found, and
        no price is needed then."""
        choice = self.choose(name, origin)
        settings = self.settings(choice, base=self.base(name, choice))
        if change is not None:
            settings = change(settings)
        try:
            module = await self._loader.load(module_of(choice.adapter))
        except ImportError as error:
            raise not_loaded(choice.adapter, error) from None
        adapter = made_by(choice.adapter, module, settings)
        self.made.append(adapter)
        profile = settings.profile or choice.profile
        answer = settings.max_output_tokens or profile.max_output_tokens
        self._windows[adapter.origin] = Window(tokens=profile.context_window, answer=answer)
        prepare: Callable[[], None] | None = getattr(adapter, "prepare", None)
        if prepare is not None:
            await self._loader.call(prepare)
        if change is None and self._loaded.config.limits.max_cost is not None:
            await self._check_price(adapter.origin)
        self.choice = choice
        return choice, adapter

    def window(self, origin: Origin) -> Window:
        """Return what a model takes that was made before."""
        return self._windows.get(origin, Window())

    async def _check_price(self, origin: Origin) -> None:
        """Raise ConfigError for a limit of money that could not be kept."""
        await self.prices.ready(origin)
        if self.prices.cost(origin, Usage(input_tokens=1, output_tokens=1)) is None:
            who = clean_line(f"{origin.provider}:{origin.model}", 120)
            raise ConfigError(
                f"max_cost cannot be kept: the price of {who} is not known; say it in its "
                "[models.x] table as price = { input = 1.0, output = 2.0 } (US dollars for a "
                "million tokens)"
            )

    def _own_prices(self) -> dict[tuple[str, str], Price]:
        """Return the prices that the config states, by provider and model."""
        stated = stated_prices(self._loaded.config, self._loaded.profiles)
        return {key: Price(**price.model_dump()) for key, price in stated.items()}

    def base(self, name: str | None, choice: ModelChoice) -> Path:
        """Return the folder that a choice's paths start from: that of the file that says them."""
        loaded = self._loaded
        from_file = name is None and ("model",) not in loaded.origins
        return loaded.folder if from_file or choice.name in loaded.config.models else Path()

    def settings(self, choice: ModelChoice, *, base: Path) -> AdapterSettings:
        """Return an adapter's settings with every reference resolved. Raises ConfigError, also
        for a script or recording that is not there."""
        config, loaded = choice.settings, self._loaded
        declared = choice.name in loaded.config.models
        path = None if config.path is None else base / Path(config.path).expanduser()
        if path is not None and not path.is_file():
            at = loaded.at("models", choice.name, "path") if declared else f"model {choice.name}"
            raise ConfigError(f"{clean_line(at)}: there is no file {path}; check the path")

        def value(key: str, text: str) -> str:
            at = loaded.at("models", choice.name, key) if declared else f"--model {choice.name}"
            return self._secrets.resolve(text, base, at)

        base_url = None if config.base_url is None else value("base_url", config.base_url)
        profile = choice.profile
        if base_url != config.base_url and config.provider is None:  # its host is known only now
            profile = loaded.profiles.find(base_url or "", config.model or "", profile.adapter)
        return AdapterSettings(
            provider=choice.provider,
            model=config.model or choice.name,
            base_url=base_url,
            api_key=None if config.api_key is None else value("api_key", config.api_key),
            path=path,
            timeout=config.timeout,
            answer_timeout=config.answer_timeout,
            effort=self._effort(choice),
            profile=profile,
            headers={name: value("headers", text) for name, text in config.headers.items()},
            max_output_tokens=config.max_output_tokens,
        )

    def _effort(self, choice: ModelChoice) -> str | None:
        """How much a model should think: what was asked for this run, where it means something
        to that model, else what its table says."""
        asked = self.effort
        if asked is None or effort_problem(asked, choice.profile, choice.settings.model):
            return choice.settings.effort
        return asked


class Fallbacks:
    """Implements `ports.Fallback`: the models that stand by for another, as its table says.

    One that cannot be made (no key, no such model), or whose price is not known while money is
    limited, is passed over; `tell` is told why.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._left: list[str] = []
        self._origin = ""
        self.tell: Callable[[str], None] = lambda _text: None
        self.follow(models.choice)

    def follow(self, choice: ModelChoice) -> None:
        """Stand by for another model from here on."""
        self._left = list(choice.settings.fallback)
        self._origin = f"fallback of {choice.name}"

    @property
    def waiting(self) -> bool:
        """True while there may be another model."""
        return bool(self._left)

    async def next(self) -> ModelAdapter | None:
        """Return the next model that can be made, or None; see `ports.Fallback`."""
        while self._left:
            try:
                _, adapter = await self._models.make(self._left.pop(0), origin=self._origin)
            except ConfigError as error:
                self.tell(str(error))
                continue
            return adapter
        return None


@asynccontextmanager
async def open_model(
    loaded: Loaded,
    environ: Mapping[str, str],
    name: str | None = None,
    *,
    change: Change | None = None,
    redactor: Redactor | None = None,
) -> AsyncIterator[tuple[ModelChoice, ModelAdapter]]:
    """Make one model's adapter, by default the config's; leaving closes it. Raises ConfigError.

    `change` makes other settings of those that were found: the same endpoint with another key, or
    another model's name. `redactor` is told the values of the secrets that the adapter gets.
    """
    loader = Loader()
    models = Models(loaded, Secrets(environ, redactor), loader)
    try:
        yield await models.make(name, change=change)
    finally:
        for adapter in models.made:
            await adapter.aclose()
        loader.close()
