"""For whom a request to a server is made.

Theory of operation: the connection sets the principal in the context of each request that a call
makes, so that whatever sends it (an HTTP client, a login) can tell whose it is, although many
users' calls share one connection.
"""

import re
from contextvars import ContextVar
from typing import Any
from urllib.parse import quote

from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Principal
from agent_host.servers.spec import UserSpec

principal: ContextVar[Principal | None] = ContextVar("principal", default=None)
"""Whom the request at hand is for; None: the host itself."""


def user_meta(user: UserSpec, who: Principal | None) -> JsonObject:
    """What `_meta` of a request says about the user, as the config wants it."""
    if not user.meta or who is None:
        return {}
    issuer = (who.claims or {}).get("iss")
    said = issuer if isinstance(issuer, str) else who.authenticated_by
    return {user.meta: {"id": who.id, "issuer": said, "roles": list(who.roles)}}


class UserUnknownError(ValueError):
    """The user lacks what a header's template names; the text is clean and for people. The call
    must not be made: a server that is not told for whom would act for somebody else."""


def user_headers(user: UserSpec, who: Principal | None) -> dict[str, str]:
    """The headers that tell a server for whom a request is made. Raises UserUnknownError.

    What is not printable ASCII is percent-encoded as UTF-8 (RFC 3986), so that no value can end
    a header or begin another.
    """
    if not user.headers:
        return {}
    if who is None:
        raise UserUnknownError("the server wants to know the user, and there is none")
    return {name: _filled(name, template, who) for name, template in user.headers.items()}


def _filled(header: str, template: str, who: Principal) -> str:
    def value(match: re.Match[str]) -> str:
        found = _named(match[1], who)
        if isinstance(found, bool) or not isinstance(found, str | int | float) or found == "":
            raise UserUnknownError(
                f"the user has no {clean_line(match[1], 80)}, which forward_user.headers."
                f"{clean_line(header, 80)} names"
            )
        return quote(str(found), safe=_SAFE)

    return _PLACE.sub(value, template)


def _named(name: str, who: Principal) -> Any:
    if name == "user.id":
        return who.id
    if name == "user.issuer":
        return who.authenticated_by
    claims: JsonObject = who.claims or {}
    return claims.get(name.removeprefix("user.claims."))


_PLACE = re.compile(r"\{([^{}]*)\}")
_SAFE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
