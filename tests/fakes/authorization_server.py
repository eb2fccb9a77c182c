"""A real OAuth 2.1 authorization server and the MCP server that it protects, on two loopback ports,
with a switch for each misbehaviour.

What a person would do at the authorization page is done at once. Refresh tokens are rotated, and
one that is used twice ends the whole login, as at real servers. Everything that was asked is in
`asked`. The protocol of MCP itself comes from `hostile_server`.
"""

import argparse
import base64
import hashlib
import io
import itertools
import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.fakes import authorization_rules as rules
from tests.fakes.hostile_http import Quiet
from tests.fakes.hostile_server import Server


class World:
    """Both servers, and what they know. `modes` are the switches."""

    def __init__(self, modes, lifetime):
        self.modes = set(modes)
        self.lifetime = lifetime
        self.asked = []
        self.clients = {}
        self.codes = {}
        self.tokens = {}
        self.refreshes = {}
        self.families = itertools.count(1)
        self.revoked = []
        self.needed = set()
        self.catalogue = ["basic", "write", "admin"]
        self.resource_metadata = None
        self.named_issuers = None
        self.endpoints = {}
        self.challenge_scope = "basic"
        self.hold = threading.Event()
        self.hold.set()
        self.token_hold = threading.Event()
        self.token_hold.set()
        self.lock = threading.RLock()
        self.nonce = "nonce-1"
        self.proofs = set()
        self.now = time.time
        options = argparse.Namespace(mode="", delay=0, die_on=0)
        self.mcp = Server(options, io.BytesIO())
        self.resource = self.serve(Resource)
        self.server = self.serve(Authorization)

    def serve(self, handler):
        made = Quiet(("127.0.0.1", 0), handler)
        made.sockets = []
        made.world = self
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        return made

    def close(self):
        self.hold.set()
        self.token_hold.set()
        for made in (self.resource, self.server):
            made.hang_up()
            made.shutdown()
            made.server_close()

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.resource.server_address[1]}"

    @property
    def url(self):
        return f"{self.origin}/mcp"

    @property
    def issuer(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def paths(self, part=""):
        """What was asked of the authorization server, in order."""
        return [path for who, path, _, _ in self.asked if who == "as" and part in path]

    def grants(self):
        return [f.get("grant_type") for w, p, f, _ in self.asked if (w, p) == ("as", "/token")]

    def forms(self, path):
        return [fields for _, p, fields, _ in self.asked if p == path]

    def calls(self):
        """The Authorization headers that the protected server got."""
        got = [headers for who, path, _, headers in self.asked if (who, path) == ("rs", "/mcp")]
        return [{k.lower(): v for k, v in one.items()}.get("authorization") for one in got]


class Base(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *anything):
        del anything

    @property
    def world(self):
        return self.server.world

    def say(self, status, body=b"", kind="application/json", **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0))


class Resource(Base):
    def do_GET(self):
        path = urlsplit(self.path).path
        self.world.asked.append(("rs", path, {}, dict(self.headers)))
        world, modes = self.world, self.world.modes
        if not path.startswith("/.well-known/oauth-protected-resource"):
            if "own_server" in modes:
                return Authorization.do_GET(self)
            return self.say(404 if "well-known" in path else 405, b"")
        if "prm_500" in modes:
            return self.say(500, b"")
        if "prm_redirect" in modes:
            return self.say(302, b"", location="http://169.254.169.254/latest")
        if "prm_garbage" in modes:
            return self.say(200, b"<html>")
        if "no_prm" in modes or path != "/.well-known/oauth-protected-resource/mcp":
            return self.say(404, b"")
        page = {
            "resource": "https://other.example/mcp" if "prm_mismatch" in modes else world.url,
            "authorization_servers": world.named_issuers or [world.issuer],
        }
        if "prm_scopes" in modes:
            page["scopes_supported"] = ["basic", "write"]
        return self.say(200, page)

    def do_POST(self):
        world, modes, raw = self.world, self.world.modes, self.body()
        path = urlsplit(self.path).path
        if path != "/mcp" and "own_server" in modes:
            return Authorization.answer_post(self, path, raw)
        with world.lock:
            world.asked.append(("rs", path, {}, dict(self.headers)))
        if "redirect" in modes:
            return self.say(307, b"", location=f"{world.issuer}/mcp")
        if "open" in modes:
            return self.answer(raw)
        if "always_401" in modes:
            return self.challenge(401)
        token = world.tokens.get((self.headers.get("Authorization") or " ").split(" ", 1)[1])
        if token is None or token["ends"] <= world.now() or not token["good"]:
            return self.challenge(401)
        if token["resource"] not in (None, world.url):
            return self.challenge(401)
        if token["jkt"] is not None and not self.proven(token):
            return None
        wanted = world.needed if b"tools/call" in raw else set()
        if "always_403" in modes:
            return self.challenge(403, 'error="insufficient_scope"', "never")
        if not wanted <= set(token["scope"].split()):
            return self.challenge(403, 'error="insufficient_scope"', " ".join(sorted(wanted)))
        world.hold.wait(20)
        return self.answer(raw)

    def do_DELETE(self):
        return self.do_GET()

    def answer(self, raw):
        message = json.loads(raw)
        if "id" not in message:
            return self.say(202)
        if message.get("method") == "test/echo" or "test" in str(message.get("params")):
            return self.say(200, {"jsonrpc": "2.0", "id": message["id"], "result": {"ok": True}})
        buffer = io.BytesIO()
        with self.world.lock:
            self.world.mcp.out = buffer
            self.world.mcp.handle(message)
        return self.say(200, buffer.getvalue().splitlines()[-1])

    def challenge(self, status, error="", scope=None):
        world = self.world
        if "no_challenge" in world.modes:
            return self.say(status, b"who are you?\x1b[2J", "text/plain")
        page = world.resource_metadata
        if page is None:
            page = f"{world.origin}/.well-known/oauth-protected-resource/mcp"
        parts = [f'resource_metadata="{page}"']
        scope = world.challenge_scope if scope is None else scope
        if scope:
            parts.append(f'scope="{scope}"')
        if error:
            parts.append(error)
        scheme = "DPoP" if "dpop" in world.modes else "Bearer"
        if "no_prm" in world.modes:
            parts = parts[1:]
        header = f"{scheme} {', '.join(parts)}".strip()
        return self.say(status, {"error": "no"}, WWW_Authenticate=header)

    def proven(self, token):
        _, _, value = self.headers["Authorization"].partition(" ")
        ath = base64.urlsafe_b64encode(hashlib.sha256(value.encode()).digest())
        try:
            rules.prove(self, f"{self.world.origin}/mcp", token["jkt"], ath.rstrip(b"=").decode())
        except rules.RefusedError as refused:
            header = f'DPoP error="{refused.body["error"]}"'
            self.say(401, b"", WWW_Authenticate=header, DPoP_Nonce=self.world.nonce)
            return False
        return True


class Authorization(Base):
    def do_GET(self):
        parts = urlsplit(self.path)
        fields = {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.world.asked.append(("as", parts.path, fields, dict(self.headers)))
        if parts.path == "/authorize":
            return self.say(302, b"", location=rules.page(self.world, fields))
        if parts.path == "/mcp":
            return self.say(200, b"{}")
        well_known = "/.well-known/oauth-authorization-server"
        if "oidc" in self.world.modes:
            well_known = "/.well-known/openid-configuration"
        if parts.path != well_known or "no_metadata" in self.world.modes:
            return self.say(404, b"")
        if "metadata_500" in self.world.modes:
            return self.say(503, b"")
        if "huge_metadata" in self.world.modes:
            return self.say(200, b" " * (1 << 20) + b"{}")
        if "compressed" in self.world.modes:
            return self.say(200, b"xxx", content_encoding="gzip")
        return self.say(200, rules.metadata(self.world))

    def do_POST(self):
        return Authorization.answer_post(self, urlsplit(self.path).path, self.body())

    def answer_post(self, path, raw):
        world, modes = self.world, self.world.modes
        if path == "/register":
            fields = json.loads(raw)
        else:
            fields = {k: v[0] for k, v in parse_qs(raw.decode(), keep_blank_values=True).items()}
        with world.lock:
            world.asked.append(("as", path, fields, dict(self.headers)))
        if "html_error" in modes:
            return self.say(502, b"<html>\x1b[31mBad gateway</html>", "text/html")
        if "redirect_token" in modes and path == "/token":
            return self.say(307, b"", location=f"{world.origin}/steal")
        handler = rules.HANDLERS
        if path not in handler:
            return self.say(404)
        if path == "/token":
            world.token_hold.wait(20)
        try:
            with world.lock:
                status, answer = handler[path](self, fields)
        except rules.RefusedError as refused:
            more = {"DPoP_Nonce": world.nonce} if "nonce" in modes else {}
            return self.say(refused.status, refused.body, **more)
        return self.say(status, answer)


@contextmanager
def protected(*modes, lifetime=3600):
    """A protected MCP server and its authorization server, as a World."""
    world = World(modes, lifetime)
    try:
        yield world
    finally:
        world.close()
