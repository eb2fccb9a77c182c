"""The transport that adds tokens: between the MCP transport's client and the network.

Theory of operation: a request to the server's own origin gets the token that is stored; one to any
other origin, where a redirect may lead, gets none. A token that is about to end is renewed first,
and as long as it is valid nobody waits for that twice. An answer that wants another token (401) or
more rights (403) is asked again with what `renewal` obtains, a bounded number of times. So no call
waits for another one, only for a token.
"""

import time
from collections.abc import Callable

import httpx2

from agent_host.servers.login.addresses import Reach, Resolve, origin, resolve
from agent_host.servers.login.challenge import Challenge, challenge_of
from agent_host.servers.login.errors import LoginFailedError, NeedsLoginError
from agent_host.servers.login.person import Person
from agent_host.servers.login.record import Token
from agent_host.servers.login.renewal import Renewal
from agent_host.servers.login.resource import resource_of
from agent_host.servers.login.store import Store
from agent_host.servers.login.wire import Wire
from agent_host.servers.login.wish import Need, Wish
from agent_host.servers.spec import AuthSpec, HttpSpec

MAX_RENEWALS = 3
"""For one request: a refresh, a new login, more rights."""
VERSION = "mcp-protocol-version"


def make_renewal(
    inner: httpx2.AsyncBaseTransport,
    spec: HttpSpec,
    auth: AuthSpec,
    *,
    person: Person | None = None,
    now: Callable[[], float] = time.time,
    resolver: Resolve = resolve,
) -> Renewal:
    """Return what gets tokens for the server of `spec`, with all its requests through `inner`.

    If `inner` has a method `proxy` (URL -> its proxy or empty), addresses are chosen only for what
    no proxy dials.
    """
    url = httpx2.URL(spec.url)
    named = (auth.issuer, auth.idp_token_url)
    proxy = getattr(inner, "proxy", None)
    more = {} if proxy is None else {"proxy": proxy}
    reach = Reach(url, named, resolver=resolver, **more)
    store = Store(auth.store, spec.name, resource_of(spec.url))
    wire = Wire(inner, reach)
    return Renewal(spec=spec, auth=auth, wire=wire, store=store, person=person, now=now)


class LoginTransport(httpx2.AsyncBaseTransport):
    """Logs in, as far as that goes without a person; with one, whole.

    Requests that carry the config's own Authorization header are left alone, if the config names no
    way to log in but a person's. Raises NeedsLoginError and LoginFailedError from a request. See
    `make_renewal` for the parameters.
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        spec: HttpSpec,
        *,
        person: Person | None = None,
        now: Callable[[], float] = time.time,
        resolver: Resolve = resolve,
    ) -> None:
        self._inner = inner
        self._origin = origin(httpx2.URL(spec.url))
        self._spec = spec
        self._now = now
        self._renewal = (
            None
            if spec.auth is None
            else make_renewal(inner, spec, spec.auth, person=person, now=now, resolver=resolver)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        if origin(request.url) != self._origin:
            return await self._inner.handle_async_request(request)
        renewal = self._renewal
        own_header = "authorization" in request.headers
        if renewal is None or (own_header and renewal.auth.type == "oauth"):
            response = await self._inner.handle_async_request(request)
            if response.status_code == 401 and not own_header and self._wants_login(response):
                await response.aclose()
                raise NeedsLoginError(
                    f"{self._spec.name} needs a login; run `agent-host servers login "
                    f"{self._spec.name}`"
                )
            return response
        return await self._with_token(renewal, request)

    def _wants_login(self, response: httpx2.Response) -> bool:
        """Whether a 401 is about a login, rather than about an API key of the config."""
        return bool(challenge_of(response).scheme) or not self._spec.headers

    async def _with_token(self, renewal: Renewal, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        await renewal.recall()
        fresh = False
        for left in range(MAX_RENEWALS, -1, -1):
            token = await self._usable(renewal)
            response = await self._send(renewal, request, token)
            need, challenge = self._need(response)
            if need is None or (need == "refused" and not self._wants_login(response)):
                return response
            await response.aclose()
            if not left:
                break
            used = token.access if token is not None else ""
            wish = Wish(
                need=need,
                used=used,
                challenge=challenge,
                protocol=request.headers.get(VERSION, ""),
                fresh=fresh,
            )
            await renewal.renew(wish)
            fresh = need == "refused"
        raise LoginFailedError(
            f"{self._spec.name} refused a token that had just been issued "
            f"(HTTP {response.status_code})"
        )

    async def _usable(self, renewal: Renewal) -> Token | None:
        token, now = renewal.token, self._now()
        if token is not None and token.ending(now) and (token.expired(now) or not renewal.busy):
            if token.refresh:
                await renewal.renew(Wish(need="ending", used=token.access))
            token = renewal.token
        return None if token is None or token.expired(self._now()) else token

    async def _send(
        self, renewal: Renewal, request: httpx2.Request, token: Token | None
    ) -> httpx2.Response:
        prover = renewal.prover() if token is not None and token.kind == "DPoP" else None
        for again in (True, False):
            signed = httpx2.Request(
                request.method,
                request.url,
                headers=request.headers,
                content=request.content,
                extensions=request.extensions,
            )
            if token is not None:
                signed.headers["Authorization"] = f"{token.kind} {token.access}"
            if prover is not None and token is not None:
                signed.headers["DPoP"] = prover.proof(request.method, request.url, token.access)
            response = await self._inner.handle_async_request(signed)
            if prover is None or not prover.note(request.url, response.headers):
                break
            if response.status_code != 401 or not again:
                break
            if challenge_of(response).error != "use_dpop_nonce":
                break
            await response.aclose()
        return response

    @staticmethod
    def _need(response: httpx2.Response) -> tuple[Need | None, Challenge]:
        challenge = challenge_of(response)
        if response.status_code == 401:
            return "refused", challenge
        if response.status_code == 403 and challenge.error == "insufficient_scope":
            return "rights", challenge
        return None, challenge

    async def aclose(self) -> None:
        """See httpx2."""
        if self._renewal is not None:
            await self._renewal.close()
        await self._inner.aclose()
