"""A model provider on loopback, whatever its wire: HTTP as it is, and as it should not be.

Theory of operation: raw asyncio in a thread of its own, so that it can play what no HTTP library
would send: streams cut at any byte, split at any byte, wrong framing. A request is judged first, as
strictly as the provider's own API does, and refused with 400; then the next answer of `plays` is
played (the last one stays), or a default one. A wire is a subclass.
"""

import asyncio
import json
import ssl
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self


def event(value: Any, name: str = "") -> bytes:
    """A server-sent event; with a name as the wires have it that name their events."""
    line = f"event: {name}\n" if name else ""
    return line.encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


class RefusedError(Exception):
    pass


def must(condition: object, problem: str) -> None:
    if not condition:
        raise RefusedError(problem)


@dataclass(frozen=True, kw_only=True)
class Play:
    """One answer. `end`: how it ends; `hang` sends nothing more and waits for the client to go."""

    body: Sequence[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(
        default_factory=lambda: {"content-type": "text/event-stream", "x-request-id": "req-1"}
    )
    framing: Literal["chunked", "length", "close"] = "chunked"
    end: Literal["whole", "cut", "hang", "drop"] = "whole"
    """`cut`: the framing says that more comes; `drop`: no answer at all."""


def stream(*body: bytes, **options: Any) -> Play:
    return Play(body=body, **options)


def refusal(status: int, body: Any, **headers: str) -> Play:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Play(
        body=[data],
        status=status,
        headers={"content-type": "application/json"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
        framing="length",
    )


# -- HTTP -------------------------------------------------------------------------------------


@dataclass
class Received:
    headers: dict[str, str]
    body: Any
    path: str
    raw: bytes
    connection: int


class ProviderServer:
    """`with ...Server() as server:` and `server.url`, `server.plays`, `server.received`.

    A wire says `judge` (what its provider would refuse a request with, or None), `default` (the
    answer when nothing is to be played) and `refused` (the error's body).
    """

    root = "/v1"
    tls: ssl.SSLContext | None = None
    """With a certificate it speaks TLS."""

    def __init__(self, *plays: Play, port: int = 0) -> None:
        self.plays = list(plays)
        self.received: list[Received] = []
        self.refused: list[str] = []
        self.left = threading.Event()
        """Set when a client went away before its answer was whole."""
        self.lenient = False
        self._port = port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._connections = 0

    def judge(self, path: str, headers: dict[str, str], body: Any) -> str | None:
        raise NotImplementedError

    def default(self, body: Any) -> Play:
        raise NotImplementedError

    def refusal(self, problem: str) -> Play:
        error = {"message": problem, "type": "invalid_request_error", "code": None}
        return refusal(400, {"error": error})

    @property
    def url(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._port}{self.root}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(
            self._accept, "127.0.0.1", self._port, limit=1 << 26, ssl=self.tls
        )
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        number = self._connections
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            return
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        """Answer one request; False: the connection is used up."""
        first = await reader.readexactly(1)
        if not first.isalpha():
            return False  # TLS, or no HTTP at all
        rest = await reader.readuntil(b"\r\n\r\n")
        head = (first + rest).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        path = head[0].split(" ")[1]
        self.received.append(Received(headers, body, path, raw, number))
        problem = self.judge(path, headers, body)
        if problem is not None and not self.lenient:
            self.refused.append(problem)
            return await self._play(self.refusal(problem), reader, writer)
        if len(self.plays) > 1:
            play = self.plays.pop(0)
        else:
            play = self.plays[0] if self.plays else self.default(body)
        return await self._play(play, reader, writer)

    async def _play(
        self, play: Play, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if play.end == "drop":
            return False
        headers = dict(play.headers)
        if play.framing == "chunked":
            headers["transfer-encoding"] = "chunked"
        elif play.framing == "length":
            extra = 1 if play.end != "whole" else 0
            headers["content-length"] = str(sum(map(len, play.body)) + extra)
        lines = [f"HTTP/1.1 {play.status} X", *(f"{k}: {v}" for k, v in headers.items())]
        try:
            return await self._send(play, lines, reader, writer)
        except ConnectionError:
            # A client that goes with something unread resets the connection.
            self.left.set()
            raise

    async def _send(
        self,
        play: Play,
        lines: Sequence[str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for data in play.body:
            if data:
                framed = b"%x\r\n%b\r\n" % (len(data), data)
                writer.write(framed if play.framing == "chunked" else data)
                await writer.drain()
        if play.end == "hang":
            await writer.drain()
            if await reader.read(1) == b"":
                self.left.set()
            return False
        if play.end == "cut":
            return False
        if play.framing == "chunked":
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return play.framing != "close"


def serve(server: ProviderServer) -> None:
    """Serve until interrupted; the URL is the first line of stdout."""
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    try:
        asyncio.run(server.serve())
    except KeyboardInterrupt:
        pass
