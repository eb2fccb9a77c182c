"""Many small HTTP chunks of one network read, handed on as one.

Theory of operation: streaming servers send each token as its own chunk (RFC 9112, section 7.1).
The HTTP parser under the client makes an event of each, 12 us apiece, even when a hundred came
with one read: 0.25 s of CPU for 20,000 tokens. The stream here sits between socket and parser and
joins the payloads that came with one read into one chunk. The parser stays in charge: it gets a
well-formed body of the same content, and whatever is not understood here is passed on to it as it
came. A new request on the connection (`write`) starts over. Head and body of a request leave in
one packet where they fit.
"""

import re
import select
import ssl
from collections.abc import Iterable
from typing import Any, Protocol

import httpcore2
import httpx2

_MAX_HEAD = 256 * 1024
_MAX_SIZE_LINE = 256
_FEW = 16 * 1024
"""Bytes of a write that wait for the next write, or for the read that follows the request."""
_HAS_POLL = hasattr(select, "poll")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_INFORMATIONAL = re.compile(rb"HTTP/1\.[01] 1[0-9][0-9]")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")


class Joiner:
    """The bytes of one connection, from the head of a response on."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A request was sent: what comes next is the head of its response."""
        self._in_head = True
        self._in_body = False
        self._rest = b""
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Return what the parser is to see of these bytes; empty: nothing yet."""
        if self._in_head:
            return self._head(data)
        return self._body(data) if self._in_body else data

    def _head(self, data: bytes) -> bytes:
        """Heads pass as they come; only a copy is kept, to see where they end."""
        self._rest += data
        end = self._rest.find(b"\r\n\r\n")
        while end >= 0 and _INFORMATIONAL.match(self._rest):
            self._rest = self._rest[end + 4 :]
            end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            if len(self._rest) > _MAX_HEAD:
                self._pass()
            return data
        self._in_head = False
        head, body = self._rest[: end + 2], self._rest[end + 4 :]
        self._rest = b""
        if not _CHUNKED.search(head):
            return data
        self._in_body = True
        passed = data[: len(data) - len(body)]
        return passed + self._body(body) if body else passed

    def _pass(self) -> bytes:
        """Give up joining until the next request; return what was held back."""
        held, self._rest = self._rest, b""
        self._in_head = self._in_body = False
        return held

    def _body(self, data: bytes) -> bytes:
        if self._rest:
            data, self._rest = self._rest + data, b""
        payloads: list[bytes] = []
        position, end = 0, len(data)
        while position < end:
            if self._left > 2:
                payload = data[position : position + self._left - 2]
                payloads.append(payload)
                position += len(payload)
                self._left -= len(payload)
                continue
            if self._left:
                # The end of line after a payload, which may be cut as well.
                if not b"\r\n"[-self._left :].startswith(data[position : position + self._left]):
                    return self._joined(payloads) + self._broken(data[position:])
                step = min(self._left, end - position)
                position += step
                self._left -= step
                continue
            line = data.find(b"\r\n", position, position + _MAX_SIZE_LINE)
            if line < 0:
                if end - position >= _MAX_SIZE_LINE:
                    return self._joined(payloads) + self._broken(data[position:])
                self._rest = data[position:]
                break
            size = _SIZE.fullmatch(data, position, line)
            if size is None or not int(size[0], 16):
                # The last chunk with its trailers, or something for the parser to judge.
                return self._joined(payloads) + self._broken(data[position:])
            self._left = int(size[0], 16) + 2
            position = line + 2
        return self._joined(payloads)

    def _broken(self, rest: bytes) -> bytes:
        self._pass()
        return rest

    @staticmethod
    def _joined(payloads: list[bytes]) -> bytes:
        payload = b"".join(payloads)
        return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


class _Socket(Protocol):
    """What is asked of a connection's socket."""

    def fileno(self) -> int:
        """Its descriptor; -1 once it is closed."""


def _readable(connection: _Socket) -> bool:
    fd = connection.fileno()
    if fd < 0:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class JoiningStream(httpcore2.AsyncNetworkStream):
    """A connection whose reads are joined."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._joiner = Joiner()
        self._unsent: list[bytes] = []
        # The event loop hands out no socket but something that has its descriptor.
        found = stream.get_extra_info("socket")
        self._socket: _Socket | None = found if _HAS_POLL and hasattr(found, "fileno") else None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return bytes for the parser, empty at the end of the stream."""
        await self._send(timeout)
        while True:
            data = await self._stream.read(max_bytes, timeout)
            if not data:
                return data
            if joined := self._joiner.feed(data):
                return joined

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send bytes of a request: with the next ones if they are few, a head with its body."""
        self._joiner.start()
        self._unsent.append(buffer)
        if len(buffer) > _FEW:
            await self._send(timeout)

    async def _send(self, timeout: float | None) -> None:  # noqa: ASYNC109
        unsent, self._unsent = b"".join(self._unsent), []
        if unsent:
            await self._stream.write(unsent, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        """Go on encrypted."""
        await self._send(timeout)
        return JoiningStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows of itself.

        Every request asks each idle connection whether it is readable, that is, closed.
        """
        if info == "is_readable" and self._socket is not None:
            return _readable(self._socket)
        return self._stream.get_extra_info(info)


class JoiningBackend(httpcore2.AsyncNetworkBackend):
    """Makes connections whose reads are joined."""

    def __init__(self, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a host."""
        return JoiningStream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a socket of this machine."""
        return JoiningStream(await self._backend.connect_unix_socket(path, timeout, socket_options))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)


def join_chunks(client: httpx2.AsyncClient) -> bool:
    """Make the direct connections of a client join their reads. False: it is built in another
    way than known, and stays as it is."""
    pool = getattr(getattr(client, "_transport", None), "_pool", None)
    backend = getattr(pool, "_network_backend", None)
    if not isinstance(backend, httpcore2.AsyncNetworkBackend):
        return False
    vars(pool)["_network_backend"] = JoiningBackend(backend)
    return True
