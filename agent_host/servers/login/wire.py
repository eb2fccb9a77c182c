"""The requests of a login: guarded, bounded, through the server's own transport.

Theory of operation: proxy, certificates and keys of the config are in the inner transport, so each
request of a login uses them. The host name of a URL is looked up once, judged, and the address that
was judged is dialled; TLS still checks the name. Redirects are followed only to the same origin:
for a page, and with 307 and 308 for what is posted.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from agent_host.core.text import clean_line
from agent_host.servers.login.addresses import Reach, origin, shown, to_url
from agent_host.servers.login.errors import LoginFailedError

MAX_BODY = 256 * 1024
MAX_REDIRECTS = 5
SECONDS = 30.0
"""How long one request of a login may take as a whole."""
_TIMEOUT = {"connect": 10.0, "read": SECONDS, "write": SECONDS, "pool": SECONDS}
_FOLLOWED = {"GET": (301, 302, 303, 307, 308), "POST": (307, 308)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer. `url`: who gave it, for people."""

    status: int
    headers: httpx2.Headers
    body: bytes
    url: str

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object, or None."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Wire:
    """Sends the requests of a login."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, reach: Reach) -> None:
        self.reach = reach
        self._inner = inner

    async def get(self, text: str, what: str) -> Answer:
        """Fetch a page. Raises LoginFailedError; `what` names the page."""
        return await self._follow("GET", to_url(text, what), what, b"", {})

    async def post(
        self, text: str, what: str, *, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        """Post what may hold secrets. Raises LoginFailedError."""
        return await self._follow("POST", to_url(text, what), what, body, headers)

    async def _follow(
        self, method: str, url: httpx2.URL, what: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        try:
            async with asyncio.timeout(SECONDS):
                for _ in range(MAX_REDIRECTS):
                    answer = await self._once(method, url, what, body, headers)
                    to = _redirected(method, url, answer)
                    if to is None:
                        return answer
                    url = to
        except TimeoutError:
            raise LoginFailedError(f"{what} {shown(url)} did not answer in time") from None
        raise LoginFailedError(f"{what} {shown(url)} redirects without end")

    async def _once(
        self, method: str, url: httpx2.URL, what: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        addresses = await self.reach.admit(url, what, sends_secrets=method == "POST")
        try:
            response = await self._dial(method, url, addresses, body, headers)
            try:
                return Answer(
                    status=response.status_code,
                    headers=response.headers,
                    body=await _whole(response, what),
                    url=shown(url),
                )
            finally:
                await response.aclose()
        except LoginFailedError:
            raise
        # An alert of TLS 1.3 comes after the handshake, as the SSLError that it is.
        except (httpx2.TransportError, httpx2.StreamError, OSError) as error:
            why = clean_line(str(error) or type(error).__name__, 160)
            raise LoginFailedError(f"cannot reach {what} {shown(url)}: {why}") from None

    async def _dial(
        self,
        method: str,
        url: httpx2.URL,
        addresses: tuple[str, ...],
        body: bytes,
        headers: Mapping[str, str],
    ) -> httpx2.Response:
        targets = [url.copy_with(host=address) for address in addresses] or [url]
        for target in targets[:-1]:
            with contextlib.suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return await self._send(method, url, target, body, headers)
        return await self._send(method, url, targets[-1], body, headers)

    async def _send(
        self,
        method: str,
        url: httpx2.URL,
        target: httpx2.URL,
        body: bytes,
        headers: Mapping[str, str],
    ) -> httpx2.Response:
        host = url.netloc.decode("ascii", "replace").rpartition("@")[2]
        request = httpx2.Request(
            method,
            target,
            headers={
                "Host": host,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                **headers,
            },
            content=body,
            extensions={
                "timeout": _TIMEOUT,
                "sni_hostname": url.raw_host.decode("ascii", "replace"),
            },
        )
        return await self._inner.handle_async_request(request)


def _redirected(method: str, url: httpx2.URL, answer: Answer) -> httpx2.URL | None:
    """Where to ask next, if the answer sends to the same origin."""
    location = answer.headers.get("location")
    if answer.status not in _FOLLOWED[method] or not location:
        return None
    try:
        to = url.join(location)
    except (httpx2.InvalidURL, ValueError):
        return None
    return to if origin(to) == origin(url) and not to.userinfo else None


async def _whole(response: httpx2.Response, what: str) -> bytes:
    """The body, if it is not compressed and not too large."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise LoginFailedError(f"{what} answered compressed, which was not asked for")
    body = bytearray()
    async for chunk in response.stream:  # type: ignore[union-attr]
        body += chunk
        if len(body) > MAX_BODY:
            raise LoginFailedError(f"{what} answered more than {MAX_BODY} bytes")
    return bytes(body)
