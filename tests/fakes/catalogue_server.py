"""A stdio server of very many tools: `catalogue_server.py FILE [FIRST LAST]` serves the raw
definitions of a JSON list, or a slice of it. Every call is answered with what it was called with;
the argument `result_size` makes that many characters of log lines of it."""

import json
import sys


def answer(method, params, tools):
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}, "resources": {}},
            "serverInfo": {"name": "catalogue", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": tools}
    if method in ("resources/list", "resources/templates/list"):
        return {"resources": [], "resourceTemplates": []}  # like most: said to be there, and none
    if method == "tools/call":
        size = params.get("arguments", {}).get("result_size", 0)
        lines = "".join(f"line {n} of a long log\n" for n in range(1, size // 20 + 1))
        return {"content": [{"type": "text", "text": lines or json.dumps(params)}]}
    return None


def main():
    file, *bounds = sys.argv[1:]
    with open(file, encoding="utf-8") as source:  # noqa: PTH123  # pathlib costs start-up
        tools = json.load(source)
    if bounds:
        tools = tools[int(bounds[0]) : int(bounds[1])]
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = answer(message["method"], message.get("params", {}), tools)
        reply = {"jsonrpc": "2.0", "id": message["id"]}
        if result is None:
            reply["error"] = {"code": -32601, "message": "there is no such method"}
        else:
            reply["result"] = result
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
