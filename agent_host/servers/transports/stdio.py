"""Streams between the SDK's session and a server process, or a URL, with the gate between.

Theory of operation: the SDK asks a transport for two streams of `SessionMessage`. For stdio both
are made here, straight on the event loop's pipe callbacks: a message read is parsed once, judged
by the gate and handed to the session; a message written is serialized and put into the pipe by
the caller's own task. Reading never waits for the session longer than a bounded queue, stderr is
always drained into a bounded ring, and the end of the process is noticed by its exit as well as by
the end of its output. For HTTP the SDK's transport is used, between the same gate and a client of
ours that turns what the network does into the failure of one call (see `http`).
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from agent_host.core.text import clean
from agent_host.core.types import JsonObject
from agent_host.servers.frames import MAX_DROPPED, Gate, Lines
from agent_host.servers.sdk import SessionMessage
from agent_host.servers.transports.process import ServerProcess, describe_exit
from agent_host.servers.transports.streams import Stream

EOF_GRACE = 0.6
"""Seconds a server has to leave after its stdin ended, before SIGTERM."""
END_GRACE = 1.2
"""Seconds a server has after that, before the host kills what it can and lets go."""
EXIT_WAIT = 1.0
"""Seconds that a server which closed its pipes has to end, so that its exit code can be told."""
MAX_QUEUE = 512
"""Messages read but not yet taken by the session, above which reading pauses."""
MAX_UNSENT = 32 * 1024 * 1024
"""Bytes written that the server does not read, after which writing fails."""
STDERR_KEPT = 64 * 1024
_STDERR_TAIL = 2000


def to_message(frame: JsonObject) -> SessionMessage:
    """A frame that the gate let through, as the SDK's message."""
    if "method" in frame:
        kind = JSONRPCRequest if "id" in frame else JSONRPCNotification
        return SessionMessage(kind(**frame))
    if "result" in frame:
        return SessionMessage(JSONRPCResponse(**frame))
    return SessionMessage(JSONRPCError(**frame))


def note_sent(gate: Gate, item: SessionMessage) -> None:
    """Tell the gate what is on its way out."""
    message = item.message
    if isinstance(message, JSONRPCRequest):
        gate.sent_request(message.id, message.method)
    elif isinstance(message, JSONRPCNotification):
        if message.method == "notifications/cancelled":
            gate.sent_cancel((message.params or {}).get("requestId"))
    elif message.id is not None:
        gate.sent_answer(message.id)


class Inbox(Stream):
    """The session's end of what a server sends: an unbounded queue that asks for a pause."""

    def __init__(self) -> None:
        self._items: deque[SessionMessage | Exception] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: SessionMessage) -> None:
        """Add a message."""
        self._items.append(item)
        self._wake()

    def close(self) -> None:
        """No more messages come; those queued are still delivered."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> SessionMessage | Exception:
        """The next message. Raises anyio.EndOfStream."""
        while not self._items:
            if self._closed:
                raise anyio.EndOfStream
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._items.popleft()

    async def aclose(self) -> None:
        """The session takes no more messages."""
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class _Output(asyncio.Protocol):
    """Reads the server's stdout."""

    def __init__(self, owner: "StdioTransport") -> None:
        self._owner = owner

    def data_received(self, data: bytes) -> None:
        self._owner.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.output_ended()


class _Log(asyncio.Protocol):
    """Drains the server's stderr into a ring of bytes."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0

    def data_received(self, data: bytes) -> None:
        piece = data[-STDERR_KEPT:]
        self._parts.append(piece)
        self._size += len(piece)
        while self._size - len(self._parts[0]) >= STDERR_KEPT:
            self._size -= len(self._parts.popleft())

    def tail(self) -> str:
        """The last lines, cleaned."""
        data = b"".join(self._parts)
        if len(data) > _STDERR_TAIL:
            # Only whole words: what redacts a secret later does not know a part of it.
            data = b"".join(data[-_STDERR_TAIL:].split(maxsplit=1)[1:])
        return clean(data.decode("utf-8", "replace")).strip()


class _Input(asyncio.Protocol):
    """Writes the server's stdin; knows whether the pipe is full."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._free = asyncio.Event()
        self._free.set()
        self._lost = lost
        self.closed = False

    def pause_writing(self) -> None:
        self._free.clear()

    def resume_writing(self) -> None:
        self._free.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._free.set()
        self._lost()

    async def free(self) -> None:
        """Return when the pipe takes more, or is closed."""
        await self._free.wait()


class Outbox(Stream):
    """The session's end of what a server is sent."""

    def __init__(self, gate: Gate, protocol: _Input, pipe: asyncio.WriteTransport) -> None:
        self._gate = gate
        self._protocol = protocol
        self._pipe = pipe

    async def send(self, item: SessionMessage) -> None:
        """Write a message. Raises anyio.ClosedResourceError, ValueError (cannot be encoded)."""
        if self._protocol.closed or self._pipe.is_closing():
            raise anyio.ClosedResourceError
        if self._pipe.get_write_buffer_size() > MAX_UNSENT:
            raise anyio.BrokenResourceError
        message = item.message
        # pydantic's serializer refuses lone surrogates; json escapes them.
        data = message.model_dump(mode="python", by_alias=True, exclude_unset=True)
        line = json.dumps(data, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        note_sent(self._gate, item)
        self._pipe.write(line)
        if not isinstance(message, JSONRPCNotification):
            await self._protocol.free()

    async def aclose(self) -> None:
        """Nothing more is written; the pipe itself is closed by the transport."""


class StdioTransport:
    """A server process as the SDK's transport. Leaving it ends the process, in bounded time."""

    def __init__(self, process: ServerProcess, gate: Gate) -> None:
        self._process = process
        self._gate = gate
        self._lines = Lines()
        self._inbox = Inbox()
        self._log = _Log()
        self._sink = _Input(self._input_lost)
        self._leaving = self._deaf = False
        self._exited = asyncio.Event()
        self._output_ended = asyncio.Event()
        self._ended = asyncio.Event()
        self._why = ""
        self._stdin: asyncio.WriteTransport | None = None
        self._stdout: asyncio.ReadTransport | None = None
        self._stderr: asyncio.ReadTransport | None = None

    def stderr_tail(self) -> str:
        """The last of what the server logged, cleaned and bounded."""
        return self._log.tail()

    @property
    def ended(self) -> bool:
        """Whether the server went away."""
        return self._ended.is_set()

    def session_gone(self, code: int, message: str, data: JsonObject) -> bool:
        """Whether an error means that the server forgot the session; never over stdio."""
        return False

    async def lost(self) -> str:
        """Wait until the server went away by itself; return how."""
        await self._ended.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXIT_WAIT):
                await self._exited.wait()
        code = self._process.exit_code()
        closed = f"it closed its {'input' if self._deaf else 'output'}"
        return self._why or (closed if code is None else describe_exit(code))

    async def __aenter__(self) -> tuple[Inbox, Outbox]:
        self._watch_exit()
        try:
            return await self._open()
        except BaseException:
            self._release()
            raise

    async def _open(self) -> tuple[Inbox, Outbox]:
        loop = asyncio.get_running_loop()
        process, sink = self._process, self._sink
        self._stdin, _ = await loop.connect_write_pipe(lambda: sink, process.stdin)
        self._stdin.set_write_buffer_limits(high=1 << 20)
        self._stderr, _ = await loop.connect_read_pipe(lambda: self._log, process.stderr)
        self._stdout, _ = await loop.connect_read_pipe(lambda: _Output(self), process.stdout)
        return self._inbox, Outbox(self._gate, sink, self._stdin)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        try:
            await self._close_gently()
        except asyncio.CancelledError:
            # The host leaves while a server is being closed: no more waiting for its good will.
            await self._end_now()
            raise
        finally:
            self._release()
        return None

    def received(self, data: bytes) -> None:
        """Take a chunk of the server's output."""
        for line in self._lines.feed(data):
            for frame in self._gate.line(line):
                self._deliver(frame)
        if self._gate.flooded or self._lines.dropped > MAX_DROPPED:
            self._gate.gave_up = True
            self._why = "it flooded its output with what is no message"
            self._end_input()
            if self._stdout is not None:
                self._stdout.pause_reading()
        elif len(self._inbox) > MAX_QUEUE and self._stdout is not None:
            self._stdout.pause_reading()
            asyncio.get_running_loop().call_later(0.01, self._resume)

    def output_ended(self) -> None:
        """The server closed its output: there is nobody to talk to any more."""
        self._output_ended.set()
        self._end_input()

    def _input_lost(self) -> None:
        """The server takes no more requests; what it has answered by now is still read."""
        if not self._leaving:
            self._deaf = True
            asyncio.get_running_loop().call_later(0.2, self._end_input)

    def _deliver(self, frame: JsonObject) -> None:
        try:
            self._inbox.put(to_message(frame))
        except ValueError:
            self._gate.junk += 1

    def _resume(self) -> None:
        if self._stdout is None or self._stdout.is_closing():
            return
        if len(self._inbox) > MAX_QUEUE // 2:
            asyncio.get_running_loop().call_later(0.01, self._resume)
        else:
            self._stdout.resume_reading()

    def _end_input(self) -> None:
        self._inbox.close()
        self._ended.set()

    def _watch_exit(self) -> None:
        loop = asyncio.get_running_loop()
        if self._process.exit_fd is not None:
            loop.add_reader(self._process.exit_fd, self._note_exit)
        else:
            loop.call_later(0.02, self._poll_exit)

    def _poll_exit(self) -> None:
        if self._process.exit_code() is None:
            asyncio.get_running_loop().call_later(0.02, self._poll_exit)
        else:
            self._note_exit()

    def _note_exit(self) -> None:
        if (fd := self._process.exit_fd) is not None:
            asyncio.get_running_loop().remove_reader(fd)
        self._process.exit_code()
        self._exited.set()
        # What is still in the pipe is read until its end; a descendant may hold it open.
        asyncio.get_running_loop().call_later(0.2, self._end_input)

    async def _exits_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        return self._exited.is_set()

    async def _close_gently(self) -> None:
        """End of input, then SIGTERM, then SIGKILL; the last two are the keeper's work."""
        self._leaving = True
        if self._stdin is not None:
            self._stdin.close()
        if not await self._exits_within(EOF_GRACE):
            await self._end_now()

    async def _end_now(self) -> None:
        self._process.end()
        if not await self._exits_within(END_GRACE):
            self._process.kill()
            await self._exits_within(0.2)

    def _release(self) -> None:
        """Let go of everything, whatever happened before."""
        self._leaving = True
        self._end_input()
        if (fd := self._process.exit_fd) is not None:
            asyncio.get_running_loop().remove_reader(fd)
        stdin = None if self._sink.closed else self._stdin
        # What it still holds is for nobody. Of one that is closing with nothing left to write the
        # end is being told already, and asyncio would tell it twice.
        if stdin is not None and (not stdin.is_closing() or stdin.get_write_buffer_size()):
            stdin.abort()
        for pipe in (self._stdout, self._stderr):
            if pipe is not None:
                pipe.close()
        self._process.discard()
        self._process.exit_code()
