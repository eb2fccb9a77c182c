"""The user of a run out of an OpenID Connect ID token.

Theory of operation: a token is believed only if its signature is by a key that the configured
issuer publishes, it was issued by exactly that issuer, for the configured audience, and is neither
expired nor of the future. Only asymmetric algorithms count, whatever the token's header says. The
issuer's keys are found through its discovery document and kept for a while in a file, so that a
start does not wait for the network; a key that is not among them is looked for once more. The
token itself is kept out of every record: the principal has its claims only. Sources: OpenID
Connect Core 1.0, section 3.1.3.7; OpenID Connect Discovery 1.0; RFC 7517; RFC 8725.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt

from agent_host.core.errors import AgentHostError, ExitStatus
from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Principal
from agent_host.state.folders import private_folder

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
LEEWAY = 60
"""Seconds by which the clocks of host and issuer may differ."""
FRESH = 3600.0
"""Seconds for which an issuer's keys are believed without asking again."""
MAX_TOKEN = 64 * 1024
MAX_DOCUMENT = 512 * 1024
MAX_CLAIMS = 16 * 1024
"""Characters of JSON of the claims that are kept."""
TIMEOUT = 10.0  # seconds
_NOT_KEPT = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "jti", "sid", "auth_time", "acr"})


class IdentityError(AgentHostError):
    """The user cannot be established; the text says why and what to do, without the token."""

    def __init__(self, text: str, exit_status: ExitStatus = ExitStatus.REFUSED) -> None:
        super().__init__(text)
        self.exit_status = exit_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A user, and the token that says so (for token exchange; never recorded)."""

    principal: Principal
    token: str = field(repr=False)


async def verify(
    token: str,
    *,
    issuer: str,
    audience: str,
    user_claim: str,
    roles_claim: str,
    cache: Path,
    now: Callable[[], float],
    client: httpx2.AsyncClient | None = None,
) -> Verified:
    """Return the user that an ID token names. Raises IdentityError.

    `user_claim` and `roles_claim` name claims; dots in the latter go deeper. `cache`: the folder
    where an issuer's keys are kept; `now` returns seconds since the epoch.
    """
    token = token.strip()
    if len(token) > MAX_TOKEN or token.count(".") != 2:
        raise IdentityError("identity.token is no ID token (three parts between dots)")
    _check_url(issuer, "identity.issuer")
    owned = client is None
    client = client or httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False)
    try:
        keys = _Keys(issuer, cache, now, client)
        claims = _claims(token, await keys.find(token), issuer, audience, now)
    finally:
        if owned:
            await client.aclose()
    user = claims.get(user_claim)
    if not isinstance(user, str) or not user.strip() or len(user) > 500:
        raise IdentityError(
            f"the ID token has no claim {clean_line(user_claim, 80)} that is a name"
        )
    principal = Principal(
        id=user, authenticated_by=issuer, roles=_roles(claims, roles_claim), claims=_kept(claims)
    )
    return Verified(principal=principal, token=token)


class _Keys:
    """An issuer's public keys, from the file or from the issuer."""

    def __init__(
        self, issuer: str, cache: Path, now: Callable[[], float], client: httpx2.AsyncClient
    ) -> None:
        self._issuer = issuer
        digest = hashlib.sha256(issuer.encode()).hexdigest()[:16]
        self._file = cache / f"jwks-{digest}.json"
        self._now = now
        self._client = client

    async def find(self, token: str) -> Any:
        """Return the key that signed `token`. Raises IdentityError."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise IdentityError(
                f"identity.token cannot be read: {clean_line(str(error))}"
            ) from None
        if header.get("alg") not in ALGORITHMS:
            alg = clean_line(str(header.get("alg")), 20)
            raise IdentityError(f"the ID token is signed with {alg}, which is not accepted")
        kept = self._kept()
        key = _matching(kept, header) if kept else None
        if key is None:
            key = _matching(await self._fetched(), header)
        if key is None:
            raise IdentityError(
                f"the ID token is signed with a key that {clean_line(self._issuer)} does not "
                "publish; get a new token there"
            )
        return key

    def _kept(self) -> JsonObject | None:
        try:
            with self._file.open("rb") as file:
                entry = json.loads(file.read(MAX_DOCUMENT + 1))
            age = self._now() - float(entry["at"])
            found = entry["keys"] if entry["issuer"] == self._issuer and 0 <= age < FRESH else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, dict) else None

    async def _fetched(self) -> JsonObject:
        base = self._issuer.rstrip("/")
        document = await self._get(f"{base}/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer:
            raise IdentityError(
                f"{clean_line(base)} says that it is {clean_line(str(document.get('issuer')))}, "
                "not identity.issuer; correct that key"
            )
        where = document.get("jwks_uri")
        if not isinstance(where, str):
            raise IdentityError(f"{clean_line(base)} does not say where its keys are (jwks_uri)")
        _check_url(where, "its jwks_uri")
        keys = await self._get(where)
        self._keep(keys)
        return keys

    async def _get(self, url: str) -> JsonObject:
        shown = clean_line(url)
        try:
            async with self._client.stream("GET", url) as response:
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_DOCUMENT:
                        raise IdentityError(f"{shown}: the answer is too large")
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise IdentityError(
                f"{shown} cannot be reached: {clean_line(str(error) or type(error).__name__)}; "
                "check identity.issuer and the network",
                ExitStatus.SERVER_UNAVAILABLE,
            ) from None
        if response.status_code != 200:
            raise IdentityError(
                f"{shown}: HTTP {response.status_code}; check identity.issuer",
                ExitStatus.SERVER_UNAVAILABLE,
            )
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise IdentityError(f"{shown}: the answer is no JSON object")
        return value

    def _keep(self, keys: JsonObject) -> None:
        """Keep the keys for the next start; without a place to keep them it just asks again."""
        entry = {"issuer": self._issuer, "at": self._now(), "keys": keys}
        partial = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            private_folder(self._file.parent)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123  # a descriptor
                json.dump(entry, file)
            partial.replace(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()


def _matching(keys: JsonObject, header: JsonObject) -> Any:
    """The published key that a header names; the only one, if it names none."""
    listed = keys.get("keys")
    try:
        parsed = jwt.PyJWKSet(listed if isinstance(listed, list) else []).keys
    except jwt.PyJWTError:
        return None
    named = [key for key in parsed if key.public_key_use in (None, "sig")]
    if header.get("kid") is not None:
        named = [key for key in named if key.key_id == header["kid"]]
    return named[0].key if len(named) == 1 else None


def _claims(
    token: str, key: Any, issuer: str, audience: str, now: Callable[[], float]
) -> JsonObject:
    options: Any = {"require": ["exp", "iat", "iss", "aud", "sub"], "verify_exp": False}
    options |= {"verify_iat": False, "verify_nbf": False}
    try:
        claims: JsonObject = jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS),
            audience=audience,
            issuer=issuer,
            options=options,
        )
    except jwt.InvalidAudienceError:
        raise IdentityError(
            f"the ID token is not for {clean_line(audience)} (identity.audience)"
        ) from None
    except jwt.InvalidIssuerError:
        raise IdentityError(f"the ID token is not by {clean_line(issuer)}") from None
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise IdentityError(f"the ID token is not valid: {clean_line(str(error))}") from None
    _check_times(claims, now())
    return claims


def _check_times(claims: JsonObject, now: float) -> None:
    expires: Any = claims["exp"]
    begins: Any = claims.get("nbf", claims["iat"])
    if not all(isinstance(t, int | float) and not isinstance(t, bool) for t in (expires, begins)):
        raise IdentityError("the ID token's times are no numbers")
    if now > expires + LEEWAY:
        raise IdentityError(
            "the ID token has expired; log in again where it comes from", ExitStatus.NEEDS_LOGIN
        )
    if now < begins - LEEWAY:
        raise IdentityError("the ID token is of the future; check this machine's clock")


def _roles(claims: JsonObject, path: str) -> tuple[str, ...]:
    """The roles; a claim whose own name has dots in it goes first."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        return tuple(value.split())
    items = value if isinstance(value, list) else []
    return tuple(item for item in items[:200] if isinstance(item, str) and len(item) <= 200)


def _kept(claims: JsonObject) -> JsonObject:
    """The claims that are recorded with the run; the largest are left out if all are too much."""
    kept = {key: value for key, value in claims.items() if key not in _NOT_KEPT}
    sizes = {key: len(json.dumps(value)) for key, value in kept.items()}
    for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if sum(sizes.values()) <= MAX_CLAIMS:
            break
        del kept[key], sizes[key]
    return kept


def _check_url(url: str, name: str) -> None:
    parts = urlsplit(url)
    loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise IdentityError(f"{name} must be an https URL: {clean_line(url)}", ExitStatus.USAGE)
