"""What became of a request that got no answer, as the transport tells those above it.

Theory of operation: the SDK carries only JSON-RPC errors from the transport to the caller, so the
fate of a request travels in an error's data. Its key is made anew by each process: a server that
could say it might have a call sent twice that it has already run.
"""

import os
from typing import Literal

from agent_host.core.types import JsonObject

KEY = f"agentHost-{os.urandom(8).hex()}"

Fate = Literal["not_sent", "no_session", "lost", "needs_login", ""]
"""`not_sent`: the request surely did not run; `no_session`: the same, the session is forgotten;
`lost`: it may have run; `needs_login`: it did not, and only a person can mend that; empty: the
server answered."""


def fated(fate: Fate) -> JsonObject:
    """An error's data that says so."""
    return {KEY: fate}


def fate_of(data: JsonObject) -> Fate:
    """What an error's data says."""
    fate: Fate = data.get(KEY, "")
    return fate
