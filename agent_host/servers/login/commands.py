"""Logging in and out on purpose.

Theory of operation: a login asks the server without a token, as a session would, to hear what it
wants; gets a token by the way that the config says; and asks again with it, because a token that
the server does not take is no login. Logging out tells the authorization server that the tokens
are over, where it can be told (RFC 7009), and forgets them here in any case.
"""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import httpx2

from agent_host.core.text import clean_line
from agent_host.servers.login.challenge import Challenge, challenge_of
from agent_host.servers.login.discovery import resource_page
from agent_host.servers.login.endpoint import Endpoint
from agent_host.servers.login.errors import LoginFailedError, NeedsLoginError
from agent_host.servers.login.person import Person
from agent_host.servers.login.record import Client, Login
from agent_host.servers.login.renewal import LOCK_SECONDS, Renewal
from agent_host.servers.login.resource import resource_of
from agent_host.servers.login.transport import LoginTransport, make_renewal
from agent_host.servers.login.wish import Wish
from agent_host.servers.spec import AuthSpec, HttpSpec

_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """What a login came to. `needed`: the server wants one; without, nothing was done.
    `expires_in`: seconds, None if not told. `kept`: where the login is kept."""

    needed: bool
    issuer: str = ""
    scope: str = ""
    expires_in: float | None = None
    renews: bool = False
    kept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOut:
    """What a logout came to. `told`: the authorization server was told; `problem`: why not.
    `left`: seconds for which the last token is good all the same, None if nobody knows."""

    was_in: bool
    told: bool = False
    problem: str = ""
    left: float | None = 0.0


async def log_in(
    spec: HttpSpec,
    inner: httpx2.AsyncBaseTransport,
    person: Person | None,
    *,
    scopes: tuple[str, ...] = (),
    now: Callable[[], float] = time.time,
) -> LoggedIn:
    """Log in to the server of `spec`, anew even if somebody is. `inner` is closed.

    Raises NeedsLoginError if it takes a person and there is none, LoginFailedError otherwise.
    """
    auth = _auth(spec)
    try:
        response = await _ask(inner, spec)
        needed = response.status_code == 401
        renewal = make_renewal(inner, spec, auth, person=person, now=now)
        await renewal.recall()
        challenge = challenge_of(response)
        if not needed and not await _has_page(renewal, spec, challenge):
            return LoggedIn(needed=False)
        used = renewal.token.access if renewal.token is not None else ""
        wish = Wish(
            need="refused",
            used=used,
            challenge=challenge,
            fresh=True,
            extra=scopes,
            protocol=_headers(spec)["MCP-Protocol-Version"],
        )
        await renewal.renew(wish)
        login = renewal.login
        if login is None or login.token is None:
            raise AssertionError("a renewal without a token")
        await _verify(inner, spec, now)
        token = login.token
        return LoggedIn(
            needed=True,
            issuer=login.server.issuer,
            scope=token.scope,
            expires_in=token.seconds_left(now()),
            renews=bool(token.refresh) or auth.type != "oauth",
            kept=renewal.store.place,
        )
    finally:
        await inner.aclose()


async def log_out(
    spec: HttpSpec, inner: httpx2.AsyncBaseTransport, *, now: Callable[[], float] = time.time
) -> LoggedOut:
    """Log out. `inner` is closed. Raises LoginFailedError if what is stored cannot be removed."""
    auth = _auth(spec)
    try:
        renewal = make_renewal(inner, spec, auth, now=now)
        lock = renewal.store.lock(LOCK_SECONDS)
        with contextlib.suppress(TimeoutError):  # then whoever holds it is not waited for
            await lock.acquire()
        login = renewal.store.load()
        there = login is not None or bool(renewal.store.problem)
        told, problem = False, ""
        left: float | None = 0.0
        try:
            if login is not None and login.token is not None:
                client = login.client or Client(id="")
                if client.source == "configured":
                    client = replace(client, secret=auth.client_secret)
                endpoint = Endpoint(
                    wire=renewal.wire, server=login.server, client=client, auth=auth, now=now
                )
                told, ended = await _revoke(endpoint, login)
                left = 0.0 if ended else login.token.seconds_left(now())
        except LoginFailedError as error:
            problem = str(error)
        finally:
            renewal.store.remove()
            await lock.release()
        return LoggedOut(was_in=there, told=told, problem=problem, left=left)
    finally:
        await inner.aclose()


def _auth(spec: HttpSpec) -> AuthSpec:
    if spec.auth is None:
        raise AssertionError("a spec without auth")
    return spec.auth


async def _revoke(endpoint: Endpoint, login: Login) -> tuple[bool, bool]:
    """Return whether the authorization server was told, and whether the access token is over."""
    token = login.token
    if token is None or not login.server.revocation_endpoint:
        return False, True
    if token.refresh:
        await endpoint.revoke(token.refresh, "refresh_token")
    try:
        await endpoint.revoke(token.access, "access_token")
    except LoginFailedError as error:
        # One that is checked without asking its issuer cannot be taken back (RFC 7009 section 3).
        if not token.refresh or error.code != "unsupported_token_type":
            raise
        return True, False
    return True, True


def _headers(spec: HttpSpec) -> dict[str, str]:
    return {
        **spec.headers,
        "Accept": "application/json, text/event-stream",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2025-11-25",
    }


async def _ask(transport: httpx2.AsyncBaseTransport, spec: HttpSpec) -> httpx2.Response:
    """Ask the server for its tools, as the cheapest thing that is worth protecting; its answer
    without the body. Raises LoginFailedError."""
    url = httpx2.URL(spec.url)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    seconds = {
        "connect": spec.connect_timeout,
        "read": _SECONDS,
        "write": _SECONDS,
        "pool": _SECONDS,
    }
    request = httpx2.Request(
        "GET" if spec.sse else "POST",
        url,
        headers=_headers(spec),
        content=b"" if spec.sse else body,
        extensions={"timeout": seconds},
    )
    try:
        response = await transport.handle_async_request(request)
    except LoginFailedError:
        raise
    except (httpx2.TransportError, OSError) as error:
        why = clean_line(str(error) or type(error).__name__, 160)
        raise LoginFailedError(f"cannot reach {spec.name}: {why}") from None
    with contextlib.suppress(httpx2.TransportError, httpx2.StreamError, OSError):
        await response.aclose()
    return response


async def _has_page(renewal: Renewal, spec: HttpSpec, challenge: Challenge) -> bool:
    """Whether a server that answers everybody still has logins, for some of its tools."""
    if challenge.scheme:
        return True
    try:
        return await resource_page(renewal.wire, resource_of(spec.url), challenge) is not None
    except LoginFailedError:
        return False


async def _verify(
    inner: httpx2.AsyncBaseTransport, spec: HttpSpec, now: Callable[[], float]
) -> None:
    """Ask with the new token. Raises LoginFailedError if the server does not take it."""
    with_token = LoginTransport(_Unclosed(inner), spec, now=now)
    try:
        response = await _ask(with_token, spec)
    except NeedsLoginError as error:
        status = 403 if error.scope else 401
    else:
        status = response.status_code
    if status in (401, 403):
        raise LoginFailedError(
            f"{spec.name} does not take the token that was issued (HTTP {status})"
        )


class _Unclosed(httpx2.AsyncBaseTransport):
    """A transport that somebody else closes."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        return await self._inner.handle_async_request(request)
