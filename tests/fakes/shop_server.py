"""A small MCP server on stdio that starts at once: for journeys through the command line.

Tools: `look` and `refund` answer at once with their arguments, `wait` never answers, `rude`
returns hostile text and writes it to stderr, `vanish` ends the server.
"""

import json
import sys
from typing import Any

from tests.fakes.screens import HOSTILE

_ANY = {"type": "object"}
_REFUND = {
    "type": "object",
    "properties": {"order": {"type": "string"}, "amount": {"type": "number"}},
    "required": ["order"],
    "additionalProperties": False,
}
_RUDE = "\n".join(text.encode("utf-8", "replace").decode() for text in HOSTILE)


def _tools() -> list[dict[str, Any]]:
    return [
        {"name": "look", "description": f"Look it up. {_RUDE}", "inputSchema": _ANY},
        {"name": "refund", "description": "Pay back.", "inputSchema": _REFUND},
        {"name": "wait", "description": "Wait for ever.", "inputSchema": _ANY},
        {"name": "rude", "description": _RUDE, "inputSchema": _ANY},
        {"name": "vanish", "description": "End.", "inputSchema": _ANY},
    ]


def _answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "shop", "version": f"1.0 {_RUDE}"},
        }
    if method == "tools/list":
        return {"tools": _tools()}
    name = params.get("name")
    if name == "wait":
        return None
    if name == "vanish":
        sys.exit(3)
    text = json.dumps(params.get("arguments"))
    if name == "rude":
        sys.stderr.write(_RUDE + "\n")
        sys.stderr.flush()
        text = _RUDE
    return {"content": [{"type": "text", "text": f"{name}: {text}"}]}


def main() -> None:
    """Answer requests until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if request["method"] in {"initialize", "tools/list", "tools/call"}:
            result = _answer(request["method"], request.get("params", {}))
            if result is None:
                continue
            reply["result"] = result
        else:
            reply["error"] = {"code": -32601, "message": "no such method"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
