"""A person who can log in, as a flow sees one.

Theory of operation: a login needs an address that the browser comes back to before it begins, since
that address is registered, so a person first opens a `Visit`, which has one. `Redirect` is the
address that is wished for. Who shows the URL and how the answer comes back (a listener on loopback,
a pasted URL, a function) is the person's business.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """The address that is wished for: `port` 0 is any; without `fixed`, another port is as good."""

    server: str
    port: int = 0
    path: str = "/callback"
    fixed: bool = False


class Visit(Protocol):
    """One login by a person."""

    @property
    def redirect_uri(self) -> str:
        """The address that the browser comes back to."""

    async def authorize(self, url: str) -> Mapping[str, str]:
        """Let the person log in at `url` (http or https, cleaned); return the parameters that the
        browser came back with. Raises LoginFailedError if it does not."""


class Person(Protocol):
    """Somebody who can log in."""

    def visit(self, redirect: Redirect) -> AbstractAsyncContextManager[Visit]:
        """Begin a login. Entering raises LoginFailedError if the address cannot be had."""


def parameters(url: str) -> dict[str, str]:
    """Return the parameters of the URL that a login came back to. One that is there twice is
    the first (RFC 6749 section 3.1 allows none to be)."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=50):
        found.setdefault(name, value)
    return found


class _Called:
    def __init__(self, redirect_uri: str, go: Callable[[str], Awaitable[str]]) -> None:
        self.redirect_uri = redirect_uri
        self._go = go

    async def authorize(self, url: str) -> Mapping[str, str]:
        """See Visit."""
        return parameters(await self._go(url))


class Headless:
    """A person made of a function: given the authorization URL, it returns the URL that the
    authorization server redirected to. For tests of conformance, and for hosts with their own
    screens. `redirect_uri` is the address that is told; nobody listens there."""

    def __init__(
        self,
        go: Callable[[str], Awaitable[str]],
        redirect_uri: str = "http://127.0.0.1:8765/callback",
    ) -> None:
        self._visit = _Called(redirect_uri, go)

    @asynccontextmanager
    async def visit(self, redirect: Redirect) -> AsyncIterator[Visit]:
        """See Person."""
        yield self._visit
