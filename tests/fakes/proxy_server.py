"""An HTTP proxy on loopback, in a thread: CONNECT, and plain requests by their absolute URL."""

import socket
import threading
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *anything):
        del anything

    def admitted(self):
        self.server.seen.append((self.command, self.path, self.headers.get("proxy-authorization")))
        if self.server.password and not self.headers.get("proxy-authorization"):
            self.send_response(407)
            self.send_header("content-length", "0")
            self.end_headers()
            return False
        return True

    def do_CONNECT(self):
        if not self.admitted():
            return
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as far:
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            back = threading.Thread(target=pour, args=(far, self.connection))
            back.start()
            pour(self.connection, far)
            back.join()

    def forward(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if not self.admitted():
            return
        parts = urlsplit(self.path)
        far = HTTPConnection(parts.netloc, timeout=10)
        headers = {k: v for k, v in self.headers.items() if "proxy" not in k.lower()}
        far.request(self.command, parts.path, body, headers)
        answer = far.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(key, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        far.close()

    do_GET = do_POST = do_DELETE = forward  # noqa: N815  # the names of http.server


def pour(source, sink):
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        del request, client_address


@contextmanager
def proxying(password=""):
    """Yields the proxy, with `url` and `seen`: (method, target, credentials) of each request."""
    server = Quiet(("127.0.0.1", 0), Handler)
    server.seen, server.password = [], password
    user = f"user:{password}@" if password else ""
    server.url = f"http://{user}127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
