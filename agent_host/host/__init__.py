"""The composition root: a config becomes a session. The only room that knows every other.

Theory of operation: `session` opens a session with everything that belongs to it, `servers` starts
what the config names, `models` makes adapters and keeps the ones that stand by, `secrets` resolves
references at the last moment and has their values redacted from the transcript and from what is
shown. Everything that the rest of the house must not reach for by itself (clock, ids, environment,
processes) is handed in here.
Public names load on first use (PEP 562): a command that starts nothing needs some of these files,
and neither an event loop nor an SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_host.host.identity import user_name
    from agent_host.host.known import LOCK_FILE
    from agent_host.host.models import open_model
    from agent_host.host.policy import make_policy
    from agent_host.host.servers import open_pool, server_specs
    from agent_host.host.session import (
        HostSession,
        SessionOptions,
        open_session,
    )

_PUBLIC = {
    "LOCK_FILE": "agent_host.host.known",
    "HostSession": "agent_host.host.session",
    "SessionOptions": "agent_host.host.session",
    "make_policy": "agent_host.host.policy",
    "open_model": "agent_host.host.models",
    "open_pool": "agent_host.host.servers",
    "open_session": "agent_host.host.session",
    "server_specs": "agent_host.host.servers",
    "user_name": "agent_host.host.identity",
}

__all__ = [
    "LOCK_FILE",
    "HostSession",
    "SessionOptions",
    "make_policy",
    "open_model",
    "open_pool",
    "open_session",
    "server_specs",
    "user_name",
]


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
