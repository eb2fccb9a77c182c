"""An MCP server that is its own authorization server, as the official SDK makes one.

All that speaks OAuth is the SDK's; what is here keeps its clients and tokens, and agrees to every
login. One client is known from the start, see `KNOWN`. Writes one line, {"url"}, and ends with its
stdin.
"""

import json
import os
import secrets
import socket
import sys
import threading
import time

import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

KNOWN = ("known", "of-the-known:client")
REDIRECT = "http://127.0.0.1:8765/callback"
SECONDS = 600


class Books:
    """Who is a client, which codes and tokens are good: an OAuthAuthorizationServerProvider."""

    def __init__(self):
        known = OAuthClientInformationFull(
            client_id=KNOWN[0],
            client_secret=KNOWN[1],
            redirect_uris=[REDIRECT],
            token_endpoint_auth_method="client_secret_basic",
            grant_types=["authorization_code", "refresh_token"],
            scope="read",
        )
        self.clients = {known.client_id: known}
        self.codes, self.access, self.refresh = {}, {}, {}

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client_info):
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client, params):
        code = AuthorizationCode(
            code=secrets.token_urlsafe(32),
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            **params.model_dump(exclude={"state", "scopes"}),
        )
        self.codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(self, client, authorization_code):
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client, authorization_code):
        del self.codes[authorization_code.code]
        return self._issued(client, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client, refresh_token):
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        await self.revoke_token(refresh_token)
        return self._issued(client, scopes, refresh_token.resource)

    async def load_access_token(self, token):
        return self.access.get(token)

    async def revoke_token(self, token):
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)

    def _issued(self, client, scopes, resource):
        common = {"client_id": client.client_id, "scopes": scopes, "resource": resource}
        access = AccessToken(
            token=secrets.token_urlsafe(32), expires_at=int(time.time()) + SECONDS, **common
        )
        refresh = RefreshToken(token=secrets.token_urlsafe(32), **common)
        self.access[access.token], self.refresh[refresh.token] = access, refresh
        return OAuthToken(
            access_token=access.token,
            refresh_token=refresh.token,
            expires_in=SECONDS,
            scope=" ".join(scopes),
        )


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    here = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = MCPServer(
        "crm",
        log_level="ERROR",
        auth_server_provider=Books(),
        auth=AuthSettings(
            issuer_url=here,
            resource_server_url=f"{here}/mcp",
            required_scopes=["read"],
            validate_token_resource=True,
            client_registration_options=ClientRegistrationOptions(
                enabled=True, valid_scopes=["read", "write"], default_scopes=["read"]
            ),
            revocation_options=RevocationOptions(enabled=True),
        ),
    )

    @server.tool()
    def whoami() -> str:
        """Say what the token that the call came with allows."""
        return " ".join(get_access_token().scopes)

    app = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error"))
    print(json.dumps({"url": f"{here}/mcp"}), flush=True)
    threading.Thread(target=lambda: sys.stdin.read() or os._exit(0), daemon=True).start()
    app.run([listener])


if __name__ == "__main__":
    main()
