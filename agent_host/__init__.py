"""agent-host: the program between a language model and the tools it may use.

Public names load on first use (PEP 562), so that `import agent_host` costs next to nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "AgentHostError": "agent_host.core.errors",
    "Conversation": "agent_host.core.conversation",
    "ExitStatus": "agent_host.core.errors",
    "Session": "agent_host.engine.session",
    "SessionOptions": "agent_host.host",
    "fold": "agent_host.core.conversation",
    "load": "agent_host.config.load",
    "open_pool": "agent_host.host",
    "open_session": "agent_host.host",
}

__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604 - the table is the list


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'agent_host' has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
