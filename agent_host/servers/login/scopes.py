"""Which scopes are asked for: the least that does.

Theory of operation: what the config says; else what the server says it wants for this request;
else what its metadata names; else nothing at all. The authorization server's own list is never
asked for whole: it is a catalogue, not a wish. `offline_access` is added where the authorization
server knows it, because it is what a refresh token costs. A server that wants more rights later
gets them added to what was granted.

Source: MCP authorization, "Scope Selection Strategy"; SEP-2207, SEP-2350.
"""

from agent_host.servers.login.challenge import Challenge
from agent_host.servers.login.discovery import Place
from agent_host.servers.login.record import Login
from agent_host.servers.login.sdk import union_scopes

OFFLINE = "offline_access"


def wanted(
    place: Place,
    challenge: Challenge,
    *,
    configured: tuple[str, ...] = (),
    extra: tuple[str, ...] = (),
    before: Login | None = None,
    offline: bool = False,
) -> str:
    """Return the scopes to ask for, separated by spaces; empty: none. `before`: a login whose
    rights are kept; `offline`: a refresh token is of use."""
    base = " ".join(configured) or challenge.scope or " ".join(place.scopes or ())
    if before is not None:
        granted = before.token.scope if before.token is not None else ""
        base = union_scopes(union_scopes(before.asked, granted), challenge.scope) or base
    base = union_scopes(base, " ".join(extra)) or ""
    if offline and base and OFFLINE in (place.server.scopes or ()):
        base = union_scopes(base, OFFLINE) or ""
    return base


def lacking(granted: str, wanted_scope: str) -> str:
    """Return the scopes of `wanted_scope` that `granted` does not hold."""
    have = set(granted.split())
    return " ".join(one for one in wanted_scope.split() if one not in have)
