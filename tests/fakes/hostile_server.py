"""A raw MCP server over stdio with a switch for each misbehaviour; `hostile_http` puts it on HTTP.
More lies about calls stand in `hostile_lies`, those about lists and offers in `hostile_offers`.

Speaks JSON-RPC by hand, so that it can say what no SDK would. `--mode a,b` combines switches,
`--count FILE` counts starts, `--pids FILE` notes its processes; tools: echo, slow, die, env,
progress.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

if __name__ == "__main__":  # started without a path to the tests
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fakes.hostile_lies import LIES, NASTY
from tests.fakes.hostile_offers import Offers

ESC = "\x1b]52;c;cHduZWQ=\x07\x1b[2J\u202e"


def doubling(levels):
    defs = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    defs[f"d{levels}"] = {"type": "string"}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs}


SCHEMAS = {
    "selfref": {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}},
    "doubling": doubling(22),
    "network": {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}},
    "file": {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}},
    "missing": {"type": "object", "properties": {"a": {"$ref": "#/$defs/nowhere"}}},
    "badtype": {"type": "object", "properties": {"a": {"type": "strng"}}},
    "notobject": {"type": "string"},
}


class Server(Offers):
    def __init__(self, options, out):
        self.modes = set(filter(None, options.mode.split(",")))
        self.options = options
        self.out = out
        self.lock = threading.Lock()
        self.lists = self.calls = self.pages = self.rounds = 0
        self.reads, self.heard, self.pinging = [], [], None
        self.cancelled = []
        self.initialized = False
        self.picked = False
        self.listening = None

    def write(self, data):
        with self.lock:
            self.out.write(data)
            self.out.flush()

    def send(self, message):
        self.write(json.dumps(message).encode() + b"\n")

    def notify(self, method, params=None):
        self.send({"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})})

    def handle(self, message):
        method, params = message.get("method"), message.get("params") or {}
        if "id" not in message:
            if method == "notifications/cancelled":
                self.cancelled.append(params.get("requestId"))
            return
        if method is None:
            self.answered(message)
            return
        unknown = method != "initialize" and not self.initialized
        if "die_first_unknown" in self.modes and unknown:
            os._exit(1)
        if "ignore_probe" in self.modes and method == "server/discover":
            return
        reply = getattr(self, "on_" + method.replace("/", "_"), self.unknown)(message, params)
        if reply is not None:
            ident = str(message["id"]) if "string_ids" in self.modes else message["id"]
            self.send({"jsonrpc": "2.0", "id": ident, **reply})

    def answered(self, message):
        """The host answered a request of this server."""
        self.heard.append(message)
        if "pings" in self.modes and len(self.heard) == 3:
            sound = sum(answer.get("result") == {} for answer in self.heard)
            self.late(self.pinging, json.dumps({"answers": sound}))

    def unknown(self, message, params):
        return {"error": {"code": -32601, "message": "Method not found"}}

    def on_initialize(self, message, params):
        self.initialized = True
        if "hang_initialize" in self.modes:
            return None
        if "die_initialize" in self.modes:
            sys.stderr.write("cannot reach the database\n")
            sys.stderr.flush()
            os._exit(3)
        if self.options.delay:
            time.sleep(self.options.delay)
        version = "2099-01-01" if "future" in self.modes else "2025-06-18"
        info = {"name": ESC, "version": "1.0" + (ESC if "esc" in self.modes else "")}
        caps = {"tools": {"listChanged": True}, **self.offered()}
        result = {"protocolVersion": version, "capabilities": caps, "serverInfo": info}
        return {"result": self.introduced(result)}

    def introduced(self, result):
        """The answer to `initialize`, or a lie in its place."""
        lies = {
            "init_nasty": {"instructions": NASTY, "serverInfo": {"name": NASTY, "version": NASTY}},
            "init_long": {"instructions": "i" * (3 << 20)},
            "init_no_info": {"serverInfo": None},
            "init_odd": {"serverInfo": [], "capabilities": "all", "instructions": 5},
            "init_odd_version": {"protocolVersion": 5},
            "init_no_version": {"protocolVersion": None},
        }
        for mode in self.modes & lies.keys():
            result |= lies[mode]
        return result

    def on_server_discover(self, message, params):
        if "modern" not in self.modes:
            return self.unknown(message, params)
        asked = (params.get("_meta") or {}).get("io.modelcontextprotocol/protocolVersion")
        if "picky" in self.modes and not self.picked:
            self.picked = True
            data = {"supported": ["2026-07-28"], "requested": asked}
            return {"error": {"code": -32022, "message": "which?", "data": data}}
        info = {"io.modelcontextprotocol/serverInfo": {"name": ESC, "version": "2.0" + ESC}}
        versions = ["1999-01-01"] if "alien" in self.modes else ["2026-07-28"]
        caps = {"tools": {"listChanged": True}, **self.offered()}
        result = {"supportedVersions": versions, "capabilities": caps}
        result |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "_meta": info}
        return {"result": result}

    def on_subscriptions_listen(self, message, params):
        if "modern" not in self.modes or "no_listen" in self.modes:
            return self.unknown(message, params)
        self.listening = {"io.modelcontextprotocol/subscriptionId": message["id"]}
        params = {"notifications": {"toolsListChanged": True}, "_meta": self.listening}
        self.notify("notifications/subscriptions/acknowledged", params)
        return None

    def on_ping(self, message, params):
        return {"result": {}}

    def tool(self, name, **more):
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        if "idempotent" in self.modes:
            more["annotations"] = {"idempotentHint": True}
        return {"name": name, "description": f"Tool {name}.", "inputSchema": schema, **more}

    def on_tools_list(self, message, params):
        self.lists += 1
        if (lie := self.lied("tools/list", params)) is not None:
            return {"result": lie}
        modes, tools = (
            self.modes,
            [self.tool(n) for n in ("echo", "slow", "die", "env", "progress")],
        )
        if "list_error" in modes or ("relist_error" in modes and 1 < self.lists < 4):
            return {"error": {"code": -32603, "message": "no list" + ESC}}
        if "list_garbage" in modes:
            return {"result": {"tools": "none"}}
        if "relist_never" in modes and self.lists > 1:
            return {"error": {"code": -32603, "message": "no list"}}
        if "hang_list" in modes:
            return None
        if "no_schema" in modes:
            tools += [{"name": "bare"}, {"name": "empty", "inputSchema": {}}]
        if "dup" in modes:
            tools += [self.tool("twin"), self.tool("twin", description="other")]
        if "names" in modes:
            tools += [self.tool("b\u0430sh"), self.tool("x" * 129), self.tool("a b"), self.tool("")]
            tools += [{"name": 5}, "junk", None, self.tool("esc" + ESC)]
        if "schemas" in modes:
            tools += [self.tool(f"s_{k}", inputSchema=v) for k, v in SCHEMAS.items()]
            tools += [self.tool(f"o_{k}", outputSchema=v) for k, v in SCHEMAS.items()]
        if "huge_tool" in modes:
            tools += [self.tool("huge", description="x" * 100_000)]
        if "many" in modes:
            tools = [self.tool(f"t{i}") for i in range(5000)]
        if "changing" in modes:
            tools[0] = self.tool("echo", description=f"Version {self.lists}.")
            if self.lists > 1:
                tools.append(self.tool("extra"))
        if "lying_output" in modes:
            out = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
            tools.append(self.tool("lie", outputSchema=out))
        result = {"tools": tools}
        if "pages" in modes:
            page = int(params.get("cursor") or 0)
            result = {"tools": tools if page == 0 else [self.tool(f"p{page}")]}
            if page < 3:
                result["nextCursor"] = str(page + 1)
        if "endless" in modes:
            result["nextCursor"] = f"c{self.lists}"
        if "same_cursor" in modes:
            result["nextCursor"] = "again"
        return {"result": result}

    def on_tools_call(self, message, params):
        self.calls += 1
        name, arguments = params.get("name"), params.get("arguments") or {}
        modes, ident = self.modes, message["id"]
        if "die_call" in modes or name == "die":
            sys.stderr.write("fatal: " + ESC + "\n")
            sys.stderr.flush()
            os._exit(7)
        if self.options.die_on and self.calls >= self.options.die_on:
            os._exit(8)
        if "hang_call" in modes:
            return None
        for lie in modes & LIES.keys():
            return LIES[lie](self, ident, params)
        special = self.special(ident)
        if special is not None:
            self.write(special)
            return None
        if "list_changed_flood" in modes:
            for _ in range(20_000):
                self.notify("notifications/tools/list_changed")
        if "progress_flood" in modes:
            token = (params.get("_meta") or {}).get("progressToken")
            for i in range(20_000):
                self.notify("notifications/progress", {"progressToken": token, "progress": i})
        if "log_flood" in modes:
            for i in range(5_000):
                self.notify("notifications/message", {"level": "info", "data": f"{i} {ESC}"})
        if "changing" in modes:
            self.notify(
                "notifications/tools/list_changed",
                {"_meta": self.listening} if self.listening else None,
            )
        if "request_flood" in modes:
            for i in range(2000):
                self.send({"jsonrpc": "2.0", "id": f"r{i}", "method": "roots/list"})
        return self.answer(name, arguments, params, ident)

    def special(self, ident):
        """Bytes to write instead of an answer."""
        head = b'{"jsonrpc":"2.0","id":%d,"result":' % ident
        ok = b'{"content":[{"type":"text","text":"'
        if "bad_utf8" in self.modes:
            return head + ok + b'caf\xe9 \xff"}]}}\n'
        if "surrogate" in self.modes:
            return head + ok + b'a\\ud800b"}]}}\n'
        if "huge_line" in self.modes:
            return head + ok + b"x" * (9 << 20) + b'"}]}}\n'
        if "big_result" in self.modes:
            return head + ok + b"x" * (4 << 20) + b'"}]}}\n'
        if "huge_int" in self.modes:
            return head + b'{"content":[],"n":' + b"9" * 6000 + b"}}\n"
        if "deep" in self.modes:
            return head + b"[" * 200_000 + b"]" * 200_000 + b"}\n"
        if "truncated" in self.modes:
            return head + ok + b"\n"
        if "unterminated" in self.modes:
            return b"y" * (200 << 20)
        return None

    def answer(self, name, arguments, params, ident):
        if "stop_reading" in self.modes:
            time.sleep(600)
        if name == "slow":
            seconds = float(arguments.get("seconds", 0.2))
            threading.Timer(seconds, self.late, (ident, "late")).start()
            return None
        if name == "env":
            return self.text(json.dumps(dict(os.environ)))
        if name == "progress":
            token = (params.get("_meta") or {}).get("progressToken")
            body = {"progressToken": token, "progress": 1, "total": 4, "message": "one" + ESC}
            self.notify("notifications/progress", body)
        if name == "lie":
            return {"result": {"content": [], "structuredContent": {"n": "x"}}}
        if "rpc_error" in self.modes:
            return {"error": {"code": -32603, "message": "boom " + ESC}}
        if "is_error" in self.modes:
            return {
                "result": {"content": [{"type": "text", "text": "no such order"}], "isError": True}
            }
        if "odd_content" in self.modes:
            odd = [
                {"type": "hologram", "x": 1},
                "plain",
                5,
                {"type": "image", "data": "?", "mimeType": "image/png"},
            ]
            return {"result": {"content": odd}}
        if "content_string" in self.modes:
            return {"result": {"content": "not a list"}}
        if "result_string" in self.modes:
            return {"result": "not an object"}
        if "cancelled" in arguments:
            return self.text(json.dumps(self.cancelled))
        return self.text(json.dumps(arguments))

    def text(self, text):
        return {"result": {"content": [{"type": "text", "text": text}]}}

    def late(self, ident, text):
        self.send({"jsonrpc": "2.0", "id": ident, **self.text(text)})


def count_start(path):
    file = Path(path)
    number = int(file.read_text() or 0) + 1 if file.exists() else 1
    file.write_text(str(number))
    return number


def misbehave_at_start(options, modes, server):
    if options.pids:
        with Path(options.pids).open("a") as file:
            file.write(f"{os.getpid()}\n")
    if "ignore_term" in modes:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "grandchild" in modes or "setsid" in modes:
        import subprocess

        code = "import signal,time;signal.signal(15,signal.SIG_IGN);time.sleep(600)"
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code],
            start_new_session="setsid" in modes,
            stdin=subprocess.DEVNULL,
        )
        if options.pids:
            with Path(options.pids).open("a") as file:
                file.write(f"{child.pid}\n")
    if "stderr_nasty" in modes:
        os.write(2, NASTY.encode("utf-8", "replace") + b"\n")
    if "stderr_flood" in modes:
        for _ in range(600):
            os.write(2, (ESC.encode() + b"noise ") * 500)
        os.write(2, b"the last words\n")
    if "banner" in modes:
        server.write(
            b"Server ready on stdio\n{oops}\n[1,2\n\n" + ESC.encode() + b'\n{"level":"info"}\n'
        )
    if "flood_stdout" in modes:
        while True:
            server.write(b"z" * (1 << 20))
    if "flood_lines" in modes:
        while True:
            server.write(b"not a message\n" * 10_000)
    if "close_stdout" in modes:
        os.close(1)
        time.sleep(600)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="")
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--die-on", type=int, default=0)
    parser.add_argument("--count")
    parser.add_argument("--die-until", type=int, default=0)
    parser.add_argument("--pids")
    options = parser.parse_args()
    server = Server(options, sys.stdout.buffer)
    number = count_start(options.count) if options.count else 1
    if "die" in server.modes or number <= options.die_until:
        sys.stderr.write("no license" + ESC + "\n")
        return 9
    misbehave_at_start(options, server.modes, server)
    for line in sys.stdin.buffer:
        server.handle(json.loads(line))
    if "ignore_eof" in server.modes:
        while True:
            time.sleep(600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
