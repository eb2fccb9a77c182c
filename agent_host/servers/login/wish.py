"""Why another token is wanted."""

from dataclasses import dataclass
from typing import Literal

from agent_host.servers.login.challenge import Challenge

Need = Literal["ending", "refused", "rights"]
"""The old one ends; the server refused it (401); the server wants more rights (403)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the transport asks for. `used`: the token that was sent, or empty; `fresh`: it had just
    been obtained, so a refresh is pointless; `protocol`: the MCP version of the request, or empty;
    `extra`: scopes to ask for besides."""

    need: Need
    used: str = ""
    challenge: Challenge = Challenge()
    protocol: str = ""
    fresh: bool = False
    extra: tuple[str, ...] = ()
