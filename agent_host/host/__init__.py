"""The composition root: a config becomes a session. The only room that knows every other.

Theory of operation: `session` opens a session with everything that belongs to it, `servers` starts
what the config names, `models` makes adapters and keeps the ones that stand by, `secrets` resolves
references at the last moment and has their values redacted from the transcript and from what is
shown. Everything that the rest of the house must not reach for by itself (clock, ids, environment,
processes) is handed in here.
"""

from agent_host.host.identity import user_name
from agent_host.host.models import open_model
from agent_host.host.servers import LOCK_FILE, open_pool, server_specs
from agent_host.host.session import (
    HostSession,
    SessionOptions,
    make_policy,
    open_session,
)

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
