"""A small MCP server on stdio whose `tell` answers with its environment and its arguments."""

import json
import os
import sys
from typing import Any

TELL = {"name": "tell", "description": "Tell everything.", "inputSchema": {"type": "object"}}


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "teller", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [TELL]}
    if method == "tools/call":
        known = {"environment": dict(os.environ), "arguments": sys.argv[1:]}
        return {"content": [{"type": "text", "text": json.dumps(known)}]}
    return None


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        result = result_of(request["method"], request.get("params", {}))
        if result is None:
            reply["error"] = {"code": -32601, "message": "unknown method"}
        else:
            reply["result"] = result
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
