"""Why a provider gave no answer, as a ModelFailure that a person can act on.

Theory of operation: what an HTTP provider says (status, headers, body) or the network does becomes
one of our kinds with one line: who, what, the provider's own words cleaned and cut, what to do.
The key and every configured header value are blotted out of those words first: providers and
proxies quote what they were sent. A wait that the provider asks for is passed on, never slept here.
"""

import email.utils
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from agent_host.core.text import clean_line
from agent_host.core.types import FailureKind, Json, ModelFailure

_DETAIL = 400
_CONTEXT = re.compile(
    r"context.{0,20}(length|window|size)|maximum context|prompt is too long"
    r"|input.{0,20}too (long|large)|too many tokens|exceed.{0,40}(context|n_ctx|token limit)",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"insufficient_quota|billing|exceeded your current quota|spend limit", re.IGNORECASE
)
_UNPAID = re.compile(r"billing_error|credit balance|insufficient_quota", re.IGNORECASE)
_FOR_EVER = re.compile(r"(input|content|image|audio|file)s? (is|are) not supported", re.IGNORECASE)
"""What a server says with 500 that time does not mend, as llama.cpp of pictures."""
_BY_STATUS: Mapping[int, FailureKind] = {
    401: "auth",
    402: "auth",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "overloaded",
    413: "context_window_exceeded",
    425: "overloaded",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}
_RETRYABLE = frozenset({"overloaded", "rate_limit", "timeout", "unavailable"})
_CODES: Mapping[str, int] = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "overloaded_error": 529,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "timeout_error": 504,
}
_HINTS = (
    (
        re.compile(r"enable-auto-tool-choice|tool-call-parser", re.IGNORECASE),
        "start vLLM with --enable-auto-tool-choice and --tool-call-parser for this model",
    ),
    (re.compile(r"--jinja", re.IGNORECASE), "start llama-server with --jinja"),
    (
        re.compile(r"does not support tools|tool(s| use) (is|are) not supported", re.IGNORECASE),
        "choose a model that can call tools",
    ),
    (
        re.compile(r"verified to generate reasoning summaries", re.IGNORECASE),
        "or do without: `body = { reasoning = {} }` in the provider's table",
    ),
)
_ADVICE: Mapping[FailureKind, str] = {
    "auth": "check the API key and what it may use",
    "not_found": "check `model` and `base_url`",
    "context_window_exceeded": "start a new conversation, or use a model with a larger window",
    "bad_request": "",
}


class RefusedError(Exception):
    """There is no answer; the failure says why."""

    def __init__(self, failure: ModelFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Who is asked, for messages. `secrets`: texts that no message may hold."""

    provider: str
    model: str
    url: str
    secrets: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The URL without user, query and fragment: those may hold secrets."""
        parts = urlsplit(self.url)
        return clean_line(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 200)

    def quote(self, text: str) -> str:
        """The provider's own words, fit for a message."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return clean_line(text, _DETAIL)


def secrets(api_key: str | None, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What must be blotted out: the key and header values, with and without their scheme."""
    values: set[str] = set()
    for value in (api_key or "", *headers.values()):
        values.update(part for part in (value, *value.split()) if len(part) >= 6)
    return tuple(sorted(values, key=len, reverse=True))


def from_status(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes
) -> ModelFailure:
    """An HTTP answer that is not a success. `headers`: by lower-case name. The provider's id of
    the request stands at the end of the message: it is what its support asks for."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    detail, code = _said(value, text)
    if 300 <= status < 400:
        target = endpoint.quote(headers.get("location", "elsewhere"))
        return ModelFailure(
            kind="bad_request",
            message=f"{endpoint.provider} redirects from {endpoint.place} to {target} "
            f"(HTTP {status}); set `base_url` to where the API is",
        )
    failure = _classified(endpoint, status, detail, code)
    asked = headers.get("x-should-retry")
    request_id = headers.get("x-request-id") or headers.get("request-id") or ""
    named = f" [request {clean_line(request_id, 80)}]" if request_id else ""
    return replace(
        failure,
        message=failure.message + named,
        retryable=asked == "true" if asked in ("true", "false") else failure.retryable,
        retry_after=_retry_after(headers),
    )


def from_error(endpoint: Endpoint, error: Json) -> ModelFailure:
    """An error object inside a stream, or in the body of a success."""
    detail, code = _said({"error": error}, "")
    status = error.get("code") if isinstance(error, dict) else None
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status[:4])
    if not isinstance(status, int) or not 400 <= status < 600:
        status = _CODES.get(code, 500)
    return _classified(endpoint, status, detail, code)


def _classified(endpoint: Endpoint, status: int, detail: str, code: str) -> ModelFailure:
    kind: FailureKind = _BY_STATUS.get(status, "unavailable" if status >= 500 else "bad_request")
    if code == "context_length_exceeded" or (
        status in (400, 413, 422, 500) and _CONTEXT.search(detail)
    ):
        kind = "context_window_exceeded"
    if kind == "unavailable" and _FOR_EVER.search(detail):
        kind = "bad_request"
    unpaid = kind in ("auth", "bad_request") and bool(_UNPAID.search(f"{code} {detail}"))
    if unpaid:
        kind = "auth"
    quota = unpaid or (kind == "rate_limit" and bool(_QUOTA.search(f"{code} {detail}")))
    retryable = kind in _RETRYABLE and not quota
    advice = next((hint for pattern, hint in _HINTS if pattern.search(detail)), "")
    if not advice:
        advice = "check the plan and billing of the account" if quota else _ADVICE.get(kind, "")
    what = {
        "auth": "wants to be paid" if unpaid else "refused the key",
        "not_found": f"does not know the model {clean_line(endpoint.model, 80)!r} "
        f"at {endpoint.place}",
        "rate_limit": "limits the rate of requests",
        "overloaded": "is overloaded",
        "unavailable": "failed",
        "timeout": "timed out",
        "context_window_exceeded": "says that the conversation does not fit the model",
    }.get(kind, "refused the request")
    message = f"{endpoint.provider} {what} (HTTP {status})"
    if quoted := endpoint.quote(detail):
        message += f": {quoted}"
    if advice:
        message += f"; {advice}"
    return ModelFailure(kind=kind, message=message, retryable=retryable)


def _said(value: Json, text: str) -> tuple[str, str]:
    """What the body says, and its code: every provider nests them in another way."""
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        detail = _first(error, ("message", "detail", "msg", "error", "error_description"))
        metadata = error.get("metadata")
        if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
            detail = f"{detail}: {metadata['raw']}"
        return detail or text, _first(error, ("code", "type", "status"))
    if isinstance(error, str):
        return error, ""
    if "<html" in text[:1000].lower() or "<!doctype" in text[:1000].lower():
        return _page(text), ""
    return text, ""


def _page(text: str) -> str:
    title = re.search(r"<title[^>]{0,100}>([^<]{1,300})", text[:20_000], re.IGNORECASE)
    return f"a web page ({title[1].strip()})" if title else "a web page"


def _first(value: Mapping[str, Json], keys: Iterable[str]) -> str:
    for key in keys:
        found = value.get(key)
        if isinstance(found, str) and found:
            return found
        if isinstance(found, list | dict) and found:
            return json.dumps(found)[:2000]
    return ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `retry-after-ms`, or `retry-after` as seconds or an HTTP date (RFC 9110,
    section 10.2.3), which counts from the `date` of the same answer: the two clocks agree."""
    found: tuple[tuple[str, Callable[[str], float]], ...] = (
        ("retry-after-ms", lambda text: float(text) / 1000),
        ("retry-after", float),
        ("retry-after", lambda text: _timestamp(text) - _timestamp(headers["date"])),
    )
    for name, read in found:
        try:
            seconds = read(headers[name])
        except (KeyError, ValueError, TypeError, OverflowError):
            continue
        if math.isfinite(seconds):
            return max(seconds, 0.0)
    return None


def _timestamp(text: str) -> float:
    return email.utils.parsedate_to_datetime(text).timestamp()


def not_reached(endpoint: Endpoint, reason: str, *, proxy: str = "") -> ModelFailure:
    """No connection. `proxy`: host and port of what stands between."""
    said = endpoint.quote(reason)
    retryable = "CERTIFICATE_VERIFY_FAILED" not in reason
    if not retryable:
        said += "; if this server's certificate is to be trusted, name it in SSL_CERT_FILE"
    if "refused" in said.lower() or "all connection attempts failed" in said.lower():
        said = "nothing accepts connections there; is it running?"
        if proxy:
            said = "no connection; is the proxy running?"
    if proxy:
        said += f" (by the proxy {clean_line(proxy, 100)}, as HTTP_PROXY or HTTPS_PROXY says)"
    return ModelFailure(
        kind="unavailable",
        message=f"cannot connect to {endpoint.provider} at {endpoint.place}: "
        f"{said or 'no reason given'}",
        retryable=retryable,
    )


def no_certificates(endpoint: Endpoint, reason: str) -> ModelFailure:
    """No client: the files that say whom to trust cannot be read."""
    return ModelFailure(
        kind="unavailable",
        message=f"cannot connect to {endpoint.provider} at {endpoint.place}: the trusted "
        f"certificates cannot be read: {endpoint.quote(reason)}; check SSL_CERT_FILE and "
        "SSL_CERT_DIR, or install ca-certificates",
    )


def timed_out(endpoint: Endpoint, seconds: float) -> ModelFailure:
    """Nothing, or not everything, came in time."""
    return ModelFailure(
        kind="timeout",
        message=f"{endpoint.provider} at {endpoint.place} did not answer within {seconds:g} s; "
        "raise `timeout` if the model is slow",
        retryable=True,
    )


def never_ends(endpoint: Endpoint, seconds: float) -> ModelFailure:
    """The answer went on beyond its bound."""
    return ModelFailure(
        kind="timeout",
        message=f"{endpoint.provider} at {endpoint.place} did not end its answer within "
        f"{seconds:g} s; raise `answer_timeout` if that may take longer",
    )


def broken(endpoint: Endpoint, what: str, *, retryable: bool = True) -> ModelFailure:
    """What came is not what the protocol says."""
    return ModelFailure(
        kind="protocol",
        message=f"{endpoint.provider} at {endpoint.place} {endpoint.quote(what)}",
        retryable=retryable,
    )


def not_the_api(endpoint: Endpoint, body: bytes) -> ModelFailure:
    """A success that is no answer of this API: a web page, usually."""
    text = body.decode("utf-8", "replace")
    _, detail = ("", _page(text)) if "<" in text[:200] else ("", text)
    return broken(
        endpoint,
        f"answers with something else than the API: {detail[:200]}; check `base_url`",
        retryable=False,
    )
