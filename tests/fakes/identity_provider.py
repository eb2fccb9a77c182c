"""An OpenID Connect issuer on loopback: discovery, keys, and tokens with every fault."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

NOW = 1_800_000_000


class IdentityProvider:
    """`documents` may be changed: path -> JSON value, bytes or a status."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now
        self.keys: dict[str, Any] = {"k1": ec.generate_private_key(ec.SECP256R1())}
        self.asked: list[str] = []
        self.documents: dict[str, Any] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        self.publish()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self) -> None:
        """Say what the keys are now."""
        self.documents["/.well-known/openid-configuration"] = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
        }
        self.documents["/keys"] = {"keys": [self.public(kid) for kid in self.keys]}

    def rsa(self, kid: str) -> None:
        """Add an RSA key."""
        self.keys[kid] = rsa.generate_private_key(65537, 2048)
        self.publish()

    def public(self, kid: str) -> dict[str, Any]:
        """A key as it is published (RFC 7517)."""
        key = self.keys[kid]
        is_rsa = isinstance(key, rsa.RSAPrivateKey)
        algorithm = jwt.algorithms.RSAAlgorithm if is_rsa else jwt.algorithms.ECAlgorithm
        made = algorithm.to_jwk(key.public_key(), as_dict=True)
        return made | {"kid": kid, "use": "sig", "alg": "RS256" if is_rsa else "ES256"}

    def token(self, kid: str = "k1", *, key: Any = None, alg: str = "", **claims: Any) -> str:
        """A sound token, but for the claims given; None leaves a claim out."""
        usual = {
            "iss": self.url,
            "aud": "agent-host",
            "sub": "ana",
            "iat": self.now - 10,
            "exp": self.now + 300,
            "roles": ["desk", "manager"],
        }
        body = {k: v for k, v in (usual | claims).items() if v is not None}
        key = key or self.keys[kid]
        alg = alg or ("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
        return jwt.encode(body, key, algorithm=alg, headers={"kid": kid} if kid else {})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                value = provider.documents.get(self.path, 404)
                status = value if isinstance(value, int) else 200
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
