"""Headers that say for whom a request is made, over HTTP.

Theory of operation: the context of a request says whose it is (`user.principal`), however many
users share the connection. A user who lacks what a header wants is a failure of that one request,
which is then not sent: a server that is told of nobody would act for somebody else.
"""

import httpx2

from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.spec import UserSpec
from agent_host.servers.user import UserUnknownError, principal, user_headers


class UserHeaders(httpx2.AsyncBaseTransport):
    """Adds the headers of `user` to what is posted for a principal. Raises LoginFailedError."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, user: UserSpec) -> None:
        self._inner = inner
        self._user = user

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        who = principal.get()
        if who is not None and request.method == "POST":
            try:
                request.headers.update(user_headers(self._user, who))
            except UserUnknownError as error:
                raise LoginFailedError(str(error)) from None
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """See httpx2."""
        await self._inner.aclose()
