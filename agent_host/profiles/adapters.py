"""The names of the adapters that there are, for whoever checks a config.

Theory of operation: config must know which names are right, and may not know the modules behind
them (`models.registry` does). A package brings an adapter with an entry point of the group
`GROUP`: its name is the adapter's, its value the module. The installed packages are looked
through, which takes some milliseconds, only for a name that is not built in.
"""

from functools import cache
from importlib.metadata import entry_points

GROUP = "agent_host.models"
"""The group of entry points."""

WIRES = {"anthropic": "anthropic", "openai-chat": "openai", "openai-responses": "openai"}
"""Those that speak to a provider, and to whom if nothing else is said."""

WITHOUT_PROVIDER = ("offline", "replay", "script")
"""Those that are no AI and reach nobody."""

BUILT_IN = (*WIRES, *WITHOUT_PROVIDER)


@cache
def plugins() -> dict[str, str]:
    """Return the adapters that installed packages bring: name -> module."""
    return {
        point.name: point.module
        for point in entry_points(group=GROUP)
        if point.name not in BUILT_IN
    }


def known_adapters() -> tuple[str, ...]:
    """Return every adapter's name, the built-in ones first."""
    return (*BUILT_IN, *sorted(plugins()))


def is_adapter(name: str) -> bool:
    """Return whether there is an adapter of that name."""
    return name in BUILT_IN or name in plugins()
