"""A collector of OpenTelemetry logs on loopback that does what a test says: it answers, is slow,
refuses, says later, goes away and comes back."""

import contextlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

Answer = tuple[int, dict[str, str], bytes]
OK: Answer = (200, {"content-type": "application/json"}, b"{}")


class LogCollector:
    """Takes requests on `url`. `answer(numbers)`: what it says to a batch of entries with those
    numbers; None cuts the connection. `seen`: the numbers of each batch that it answered with 200,
    `asked`: of every batch."""

    def __init__(self, answer: Callable[[list[int]], Answer | None] = lambda _: OK) -> None:
        self.answer = answer
        self.seen: list[list[int]] = []
        self.asked: list[list[int]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.arrived = threading.Semaphore(0)
        self._server = self._make(0)
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def numbers(self) -> list[int]:
        return [number for batch in self.seen for number in batch]

    def stop(self) -> None:
        """Go away: connections are refused."""
        self._server.shutdown()
        self._server.server_close()

    def start(self) -> None:
        """Come back, at the same place."""
        self._server = self._make(self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _make(self, port: int) -> ThreadingHTTPServer:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = collector.take(self.path, dict(self.headers.items()), body)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):  # whoever asked was killed
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answer | None:
        numbers = [int(a["agent_host.audit.seq"]) for a in attributes_of(body)]
        self.paths.append(path)
        self.headers.append({name.lower(): value for name, value in headers.items()})
        self.bodies.append(body)
        self.asked.append(numbers)
        answer = self.answer(numbers)
        if answer is not None and answer[0] == 200:
            self.seen.append(numbers)
        self.arrived.release()
        return answer


def attributes_of(body: bytes) -> list[dict[str, Any]]:
    """The attributes of each log record; the body must be what OTLP says."""
    json_format.Parse(body, ExportLogsServiceRequest())
    found = []
    for resource in json.loads(body)["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                values = {a["key"]: next(iter(a["value"].values())) for a in record["attributes"]}
                found.append(values)
    return found
