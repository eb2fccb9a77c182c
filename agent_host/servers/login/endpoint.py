"""Speaking to an authorization server's token and revocation endpoints.

Theory of operation: a token request is a form with the grant's fields, who the client is, and, for
tokens that are bound to a key, a proof. What comes back is believed only as far as it can be used:
a token that cannot be a header's value, or one that is not bound although it should be, is refused.
Errors carry the server's code and description, without any secret that was sent.
"""

import base64
import math
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import quote, urlencode

import httpx2

from agent_host.core.text import clean_line
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.record import AuthorizationServer, Client, Token
from agent_host.servers.login.wire import Answer, Wire
from agent_host.servers.spec import AuthSpec

WHAT = "the token endpoint"
JWT_CLIENT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SECRET_FIELDS = (
    "refresh_token",
    "code",
    "code_verifier",
    "client_secret",
    "assertion",
    "client_assertion",
    "subject_token",
    "actor_token",
    "token",
)
_MAX_TOKEN = 64 * 1024
_LONGEST = 10 * 365 * 86400.0


class Endpoint:
    """An authorization server, as one client of it."""

    def __init__(
        self,
        *,
        wire: Wire,
        server: AuthorizationServer,
        client: Client,
        auth: AuthSpec,
        now: Callable[[], float],
        prover: Any = None,
    ) -> None:
        self._wire = wire
        self._server = server
        self._client = client
        self._auth = auth
        self._now = now
        self._prover = prover

    async def token(self, form: Mapping[str, str], asked: str = "") -> Token:
        """Ask for a token. `asked`: the scopes that are granted if the answer names none. Raises
        LoginFailedError."""
        answer, fields = await self._ask(self._server.token_endpoint, WHAT, form)
        if answer.status not in (200, 201):
            raise refusal(answer, WHAT, self._secrets(fields))
        return to_token(answer, asked, self._now(), bound=self._prover is not None)

    async def revoke(self, token: str, hint: str) -> None:
        """Ask that a token be not accepted any more (RFC 7009). Raises LoginFailedError."""
        what = "the revocation endpoint"
        form = {"token": token, "token_type_hint": hint}
        endpoint = self._server.revocation_endpoint
        answer, fields = await self._ask(endpoint, what, form)
        if self._client.method == "none" and _code(answer) == "invalid_request":
            # The MCP SDK's servers want the field also of a client that has no secret.
            answer, fields = await self._ask(endpoint, what, form | {"client_secret": ""})
        if answer.status >= 300:
            raise refusal(answer, what, self._secrets(fields))

    def _secrets(self, fields: Mapping[str, str]) -> dict[str, str]:
        """What was sent and must not be repeated, also in a header."""
        return {**fields, "client_secret": self._client.secret}

    async def _ask(
        self, endpoint: str, what: str, form: Mapping[str, str]
    ) -> tuple[Answer, dict[str, str]]:
        """Post a form as the client; return the answer, and all the fields that were sent."""
        *others, last = self._ways()
        for way in others:
            fields, headers = self._identified(form, way)
            answer = await self._post(endpoint, what, fields, headers)
            if _code(answer) != "invalid_client":
                return answer, fields
        fields, headers = self._identified(form, last)
        return await self._post(endpoint, what, fields, headers), fields

    def _ways(self) -> tuple[str, ...]:
        """The ways to say who the client is; the next one if the server knows no such client.

        How a client of the config was registered, nobody knows. The MCP SDK's servers want the id
        in the form beside a Basic header, where others refuse it.
        """
        client, takes = self._client, self._server.auth_methods
        if client.method != "client_secret_basic":
            return (client.method,)
        maybe_post = client.source == "configured" and "client_secret_post" in takes
        return (client.method, *(["client_secret_post"] if maybe_post else []), "basic and id")

    def _identified(
        self, form: Mapping[str, str], way: str
    ) -> tuple[dict[str, str], dict[str, str]]:
        """The form and headers with the client's identity (RFC 6749 section 2.3)."""
        client, fields, headers = self._client, dict(form), {}
        if way in ("client_secret_basic", "basic and id"):
            pair = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if client.id and way != "client_secret_basic":
            fields["client_id"] = client.id
        if way == "client_secret_post":
            fields["client_secret"] = client.secret
        elif way == "private_key_jwt":
            fields["client_assertion_type"] = JWT_CLIENT
            fields["client_assertion"] = import_module(
                "agent_host.servers.login.signatures"
            ).client_assertion(
                self._auth.private_key,
                self._auth.algorithm,
                client.id,
                self._server.issuer,
                self._now,
            )
        return fields, headers

    async def _post(
        self, endpoint: str, what: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        body = urlencode(fields).encode()
        if self._prover is None:
            return await self._wire.post(endpoint, what, body=body, headers=sent)
        url = httpx2.URL(endpoint)
        for again in (True, False):
            proof = {"DPoP": self._prover.proof("POST", url)}
            answer = await self._wire.post(endpoint, what, body=body, headers=sent | proof)
            other = self._prover.note(url, answer.headers)
            told = answer.json_object() or {}
            if not (again and other and told.get("error") == "use_dpop_nonce"):
                break
        return answer


def _code(answer: Answer) -> object:
    """The error code of an answer, or None."""
    return (answer.json_object() or {}).get("error")


def refusal(answer: Answer, what: str, sent: Mapping[str, str]) -> LoginFailedError:
    """Return what an answer that grants nothing means, with nothing secret in it."""
    told = answer.json_object() or {}
    code = told.get("error")
    if 300 <= answer.status < 400:
        return LoginFailedError(f"{what} {answer.url} redirects elsewhere, which is not followed")
    if not isinstance(code, str) or answer.status >= 500:
        return LoginFailedError(f"{what} {answer.url} answered HTTP {answer.status}")
    text = code
    if isinstance(described := told.get("error_description"), str):
        text += f" ({described[:300]})"
    for name in _SECRET_FIELDS:
        if len(secret := sent.get(name, "")) >= 4:
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return LoginFailedError(f"{what} {answer.url} refused: {clean_line(text)}", code=code[:60])


def to_token(answer: Answer, asked: str, now: float, *, bound: bool) -> Token:
    """Return the token of an answer (RFC 6749 section 5.1). Raises LoginFailedError."""
    told = answer.json_object()
    if told is None:
        raise LoginFailedError(f"{WHAT} {answer.url} did not answer with JSON")
    access, refresh = told.get("access_token"), told.get("refresh_token")
    if not _usable(access):
        raise LoginFailedError(f"{WHAT} {answer.url} answered without a usable access token")
    kind = str(told.get("token_type") or "Bearer").lower()
    if kind not in ("bearer", "dpop"):
        raise LoginFailedError(f"{WHAT} {answer.url} issued a token of an unknown type")
    if bound != (kind == "dpop"):
        why = (
            "is not bound to a key, and auth.dpop wants that" if bound else "needs auth.dpop = true"
        )
        raise LoginFailedError(f"the token that {answer.url} issued {why}")
    scope = told.get("scope")
    return Token(
        access=str(access),
        kind="DPoP" if bound else "Bearer",
        refresh=str(refresh) if _usable(refresh) else "",
        scope=" ".join(scope.split()) if isinstance(scope, str) and scope.strip() else asked,
        issued_at=now,
        expires_at=_expiry(told.get("expires_in"), now),
    )


def _usable(value: Any) -> bool:
    """Whether it can be a header's value: visible ASCII, not without bound."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_TOKEN
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )


def _expiry(value: Any, now: float) -> float | None:
    """When a token ends, of `expires_in`: a number of seconds, by some servers as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return now + min(seconds, _LONGEST)
