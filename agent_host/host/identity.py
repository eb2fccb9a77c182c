"""Who a run acts for: the user of the system, or the verified user of an ID token."""

import getpass
import os
import time
from importlib import import_module
from typing import Any

from agent_host.config.load import Loaded
from agent_host.config.paths import user_data_folder
from agent_host.core.errors import ConfigError
from agent_host.core.types import Principal
from agent_host.host.secrets import Secrets

OIDC = "agent_host.identity"


async def identify(loaded: Loaded, secrets: Secrets) -> Principal:
    """Return who a run acts for, and let `secrets` know the token that says so.

    Raises ConfigError, or the error of the room of identities (AgentHostError) for a token that
    is not believed.
    """
    identity = loaded.config.identity
    if identity.token is None:
        return Principal(id=user_name())

    def value(key: str) -> str:
        text = getattr(identity, key)
        return secrets.resolve(text, loaded.folder, loaded.at("identity", key))

    token = value("token")
    if not token.isascii():
        raise ConfigError(f"{loaded.at('identity', 'token')} is no ID token")
    room: Any = import_module(OIDC)
    verified = await room.verify(
        token,
        issuer=value("issuer"),
        audience=identity.audience or "",
        user_claim=identity.user,
        roles_claim=identity.roles,
        cache=user_data_folder() / "identity",
        now=time.time,
    )
    principal: Principal = verified.principal
    secrets.user_tokens[principal.authenticated_by, principal.id] = verified.token
    return principal


def user_name() -> str:
    """Return the name of this process's user, or its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
