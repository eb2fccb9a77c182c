"""Whether a server's URL can be reached: proxy, name, port and TLS, one after the other.

Theory of operation: each is tried by itself, the way a connection would, so that the step which
fails is named; nothing is sent to the server but a TLS handshake. Behind a proxy only the way to
the proxy is looked at, because the rest is the proxy's.
"""

import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from agent_host.cli.steps import Found
from agent_host.core.text import clean_line
from agent_host.servers.login.resource import resource_of
from agent_host.servers.login.store import Store
from agent_host.servers.spec import ConnectFailedError, HttpSpec
from agent_host.servers.transports.proxies import proxy_for, shown
from agent_host.servers.transports.tls import tls_context, tls_fault

_SECONDS = 5.0
_SOON = 14
"""Days before the end of a certificate from which on it is worth a note."""
_DAY = 86400
_PORTS = {"http": 80, "https": 443}


def reach(spec: HttpSpec, where: Callable[..., str]) -> Iterator[tuple[str, Callable[[], Found]]]:
    """Yield the steps (name, what to do) to the server of `spec`. `where` returns where a key of
    the server stands in servers.toml."""
    try:
        url = httpx2.URL(spec.url)
    except httpx2.InvalidURL:  # what a reference stands for is not seen before; nor told here
        fix = f"correct what {where('url')} stands for: https://HOST/PATH"
        yield "url", lambda: Found(ok=False, text="that is no URL", fix=fix)
        return
    proxy = spec.proxy if spec.proxy is not None else proxy_for(url, urllib.request.getproxies())
    source = where("proxy") if spec.proxy is not None else "the environment"
    key = source if proxy else where("url")
    try:
        aim = httpx2.URL(proxy) if proxy else url
    except httpx2.InvalidURL:
        fix = f"correct the proxy at {key}: http://HOST:PORT"
        yield "proxy", lambda: Found(ok=False, text="the proxy is no URL", fix=fix)
        return
    if proxy:
        yield "proxy", lambda: Found(text=f"{shown(proxy)}, as {source} says")
    addresses: list[Any] = []
    port = aim.port or _PORTS.get(aim.scheme, 1080)
    yield "name", lambda: _named(aim.host, port, addresses, key)
    sockets: list[socket.socket] = []
    yield "port", lambda: _port(port, addresses, sockets, key)
    if url.scheme == "https" and not proxy:
        yield "tls", lambda: _tls(spec, url.host, sockets, where)
    for sock in sockets:
        sock.close()


def login_found(spec: HttpSpec, headers: str) -> Found:
    """How requests are allowed, without a word of what allows them. `headers`: where they are."""
    if spec.auth is None or any(key.lower() == "authorization" for key in spec.headers):
        return Found(text=f"the headers at {headers} are taken")
    login = Store(spec.auth.store, spec.name, resource_of(spec.url)).load()
    if login is None or login.token is None:
        return Found(text="none needed")
    ends = login.token.expires_at
    left = "" if ends is None else f", the token has {max(ends - time.time(), 0) / 60:.0f} min left"
    renews = " and renews itself" if login.token.refresh else ""
    return Found(text=f"logged in at {clean_line(login.server.issuer)}{left}{renews}")


def _named(host: str, port: int, addresses: list[Any], key: str) -> Found:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        text = f"{clean_line(host, 120)} has no address: {_said(error)}"
        return Found(ok=False, text=text, fix=f"correct the host at {key}, or mend the network")
    addresses += [(family, address) for family, _, _, _, address in found]
    shown_ = ", ".join(dict.fromkeys(str(address[0]) for _, address in addresses))
    return Found(text=f"{clean_line(host, 120)} is {clean_line(shown_, 200)}")


def _port(port: int, addresses: list[Any], sockets: list[socket.socket], key: str) -> Found:
    why = ""
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(_SECONDS)
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            why = why or f"{address[0]} port {port}: {_said(error)}"
            continue
        sockets.append(sock)
        return Found(text=f"{address[0]} port {port} answers")
    fix = f"start the server, or correct the port at {key}"
    if "refused" not in why:
        fix = f"is it behind a VPN, a firewall or a proxy (key `proxy`)? else correct {key}"
    return Found(ok=False, text=why, fix=fix)


def _tls(
    spec: HttpSpec, host: str, sockets: list[socket.socket], where: Callable[..., str]
) -> Found:
    try:
        context = tls_context(spec.tls, spec.name)
    except ConnectFailedError as error:
        return Found(ok=False, text=str(error), fix=f"see {where('tls')}")
    try:
        with context.wrap_socket(sockets.pop(), server_hostname=host) as secure:
            return _certificate(secure, spec)
    except (OSError, ValueError) as error:
        said, _, fix = (tls_fault(error) or _said(error)).partition("; ")
        return Found(ok=False, text=said, fix=fix or f"is TLS spoken there? see {where('url')}")


def _certificate(secure: ssl.SSLSocket, spec: HttpSpec) -> Found:
    facts: Any = secure.getpeercert() or {}
    until = str(facts.get("notAfter", ""))
    days = int((ssl.cert_time_to_seconds(until) - time.time()) // _DAY) if until else 0
    parts = [
        str(secure.version()),
        f"certificate of {_name(facts.get('subject')) or _alternative(facts)}",
        f"by {_name(facts.get('issuer'))}",
        f"{days} days left",
    ]
    if spec.tls.cert:
        parts.append("a client certificate is ready")
    fix = f"its certificate ends in {days} days" if until and days < _SOON else ""
    return Found(text=clean_line(", ".join(parts), 300), fix=fix)


def _name(pairs: Any) -> str:
    """The common name, or the organisation, of a certificate's subject or issuer."""
    flat = {key: value for group in pairs or () for key, value in group}
    return str(flat.get("commonName") or flat.get("organizationName") or "")


def _alternative(facts: Any) -> str:
    return next((str(value) for _, value in facts.get("subjectAltName", ())), "nobody")


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_SECONDS:g} s"
    return clean_line(getattr(error, "strerror", None) or str(error) or type(error).__name__, 200)
