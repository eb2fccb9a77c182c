"""A raw MCP server over streamable HTTP, in a thread, with a switch for each misbehaviour.

The protocol itself comes from `hostile_server`; what is here is what HTTP adds.
"""

import argparse
import gzip
import io
import json
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.fakes.hostile_bodies import BODIES
from tests.fakes.hostile_server import Server


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *anything):
        del anything

    def do_GET(self):
        self.server.gets.append(dict(self.headers))
        if "resume" in self.server.modes and self.headers.get("last-event-id"):
            self.events([(f"e{len(self.server.gets) + 1}", self.server.answers.pop())])
        elif "listen" not in self.server.modes:
            self.plain(405, b"")
        elif self.server.faults:
            self.fault(self.server.faults.pop(0))
        else:
            self.listen()

    def fault(self, kind):
        """What becomes of one GET: a status, or a stream that is cut off."""
        if kind != "cut":
            self.plain(int(kind), b"")
            return
        self.plain(200, b"", "text/event-stream", {"content-length": "5000"})
        self.close_connection = True

    def listen(self):
        """The stream for the server's own messages: one notice, then silence."""
        changed = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
        self.events([("n1", changed)])
        self.server.listening.set()
        self.server.released.wait(20)

    def events(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for name, data in events:
            waits = {"resume": b"retry: 1\n", "primed": b"retry: 60000\n"}
            retry = next((text for m, text in waits.items() if m in self.server.modes), b"")
            self.wfile.write(retry + b"id: %s\ndata: %s\n\n" % (name.encode(), data))
        self.wfile.flush()

    def do_DELETE(self):
        self.server.deleted.append(self.headers.get("mcp-session-id"))
        if "hang_delete" in self.server.modes:
            self.server.released.wait(20)
        self.plain(200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        message = json.loads(body)
        self.server.seen.append((message.get("method"), dict(self.headers)))
        if self.moved(message):
            return
        if "id" not in message:
            if "hang_notes" in self.server.modes and "cancelled" in message["method"]:
                self.server.released.wait(20)
            self.plain(202, b"")
        elif not self.misbehave(message):
            self.answer(message)

    def answer(self, message):
        buffer = io.BytesIO()
        with self.server.turn:
            mcp = self.server.mcp
            mcp.out = buffer
            mcp.handle(message)
        lines = buffer.getvalue().splitlines()
        headers = {}
        if message["method"] == "initialize" and "session" in self.server.modes:
            self.server.sessions += 1
            headers["mcp-session-id"] = f"s{self.server.sessions}"
        if "sse" in self.server.modes:
            data = b"".join(b"event: message\ndata: " + line + b"\n\n" for line in lines)
            self.plain(200, data, "text/event-stream", headers)
        else:
            self.plain(200, lines[-1], "application/json", headers)

    def moved(self, message):
        """Answer with a redirect, if that is the mode."""
        if self.path != "/mcp" or not self.server.move:
            return False
        status, place = self.server.move
        self.plain(status, b"", "text/plain", {"location": place})
        return True

    def gone(self):
        """Say nothing until the client hangs up, and note that it did."""
        self.connection.settimeout(20)
        try:
            left = self.connection.recv(1) == b""
        except OSError:
            left = True
        if left:
            self.server.left.set()
        self.close_connection = True

    def misbehave(self, message):
        modes, calling = self.server.modes, message["method"] == "tools/call"
        if calling and (lies := modes & BODIES.keys()):
            BODIES[lies.pop()](self, message)
            return True
        if f"endless {message['method']}" in modes:
            self.flood()
        elif f"silent {message['method']}" in modes:
            self.gone()
        elif f"silent stream {message['method']}" in modes:
            self.events([])
            self.gone()
        elif not self.refuse(message, modes, calling=calling):
            return calling and self.misanswer(modes)
        return True

    def refuse(self, message, modes, *, calling):
        """Turn a request away, in the ways of HTTP and of streams."""
        if calling and "429 once" in modes:
            modes.discard("429 once")
            self.plain(429, b"", "text/plain", {"retry-after": "0"})
        elif calling and "primed" in modes:
            self.events([("e1", b"")])
            self.gone()
        elif calling and "resume" in modes:
            self.server.answers.append(self.server.answer_to(message))
            self.events([("e1", b"")])
        elif "401" in modes:
            self.plain(401, b"who are you?\x1b[2J", "text/plain")
        elif status := next((m[7:] for m in modes if m.startswith("status ")), ""):
            self.plain(int(status), b"", "text/plain")
        elif "busy" in modes:
            self.server.busy += 1
            self.plain(503, b"", "text/plain", {"retry-after": "7"})
        elif calling and "429" in modes:
            self.plain(429, b"slow down", "text/plain", {"retry-after": "7"})
        elif calling and "500" in modes:
            self.plain(500, b"<html>oops</html>", "text/html")
        elif calling and "rpc_400" in modes:
            error = {"code": -32602, "message": "bad arguments"}
            reply = {"jsonrpc": "2.0", "id": message["id"], "error": error}
            self.plain(400, json.dumps(reply).encode(), "application/json")
        elif calling and self.server.forget:
            self.server.forget = False
            self.plain(404, b"", "text/plain")
        else:
            return False
        return True

    def misanswer(self, modes):
        """Answer a call with what is no answer."""
        if "slow" in modes:
            self.server.released.wait(20)
            self.close_connection = True
        elif "cut" in modes:
            kind = "text/event-stream" if "sse" in modes else "application/json"
            self.plain(200, b'{"jsonrpc":', kind, {"content-length": "5000"})
            self.close_connection = True
        elif "flood" in modes:
            self.flood()
        elif "drip" in modes:
            self.drip()
        elif "drop" in modes:
            self.close_connection = True
            self.connection.close()
        elif "bomb" in modes:
            packed = gzip.compress(b"x" * (50 << 20))
            self.plain(200, packed, "application/json", {"content-encoding": "gzip"})
        elif "huge" in modes:
            self.plain(200, b'{"x":"' + b"y" * (20 << 20) + b'"}', "application/json")
        elif "garbage" in modes:
            self.plain(200, b"{nonsense", "application/json")
        elif "page" in modes:
            self.plain(200, b"<html></html>", "text/html")
        else:
            return False
        return True

    def flood(self):
        """Notifications without end, as an event stream."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        event = b'event: message\ndata: {"jsonrpc":"2.0","method":"x/y"}\n\n' * 100
        try:
            while not self.server.released.is_set():
                self.wfile.write(event)
        except OSError:
            return
        finally:
            self.server.flooded.set()

    def drip(self):
        """An answer of which a little comes again and again."""
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "5000")
        self.end_headers()
        self.close_connection = True
        try:
            while not self.server.released.wait(0.02):
                self.wfile.write(b" ")
        except OSError:
            return
        finally:
            self.server.flooded.set()

    def plain(self, status, body, kind="text/plain", headers=None):
        self.send_response(status)
        self.send_header("content-type", kind)
        for key, value in {"content-length": len(body), **(headers or {})}.items():
            self.send_header(key, str(value))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True


class Quiet(ThreadingHTTPServer):
    daemon_threads = True
    sockets: list

    def answer_to(self, message):
        """The answer of the protocol's half, as bytes."""
        with self.turn:
            self.mcp.out = io.BytesIO()
            self.mcp.handle(message)
            return self.mcp.out.getvalue().splitlines()[-1]

    def get_request(self):
        accepted = super().get_request()
        self.sockets.append(accepted[0])
        return accepted

    def hang_up(self):
        for sock in self.sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        del request, client_address


@contextmanager
def serving(mode="", port=0, delay=0, tls=None):
    """Serve on loopback; yields the server, with `url`, `seen`, `deleted`, `forget`."""
    server = Quiet(("127.0.0.1", port), Handler)
    server.sockets = []
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    server.modes = set(mode.split(","))
    options = argparse.Namespace(mode=mode, delay=delay, die_on=0)
    server.mcp = Server(options, io.BytesIO())
    server.turn = threading.Lock()
    server.released = threading.Event()
    server.flooded, server.written = threading.Event(), 0
    server.seen, server.deleted, server.sessions, server.forget = [], [], 0, False
    server.gets, server.faults, server.answers, server.move = [], [], [], None
    server.busy = 0
    server.listening, server.left = threading.Event(), threading.Event()
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/mcp"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()


def free_port():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as probe:
        return probe.server_port
