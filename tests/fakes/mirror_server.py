"""An MCP server over HTTP that says who it was called for."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Mirror:
    """Its one tool `who` returns the X- headers and `_meta` of its call, once as many calls are
    there at once as `together` says."""

    def __init__(self):
        self.together = threading.Barrier(1)
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_response(405)
                self.send_header("content-length", "0")
                self.end_headers()

            do_DELETE = do_GET  # noqa: N815

            def do_POST(self):
                message = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if "id" not in message:
                    self.send_response(202)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                answer = {"jsonrpc": "2.0", "id": message["id"]} | mirror.answer(
                    message, dict(self.headers.items())
                )
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/mcp"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.unasked = []

    def answer(self, message, headers):
        shown = {k: v for k, v in headers.items() if k.lower().startswith("x-")}
        if message["method"] != "tools/call":
            self.unasked.append(shown)
        match message["method"]:
            case "initialize":
                info = {"name": "mirror", "version": "1"}
                result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
                return {"result": result | {"serverInfo": info}}
            case "tools/list":
                return {"result": {"tools": [{"name": "who", "inputSchema": {"type": "object"}}]}}
            case "tools/call":
                self.together.wait(10)
                text = json.dumps({"headers": shown, "meta": message["params"].get("_meta")})
                return {"result": {"content": [{"type": "text", "text": text}]}}
            case _:
                return {"error": {"code": -32601, "message": "no"}}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
