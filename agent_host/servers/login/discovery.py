"""Which authorization server a server belongs to, and what for.

Theory of operation: the server's protected resource metadata (RFC 9728) names the authorization
server, whose own metadata (RFC 8414, or OpenID Connect's) names its endpoints. A server without
either is one of MCP 2025-03-26: it is its own authorization server, at the usual paths. Each
document must say that it is about who was asked for; only then is anything of it used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, ValidationError

from agent_host.core.text import clean_line
from agent_host.servers.login.challenge import Challenge
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.record import AuthorizationServer
from agent_host.servers.login.resource import resource_of
from agent_host.servers.login.sdk import (
    OAuthFlowError,
    OAuthMetadata,
    ProtectedResourceMetadata,
    build_oauth_authorization_server_metadata_discovery_urls,
    build_protected_resource_metadata_discovery_urls,
    check_resource_allowed,
    issuers_match,
    validate_metadata_issuer,
)
from agent_host.servers.login.wire import Answer, Wire

FIRST_WITH_RESOURCE = "2025-06-18"
"""The first version of MCP whose authorization servers know the `resource` parameter."""
PAGE = "the server's resource metadata"
METADATA = "the authorization server's metadata"


class _Metadata(OAuthMetadata):
    """As RFC 8414 has it: one without interactive logins has no authorization endpoint."""

    authorization_endpoint: AnyHttpUrl | None = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What was found. `scopes`: those that the resource names, None if it names none."""

    server: AuthorizationServer
    resource: str
    send_resource: bool
    scopes: tuple[str, ...] | None = None


async def discover(
    wire: Wire,
    url: str,
    challenge: Challenge,
    *,
    issuer: str = "",
    asks_server: bool = True,
    protocol: str = "",
) -> Place:
    """Find the authorization server of the server at `url`.

    `issuer`: the only one that is believed; with `asks_server` false, the server's word about it
    is not asked for. `protocol`: the MCP version that the request was made with. Raises
    LoginFailedError.
    """
    resource = resource_of(url)
    page = await resource_page(wire, resource, challenge)
    if page is None:
        found = await _metadata(wire, resource, issuer)
        return Place(
            server=found,
            resource=resource,
            send_resource=bool(issuer) or protocol >= FIRST_WITH_RESOURCE,
        )
    named = str(page.resource)
    if not check_resource_allowed(requested_resource=resource, configured_resource=named):
        raise LoginFailedError(
            f"the server's metadata is about another resource: {clean_line(named, 120)}, "
            f"and this is {clean_line(resource, 120)}"
        )
    servers = [str(one) for one in page.authorization_servers]
    chosen = _chosen(servers, issuer, strict=asks_server)
    scopes = None if page.scopes_supported is None else tuple(page.scopes_supported)
    return Place(
        server=await _metadata(wire, resource, chosen),
        resource=named,
        send_resource=True,
        scopes=scopes,
    )


def _chosen(servers: Sequence[str], issuer: str, *, strict: bool) -> str:
    if not issuer:
        return servers[0]
    same = next((one for one in servers if issuers_match(one, issuer)), None)
    if same is None and strict:
        raise LoginFailedError(
            f"the server belongs to the authorization server {clean_line(servers[0], 120)}, and "
            f"auth.issuer in servers.toml is {clean_line(issuer, 120)}; nothing was sent to either"
        )
    return same or issuer


async def resource_page(
    wire: Wire, resource: str, challenge: Challenge
) -> ProtectedResourceMetadata | None:
    """Return the metadata that a server publishes about itself, or None. Raises
    LoginFailedError."""
    failed = 0
    for url in build_protected_resource_metadata_discovery_urls(
        challenge.resource_metadata or None, resource
    ):
        answer = await wire.get(url, PAGE)
        if answer.status == 200:
            try:
                return ProtectedResourceMetadata.model_validate_json(answer.body)
            except (ValidationError, RecursionError):
                continue
        if answer.status >= 500 or answer.status == 429:
            failed = answer.status
    if failed:
        # An error says nothing of whether there is such a page, so it must not lead to the
        # defaults of the version that had none.
        raise LoginFailedError(f"{PAGE} cannot be read now: HTTP {failed}")
    return None


async def _metadata(wire: Wire, resource: str, issuer: str) -> AuthorizationServer:
    """The metadata of `issuer`, or, without one, of the resource's own origin."""
    expected = issuer or _origin(resource)
    for url in build_oauth_authorization_server_metadata_discovery_urls(issuer or None, resource):
        answer = await wire.get(url, METADATA)
        if answer.status >= 500 or answer.status == 429:
            raise LoginFailedError(
                f"{METADATA} {answer.url} cannot be read now: HTTP {answer.status}"
            )
        parsed = _parsed(answer)
        if parsed is None:
            continue
        told = str(parsed.issuer)
        if not issuer and issuers_match(told, expected):
            expected = told
        try:
            validate_metadata_issuer(parsed, expected)
        except OAuthFlowError:
            raise LoginFailedError(
                f"{METADATA} at {answer.url} is of another issuer: {clean_line(told, 120)} instead "
                f"of {clean_line(expected, 120)}"
            ) from None
        return _server(parsed)
    if issuer:
        raise LoginFailedError(
            f"the authorization server {clean_line(issuer, 160)} has no metadata"
        )
    return AuthorizationServer(
        issuer=expected,
        token_endpoint=f"{expected}/token",
        authorization_endpoint=f"{expected}/authorize",
        registration_endpoint=f"{expected}/register",
        documented=False,
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _parsed(answer: Answer) -> _Metadata | None:
    if answer.status != 200:
        return None
    try:
        return _Metadata.model_validate_json(answer.body)
    except (ValidationError, RecursionError):
        return None


def _server(metadata: _Metadata) -> AuthorizationServer:
    def text(url: Any) -> str:
        return "" if url is None else str(url)

    scopes = metadata.scopes_supported
    return AuthorizationServer(
        issuer=str(metadata.issuer),
        token_endpoint=str(metadata.token_endpoint),
        authorization_endpoint=text(metadata.authorization_endpoint),
        registration_endpoint=text(metadata.registration_endpoint),
        revocation_endpoint=text(metadata.revocation_endpoint),
        auth_methods=tuple(metadata.token_endpoint_auth_methods_supported or ()),
        scopes=None if scopes is None else tuple(scopes),
        pkce=tuple(metadata.code_challenge_methods_supported or ()),
        client_documents=bool(metadata.client_id_metadata_document_supported),
        iss_parameter=bool(metadata.authorization_response_iss_parameter_supported),
    )
