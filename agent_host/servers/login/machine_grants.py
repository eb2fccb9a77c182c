"""Tokens that need nobody at a screen.

Theory of operation: each grant is what is sent to the token endpoint. `client-credentials` proves
the host's own identity. `workload` presents a token of the platform (RFC 7523; MCP SEP-1933).
`enterprise` first has the company's identity provider exchange the user's ID token for one that is
meant for the authorization server (RFC 8693), and presents that (ID-JAG; MCP SEP-990). An assertion
is read anew for each try, and no grant ever falls back on another.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from agent_host.servers.login import registration
from agent_host.servers.login.discovery import Place
from agent_host.servers.login.endpoint import refusal
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.record import Client
from agent_host.servers.login.wire import Wire
from agent_host.servers.spec import AuthSpec

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
OF_USER = "urn:ietf:params:oauth:token-type:id_token"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
PROVIDER = "the identity provider"


def client_of(auth: AuthSpec, place: Place) -> Client:
    """Return who the host is. Raises LoginFailedError."""
    client = registration.configured(auth, place.server)
    if client is None and auth.type == "workload":
        return Client(id="", source="configured")
    if client is None:
        raise LoginFailedError(f"auth.client_id is missing in servers.toml for {auth.type}")
    if auth.type == "client-credentials" and client.method == "none":
        raise LoginFailedError(
            "client-credentials needs auth.client_secret or auth.private_key in servers.toml"
        )
    return client


async def form(wire: Wire, auth: AuthSpec, place: Place, scope: str) -> dict[str, str]:
    """Return the fields of the token request. Raises LoginFailedError."""
    fields = {"grant_type": "client_credentials"}
    if auth.type == "workload":
        fields = {"grant_type": JWT_BEARER, "assertion": await _assertion(auth.assertion)}
    elif auth.type == "enterprise":
        fields = {"grant_type": JWT_BEARER, "assertion": await _id_jag(wire, auth, place, scope)}
    if place.send_resource:
        fields["resource"] = place.resource
    return fields | ({"scope": scope} if scope else {})


async def _assertion(read: Callable[[], str] | None) -> str:
    if read is None:
        raise LoginFailedError("auth.assertion is missing in servers.toml")
    try:
        text = (await asyncio.to_thread(read)).strip()
    except Exception as error:  # noqa: BLE001 - a reference of the config: its errors say what to do
        raise LoginFailedError(f"auth.assertion cannot be read: {error}") from None
    if not text:
        raise LoginFailedError("auth.assertion is empty")
    return text


async def _id_jag(wire: Wire, auth: AuthSpec, place: Place, scope: str) -> str:
    """Exchange the user's ID token for one that the authorization server takes."""
    if not auth.idp_token_url:
        raise LoginFailedError("auth.idp_token_url is missing in servers.toml")
    fields = {
        "grant_type": EXCHANGE,
        "requested_token_type": ID_JAG,
        "audience": place.server.issuer,
        "resource": place.resource,
        "subject_token": await _assertion(auth.assertion),
        "subject_token_type": OF_USER,
    }
    if scope:
        fields["scope"] = scope
    if auth.idp_client_id:
        fields["client_id"] = auth.idp_client_id
    if auth.idp_client_secret:
        fields["client_secret"] = auth.idp_client_secret
    answer = await wire.post(
        auth.idp_token_url,
        PROVIDER,
        body=urlencode(fields).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    if answer.status != 200:
        raise refusal(answer, PROVIDER, fields)
    told: dict[str, Any] = answer.json_object() or {}
    token = told.get("access_token")
    if told.get("issued_token_type") != ID_JAG or not isinstance(token, str) or not token:
        raise LoginFailedError(f"{PROVIDER} {answer.url} did not issue an ID-JAG")
    return token
