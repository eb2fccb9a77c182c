"""Proofs of possession (RFC 9449) and signed client assertions (RFC 7523 section 2.2).

Imported when a key is used, for the sake of what it imports.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from agent_host.servers.login.addresses import origin
from agent_host.servers.login.errors import LoginFailedError

ASSERTION_SECONDS = 300


def new_key() -> str:
    """Return a new P-256 private key as PEM."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


class Prover:
    """Makes proofs with one key, and remembers the nonces that servers want in them."""

    def __init__(self, pem: str, now: Callable[[], float]) -> None:
        try:
            key = serialization.load_pem_private_key(pem.encode(), None)
        except ValueError:
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise LoginFailedError(
                "the stored key of this login cannot be used; log out and in again"
            )
        self.pem = pem
        self._key = key
        self._now = now
        self._jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self._nonces: dict[Any, str] = {}

    def proof(self, method: str, url: httpx2.URL, token: str = "") -> str:
        """Return the value of the `DPoP` header of one request (RFC 9449 section 4.2)."""
        claims: dict[str, Any] = {
            "htm": method,
            "htu": str(url.copy_with(userinfo=b"", query=None, fragment=None)),
            "iat": int(self._now()),
            "jti": secrets.token_urlsafe(16),
        }
        if token:
            digest = hashlib.sha256(token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if nonce := self._nonces.get(origin(url)):
            claims["nonce"] = nonce
        return jwt.encode(claims, self._key, "ES256", {"typ": "dpop+jwt", "jwk": self._jwk})

    def note(self, url: httpx2.URL, headers: httpx2.Headers) -> bool:
        """Remember the nonce of an answer; return whether it is another one than before."""
        nonce = headers.get("dpop-nonce", "")[:512]
        if not nonce or nonce == self._nonces.get(origin(url)):
            return False
        self._nonces[origin(url)] = nonce
        return True


def client_assertion(
    pem: str, algorithm: str, client_id: str, audience: str, now: Callable[[], float]
) -> str:
    """Return a JWT that proves the client's identity to `audience`. Raises LoginFailedError."""
    start = int(now())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": start,
        "exp": start + ASSERTION_SECONDS,
        "jti": secrets.token_urlsafe(16),
    }
    try:
        return jwt.encode(claims, pem, algorithm)
    except (ValueError, TypeError, jwt.PyJWTError, NotImplementedError):
        raise LoginFailedError(
            f"auth.private_key in servers.toml cannot sign with {algorithm}; it must be a PEM key "
            "that fits auth.algorithm"
        ) from None
