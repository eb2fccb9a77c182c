"""A raw MCP server over HTTP+SSE (2024-11-05), in a thread, with a switch per misbehaviour."""

import argparse
import io
import json
import queue
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler

from tests.fakes.hostile_http import Quiet
from tests.fakes.hostile_server import Server

END = object()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *anything):
        del anything

    def do_GET(self):
        modes = self.server.modes
        if self.path != "/sse" or "no_stream" in modes:
            self.plain(405, b"")
            return
        self.server.opened += 1
        session = str(self.server.opened)
        events = self.server.queues[session] = queue.Queue()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.end_headers()
        self.close_connection = True
        place = {
            "other_origin": "http://127.0.0.1:9/message",
            "userinfo": f"http://me@127.0.0.1:{self.server.server_port}/message",
            "no_url": "http://a:b:c/",
        }
        lie = next((where for mode, where in place.items() if mode in modes), None)
        try:
            if "no_endpoint" not in modes:
                self.say("endpoint", (lie or f"/message?session={session}").encode())
            if "dead" in modes:
                return
            while (event := events.get(timeout=20)) is not END:
                self.say("message", event)
        except (OSError, queue.Empty):
            return
        finally:
            self.server.queues.pop(session, None)

    def say(self, kind, data):
        self.wfile.write(b": comment\nevent: %s\ndata: %s\n\n" % (kind.encode(), data))
        self.wfile.flush()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        message = json.loads(body)
        self.server.seen.append((message.get("method"), dict(self.headers)))
        if self.path == "/sse":
            self.plain(self.server.refusal, b"no POST here")
            return
        events = self.server.queues.get(self.path.rpartition("=")[2])
        if events is None:
            self.plain(404, b"no such session")
        elif not self.misbehave(message, events):
            self.plain(202, b"Accepted")
            self.answer(message, events)

    def answer(self, message, events):
        if "id" not in message:
            return
        with self.server.turn:
            self.server.mcp.out = io.BytesIO()
            self.server.mcp.handle(message)
            lines = self.server.mcp.out.getvalue().splitlines()
        for line in lines:
            events.put(line)

    def misbehave(self, message, events):
        modes, calling = self.server.modes, message.get("method") == "tools/call"
        if calling and "post_500" in modes:
            self.plain(500, b"<html>oops</html>")
        elif calling and "post_drop" in modes:
            self.close_connection = True
            self.connection.close()
        elif calling and "post_hang" in modes:
            self.server.released.wait(20)
            self.close_connection = True
        elif calling and "forget" in modes:
            modes.discard("forget")
            self.plain(404, b"")
            return True
        elif calling and "cut" in modes:
            self.plain(202, b"")
            events.put(END)
        elif calling and "huge" in modes:
            self.plain(202, b"")
            events.put(b'{"x":"' + b"y" * (9 << 20) + b'"}')
        elif calling and "garbage" in modes:
            self.plain(202, b"")
            events.put(b'{"jsonrpc":"2.0","id":%d,' % message["id"])
        elif calling and "silent" in modes:
            self.plain(202, b"")
        else:
            return False
        return True

    def plain(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)


@contextmanager
def serving_sse(mode="", refusal=405):
    """Serve on loopback; yields the server, with `url`, `seen` and `opened`. `refusal`: the
    status of a POST to the URL itself."""
    server = Quiet(("127.0.0.1", 0), Handler)
    server.sockets, server.seen, server.queues, server.opened = [], [], {}, 0
    server.modes, server.refusal = set(mode.split(",")), refusal
    server.mcp = Server(argparse.Namespace(mode=mode, delay=0, die_on=0), io.BytesIO())
    server.turn, server.released = threading.Lock(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}/sse"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        for events in [*server.queues.values()]:
            events.put(END)
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()
