"""The HTTP client of one server: static headers, login, proxy and TLS, one inside the other.

Theory of operation: `OneCallTransport` (every failure is one call's) stands on what a server wants
to know of the user (`user_http`), on `LoginTransport` (tokens), on `RawTransport` (proxy, TLS,
sockets). The room of logins is imported when a client is made, so that hosts without a server
behind a URL never load it.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import httpx2

from agent_host.core.text import clean_line
from agent_host.servers.spec import ConnectFailedError, HttpSpec
from agent_host.servers.transports.http_calls import OneCallTransport
from agent_host.servers.transports.proxies import RawTransport
from agent_host.servers.transports.user_http import UserHeaders

CONNECT_SHARE = 0.8
"""The part of the connect budget that one TCP and TLS connection may take: the rest is for
saying so."""
MOST_SECONDS = 30.0
"""For writing a request, and for waiting for a free connection."""
_LOGIN = "agent_host.servers.login.transport"
_USERS = "agent_host.servers.login.user_tokens"


def http_client(
    spec: HttpSpec,
    *,
    mend: bool = True,
    gone: Callable[[], None] = lambda: None,
    background: Callable[..., object] | None = None,
    person: Any = None,
) -> httpx2.AsyncClient:
    """A client for the spec's server; `mend`, `gone` and `background` as for OneCallTransport,
    `person` as for LoginTransport. Raises ConnectFailedError for what in the config cannot do."""
    _check(spec)
    raw = RawTransport(spec)
    login = _login(raw, spec, person)
    return httpx2.AsyncClient(
        headers={**spec.headers, "Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(
            MOST_SECONDS, connect=spec.connect_timeout * CONNECT_SHARE, read=None
        ),
        transport=OneCallTransport(
            login, spec.call_timeout, mend=mend, gone=gone, background=background
        ),
    )


def _login(raw: RawTransport, spec: HttpSpec, person: Any) -> httpx2.AsyncBaseTransport:
    made: httpx2.AsyncBaseTransport = import_module(_LOGIN).LoginTransport(raw, spec, person=person)
    if spec.user.exchange:
        made = import_module(_USERS).UserTokens(raw, made, spec)
    return UserHeaders(made, spec.user) if spec.user.headers else made


def _check(spec: HttpSpec) -> None:
    """Refuse what no request can be made of."""
    try:
        url = httpx2.URL(spec.url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise ConnectFailedError(clean_line(f"url: {error}; correct it")) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConnectFailedError("url: it must be http:// or https:// and name a host; correct it")
    for name, value in spec.headers.items():
        if not (name.isascii() and value.isascii() and value.isprintable()):
            text = f"headers.{name}: only printable ASCII can be sent; correct it"
            raise ConnectFailedError(clean_line(text))
