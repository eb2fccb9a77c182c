"""The smallest MCP server: two tools on stdio, standard library only, up in about 20 ms.

Theory of operation: one select loop. `echo` answers at once, `sleep` when its time is over while
others go on. The time from reading a call to having written its answer is summed up and, with
`--busy FILE`, written there at the end, so that it can be taken off a host's share.
"""

import heapq
import json
import os
import select
import sys
import time
from typing import Any

JsonObject = dict[str, Any]

SCHEMA: JsonObject = {"type": "object", "additionalProperties": False}
TOOLS = [
    {
        "name": "echo",
        "description": "Return the text.",
        "inputSchema": SCHEMA | {"properties": {"text": {"type": "string"}}, "required": ["text"]},
        "annotations": {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False},
    },
    {
        "name": "sleep",
        "description": "Return after some seconds.",
        "inputSchema": SCHEMA
        | {"properties": {"seconds": {"type": "number"}}, "required": ["seconds"]},
        "annotations": {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False},
    },
]


class Server:
    """What is waiting to be answered, and how long answering took."""

    def __init__(self, initialize_delay: float) -> None:
        self.initialize_delay = initialize_delay
        self.due: list[tuple[float, int, bytes]] = []
        self.count = 0
        self.busy = 0.0

    def run(self) -> None:
        buffer = b""
        while True:
            timeout = max(0.0, self.due[0][0] - time.monotonic()) if self.due else None
            readable, _, _ = select.select([0], [], [], timeout)
            while self.due and self.due[0][0] <= time.monotonic():
                write(heapq.heappop(self.due)[2])
            if readable:
                data = os.read(0, 65536)
                if not data:
                    return
                started = time.monotonic()
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self.handle(json.loads(line))
                self.busy += time.monotonic() - started

    def handle(self, message: JsonObject) -> None:
        if "id" not in message or "method" not in message:
            return
        params = message.get("params") or {}
        match message["method"]:
            case "initialize":
                result = {
                    "protocolVersion": params["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "bench", "version": "1"},
                }
                self.answer(message["id"], result, self.initialize_delay)
            case "tools/list":
                self.answer(message["id"], {"tools": TOOLS})
            case "tools/call":
                arguments = params.get("arguments") or {}
                content = [{"type": "text", "text": str(arguments.get("text", "slept"))}]
                delay = float(arguments.get("seconds", 0))
                self.answer(message["id"], {"content": content, "isError": False}, delay)
            case "ping":
                self.answer(message["id"], {})
            case _:
                error = {"code": -32601, "message": "Method not found"}
                write(encode({"id": message["id"], "error": error}))

    def answer(self, request_id: object, result: JsonObject, delay: float = 0) -> None:
        data = encode({"id": request_id, "result": result})
        if not delay:
            write(data)
            return
        self.count += 1
        heapq.heappush(self.due, (time.monotonic() + delay, self.count, data))


def encode(message: JsonObject) -> bytes:
    return json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n"


def write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def main(arguments: list[str]) -> None:
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    server = Server(float(options.get("--initialize-delay", "0")))
    try:
        server.run()
    finally:
        if path := options.get("--busy"):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(file, repr(server.busy).encode())
            os.close(file)


if __name__ == "__main__":
    main(sys.argv[1:])
