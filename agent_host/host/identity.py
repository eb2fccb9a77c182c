"""Who a run acts for, and in which roles: the user of the system, or the verified one of a token.

Theory of operation: the user of the system is who the process runs as, by number: a variable such
as LOGNAME says nothing. Roles are those of the token and those that `[policy.roles]` gives. An id
there is one of the users that its own file is about: those of the issuer that it names, else those
of the operating system; so that nobody gets the roles of another kind of user with the same name.
A group (`group:NAME`) is one of the operating system, and so are its members.
"""

import grp
import os
import pwd
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from agent_host.config.layers import Member, roles_of
from agent_host.config.load import Loaded
from agent_host.config.paths import user_data_folder
from agent_host.core.errors import ConfigError
from agent_host.core.types import Principal
from agent_host.host.secrets import Secrets

OIDC = "agent_host.identity"
SYSTEM = "os"
"""What `Principal.authenticated_by` is for a user of the operating system."""


GROUP = "group:"


async def identify(loaded: Loaded, secrets: Secrets) -> Principal:
    """Return who a run acts for, and let `secrets` know the token that says so.

    Raises ConfigError, or the error of the room of identities (AgentHostError) for a token that
    is not believed.
    """
    return in_roles(loaded, await _user(loaded, secrets))


def in_roles(loaded: Loaded, principal: Principal) -> Principal:
    """Return a user with the roles that the files of policy give them, besides their own."""
    given = [role for role, who in roles_of(loaded.layers) if _is_one(principal, who)]
    roles = tuple(dict.fromkeys((*principal.roles, *given)))
    return replace(principal, roles=roles)


async def _user(loaded: Loaded, secrets: Secrets) -> Principal:
    identity = loaded.config.identity
    if identity.token is None:
        above = loaded.organisation
        if above is not None and above.config.identity is not None:
            raise ConfigError(
                f"{above.source.where('identity')}: users are those of an issuer here, so it takes "
                'an ID token: set token = "${env:NAME}" (or "${file:PATH}") in the table '
                f"[identity] of {loaded.name}"
            )
        return Principal(id=user_name())
    token = secrets.resolve(identity.token, loaded.folder, loaded.at("identity", "token"))
    if not token.isascii():
        raise ConfigError(f"{loaded.at('identity', 'token')} is no ID token")
    principal, kept = await _verified(loaded, secrets, token, time.time)
    secrets.user_tokens[principal.authenticated_by, principal.id] = kept
    return principal


async def vouched(loaded: Loaded, secrets: Secrets, token: str, at: float) -> Principal:
    """Return the user of an ID token that was valid `at` that time (seconds since the epoch), with
    their roles. Raises as `identify`."""
    principal, _ = await _verified(loaded, secrets, token, lambda: at)
    return in_roles(loaded, principal)


async def _verified(
    loaded: Loaded, secrets: Secrets, token: str, now: Callable[[], float]
) -> tuple[Principal, str]:
    identity = loaded.config.identity
    room: Any = import_module(OIDC)
    found = await room.verify(
        token,
        issuer=secrets.resolve(
            identity.issuer or "", loaded.folder, loaded.at("identity", "issuer")
        ),
        audience=identity.audience or "",
        user_claim=identity.user,
        roles_claim=identity.roles,
        cache=user_data_folder() / "identity",
        now=now,
    )
    principal: Principal = found.principal
    return principal, found.token


def user_name() -> str:
    """Return the name of this process's user, or its number where it has none."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid-{number}"


def _is_one(principal: Principal, who: Iterable[Member]) -> bool:
    """Return whether a role's line is about this user."""
    of_system = principal.authenticated_by == SYSTEM
    for member in who:
        if member.name.startswith(GROUP):
            if of_system and member.name.removeprefix(GROUP) in _groups(principal.id):
                return True
        elif member.name == principal.id and member.of_system == of_system:
            return True
    return False


def _groups(name: str) -> Iterator[str]:
    """Yield the names of the groups that a user of the system belongs to."""
    try:
        numbers = os.getgrouplist(name, pwd.getpwnam(name).pw_gid)
    except KeyError:
        numbers = os.getgroups() if name == user_name() else []
    for number in dict.fromkeys(numbers):
        try:
            yield grp.getgrgid(number).gr_name
        except KeyError:
            continue
