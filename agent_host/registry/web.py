"""One bounded GET: what a registry answers, or in one line why it did not.

Theory of operation: every body is counted while it comes (also after unpacking gzip) and has a
deadline, so that no answer costs more than it may. Reading is safe to repeat: what is busy or broke
off is asked again a few times, with the pause the server wants if that is short. Only https is
spoken, or http to this machine; a redirect is followed under the same rule, never from https to
http and never to an address inside of a network. Proxies and authorities come from the
environment, as httpx2 reads it.
"""

import ipaddress
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx2

from agent_host.core.text import clean_line
from agent_host.registry import names

ATTEMPTS = 3
FIRST_PAUSE = 0.5  # seconds
LONGEST_PAUSE = 10.0
REDIRECTS = 5
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_READ = 10.0  # seconds that nothing may come
_AGENT = "agent-host"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer: one clean line. `status`: HTTP's, 0 if there was none. `challenge`:
    the WWW-Authenticate of a 401, as it came."""

    text: str
    status: int = 0
    challenge: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """A whole answer. Header names are lower-case."""

    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any | Fault:
        """Return the JSON value that the body is."""
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            return Fault("the answer is no JSON")


class _TooMuchError(Exception):
    """The answer broke a bound; the text says which."""


class Web(AbstractContextManager["Web"]):
    """A connection to the world. `sleep` and `monotonic` are the clock's, in seconds."""

    def __init__(
        self,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._monotonic = monotonic
        self._client = httpx2.Client(timeout=_READ, headers={"User-Agent": _AGENT})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(
        self,
        url: str,
        *,
        limit: int,
        seconds: float = 30.0,
        headers: Mapping[str, str] | None = None,
    ) -> Body | Fault:
        """Return the body of `url`, of at most `limit` bytes and within `seconds` a try."""
        for _ in range(REDIRECTS + 1):
            problem = names.url_problem(url)
            if problem:
                return Fault(f'"{clean_line(url, 200)}" {problem}')
            found = self._tried(url, limit, seconds, headers or {})
            if not isinstance(found, str):
                return found
            problem = _redirect_problem(url, found)
            if problem:
                return Fault(f"{_host(url)} {problem}")
            if _host(found) != _host(url):
                headers = {k: v for k, v in (headers or {}).items() if k != "Authorization"}
            url = found
        return Fault(f"{_host(url)} redirects in circles")

    def _tried(
        self, url: str, limit: int, seconds: float, headers: Mapping[str, str]
    ) -> Body | Fault | str:
        """Return what came, or where a redirect leads."""
        pause = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            found, wait = self._once(url, limit, seconds, headers)
            again = isinstance(found, Fault) and (found.status in _AGAIN or wait is not None)
            if not again or attempt == ATTEMPTS or (wait or 0) > LONGEST_PAUSE:
                return found
            self._sleep(wait or pause)
            pause *= 2
        return found

    def _once(
        self, url: str, limit: int, seconds: float, headers: Mapping[str, str]
    ) -> tuple[Body | Fault | str, float | None]:
        """Ask once. The second value is a pause in seconds, where asking again makes sense."""
        end = self._monotonic() + seconds
        asked = {"Accept-Encoding": "gzip", **headers}
        try:
            with self._client.stream("GET", url, headers=asked) as answer:
                status = answer.status_code
                if status in (301, 302, 303, 307, 308) and "location" in answer.headers:
                    return urljoin(url, answer.headers["location"]), None
                if status != 200:
                    said = _said(b"".join(self._bytes(answer, 4096, end)))
                    text = f"{_host(url)} answered HTTP {status}{said}"
                    challenge = answer.headers.get("www-authenticate", "")
                    wait = _wait(answer.headers.get("retry-after", ""))
                    return Fault(text, status, challenge), wait
                data = b"".join(self._bytes(answer, limit, end))
                return Body(data, {k.lower(): v for k, v in answer.headers.items()}), None
        except _TooMuchError as error:
            return Fault(f"{_host(url)} {error}"), None
        except httpx2.ProxyError as error:
            return Fault(f"the proxy for {_host(url)} failed ({_network(error)})"), None
        except (httpx2.TransportError, httpx2.StreamError) as error:
            return Fault(f"{_host(url)} cannot be reached ({_network(error)})"), 0.0
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError, ValueError) as error:
            return Fault(f"{_host(url)} cannot be asked ({_network(error)})"), None

    def _bytes(self, answer: httpx2.Response, limit: int, end: float) -> Iterator[bytes]:
        """Yield the unpacked body; an error's body is cut, a good one must not be larger."""
        strict = answer.status_code == 200
        coding = answer.headers.get("content-encoding", "identity").lower()
        if coding not in ("identity", "gzip"):
            raise _TooMuchError(f"answered in the encoding {clean_line(coding, 40)}")
        unpack = zlib.decompressobj(31) if coding == "gzip" else None
        left = limit
        for raw in answer.iter_raw():
            if self._monotonic() > end:
                raise _TooMuchError("took too long for one answer")
            try:
                piece = unpack.decompress(raw, left + 1) if unpack is not None else raw
            except zlib.error:
                raise _TooMuchError("answered with a broken body") from None
            if len(piece) > left:
                if strict:
                    raise _TooMuchError(f"answered with more than {limit} bytes")
                yield piece[:left]
                return
            left -= len(piece)
            yield piece
        if unpack is not None and strict and not unpack.eof:
            raise _TooMuchError("answered with a broken body")


def _redirect_problem(origin: str, target: str) -> str:
    problem = names.url_problem(target)
    if problem:
        return f'redirects to "{clean_line(target, 120)}", which {problem}'
    host = urlsplit(target).hostname or ""
    if names.is_loopback(host) and names.is_loopback(urlsplit(origin).hostname or ""):
        return ""
    try:
        inside = not ipaddress.ip_address(host).is_global
    except ValueError:
        inside = names.is_loopback(host)
    return f"redirects into a network ({clean_line(host, 60)})" if inside else ""


def _host(url: str) -> str:
    return clean_line(urlsplit(url).netloc, 120)


def _said(body: bytes) -> str:
    """What an error's body says of itself: the registry's `error`, or as RFC 9457 has it."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    texts = (found.get(key) for key in ("error", "detail", "title", "message"))
    for text in texts:
        if isinstance(text, str) and text:
            return f": {clean_line(text, 200)}"
    return ""


def _wait(text: str) -> float | None:
    """Seconds of a Retry-After; a date, which would need a clock, is none."""
    return float(text) if text.isdecimal() and len(text) < 8 else None


def _network(error: Exception) -> str:
    return clean_line(
        f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, 160
    )
