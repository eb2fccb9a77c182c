"""An MCP registry on loopback: the API of v0.1 over real entries, with a switch per misbehaviour.

Beside the API it serves plain files (`files`), which stand for bundles, indexes of packages and
whatever else a plan fetches.
"""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

DATA = Path(__file__).parents[1] / "data" / "registry"
META = "io.modelcontextprotocol.registry/official"
STAMP = "2026-03-01T00:00:00Z"


def real_entries() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / "servers.json").read_text())
    return found


def invalid_entries() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((DATA / "invalid.json").read_text())
    return found


def published_entries() -> list[dict[str, Any]]:
    """Several hundred entries made of packages that are really published."""
    rows = (line.split("\t") for line in (DATA / "published.tsv").read_text().splitlines())
    return [
        {
            "name": f"org.pypi/{name}",
            "description": summary,
            "version": version,
            "packages": [
                {
                    "registryType": "pypi",
                    "identifier": name,
                    "version": version,
                    "transport": {"type": "stdio"},
                }
            ],
        }
        for name, version, summary in rows
    ]


@dataclass
class Registry:
    """What is published, and how the server behaves."""

    url: str = ""
    size: int = 100
    versions: list[dict[str, Any]] = field(default_factory=list)
    raw: list[Any] = field(default_factory=list)  # put before each first page as they are
    now: str = "Mon, 02 Mar 2026 12:00:00 GMT"
    asked: list[str] = field(default_factory=list)
    failing: dict[int, int] = field(default_factory=dict)  # n-th list request -> HTTP status
    retry_after: str = ""
    endless: bool = False
    growing: bool = False  # endless, but with new cursors
    huge: int = 0  # bytes
    broken: bool = False  # the answer breaks off
    nonsense: bytes = b""
    zipped: bool = False
    bomb: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    needs: dict[str, tuple[str, str]] = field(default_factory=dict)  # path -> token, challenge

    def publish(self, server: dict[str, Any], updated: str = STAMP, **meta: Any) -> None:
        """Add a version, which becomes the latest, as the registry does."""
        for entry in self.versions:
            if entry["server"]["name"] == server["name"]:
                entry["_meta"][META]["isLatest"] = False
        official = {"status": "active", "publishedAt": updated, "updatedAt": updated}
        self.versions.append(
            {"server": server, "_meta": {META: official | {"isLatest": True} | meta}}
        )

    def mark(self, name: str, status: str, updated: str, message: str = "") -> None:
        """Change the status of every version of a server."""
        for entry in self.versions:
            if entry["server"]["name"] == name:
                entry["_meta"][META] |= {
                    "status": status,
                    "statusMessage": message,
                    "updatedAt": updated,
                }

    def forget(self, name: str) -> None:
        self.versions = [e for e in self.versions if e["server"]["name"] != name]

    def lists(self) -> list[str]:
        """The queries of the list that were asked."""
        return [urlsplit(path).query for path in self.asked if path.startswith("/v0.1/servers?")]

    def answer(self, path: str) -> tuple[int, Any]:
        split = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        parts = [unquote(part) for part in split.path.split("/")[2:]]
        if parts == ["servers"]:
            return self._list(query)
        if len(parts) == 3 and parts[2] == "versions":
            found = [e for e in reversed(self.versions) if e["server"]["name"] == parts[1]]
            return (200, _listed(found)) if found else (404, {"error": "Server not found"})
        if len(parts) == 4 and parts[2] == "versions":
            for entry in self.versions:
                latest = parts[3] == "latest" and entry["_meta"][META]["isLatest"]
                named = entry["server"]["name"] == parts[1]
                if named and (latest or entry["server"]["version"] == parts[3]):
                    return 200, entry
        return 404, {"error": "Server not found"}

    def _list(self, query: dict[str, str]) -> tuple[int, Any]:
        found = self.versions
        if query.get("version") == "latest":
            found = [e for e in found if e["_meta"][META]["isLatest"]]
        if "search" in query:
            found = [e for e in found if query["search"].lower() in e["server"]["name"].lower()]
        if "updated_since" in query:
            found = [e for e in found if e["_meta"][META]["updatedAt"] >= query["updated_since"]]
        elif query.get("include_deleted") != "true":
            found = [e for e in found if e["_meta"][META]["status"] != "deleted"]
        found = sorted(found, key=_key)
        cursor = query.get("cursor", "")
        rest = [e for e in found if _key(e) > cursor]
        page = rest[: min(self.size, int(query.get("limit", "30")))]
        after = _key(page[-1]) if len(rest) > len(page) else ""
        if self.endless:
            after = _key(found[0])
        if self.growing:
            after = f"{cursor}x"
            page = []
        return 200, _listed(page if cursor else [*self.raw, *page], after)


def _key(entry: dict[str, Any]) -> str:
    return f"{entry['server']['name']}:{entry['server']['version']}"


def _listed(entries: list[Any], cursor: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"count": len(entries)}
    if cursor:
        metadata["nextCursor"] = cursor
    return {"servers": entries, "metadata": metadata}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: Registry

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.registry.now

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        registry = self.registry
        registry.asked.append(self.path)
        path = urlsplit(self.path).path
        if path in registry.moved:
            self.send_response(302)
            self.send_header("Location", registry.moved[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path in registry.needs:
            token, challenge = registry.needs[path]
            if self.headers.get("Authorization") != f"Bearer {token}":
                self._send(401, b"{}", {"WWW-Authenticate": challenge})
                return
        if path in registry.files:
            self._send(200, registry.files[path], registry.headers.get(path, {}))
            return
        status = registry.failing.get(len(registry.lists())) if "/servers?" in self.path else None
        if status:
            more = {"Retry-After": registry.retry_after} if registry.retry_after else {}
            self._send(status, json.dumps({"error": "no\x1b[2Jw not"}).encode(), more)
            return
        status, found = registry.answer(self.path)
        data = registry.nonsense or json.dumps(found).encode()
        if registry.huge:
            data = b" " * registry.huge + data
        if registry.bomb:
            data = gzip.compress(b" " * (200 * 1024 * 1024), 9)
        self._send(status, data, {})

    def _send(self, status: int, data: bytes, more: dict[str, str]) -> None:
        registry = self.registry
        self.send_response(status)
        if (registry.zipped or registry.bomb) and status == 200:
            data = data if registry.bomb else gzip.compress(data)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        if registry.broken:
            data = data[: len(data) // 2]
            self.close_connection = True
        if self.command == "GET":
            try:
                self.wfile.write(data)
            except OSError:
                self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # clients of these tests go away in the middle of an answer


@contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    """Serve a registry while the context is open."""
    handler = type("Handler", (_Handler,), {"registry": registry})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    registry.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
