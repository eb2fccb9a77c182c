"""The token of the user that a call is made for: exchanged, one a user, over one connection.

Theory of operation: a request that is made for a principal carries a token of that principal: their
ID token is exchanged at the server's own authorization server for one that is meant for the server
(RFC 8693), and kept in memory until shortly before it ends. Tokens are kept by who the user is, so
two users over one connection never get each other's, and a user without a token gets none of the
host's either: the call fails. What the connection does for itself (the handshake, the lists) goes
the usual way. A token that the server refuses is exchanged once more.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from agent_host.core.text import clean_line
from agent_host.core.types import Principal
from agent_host.servers.login.addresses import Reach, Resolve, origin, resolve
from agent_host.servers.login.challenge import Challenge
from agent_host.servers.login.discovery import Place, discover
from agent_host.servers.login.endpoint import Endpoint
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.machine_grants import EXCHANGE, OF_USER
from agent_host.servers.login.record import Client, Token
from agent_host.servers.login.registration import configured
from agent_host.servers.login.wire import Wire
from agent_host.servers.spec import AuthSpec, HttpSpec
from agent_host.servers.user import principal

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # a kind of token
MAX_USERS = 1000
"""Users whose tokens are kept; those of the longest ago go first."""


class UserTokens(httpx2.AsyncBaseTransport):
    """Sends what is done for a user with a token of that user, through `inner`; everything else
    through `usual`. `resolver` and `now` (seconds since the epoch) as for LoginTransport."""

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        usual: httpx2.AsyncBaseTransport,
        spec: HttpSpec,
        *,
        now: Callable[[], float] = time.time,
        resolver: Resolve = resolve,
    ) -> None:
        self._inner = inner
        self._usual = usual
        self._spec = spec
        self._auth = spec.auth or AuthSpec(type="oauth", store=Path())
        self._origin = origin(httpx2.URL(spec.url))
        self._now = now
        proxy = getattr(inner, "proxy", None)
        more = {} if proxy is None else {"proxy": proxy}
        reach = Reach(httpx2.URL(spec.url), (self._auth.issuer,), resolver=resolver, **more)
        self._wire = Wire(inner, reach)
        self._place: Place | None = None
        self._tokens: dict[tuple[str, str], Token] = {}
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2. Raises LoginFailedError."""
        who = principal.get()
        if who is None or request.method != "POST" or origin(request.url) != self._origin:
            return await self._usual.handle_async_request(request)
        await request.aread()
        token = await self._token(who, refused="")
        response = await self._send(request, token)
        if response.status_code != 401:
            return response
        await response.aclose()
        return await self._send(request, await self._token(who, refused=token.access))

    async def _send(self, request: httpx2.Request, token: Token) -> httpx2.Response:
        signed = httpx2.Request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            extensions=request.extensions,
        )
        signed.headers["Authorization"] = f"{token.kind} {token.access}"
        return await self._inner.handle_async_request(signed)

    async def _token(self, who: Principal, *, refused: str) -> Token:
        """The user's token: the one that is kept, unless it ends or was `refused`."""
        key = (who.authenticated_by, who.id)
        async with self._turns.setdefault(key, asyncio.Lock()):
            kept = self._tokens.pop(key, None)
            if kept is None or kept.access == refused or kept.ending(self._now()):
                kept = await self._exchanged(who)
            self._tokens[key] = kept  # the newest last
        while len(self._tokens) > MAX_USERS:
            oldest = next(iter(self._tokens))
            del self._tokens[oldest]
            self._turns.pop(oldest, None)
        return kept

    async def _exchanged(self, who: Principal) -> Token:
        subject = self._spec.user.subject
        text = subject(who) if subject is not None else ""
        if not text:
            raise LoginFailedError(
                f"{clean_line(who.id, 80)} has no ID token to exchange; set token, issuer and "
                "audience in [identity] of servers.toml"
            )
        place = self._place = self._place or await self._found()
        client = configured(self._auth, place.server)
        endpoint = Endpoint(
            wire=self._wire,
            server=place.server,
            client=client or Client(id="", source="configured"),
            auth=self._auth,
            now=self._now,
        )
        fields = {
            "grant_type": EXCHANGE,
            "subject_token": text,
            "subject_token_type": OF_USER,
            "requested_token_type": ACCESS_TOKEN,
            "resource": place.resource,
        }
        if self._spec.user.audience:
            fields["audience"] = self._spec.user.audience
        if scope := " ".join(self._auth.scopes):
            fields["scope"] = scope
        token = await endpoint.token(fields, scope)
        if self._auth.keep_secret is not None:
            self._auth.keep_secret(token.access)
        return token

    async def _found(self) -> Place:
        return await discover(
            self._wire, self._spec.url, Challenge(), issuer=self._auth.issuer, protocol="2025-06-18"
        )

    async def aclose(self) -> None:
        """See httpx2."""
        await self._usual.aclose()
