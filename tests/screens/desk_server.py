"""An MCP server on stdio whose calls stop where a picture is to be taken.

Tools: `index` says how far it is, and goes on no further; `read` answers at once.
"""

import json
import sys
from typing import Any

_PATH = {"type": "object", "properties": {"path": {"type": "string"}}}
_TOOLS = [
    {"name": "index", "description": "Index a folder.", "inputSchema": _PATH},
    {"name": "read", "description": "Read a file.", "inputSchema": _PATH},
]


def _send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def _called(request: dict[str, Any]) -> None:
    params = request["params"]
    if params["name"] == "read":
        text = f"{params['arguments'].get('path')}: 42 lines"
        _send(id=request["id"], result={"content": [{"type": "text", "text": text}]})
        return
    token = params.get("_meta", {}).get("progressToken")
    if token is not None:
        how_far = {"progress": 312, "total": 500, "message": "letters of 2025"}
        _send(method="notifications/progress", params={"progressToken": token, **how_far})


def main() -> None:
    """Answer requests until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        method = request.get("method")
        if "id" not in request:
            continue
        if method == "initialize":
            _send(
                id=request["id"],
                result={
                    "protocolVersion": request["params"]["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "desk", "version": "1.0"},
                },
            )
        elif method == "tools/list":
            _send(id=request["id"], result={"tools": _TOOLS})
        elif method == "tools/call":
            _called(request)
        else:
            _send(id=request["id"], error={"code": -32601, "message": "no such method"})


if __name__ == "__main__":
    main()
