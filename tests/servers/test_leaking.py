"""A server that says the secret that it was given, in what is pinned and what models read."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOKEN = "tok-4711-of-the-server"
SERVER = """
import base64, json, os, sys
token = os.environ["TOKEN"]
form = {"plain": token, "base64": base64.b64encode(token.encode()).decode()}[sys.argv[1]]
empty = {"type": "object"}
ANSWERS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}, "prompts": {}},
        "serverInfo": {"name": f"n {form}", "version": f"1 {form}"},
        "instructions": f"say {form}",
    },
    "tools/list": {"tools": [
        {"name": "told", "description": f"It is {form}.", "inputSchema": empty},
        {"name": "preset", "description": "d", "inputSchema": {
            "type": "object", "properties": {"key": {"type": "string", "default": form}}}},
        {"name": "fine", "description": "Nothing.", "inputSchema": empty},
    ]},
    "prompts/list": {"prompts": [
        {"name": "leak", "description": form}, {"name": "sound", "description": "d"},
    ]},
}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        known = ANSWERS.get(message["method"])
        answer = {"result": known} if known else {"error": {"code": -32601, "message": "?"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"""


@pytest.mark.parametrize("form", ["plain", "base64"])
def test_what_holds_a_servers_own_secret_is_neither_offered_nor_pinned(
    tmp_path: Path, form: str
) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "servers.toml").write_text(
        f"[servers.s]\ncommand = {json.dumps(sys.executable)}\nargs = ['server.py', '{form}']\n"
        'env = { TOKEN = "${env:THE_TOKEN}" }\n'
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "home")}
    environ |= {"THE_TOKEN": TOKEN, "AGENT_HOST_STATE": str(tmp_path / "state")}
    said = ""
    for words in (["tools", "list"], ["prompts", "list"], ["servers", "lock"], ["run", "Hello"]):
        done = subprocess.run(
            [sys.executable, "-m", "agent_host", *words, "--trust"],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        said += done.stdout + done.stderr
    assert "the definition of told holds a secret that the server was given" in said
    assert "s__fine" in said
    assert "s__told" not in said
    assert "s__preset" not in said
    lock = (tmp_path / "servers.lock").read_text()
    pinned = json.loads(lock)["servers"]["s"]
    assert "fine" in json.dumps(pinned)
    assert "sound" in json.dumps(pinned)
    kept = "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()
    )
    for text in (lock, said, kept):
        assert TOKEN not in text
        assert base64.b64encode(TOKEN.encode()).decode() not in text
