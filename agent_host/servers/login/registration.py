"""Becoming a client of an authorization server.

Theory of operation: what the config names is used as it is; else a client-id metadata document
where the server takes one; else a registration, which is kept with the login and used again for as
long as it is for this issuer, redirect address and scopes, and not expired. Credentials never go to
another issuer than the one that they are of.
Sources: RFC 7591; draft-ietf-oauth-client-id-metadata-document; MCP SEP-837, 991, 2352.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast, get_args

from pydantic import AnyUrl, ValidationError

from agent_host.servers.login.endpoint import refusal
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.record import AuthorizationServer, Client, Login, Method
from agent_host.servers.login.scopes import lacking
from agent_host.servers.login.sdk import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthRegistrationError,
    check_registration_usable,
    issuers_match,
)
from agent_host.servers.login.wire import Answer, Wire
from agent_host.servers.spec import AuthSpec

WHAT = "the registration endpoint"
NAME = "agent-host"


def configured(auth: AuthSpec, server: AuthorizationServer) -> Client | None:
    """Return the client that the config names, or None."""
    if not auth.client_id:
        return None
    if auth.private_key:
        method: Method = "private_key_jwt"
    elif auth.client_secret:
        method = secret_method(server)
    else:
        method = "none"
    return Client(id=auth.client_id, secret=auth.client_secret, method=method, source="configured")


def secret_method(server: AuthorizationServer) -> Method:
    """How a secret is sent: Basic, which each server must take, unless it says otherwise."""
    takes = server.auth_methods
    only_post = "client_secret_post" in takes and "client_secret_basic" not in takes
    return "client_secret_post" if only_post else "client_secret_basic"


def is_bound_to(auth: AuthSpec, before: Login | None, server: AuthorizationServer) -> bool:
    """Whether the config's credentials may go to `server`: to the issuer that it names, or, if it
    names none, to the one that they went to first."""
    if auth.issuer or before is None or not (auth.client_id or auth.assertion):
        return True
    return issuers_match(before.server.issuer, server.issuer)


def reusable(
    before: Login | None, server: AuthorizationServer, now: float, scope: str
) -> Client | None:
    """Return the registration of `before` if it holds for `server`, and for `scope`: some servers
    grant a client nothing else than what it was registered with."""
    if before is None or before.client is None or before.client.source != "registered":
        return None
    if not issuers_match(before.server.issuer, server.issuer):
        return None
    if before.client.scope and lacking(before.client.scope, scope):
        return None
    ends = before.client.expires_at
    return None if ends is not None and now >= ends else before.client


def document(auth: AuthSpec, server: AuthorizationServer) -> Client | None:
    """Return the client of the config's metadata document, if the server takes such."""
    if not auth.client_metadata_url or not server.client_documents:
        return None
    return Client(id=auth.client_metadata_url, source="document")


async def register(
    wire: Wire, server: AuthorizationServer, redirect_uri: str, scope: str
) -> Client:
    """Register a client. Raises LoginFailedError."""
    if not server.registration_endpoint:
        raise LoginFailedError(
            f"the authorization server {server.issuer} registers no clients by itself; register "
            "one there and set auth.client_id in servers.toml"
        )
    try:
        return await _register(wire, server, redirect_uri, scope)
    except LoginFailedError as error:
        # Some know only their own scopes here, and those of a resource when they are asked for.
        if error.code != "invalid_client_metadata" or not scope:
            raise
    return await _register(wire, server, redirect_uri, "")


async def _register(
    wire: Wire, server: AuthorizationServer, redirect_uri: str, scope: str
) -> Client:
    method = _wish(server)
    wish = OAuthClientMetadata(
        client_name=NAME,
        redirect_uris=[AnyUrl(redirect_uri)],
        token_endpoint_auth_method=method,
        scope=scope or None,
        application_type="native",
    )
    answer = await wire.post(
        server.registration_endpoint,
        WHAT,
        body=wish.model_dump_json(by_alias=True, exclude_none=True).encode(),
        headers={"Content-Type": "application/json"},
    )
    if answer.status not in (200, 201):
        raise refusal(answer, WHAT, {})
    return replace(_registered(answer, method, redirect_uri), scope=scope)


def _wish(server: AuthorizationServer) -> Method:
    """The least that the server takes: a program on a person's machine keeps no secret. A secret
    goes into the form, because servers differ in what they want beside one in a header."""
    known: tuple[Method, ...] = ("none", "client_secret_post", "client_secret_basic")
    return next((one for one in known if one in server.auth_methods), "none")


def _registered(answer: Answer, wished: Method, redirect_uri: str) -> Client:
    told: Mapping[str, object] | None = answer.json_object()
    if told is None:
        raise LoginFailedError(f"{WHAT} {answer.url} did not answer with JSON")
    try:
        info = OAuthClientInformationFull.model_validate(
            {key: value for key, value in told.items() if key != "issuer"}
        )
        check_registration_usable(info)
    except (ValidationError, OAuthRegistrationError):
        raise LoginFailedError(
            f"{WHAT} {answer.url} answered with a client that cannot be used"
        ) from None
    told_method = info.token_endpoint_auth_method
    method = cast("Method", told_method) if told_method in get_args(Method) else wished
    if method != "none" and not info.client_secret:
        method = "none"
    ends = info.client_secret_expires_at
    return Client(
        id=info.client_id,
        secret=info.client_secret or "",
        method=method,
        redirect_uri=redirect_uri,
        expires_at=float(ends) if ends and info.client_secret else None,
    )
