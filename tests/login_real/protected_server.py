"""An MCP server of the official SDK that wants a login, with the SDK's own checks of it.

Arguments: the issuer; `jwt` (tokens are checked with the issuer's keys) or `introspection` (the
issuer is asked about each); the scopes that are required; the port, 0 for any; and the URL that it
is known by, if that is another one. Writes one line, {"url", "here"}, and ends with its stdin.
"""

import asyncio
import json
import os
import socket
import sys
import threading

import httpx2
import jwt
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

ASKER = ("resource-server", "of-the-resource-server")
"""Who asks the issuer about tokens."""


class Keys:
    """Tokens that say everything themselves (RFC 9068)."""

    def __init__(self, issuer, resource):
        self._issuer, self._resource = issuer, resource
        self._keys = jwt.PyJWKClient(f"{issuer}/jwks")

    async def verify_token(self, token):
        try:
            key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)
            claims = jwt.decode(
                token, key.key, ["ES256"], audience=self._resource, issuer=self._issuer
            )
        except jwt.PyJWTError:
            return None
        return _access(token, claims)


class Introspection:
    """Tokens that say nothing (RFC 7662)."""

    def __init__(self, issuer, resource):
        self._issuer = issuer
        self._client = httpx2.AsyncClient(trust_env=False)

    async def verify_token(self, token):
        answer = await self._client.post(
            f"{self._issuer}/token/introspection", data={"token": token}, auth=ASKER
        )
        claims = answer.raise_for_status().json()
        return _access(token, claims) if claims["active"] else None


def _access(token, claims):
    return AccessToken(
        token=token,
        client_id=claims["client_id"],
        scopes=claims.get("scope", "").split(),
        expires_at=claims["exp"],
        resource=claims["aud"],
        subject=claims.get("sub"),
    )


def main(issuer, how, scopes, port, known_as=""):
    listener = socket.create_server(("127.0.0.1", int(port)))
    here = f"http://127.0.0.1:{listener.getsockname()[1]}"
    url = known_as or f"{here}/mcp"
    server = MCPServer(
        "crm",
        log_level="ERROR",
        token_verifier=(Keys if how == "jwt" else Introspection)(issuer, url),
        auth=AuthSettings(
            issuer_url=issuer,
            resource_server_url=url,
            required_scopes=scopes.split(),
            validate_token_resource=True,
        ),
    )

    @server.tool()
    def whoami() -> str:
        """Say whose token the call came with, and what it allows."""
        token = get_access_token()
        return f"{token.subject} may {' '.join(token.scopes)}"

    app = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error"))
    print(json.dumps({"url": url, "here": here}), flush=True)
    threading.Thread(target=lambda: sys.stdin.read() or os._exit(0), daemon=True).start()
    app.run([listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
