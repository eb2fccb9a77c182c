"""Where a login may be led: the guard against a server that names other machines' addresses.

Theory of operation: a server says where its authorization server is, and that one says where its
endpoints are, so both can point the host at what only the host can reach: cloud metadata, a router,
a service on loopback. So a URL must be https, and every address that its host has must be a public
one, whatever its notation, because the check is on what the resolver returns; that address is then
what is dialled, so that a second answer of the resolver cannot undo the check. Three things are as
the person who wrote the config said: the server's own host, hosts that the config names (`issuer`),
and, for a server on loopback, everything else on loopback, also without TLS.
Source: MCP security best practices, "Server-Side Request Forgery".
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable

import httpx2

from agent_host.core.text import clean_line
from agent_host.servers.login.errors import LoginFailedError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
MAX_URL = 8192


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system's resolver has them. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address carries, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if carried is None and address.teredo is not None:
            carried = address.teredo[1]
        if carried is None and address in _NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return carried
    return address


def is_public(text: str) -> bool:
    """Whether `text` is an address on the Internet, in no form a private or special one."""
    try:
        address = _inner(ipaddress.ip_address(text))
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_loopback(text: str) -> bool:
    """Whether `text` is this machine: a loopback address, or a name that always means one."""
    if text == "localhost" or text.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def to_url(text: str, what: str) -> httpx2.URL:
    """Return `text` as a URL with a host. Raises LoginFailedError; `what` names it."""
    try:
        url = httpx2.URL(text[: MAX_URL + 1])
    except (httpx2.InvalidURL, ValueError):
        raise LoginFailedError(f"{what} is not a URL: {clean_line(text, 120)}") from None
    if len(text) > MAX_URL or not url.host or "%" in url.host:
        raise LoginFailedError(f"{what} is not a usable URL: {clean_line(text, 120)}")
    return url


def origin(url: httpx2.URL) -> tuple[str, bytes, int | None]:
    """What two URLs of one server have in common (RFC 6454)."""
    port = url.port if url.port is not None else {"https": 443, "http": 80}.get(url.scheme)
    return url.scheme, url.raw_host, port


def shown(url: httpx2.URL) -> str:
    """A URL for people: without credentials, query and fragment, which can be secrets."""
    return clean_line(str(url.copy_with(userinfo=b"", query=None, fragment=None)), 160)


def _direct(url: httpx2.URL) -> str:
    del url
    return ""


class Reach:
    """Which URLs a login may use. `named`: URLs that the config itself names. `proxy`: which proxy
    dials a URL, empty for none: where one does, the address cannot be chosen here, and a name that
    does not resolve here is left to it."""

    def __init__(
        self,
        server: httpx2.URL,
        named: Iterable[str] = (),
        *,
        resolver: Resolve = resolve,
        proxy: Callable[[httpx2.URL], str] = _direct,
    ) -> None:
        self._own = server
        self._local = is_loopback(server.host)
        self._named = {server.raw_host} | {
            to_url(n, "a configured URL").raw_host for n in named if n
        }
        self._resolve = resolver
        self._proxy = proxy

    def check(self, url: httpx2.URL, what: str, *, sends_secrets: bool = True) -> None:
        """Judge what can be judged without a resolver. Raises LoginFailedError."""
        own_page = origin(url) == origin(self._own) and not sends_secrets
        local = self._local and is_loopback(url.host)
        if url.scheme != "https" and not (url.scheme == "http" and (local or own_page)):
            raise LoginFailedError(
                f"{what} {shown(url)} is refused: it must be https"
                f"{'' if self._local else ' (http is for servers on this machine)'}"
            )
        if url.userinfo and not own_page:
            raise LoginFailedError(f"{what} {shown(url)} is refused: it carries a name or password")

    async def admit(
        self, url: httpx2.URL, what: str, *, sends_secrets: bool = True
    ) -> tuple[str, ...]:
        """Return the addresses to dial for `url`, none if its own name may be dialled. Raises
        LoginFailedError."""
        self.check(url, what, sends_secrets=sends_secrets)
        if url.raw_host in self._named:
            return ()
        host = url.raw_host.decode("ascii", "replace")
        try:
            async with asyncio.timeout(10):
                found = await self._resolve(host, origin(url)[2] or 443)
        except (OSError, UnicodeError):
            if self._proxy(url) and not is_loopback(host):
                return ()
            raise LoginFailedError(f"{what} {shown(url)}: there is no host {host}") from None
        local_only = url.scheme == "http"
        for text in found:
            if is_loopback(text) and self._local:
                continue
            if local_only or not is_public(text):
                raise LoginFailedError(
                    f"{what} {shown(url)} is refused: {text} is not a public address"
                    "; if it is right, name it as auth.issuer in servers.toml"
                )
        if not found:
            raise LoginFailedError(f"{what} {shown(url)}: there is no host {host}")
        if self._proxy(url):
            return ()
        # Where a proxy is meant for addresses but not for this name, the name has to be dialled.
        return tuple(one for one in found[:3] if not self._proxy(url.copy_with(host=one)))
