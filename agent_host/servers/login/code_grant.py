"""A login by a person: authorization code with PKCE.

Theory of operation: an address to come back to, a client for it, one URL with a state and a
challenge that are used once, and what the browser came back with: its state is compared in constant
time, and its issuer must be the one that was asked (RFC 9207), before the code is worth anything.
A server that does not say that it checks S256 challenges is refused: a stolen code would be enough.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from agent_host.core.text import clean_line
from agent_host.servers.login import registration
from agent_host.servers.login.addresses import to_url
from agent_host.servers.login.discovery import Place
from agent_host.servers.login.endpoint import Endpoint
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.person import Person, Redirect, Visit
from agent_host.servers.login.record import AuthorizationServer, Client, Login, Token
from agent_host.servers.login.sdk import PKCEParameters
from agent_host.servers.login.wire import Wire
from agent_host.servers.spec import AuthSpec

WHAT = "the authorization endpoint"
# Everything that a shell could take for its own is escaped, although no shell is started.
_SAFE = "/:?#[]@&+,=%-._~"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeGrant:
    """One login of a person. `before`: what is stored."""

    wire: Wire
    auth: AuthSpec
    name: str
    place: Place
    before: Login | None
    now: Callable[[], float]
    prover: Any = None

    async def perform(self, person: Person, scope: str) -> tuple[Client, Token]:
        """Let the person log in. Raises LoginFailedError."""
        server = self.place.server
        _demand_pkce(server)
        endpoint = server.authorization_endpoint
        if not endpoint:
            raise LoginFailedError(f"{server.issuer} has no page where a person could log in")
        self.wire.reach.check(to_url(endpoint, WHAT), WHAT)
        known = registration.configured(self.auth, server) or registration.document(
            self.auth, server
        )
        old = None if known else registration.reusable(self.before, server, self.now(), scope)
        async with person.visit(self._redirect(known, old)) as visit:
            client = known or await self._registered(old, visit, scope)
            return client, await self._visited(visit, client, scope)

    def _redirect(self, known: Client | None, old: Client | None) -> Redirect:
        """A registration is for one address: the same one if it can be had, else a new one. The
        address of a client that somebody registered cannot have a secret path."""
        port = self.auth.redirect_port
        if known is not None:
            return Redirect(server=self.name, port=port, fixed=bool(port))
        if old is not None and old.redirect_uri:
            parts = urlsplit(old.redirect_uri)
            if not port or port == parts.port:
                return Redirect(
                    server=self.name, port=parts.port or 0, path=parts.path, fixed=bool(port)
                )
        path = f"/callback/{secrets.token_urlsafe(12)}"
        return Redirect(server=self.name, port=port, path=path, fixed=bool(port))

    async def _registered(self, old: Client | None, visit: Visit, scope: str) -> Client:
        uri = visit.redirect_uri
        by_name = _by_name(uri)
        if old is not None and old.redirect_uri in (uri, by_name):
            return old
        server = self.place.server
        try:
            return await registration.register(self.wire, server, uri, scope)
        except LoginFailedError as error:
            # RFC 8252 section 8.3 prefers the address; some servers know only the name.
            if error.code != "invalid_redirect_uri" or by_name == uri:
                raise
            return await registration.register(self.wire, server, by_name, scope)

    async def _visited(self, visit: Visit, client: Client, scope: str) -> Token:
        pkce, state = PKCEParameters.generate(), secrets.token_urlsafe(32)
        redirect_uri = client.redirect_uri or visit.redirect_uri
        fields = {
            "response_type": "code",
            "client_id": client.id,
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": pkce.code_challenge,
            "code_challenge_method": "S256",
        }
        resource = {"resource": self.place.resource} if self.place.send_resource else {}
        fields |= resource
        if scope:
            fields["scope"] = scope
        if "offline_access" in scope.split():
            fields["prompt"] = "consent"  # OpenID Connect Core section 11
        server = self.place.server
        returned = await visit.authorize(_with_query(server.authorization_endpoint, fields))
        code = code_of(returned, state, server)
        endpoint = Endpoint(
            wire=self.wire,
            server=server,
            client=client,
            auth=self.auth,
            now=self.now,
            prover=self.prover,
        )
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": pkce.code_verifier,
        }
        return await endpoint.token(form | resource, scope)


def _by_name(uri: str) -> str:
    return uri.replace("//127.0.0.1:", "//localhost:", 1)


def _demand_pkce(server: AuthorizationServer) -> None:
    if server.documented and "S256" not in server.pkce:
        raise LoginFailedError(
            f"the authorization server {server.issuer} does not say that it supports PKCE with "
            "S256, so a login there would not be safe"
        )


def _with_query(endpoint: str, fields: Mapping[str, str]) -> str:
    parts = urlsplit(endpoint)
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in fields]
    query = urlencode([*kept, *fields.items()])
    return quote(urlunsplit(parts._replace(query=query, fragment="")), safe=_SAFE)


def code_of(returned: Mapping[str, str], state: str, server: AuthorizationServer) -> str:
    """Return the code that a browser came back with. Raises LoginFailedError."""
    if not hmac.compare_digest(returned.get("state", "").encode(), state.encode()):
        raise LoginFailedError(
            "the browser came back with another login's state, so it was refused; try again"
        )
    issuer = returned.get("iss")
    if issuer is None and server.iss_parameter:
        raise LoginFailedError(
            f"the login did not say that it came from {server.issuer}, which promises to say so"
        )
    if issuer is not None and issuer != server.issuer:
        raise LoginFailedError(
            f"the login came from {clean_line(issuer, 120)}, and {server.issuer} was asked"
        )
    if error := returned.get("error"):
        described = clean_line(returned.get("error_description", ""), 200)
        text = f"the login was refused: {clean_line(error, 60)}"
        raise LoginFailedError(text + (f" ({described})" if described else ""), code=error[:60])
    if not returned.get("code"):
        raise LoginFailedError("the browser came back without a code; try again")
    return returned["code"]
