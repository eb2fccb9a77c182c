"""Which module speaks which wire: the built-in ones, and those that a package brings.

Theory of operation: an adapter is a module with `create(settings)` that returns a
`ports.ModelAdapter`. This file knows modules by name only and imports none, so an adapter that no
config names costs nothing. A package adds one with an entry point of the group `GROUP`, whose name
is the adapter's and whose value is the module; the installed packages are looked through only for
a name that is not built in, and a built-in name cannot be taken over.
"""

from types import ModuleType

from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.models.settings import AdapterSettings
from agent_host.ports import ModelAdapter
from agent_host.profiles.adapters import GROUP, known_adapters, plugins

MODULES = {
    "anthropic": "agent_host.models.anthropic",
    "offline": "agent_host.models.offline",
    "openai-chat": "agent_host.models.openai_chat",
    "openai-responses": "agent_host.models.openai_responses",
    "replay": "agent_host.models.replay",
    "script": "agent_host.models.script",
}
"""Adapter -> the module whose `create` makes it."""


def module_of(adapter: str) -> str:
    """Return the dotted name of an adapter's module. Raises ConfigError for an unknown one."""
    found = MODULES.get(adapter) or plugins().get(adapter)
    if found is None:
        known = ", ".join(known_adapters())
        raise ConfigError(
            f"there is no adapter {adapter!r}; known: {known}; a package brings another with an "
            f"entry point of the group {GROUP}"
        )
    return found


def made_by(adapter: str, module: ModuleType, settings: AdapterSettings) -> ModelAdapter:
    """Return what an adapter's module makes of settings. Raises ConfigError, also for the module
    of a package that has no `create`."""
    create = getattr(module, "create", None)
    if not callable(create):
        raise ConfigError(f"the adapter {adapter} ({module.__name__}) has no `create`")
    made: ModelAdapter = create(settings)
    return made


def not_loaded(adapter: str, error: ImportError) -> ConfigError:
    """Return what to say of the module of a package that cannot be imported; raise a fault of a
    built-in one again."""
    if adapter in MODULES:
        raise error
    said = clean_line(str(error), 200)
    return ConfigError(
        f"the adapter {adapter} ({module_of(adapter)}) cannot be loaded: {said}; "
        "install its package again"
    )
