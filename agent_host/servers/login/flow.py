"""A login from discovery to token, whatever its type.

Imported by `renewal` when a login is under way, since it brings the SDK's half of it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent_host.servers.login import machine_grants, registration, scopes
from agent_host.servers.login.code_grant import CodeGrant
from agent_host.servers.login.discovery import Place, discover
from agent_host.servers.login.endpoint import Endpoint
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.person import Person
from agent_host.servers.login.record import Login
from agent_host.servers.login.sdk import issuers_match
from agent_host.servers.login.wire import Wire
from agent_host.servers.login.wish import Wish
from agent_host.servers.spec import AuthSpec, HttpSpec


async def find(wire: Wire, spec: HttpSpec, auth: AuthSpec, wish: Wish) -> Place:
    """Return where a login goes. Raises LoginFailedError."""
    return await discover(
        wire,
        spec.url,
        wish.challenge,
        issuer=auth.issuer,
        asks_server=auth.type != "enterprise",
        protocol=wish.protocol,
    )


def same_issuer(login: Login, place: Place) -> bool:
    """Whether a login is of the authorization server that was found."""
    return issuers_match(login.server.issuer, place.server.issuer)


def scope(auth: AuthSpec, place: Place, before: Login | None, wish: Wish) -> str:
    """Return the scopes to ask for. Raises LoginFailedError if the config forbids them."""
    person = auth.type == "oauth"
    asked = scopes.wanted(
        place,
        wish.challenge,
        configured=auth.scopes,
        extra=wish.extra,
        before=before if wish.need == "rights" or wish.extra else None,
        offline=person,
    )
    # Nobody is asked here, so what the config allows is the bound.
    if not person and auth.scopes and (more := scopes.lacking(" ".join(auth.scopes), asked)):
        raise LoginFailedError(
            f"the server wants the scope {more}, which auth.scopes in servers.toml does not name"
        )
    return asked


async def obtain(
    *,
    wire: Wire,
    auth: AuthSpec,
    name: str,
    place: Place,
    before: Login | None,
    now: Callable[[], float],
    prover: Any,
    person: Person | None,
    asked: str,
) -> Login:
    """Return a new login. Raises LoginFailedError."""
    if not registration.is_bound_to(auth, before, place.server) and before is not None:
        raise LoginFailedError(
            f"the authorization server changed from {before.server.issuer} to "
            f"{place.server.issuer}, so the credentials of servers.toml were not sent; if that is "
            "right, set auth.issuer"
        )
    if auth.type == "oauth":
        if person is None:
            raise AssertionError("only a person can log in")
        grant = CodeGrant(
            wire=wire, auth=auth, name=name, place=place, before=before, now=now, prover=prover
        )
        client, token = await grant.perform(person, asked)
    else:
        client = machine_grants.client_of(auth, place)
        form = await machine_grants.form(wire, auth, place, asked)
        endpoint = Endpoint(
            wire=wire, server=place.server, client=client, auth=auth, now=now, prover=prover
        )
        token = await endpoint.token(form, asked)
    return Login(
        server=place.server,
        resource=place.resource,
        send_resource=place.send_resource,
        # The config keeps its own secrets.
        client=replace(client, secret="") if client.source == "configured" else client,
        token=token,
        asked=asked,
        key=prover.pem if prover is not None else "",
    )
