"""A raw MCP server of any protocol version, over stdio or HTTP, that does all that servers may do.

Speaks JSON-RPC by hand, each request in a thread of its own, so that it can ask the host while a
call runs. `--speaks 2025-11-25` is one era, `--speaks 2026-07-28` the other, `both` either.
`--seen FILE` notes every message it gets, one JSON line each; `--state FILE` keeps tasks over
restarts; `--mode a,b` combines switches. Over HTTP (`--port`) each answer is a stream of events.
"""

import argparse
import json
import os
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from asking_offers import Offers
from asking_tools import META, MODERN, GoneError, Tools, fault, ok


class Server(Tools, Offers):
    def __init__(self, options):
        self.options = options
        self.modes = set(filter(None, options.mode.split(",")))
        self.lock = threading.Lock()
        self.waiting = {}
        self.numbers = 0
        self.cancelled = {}
        self.done = set()
        self.legs = 0
        self.tasks = {}
        self.listeners = []
        self.subscribed = set()
        self.streams = {}
        self.initialized = False

    # -- messages in

    def take(self, message, stream):
        """Handle one message; `stream` is where what belongs to it goes."""
        if self.options.seen:
            with self.lock, Path(self.options.seen).open("a") as file:
                file.write(json.dumps(message) + "\n")
        if "method" not in message:
            with self.lock:
                waiter = self.waiting.pop(message.get("id"), None)
            if waiter is not None:
                waiter.put(message)
            return
        if "id" not in message:
            self.noted(message["method"], message.get("params") or {})
            return
        self.cancelled[message["id"]] = threading.Event()
        try:
            reply = self.reply(message, message.get("params") or {}, stream)
        except GoneError:
            stream.end()
            return
        if reply is not None:
            stream.send({"jsonrpc": "2.0", "id": message["id"], **reply})

    def noted(self, method, params):
        if method == "notifications/cancelled":
            event = self.cancelled.get(params.get("requestId"))
            if event is not None:
                event.set()

    def reply(self, message, params, stream):
        method = message["method"]
        modern = self.is_modern(params) and self.options.speaks in (MODERN, "both")
        known = method in ("initialize", "server/discover") or self.initialized or modern
        if not known and "strict" in self.modes:
            return fault(-32600, "not initialized")
        if method == "server/discover" and "silent_probe" in self.modes and not self.initialized:
            self.modes.add("stuck")
        hangs = "hangs" in self.modes and method.startswith("resources/")
        if "stuck" in self.modes or hangs:
            return None
        handler = getattr(self, "on_" + method.replace("/", "_"), None)
        if handler is None:
            return fault(-32601, "Method not found")
        reply = handler(message, params, stream)
        if modern and reply is not None and "result" in reply:
            result = reply["result"]
            result.setdefault("resultType", "complete")
            stamp = {"name": "asking", "version": self.options.version}
            result.setdefault("_meta", {META + "serverInfo": stamp})
        return reply

    def is_modern(self, params):
        return (params.get("_meta") or {}).get(META + "protocolVersion") == MODERN

    # -- messages out

    def ask(self, message, stream, method, params):
        """Ask the host something while it waits for `message`, and return its answer."""
        with self.lock:
            self.numbers += 1
            number = f"s{self.numbers}"
            waiter = self.waiting[number] = queue.Queue()
        stream.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        while True:
            try:
                return waiter.get(timeout=0.02)
            except queue.Empty:
                self.check(message)

    def check(self, message):
        if self.cancelled[message["id"]].is_set():
            raise GoneError

    # -- the protocol

    def capabilities(self, modern):
        held = {
            "tools": {"listChanged": True},
            "prompts": {"listChanged": True},
            "resources": {"listChanged": True, "subscribe": True},
            "completions": {},
            "logging": {},
        }
        if "no_resources" in self.modes:
            del held["resources"]
        if not modern:
            held["tasks"] = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
        else:
            held["extensions"] = {META + "tasks": {}, META + "skills": {}}
        return held

    def on_initialize(self, message, params, stream):
        if self.options.speaks == MODERN:
            data = {"supported": [MODERN], "requested": params.get("protocolVersion")}
            return fault(-32022, "Unsupported protocol version", data)
        asked, spoken = params.get("protocolVersion"), self.options.speaks
        oldest = spoken.partition("=")[2]
        if oldest and asked != oldest and "offers" not in self.modes:
            return fault(-32602, "Unsupported protocol version", {"supported": [oldest]})
        self.initialized = True
        version = oldest or (asked if spoken == "both" else spoken)
        info = {"name": "asking", "version": self.options.version}
        held = self.capabilities(modern=False)
        return ok(protocolVersion=version, capabilities=held, serverInfo=info, instructions="Ask.")

    def on_server_discover(self, message, params, stream):
        if self.options.speaks not in (MODERN, "both"):
            return fault(-32601, "Method not found")
        held = self.capabilities(modern=True)
        return ok(supportedVersions=[MODERN], capabilities=held, instructions="Ask.")

    def on_ping(self, message, params, stream):
        return ok()

    def on_logging_setLevel(self, message, params, stream):  # noqa: N802
        return ok()


class Pipe:
    """Standard output."""

    def __init__(self):
        self.lock = threading.Lock()

    def send(self, message):
        with self.lock:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    def notify(self, method, params):
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def end(self):
        pass

    def keep(self, message, server):
        pass


class Events:
    """The answer to one POST, as a stream of events."""

    def __init__(self, handler):
        self.handler = handler
        self.headers = handler.headers
        self.lock = threading.Lock()
        self.over = threading.Event()

    def send(self, message):
        data = f"event: message\ndata: {json.dumps(message)}\n\n".encode()
        try:
            with self.lock:
                self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.handler.wfile.flush()
        except OSError:
            self.over.set()
        if "method" not in message:
            self.over.set()

    def notify(self, method, params):
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def end(self):
        self.over.set()

    def keep(self, message, server):
        while not self.over.wait(0.05):
            if server.cancelled[message["id"]].is_set():
                return


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *anything):
        pass

    def begin(self, kind):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.send_header("mcp-session-id", "one")
        self.end_headers()

    def do_GET(self):
        server = self.server.asking
        self.begin("text/event-stream")
        stream = server.streams["get"] = Events(self)
        stream.over.wait(60)

    def do_DELETE(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server = self.server.asking
        if "id" not in message or "method" not in message:
            server.take(message, None)
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        self.begin("text/event-stream")
        stream = Events(self)
        self.watch(message, server)
        server.take(message, stream)
        try:
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass

    def watch(self, message, server):
        """A host of the modern protocol cancels by closing the stream."""
        server.cancelled[message["id"]] = threading.Event()

        def look():
            try:
                gone = self.connection.recv(1) == b""
            except OSError:
                gone = True
            if gone:
                server.cancelled[message["id"]].set()

        if server.is_modern(message.get("params") or {}):
            threading.Thread(target=look, daemon=True).start()
            self.close_connection = True


def options(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--speaks", default="both")
    parser.add_argument("--version", default="1.0")
    parser.add_argument("--mode", default="")
    parser.add_argument("--seen", default="")
    parser.add_argument("--state", default="")
    parser.add_argument("--port", type=int)
    return parser.parse_args(argv)


def main():
    chosen = options()
    server = Server(chosen)
    if chosen.port is not None:
        http = ThreadingHTTPServer(("127.0.0.1", chosen.port), Handler)
        http.daemon_threads = True
        http.asking = server
        print(http.server_address[1], flush=True)
        http.serve_forever()
    pipe = Pipe()
    for line in sys.stdin:
        message = json.loads(line)
        if "exits" in server.modes and not server.initialized:
            if message.get("method") != "initialize":
                os._exit(3)
            server.initialized = True
        threading.Thread(target=server.take, args=(message, pipe), daemon=True).start()


if __name__ == "__main__":
    main()
