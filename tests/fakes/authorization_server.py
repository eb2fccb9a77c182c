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
import secrets
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import jwt
from jwt.algorithms import ECAlgorithm

from tests.fakes.hostile_http import Quiet
from tests.fakes.hostile_server import Server

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
KEY = secrets.token_hex(32)


class RefusedError(Exception):
    def __init__(self, error, description="", status=400):
        self.body = {"error": error, "error_description": description}
        self.status = status


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
            prove(self, f"{self.world.origin}/mcp", token["jkt"], ath.rstrip(b"=").decode())
        except RefusedError as refused:
            header = f'DPoP error="{refused.body["error"]}"'
            self.say(401, b"", WWW_Authenticate=header, DPoP_Nonce=self.world.nonce)
            return False
        return True


def prove(handler, url, expected=None, ath=None):
    """Check a DPoP proof (RFC 9449 section 4.3)."""
    world, proof = handler.world, handler.headers.get("DPoP", "")
    try:
        header = jwt.get_unverified_header(proof)
        key = ECAlgorithm.from_jwk(header["jwk"])
        claims = jwt.decode(proof, key, ["ES256"], options={"verify_iat": False})
    except (jwt.PyJWTError, KeyError):
        raise RefusedError("invalid_dpop_proof") from None
    print_ = json.dumps(header["jwk"], sort_keys=True)
    sound = (
        header["typ"] == "dpop+jwt"
        and "d" not in header["jwk"]
        and claims["htm"] == handler.command
        and claims["htu"] == url
        and claims["jti"] not in world.proofs
        and expected in (None, print_)
        and claims.get("ath") == ath
        and (ath is None or handler.headers["Authorization"].startswith("DPoP "))
    )
    if not sound:
        raise RefusedError("invalid_dpop_proof", repr(claims))
    world.proofs.add(claims["jti"])
    if "nonce" in world.modes and claims.get("nonce") != world.nonce:
        raise RefusedError("use_dpop_nonce")
    return claims | {"jkt": print_}


class Authorization(Base):
    def do_GET(self):
        parts = urlsplit(self.path)
        fields = {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.world.asked.append(("as", parts.path, fields, dict(self.headers)))
        if parts.path == "/authorize":
            return self.say(302, b"", location=page(self.world, fields))
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
        return self.say(200, metadata(self.world))

    def do_POST(self):
        return Authorization.answer_post(self, urlsplit(self.path).path, self.body())

    def answer_post(self, path, raw):
        world, modes = self.world, self.world.modes
        if path == "/register":
            fields = json.loads(raw)
        else:
            fields = {k: v[0] for k, v in parse_qs(raw.decode()).items()}
        with world.lock:
            world.asked.append(("as", path, fields, dict(self.headers)))
        if "html_error" in modes:
            return self.say(502, b"<html>\x1b[31mBad gateway</html>", "text/html")
        if "redirect_token" in modes and path == "/token":
            return self.say(307, b"", location=f"{world.origin}/steal")
        handler = {"/register": register, "/token": issue, "/revoke": revoke, "/idp": exchange}
        if path not in handler:
            return self.say(404)
        try:
            with world.lock:
                status, answer = handler[path](self, fields)
        except RefusedError as refused:
            more = {"DPoP_Nonce": world.nonce} if "nonce" in modes else {}
            return self.say(refused.status, refused.body, **more)
        return self.say(status, answer)


def metadata(world):
    base, modes = world.issuer, world.modes
    if "own_server" in modes:
        base = world.origin
    told = {
        "issuer": "https://evil.example" if "wrong_metadata_issuer" in modes else base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "registration_endpoint": f"{base}/register",
        "revocation_endpoint": f"{base}/revoke",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": world.catalogue,
    }
    if "no_s256" in modes:
        told["code_challenge_methods_supported"] = ["plain"]
    if "pkce_unsaid" in modes:
        del told["code_challenge_methods_supported"]
    if "no_registration" in modes:
        del told["registration_endpoint"]
    if "no_page" in modes:
        del told["authorization_endpoint"]
    if "cimd" in modes:
        told["client_id_metadata_document_supported"] = True
    for method in ("basic", "post"):
        if f"{method}_only" in modes:
            told["token_endpoint_auth_methods_supported"] = [f"client_secret_{method}"]
    return told | world.endpoints


def register(handler, fields):
    world = handler.world
    if "localhost_only" in world.modes and "127.0.0.1" in fields["redirect_uris"][0]:
        raise RefusedError("invalid_redirect_uri")
    client = fields | {"client_id": f"client-{len(world.clients) + 1}"}
    if fields.get("token_endpoint_auth_method") != "none":
        client["client_secret"] = f"secret-{len(world.clients) + 1}"
    world.clients[client["client_id"]] = client
    return 201, client


def page(world, fields):
    """Where the browser is sent after a person agreed."""
    modes = world.modes
    client = world.clients.get(fields.get("client_id", ""))
    assert client is not None or fields["client_id"].startswith("https://"), fields
    assert client is None or fields["redirect_uri"] in client["redirect_uris"], (client, fields)
    back = {"state": "another" if "wrong_state" in modes else fields["state"]}
    if "no_iss" not in modes:
        issuer = world.origin if "own_server" in modes else world.issuer
        back["iss"] = "https://evil.example" if "wrong_iss" in modes else issuer
    if "deny" in modes:
        back |= {"error": "access_denied", "error_description": "no\x1b[2J"}
    else:
        back["code"] = secrets.token_urlsafe(12)
        world.codes[back["code"]] = fields
    return f"{fields['redirect_uri']}?{urlencode(back)}"


def identify(handler, fields):
    """The client that asks, by whatever it proves its identity with."""
    world, header = handler.world, handler.headers.get("Authorization", "")
    if header.startswith("Basic "):
        pair = base64.b64decode(header[6:]).decode()
        name, _, secret = (unquote(part) for part in pair.partition(":"))
        assert "client_secret" not in fields
    else:
        name, secret = fields.get("client_id", ""), fields.get("client_secret")
    client = world.clients.get(name, {} if name.startswith("https://") else None)
    if client is None and "anyone" in world.modes:
        client = {}
    if client is None or "forget_clients" in world.modes:
        raise RefusedError("invalid_client", f"unknown {name}", 401)
    if "client_assertion" in fields:
        key = client["public_key"]
        claims = jwt.decode(fields["client_assertion"], key, [client["alg"]], audience=world.issuer)
        assert claims["iss"] == claims["sub"] == name
        return name
    for method, only in (("basic", header.startswith("Basic ")), ("post", bool(secret))):
        if f"{method}_only" in world.modes and not only:
            raise RefusedError("invalid_client", f"only {method}", 401)
    if client.get("client_secret") != secret:
        raise RefusedError("invalid_client", f"wrong secret {secret}", 401)
    return name


def issue(handler, fields):
    world, modes = handler.world, handler.world.modes
    bound = None
    if "dpop" in modes:
        bound = prove(handler, f"{world.issuer}/token")["jkt"]
    if "token_500" in modes:
        return 500, {"error": "server_error"}
    grant = fields.get("grant_type")
    client = identify(handler, fields)
    family, scope = next(world.families), fields.get("scope", "")
    if grant == "authorization_code":
        asked = world.codes.pop(fields["code"], None)
        if asked is None or asked["client_id"] != client:
            raise RefusedError("invalid_grant", f"unknown code {fields['code']}")
        digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if challenge != asked["code_challenge"] or asked["code_challenge_method"] != "S256":
            raise RefusedError("invalid_grant", "PKCE")
        if fields["redirect_uri"] != asked["redirect_uri"]:
            raise RefusedError("invalid_grant", "redirect_uri")
        if fields.get("resource") != asked.get("resource"):
            raise RefusedError("invalid_target")
        scope = asked.get("scope", "")
    elif grant == "refresh_token":
        family, scope = rotate(world, fields, client)
    elif grant == JWT_BEARER:
        check_assertion(world, fields, client)
    elif grant != "client_credentials":
        raise RefusedError("unsupported_grant_type")
    return 200, token(world, fields, scope, family, bound)


def rotate(world, fields, client):
    known = world.refreshes.get(fields["refresh_token"])
    if known is None or known["client"] not in (client, None):
        raise RefusedError("invalid_grant", f"unknown {fields['refresh_token']}")
    if known["used"] or known["family"] in world.revoked:
        world.revoked.append(known["family"])
        for one in world.tokens.values():
            if one["family"] == known["family"]:
                one["good"] = False
        raise RefusedError("invalid_grant", "used twice")
    known["used"] = True
    return known["family"], known["scope"]


def check_assertion(world, fields, client):
    try:
        claims = jwt.decode(fields["assertion"], KEY, ["HS256"], audience=world.issuer)
    except jwt.PyJWTError as error:
        raise RefusedError("invalid_grant", str(error)) from None
    if claims.get("client_id") not in (client, None):
        raise RefusedError("invalid_grant", "another client")
    if claims.get("resource") not in (world.url, None):
        raise RefusedError("invalid_target")


def token(world, fields, scope, family, bound):
    access = f"access-{secrets.token_urlsafe(16)}"
    if "grant_less" in world.modes:
        scope = "basic"
    resource = "https://other.example" if "wrong_audience" in world.modes else None
    world.tokens[access] = {
        "scope": scope,
        "family": family,
        "good": True,
        "jkt": bound if "bearer_for_dpop" not in world.modes else None,
        "ends": world.now() + world.lifetime,
        "resource": resource or fields.get("resource"),
    }
    told = {"access_token": access, "token_type": "DPoP" if bound else "bearer"}
    if "bearer_for_dpop" in world.modes:
        told["token_type"] = "Bearer"
    if "bad_token" in world.modes:
        told["access_token"] = "a\r\nX-Evil: 1"
    if "no_expires" not in world.modes:
        lifetime = world.lifetime
        told["expires_in"] = str(lifetime) if "text_expires" in world.modes else lifetime
    if scope:
        told["scope"] = scope
    lasting = fields["grant_type"] in ("authorization_code", "refresh_token")
    if lasting and "no_refresh" not in world.modes:
        told["refresh_token"] = f"refresh-{secrets.token_urlsafe(16)}"
        world.refreshes[told["refresh_token"]] = {
            "used": False,
            "family": family,
            "scope": scope,
            "client": None,
        }
    return told


def revoke(handler, fields):
    world = handler.world
    identify(handler, fields)
    if "revoke_500" in world.modes:
        return 500, {}
    world.tokens.get(fields["token"], {})["good"] = False
    world.refreshes.get(fields["token"], {})["used"] = True
    return 200, {}


def exchange(handler, fields):
    """The identity provider of enterprise-managed authorization."""
    world = handler.world
    if fields.get("subject_token") != "id-token-of-alice":
        raise RefusedError("invalid_grant", f"who is {fields.get('subject_token')}?")
    assert fields["grant_type"] == EXCHANGE
    assert fields["requested_token_type"] == ID_JAG
    assert fields["subject_token_type"].endswith("id_token")
    claims = {
        "iss": "https://idp.example",
        "aud": fields["audience"],
        "resource": fields["resource"],
        "client_id": "corp",
        "exp": time.time() + 60,
    }
    made = jwt.encode(claims, KEY, "HS256")
    kind = "urn:other" if "not_a_jag" in world.modes else ID_JAG
    return 200, {"access_token": made, "issued_token_type": kind, "token_type": "N_A"}


def workload_token(world, **more):
    claims = {"sub": "pod", "aud": world.issuer, "exp": time.time() + 60, **more}
    return jwt.encode(claims, KEY, "HS256")


@contextmanager
def protected(*modes, lifetime=3600):
    """A protected MCP server and its authorization server, as a World."""
    world = World(modes, lifetime)
    try:
        yield world
    finally:
        world.close()
