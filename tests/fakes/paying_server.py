"""A small MCP server on stdio whose `pay` leaves a line in a ledger, reports progress once it has,
and never answers when told to `hang`. `python paying_server.py LEDGER`"""

import json
import sys
from pathlib import Path
from typing import Any

PAY = {
    "name": "pay",
    "description": "Pay an amount.",
    "inputSchema": {
        "type": "object",
        "properties": {"amount": {"type": "integer"}, "hang": {"type": "boolean"}},
        "required": ["amount"],
    },
}


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def result_of(method: str, params: dict[str, Any], ledger: Path) -> dict[str, Any] | None:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "bank", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [PAY]}
    arguments = params["arguments"]
    with ledger.open("a") as file:
        file.write(f"{arguments['amount']}\n")
    token = params.get("_meta", {}).get("progressToken")
    if token is not None:
        done = {"progressToken": token, "progress": 1, "total": 2}
        send({"method": "notifications/progress", "params": done})
    if arguments.get("hang"):
        return None
    return {"content": [{"type": "text", "text": "paid"}]}


def main() -> None:
    ledger = Path(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        if request["method"] not in {"initialize", "tools/list", "tools/call"}:
            send({"id": request["id"], "error": {"code": -32601, "message": "unknown method"}})
            continue
        result = result_of(request["method"], request.get("params", {}), ledger)
        if result is not None:
            send({"id": request["id"], "result": result})


if __name__ == "__main__":
    main()
