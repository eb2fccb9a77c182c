"""A scripted model server that streams its answers on each wire, and remembers when it was asked.

Theory of operation: raw asyncio, no state but the clock readings; what an answer looks like is in
fake_wires.py, and the path of a request says on which wire. What to answer stands in the model's
name, as `rounds-200.calls-1.tool-echo.tokens-8.seconds-0`: for `rounds` turns each
answer holds `calls` calls of the offered tool whose own name is `tool`, then comes a text of
`tokens` pieces, one a chunk. How many turns there were is counted in the request. The port is
written to stdout; the server ends when its stdin does. `GET /asked` returns, for each request,
the monotonic seconds at which its first byte came and its answer's last byte went, and the CPU
seconds that the process of `GET /watch/PID` had used when it came (0 without one), and forgets
them; on Linux those clocks are the same in every process.
"""

import asyncio
import json
import os
import sys
import time

from fake_wires import WIRES, Call, JsonObject, Wire

BATCH = 64


def plan_of(model: str) -> dict[str, str]:
    return dict(part.split("-", 1) for part in model.split("."))


def calls(names: list[str], plan: dict[str, str], turn: int) -> list[Call]:
    """What a turn that asks for tools asks for."""
    wanted = plan.get("tool", "echo")
    names = [name for name in names if name == wanted or name.endswith(f"__{wanted}")]
    arguments: JsonObject = {"text": f"turn {turn}"}
    if wanted == "sleep":
        arguments = {"seconds": float(plan.get("seconds", "0").replace("_", "."))}
    text = json.dumps(arguments)
    return [
        Call(f"call_{turn}_{index}", names[index % len(names)], text)
        for index in range(int(plan.get("calls", "1")))
    ]


def answer(wire: Wire, request: JsonObject) -> list[bytes]:
    plan = plan_of(request["model"])
    turn = wire.turns(request, int(plan.get("calls", "1")))
    if turn < int(plan.get("rounds", "0")):
        return wire.calls(calls(wire.tools(request), plan, turn))
    return wire.words([f" word{index % 10}" for index in range(int(plan["tokens"]))])


class FakeModel:
    """One connection's handler and the clock readings of all."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, float, float]] = []
        self.watched = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def cpu(self) -> float:
        """CPU seconds of the watched process, all its threads, ended ones too (clock_getcpuclockid
        of Linux), but not its children."""
        try:
            return time.clock_gettime((~self.watched << 3) | 2) if self.watched else 0.0
        except OSError:
            return 0.0

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request of a kept-alive connection; False at its end."""
        line = await reader.readline()
        arrived = time.monotonic()
        if not line:
            return False
        cpu = self.cpu() if line.startswith(b"POST") else 0.0
        length = 0
        while (header := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = await reader.readexactly(length)
        if line.startswith(b"GET /asked"):
            await reply(writer, b"application/json", [json.dumps(self.asked).encode()])
            self.asked.clear()
        elif line.startswith(b"GET /watch/"):
            self.watched = int(line.split()[1].rpartition(b"/")[2])
            await reply(writer, b"text/plain", [b"ok"])
        elif wire := wire_of(line):
            try:
                parts = answer(wire, json.loads(body))
            except (LookupError, ArithmeticError, ValueError) as error:
                # No such tool was offered, or the model's name is no plan.
                writer.write(refusal(error))
                return False
            await reply(writer, b"text/event-stream", parts)
            self.asked.append((arrived, time.monotonic(), cpu))
        else:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return True


def wire_of(line: bytes) -> Wire | None:
    """The wire of a request's first line."""
    path = line.split()[1].decode().partition("?")[0]
    return next((wire for wire in WIRES if path.endswith(wire.path)), None)


def refusal(error: Exception) -> bytes:
    body = json.dumps({"error": {"message": f"the plan does not fit: {error!r}"}}).encode()
    head = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


async def reply(writer: asyncio.StreamWriter, media_type: bytes, parts: list[bytes]) -> None:
    """Send the parts as chunks; short answers leave in one write, as a fast provider's would."""
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: "
        + media_type
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for start in range(0, len(parts), BATCH):
        data = b"".join(parts[start : start + BATCH])
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def main() -> None:
    model = FakeModel()
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0, limit=2**24, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    # Connections may still be open; nothing of this process is worth an orderly end.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
