"""The address on this machine that a browser comes back to after a login (RFC 8252 section 7.3).

Theory of operation: a listener on loopback only, for one answer. Other pages in the same browser
can reach it too, so a request counts only if it asks for the very path, by a GET, under a name of
this machine (a name that an attacker points here is another one), and not from a script of another
origin. What counts ends the listening; everything else is answered 404. Nothing that was sent is
shown in the page.
"""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.person import Redirect, parameters

MAX_REQUEST = 16 * 1024
READ_SECONDS = 10.0
_DONE = (
    "<!doctype html><meta charset=utf-8><title>agent-host</title>"
    "<p>Done. You can close this page and go back to the terminal.</p>"
)
_OTHER = "<!doctype html><meta charset=utf-8><title>agent-host</title><p>Nothing is here.</p>"


class Loopback:
    """Listens from entering to leaving. Entering raises LoginFailedError if the port is taken."""

    def __init__(self, redirect: Redirect) -> None:
        self._redirect = redirect
        self._servers: list[asyncio.Server] = []
        self._came: asyncio.Future[dict[str, str]] | None = None
        self._port = 0

    @property
    def redirect_uri(self) -> str:
        """The address; its host is an address, because a name could be pointed elsewhere."""
        return f"http://127.0.0.1:{self._port}{self._redirect.path}"

    async def came(self) -> Mapping[str, str]:
        """Wait for the browser; return the parameters that it came back with."""
        if self._came is None:
            raise AssertionError("not listening")
        return await asyncio.shield(self._came)

    async def __aenter__(self) -> Self:
        self._came = asyncio.get_running_loop().create_future()
        wished = self._redirect.port
        try:
            first = await self._listen("127.0.0.1", wished)
        except OSError as error:
            if self._redirect.fixed:
                raise LoginFailedError(
                    f"port {wished}, where the login comes back to, cannot be used: "
                    f"{error.strerror}; free it, or change auth.redirect_port"
                ) from None
            first = await self._listen("127.0.0.1", 0)
        self._port = first.sockets[0].getsockname()[1]
        # Where `localhost` is registered, some browsers try IPv6 first.
        with contextlib.suppress(OSError):
            await self._listen("::1", self._port)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.close()
        if self._came is not None:
            self._came.cancel()

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = await asyncio.start_server(
            self._serve, host, port, family=family, limit=MAX_REQUEST
        )
        self._servers.append(server)
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            async with asyncio.timeout(READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                target = self._target(head.decode("latin-1"))
                good = target is not None and self._came is not None and not self._came.done()
                writer.write(_page("200 OK", _DONE) if good else _page("404 Not Found", _OTHER))
                await writer.drain()
            if good and self._came is not None and target is not None and not self._came.done():
                self._came.set_result(parameters(target))
        writer.close()

    def _target(self, head: str) -> str | None:
        """The target of a request that counts."""
        first, *lines = head.split("\r\n")
        method, _, rest = first.partition(" ")
        target, _, version = rest.partition(" ")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), value.strip().lower())
        names = [f"{host}:{self._port}" for host in ("127.0.0.1", "localhost", "[::1]")]
        path, _, query = target.partition("?")
        counts = (
            method == "GET"
            and version.startswith("HTTP/1.")
            and path == self._redirect.path
            and headers.get("host", "") in names
            and headers.get("sec-fetch-mode", "navigate") == "navigate"
            and headers.get("origin", "null") == "null"
            and ("code=" in query or "error=" in query)
        )
        return target if counts else None


def _page(status: str, text: str) -> bytes:
    body = text.encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        "Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\n"
        "X-Content-Type-Options: nosniff\r\n\r\n"
    ).encode() + body
