"""What is remembered of a login: one record for each server.

Theory of operation: everything that a later process needs to refresh the token without asking
anybody (endpoints, the client's identity, the key that tokens are bound to) is in the record, so a
restart costs no discovery. Tokens belong to one issuer and one resource, which the record names.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from pydantic import TypeAdapter, ValidationError

LEEWAY = 60.0
"""Seconds before its end at which a token is renewed; a tenth of its life if that is less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token. `expires_at`, `issued_at`: seconds of the Unix clock; None: not told.
    `scope`: what was granted."""

    access: str = field(repr=False)
    kind: Literal["Bearer", "DPoP"] = "Bearer"
    refresh: str = field(default="", repr=False)
    scope: str = ""
    issued_at: float = 0.0
    expires_at: float | None = None

    def expired(self, now: float) -> bool:
        """Whether the server will not take it any more."""
        return self.expires_at is not None and now >= self.expires_at

    def seconds_left(self, now: float) -> float | None:
        """Seconds until its end; None if nobody said when that is."""
        return None if self.expires_at is None else max(0.0, self.expires_at - now)

    def ending(self, now: float) -> bool:
        """Whether it is time for the next one."""
        if self.expires_at is None:
            return False
        return now >= self.expires_at - min(LEEWAY, (self.expires_at - self.issued_at) / 10)


Method = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who the host is to an authorization server. `source`: `configured`, a metadata `document`, or
    `registered` by itself; the rest is of a registration. `scope`: what it is for, empty: all."""

    id: str
    secret: str = field(default="", repr=False)
    method: Method = "none"
    source: Literal["configured", "document", "registered"] = "registered"
    redirect_uri: str = ""
    scope: str = ""
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """What is used of an authorization server's metadata (RFC 8414). `documented`: it publishes
    any; else the endpoints are the defaults of MCP 2025-03-26. `scopes`: None if not told."""

    issuer: str
    token_endpoint: str
    authorization_endpoint: str = ""
    registration_endpoint: str = ""
    revocation_endpoint: str = ""
    auth_methods: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    pkce: tuple[str, ...] = ()
    client_documents: bool = False
    iss_parameter: bool = False
    documented: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A server's login. `resource`: what the tokens are for (RFC 8707), `send_resource`: whether
    the authorization server is told. `asked`: the scopes that were asked for. `key`: the private
    key (PEM) that tokens are bound to (RFC 9449), or empty."""

    server: AuthorizationServer
    resource: str
    send_resource: bool = True
    client: Client | None = None
    token: Token | None = None
    asked: str = ""
    key: str = field(default="", repr=False)

    def secrets(self) -> tuple[str, ...]:
        """What of it nobody else may see."""
        token = self.token
        held = () if token is None else (token.access, token.refresh)
        client = () if self.client is None else (self.client.secret,)
        return tuple(text for text in (*held, *client, self.key) if text)


@cache
def _adapter() -> TypeAdapter[Login]:
    return TypeAdapter(Login)


def encode(login: Login) -> str:
    """Return the record as JSON."""
    return _adapter().dump_json(login).decode()


def decode(text: str | bytes) -> Login | None:
    """Return the record of `text`, or None if it is none."""
    try:
        return _adapter().validate_json(text)
    except (ValidationError, RecursionError):
        return None
