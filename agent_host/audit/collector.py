"""A collector that takes OpenTelemetry logs over HTTP.

Source: OTLP 1.x, "OTLP/HTTP": POST of JSON; 200 is an acknowledgement, perhaps of a part
(`partialSuccess`, which must not be sent again); 429, 502, 503 and 504 mean later, with
`Retry-After` (RFC 9110, 10.2.3) as seconds or a date; other statuses of 400 and above are final.
No redirect is followed: it could lead what users did to somewhere else. The HTTP client is imported
with the first request.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any, Literal
from urllib.parse import urlsplit

from agent_host.audit.spool import shown_url
from agent_host.core.text import clean_line

LOGS_PATH = "/v1/logs"
TIMEOUT = 10.0
_LATER = frozenset({408, 429, 500, 502, 503, 504})
_NOT_THESE = frozenset({400, 413, 415, 422})
"""What a collector answers that does not like these entries; with others it may be content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a request. `taken`: acknowledged, but for `rejected` entries; `later`: try
    again; `refused`: not these entries; `blocked`: nothing of this kind, until somebody changes
    something. `retry_after` in seconds, as the collector asked."""

    kind: Literal["taken", "later", "refused", "blocked"]
    text: str = ""
    rejected: int = 0
    retry_after: float = 0.0


class Collector:
    """A collector. `url` without a path gets LOGS_PATH. `redact` keeps secrets out of texts."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        redact: Callable[[str], str] = lambda text: text,
        timeout: float = TIMEOUT,
    ) -> None:
        parts = urlsplit(url)
        self._url = url if parts.path not in {"", "/"} else parts._replace(path=LOGS_PATH).geturl()
        self._headers = {**headers, "content-type": "application/json"}
        self._redact = redact
        self._timeout = timeout
        self._client: Any = None
        self.to = shown_url(self._url)

    def post(self, body: bytes) -> Answer:
        """Send a request. Never raises for the world's faults."""
        http = import_module("httpx2")
        try:
            if self._client is None:
                self._client = http.Client(follow_redirects=False, timeout=self._timeout)
            response = self._client.post(self._url, content=body, headers=self._headers)
        except (http.HTTPError, http.InvalidURL, OSError, ValueError) as error:
            why = clean_line(self._redact(str(error) or type(error).__name__), 200)
            return Answer(kind="later", text=f"{self.to} cannot be reached: {why}")
        return self._answer(response.status_code, response.headers, response.content[:65_536])

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        said = clean_line(self._redact(body.decode("utf-8", "replace")), 200)
        text = f"{self.to} answered {status}{': ' + said if said else ''}"
        if 200 <= status < 300:
            rejected, why = _partly(body)
            return Answer(kind="taken", rejected=rejected, text=clean_line(self._redact(why), 200))
        if status in _LATER:
            return Answer(kind="later", text=text, retry_after=_seconds(headers))
        return Answer(kind="refused" if status in _NOT_THESE else "blocked", text=text)


def _partly(body: bytes) -> tuple[int, str]:
    """How many records were rejected, and why (ExportLogsPartialSuccess)."""
    try:
        partial = json.loads(body)["partialSuccess"]
        return int(partial.get("rejectedLogRecords", 0)), str(partial.get("errorMessage", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return 0, ""


def _seconds(headers: Mapping[str, str]) -> float:
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:6])
    try:
        at = parsedate_to_datetime(said)
        now = parsedate_to_datetime(headers["date"])
    except (ValueError, KeyError, TypeError):
        return 0.0
    utc = [moment.replace(tzinfo=moment.tzinfo or UTC) for moment in (at, now)]
    return max(_difference(*utc), 0.0)


def _difference(at: datetime, now: datetime) -> float:
    return (at - now).total_seconds()
