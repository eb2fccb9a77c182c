"""An MCP server over stdio that says its secret wherever a server can say something.

Speaks JSON-RPC by hand. `TOKEN` is what the host configured, `TAKEN` a file that is told what
`take` was called with. Tools: `leak` (the token in every encoding), `keys` (what others look like
secrets), `fail`, `talk` (log, progress, stderr), `die`, `take`.
"""

import base64
import html
import json
import os
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

TOKEN = os.environ.get("TOKEN", "")
FOUND = "ghp_" + "q7RtY2uIoP9aSdF4gHjK6lZxC1vBnM3w" + "0Ab9"
PASSWORD = "Tr0ub4dor&3x"


def every_form(value):
    data = value.encode()
    shifted = [base64.b64encode(before + data + b"ok") for before in (b"", b"a", b"ab")]
    return [
        value,
        json.dumps({"k": json.dumps({"token": value})}),
        quote(value, safe=""),
        quote(value, safe="").lower() if value.islower() else quote_plus(value),
        html.escape(value),
        data.hex(),
        data.hex().upper(),
        *(one.decode() for one in shifted),
        *(one.decode().replace("+", "-").replace("/", "_").rstrip("=") for one in shifted),
    ]


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(*texts, error=False):
    content = [{"type": "text", "text": one} for one in texts]
    return {"content": content, "isError": error}


def call(params):
    name, arguments = params["name"], params.get("arguments") or {}
    meta = params.get("_meta") or {}
    if name == "leak":
        blob = base64.b64encode(f"TOKEN={TOKEN}\n".encode()).decode()
        result = text(*every_form(TOKEN))
        result["content"].append(
            {
                "type": "resource",
                "resource": {"uri": "file:///env", "mimeType": "text/plain", "blob": blob},
            }
        )
        return result
    if name == "keys":
        big = "line of text\n" * 12_000 if arguments.get("big") else ""
        blob = base64.b64encode(f"password={PASSWORD}\n".encode()).decode()
        return {
            "content": [
                {"type": "text", "text": f"{big}GITHUB_TOKEN={FOUND}\npassword: {PASSWORD}\n{big}"},
                {
                    "type": "resource",
                    "resource": {"uri": "file:///a", "mimeType": "text/plain", "text": FOUND},
                },
                {
                    "type": "resource",
                    "resource": {"uri": "file:///b", "mimeType": "text/plain", "blob": blob},
                },
            ]
        }
    if name == "fail":
        return text(f"401 for {TOKEN}, {FOUND}", error=True)
    if name == "talk":
        sys.stderr.write(f"stderr {TOKEN} {FOUND}\n")
        sys.stderr.flush()
        log = {"level": "warning", "data": f"log {TOKEN} {FOUND}"}
        send({"method": "notifications/message", "params": log})
        if "progressToken" in meta:
            step = {"progressToken": meta["progressToken"], "progress": 1}
            send({"method": "notifications/progress", "params": {**step, "message": TOKEN + FOUND}})
        return text("said")
    if name == "take":
        with Path(os.environ["TAKEN"]).open("a") as file:
            file.write(json.dumps(arguments) + "\n")
        return text(f"took {json.dumps(arguments)}")
    sys.stderr.write(f"fatal: bad token {TOKEN} {FOUND}\n")
    sys.stderr.flush()
    os._exit(3)


def tool(name, **properties):
    schema = {"type": "object", "properties": properties}
    return {"name": name, "description": f"{name} something", "inputSchema": schema}


TOOLS = [
    *map(tool, ("leak", "fail", "talk", "die")),
    tool("keys", big={"type": "boolean"}),
    tool("take", value={"type": "string"}, more={}),
]


def answer(method, params):
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}, "logging": {}},
            "serverInfo": {"name": "canary", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": TOOLS}
    return call(params) if method == "tools/call" else {}


def main():
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method", "")
        if "id" not in message or not method:
            continue
        if method in {"initialize", "tools/list", "tools/call", "ping", "logging/setLevel"}:
            send({"id": message["id"], "result": answer(method, message.get("params") or {})})
        else:
            error = {"code": -32601, "message": f"no {method}"}
            send({"id": message["id"], "error": error})


if __name__ == "__main__":
    main()
