"""Which proxy a request goes through, and the raw transport that goes there.

Theory of operation: `proxy` of servers.toml decides for its server; without it the environment
does (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, and the system's settings on macOS and
Windows), for each URL anew, because a login talks to other hosts than the server does. Loopback is
never asked of the environment's proxy: that is this machine. A transport is made when the first
request needs it, so that a plain URL does not cost the loading of authorities.
"""

import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2

from agent_host.core.text import clean_line
from agent_host.servers.spec import ConnectFailedError, HttpSpec
from agent_host.servers.transports.tls import tls_context, tls_fault

_ASKED = "it hung up before any answer; if it wants a client certificate: set tls.cert"
_REFUSED = "it hung up before any answer; does it believe the client certificate of tls.cert?"
_KEEPALIVE = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 30),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 10),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, 3),
)
"""A peer that is gone without a word is noticed after a minute, also on a silent stream."""
SOCKET_OPTIONS = tuple(
    (level, getattr(socket, name), value)
    for name, level, value in _KEEPALIVE
    if hasattr(socket, name)
)


def proxy_for(url: httpx2.URL, proxies: Mapping[str, str]) -> str:
    """The URL of the proxy for `url`, empty for none. `proxies` is what
    `urllib.request.getproxies` returns: scheme -> proxy, and `no` -> who is left out."""
    found = proxies.get(url.scheme) or proxies.get("all") or ""
    if not found or _is_loopback(url.host) or _left_out(url, proxies.get("no", "")):
        return ""
    return found if "://" in found else f"http://{found}"


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _left_out(url: httpx2.URL, names: str) -> bool:
    """Whether a NO_PROXY list names the host: `*`, a domain with all below it, `host:port`, an
    address or a network (curl's rules)."""
    return any(_names(entry.strip().lower(), url) for entry in names.split(","))


def _names(entry: str, url: httpx2.URL) -> bool:
    if not entry or entry == "*":
        return entry == "*"
    host = url.host.lower().rstrip(".")
    name, _, port = entry.rpartition(":")
    if port.isdecimal() and (name.endswith("]") or (name and ":" not in name)):
        if int(port) != (url.port or (443 if url.scheme == "https" else 80)):
            return False
        entry = name
    entry = entry.strip("[]")
    if (address := _address(host)) is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    entry = entry.lstrip("*").strip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def shown(proxy: str) -> str:
    """A proxy for people: without its user and password."""
    try:
        parts = urlsplit(proxy)
        place = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        return "the proxy"
    return clean_line(f"{parts.scheme}://{place}", 200)


class RawTransport(httpx2.AsyncBaseTransport):
    """To whom a request says, over TLS and the proxy that the config or the environment names."""

    def __init__(self, spec: HttpSpec) -> None:
        self._spec = spec
        self._context: ssl.SSLContext | None = None
        self._answered = False
        self._open: dict[tuple[str, str], httpx2.AsyncHTTPTransport] = {}
        if httpx2.URL(spec.url).scheme == "https" or any((spec.tls.ca, spec.tls.cert)):
            self._context = tls_context(spec.tls, spec.name)

    def proxy(self, url: httpx2.URL) -> str:
        """The proxy for a URL, empty for none."""
        if self._spec.proxy is not None:
            return self._spec.proxy
        return proxy_for(url, urllib.request.getproxies())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        key = (request.url.scheme, self.proxy(request.url))
        inner = self._open.get(key)
        if inner is None:
            inner = self._open[key] = self._made(*key)
        try:
            response = await inner.handle_async_request(request)
        except httpx2.ConnectError as error:
            if not key[1]:
                raise
            text = f"by the proxy {shown(key[1])}: {error}"
            raise httpx2.ConnectError(text, request=request) from error
        except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            if self._answered or key[0] != "https" or tls_fault(error):
                raise
            # TLS 1.3 refuses a client after its handshake, often too late to be read.
            text = f"{error}; {_REFUSED if self._spec.tls.cert else _ASKED}".lstrip("; ")
            raise httpx2.ReadError(text) from error
        self._answered = True
        return response

    def _made(self, scheme: str, proxy: str) -> httpx2.AsyncHTTPTransport:
        # Where nothing is encrypted a bare context spares the loading of authorities.
        bare = scheme != "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if bare else self._trusting()
        try:
            return httpx2.AsyncHTTPTransport(
                verify=context, proxy=proxy or None, socket_options=SOCKET_OPTIONS
            )
        except ImportError:
            text = f"the proxy {shown(proxy)} speaks SOCKS: `pip install socksio`"
            raise httpx2.ProxyError(text) from None
        except (ValueError, httpx2.InvalidURL) as error:
            raise httpx2.ProxyError(f"the proxy {shown(proxy)}: {clean_line(str(error))}") from None

    def _trusting(self) -> ssl.SSLContext:
        """The context of the spec, also for the https:// URLs of an http:// server's login."""
        if self._context is None:
            try:
                self._context = tls_context(self._spec.tls, self._spec.name)
            except ConnectFailedError as error:
                raise httpx2.ConnectError(str(error)) from None
        return self._context

    async def aclose(self) -> None:
        """See httpx2."""
        for inner in self._open.values():
            await inner.aclose()
