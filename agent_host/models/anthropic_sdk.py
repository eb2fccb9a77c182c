"""The anthropic package, without the types of every API that it speaks: nine tenths of its cost.

Theory of operation: `import anthropic` loads some 3,000 modules, because its errors, its tracing
and its `__init__` name every type of every API. The wire is read raw, so none of them is needed:
the package, its table of errors and its tracing are deferred (see `engine.deferred`), what the
client takes from them is handed over from the module that defines it, or put off to its first call.
Whoever asks for anything else gets the real thing; where a later version of the package is cut
differently nothing is saved, and nothing breaks.

`AnthropicWire` is the part of the adapter that knows the package: which of its clients sends to
where, and what it says when it finds no credentials. Only the provider's own host and the clouds
get what the package finds in the environment.
"""

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import httpx2

from agent_host.core.text import clean_line
from agent_host.core.types import ModelFailure
from agent_host.engine.deferred import defer
from agent_host.models import clouds
from agent_host.models.failures import RefusedError
from agent_host.models.settings import AdapterSettings
from agent_host.models.wire import SdkClient, WireModel


def _take(package: str, module: str, *names: str) -> None:
    """Set names of a deferred package from the one of its modules that defines them."""
    with contextlib.suppress(ImportError, AttributeError):
        found = import_module(f"{package}.{module}")
        for name in names:
            setattr(sys.modules[package], name, getattr(found, name))


def _put_off(module: str, name: str) -> None:
    """Set a function of a deferred module that runs the module when it is called."""
    within = sys.modules.get(module)
    if within is None or name in vars(within):
        return

    def later(*args: Any, **options: Any) -> Any:
        if vars(within).get(name) is later:
            delattr(within, name)
        return getattr(within, name)(*args, **options)

    setattr(within, name, later)


defer("anthropic", "anthropic._error_classes", "anthropic.lib", "anthropic.lib._tracing")
_put_off("anthropic._error_classes", "make_status_error")
_put_off("anthropic.lib._tracing", "finish_api_call_span")
_take("anthropic.lib._tracing", "_config", "OpenTelemetryConfig")
_take("anthropic", "_exceptions", "AnthropicError", "APIError", "APIConnectionError")
_take("anthropic", "_streaming", "AsyncStream")
_take("anthropic", "_client", "AsyncAnthropic")
_take("anthropic", "_version", "__version__")

import anthropic  # noqa: E402 - after the deferral

__all__ = ["AnthropicWire", "anthropic"]

_CLOUD_FAULTS: Mapping[str, tuple[str, str]] = {
    "aws": ("botocore.exceptions", "BotoCoreError"),
    "google": ("google.auth.exceptions", "GoogleAuthError"),
}
_NO_KEY = "set `api_key` of the model, or ANTHROPIC_API_KEY"


def _cloud_faults(auth: str) -> tuple[type[Exception], ...]:
    """What the libraries of a cloud raise where there are no credentials; empty for no cloud."""
    if auth not in _CLOUD_FAULTS:
        return ()
    found: list[type[Exception]] = [RuntimeError, ValueError, ImportError]
    with contextlib.suppress(ImportError):
        module, name = _CLOUD_FAULTS[auth]
        found.append(getattr(import_module(module), name))
    return tuple(found)


class AnthropicWire(WireModel):
    """The Messages wire, through the anthropic package."""

    default_url = "https://api.anthropic.com"
    own_hosts = ("api.anthropic.com",)
    request_id_header = "request-id"
    sdk_error = anthropic.AnthropicError
    connection_error = anthropic.APIConnectionError
    stream_class = anthropic.AsyncStream[Any]
    user_agent = f"anthropic-python/{anthropic.__version__}"

    def __init__(self, settings: AdapterSettings) -> None:
        super().__init__(settings)
        clouds.check_extra(self.profile.auth, settings.provider)
        if not self.profile.path:
            # The path has it: people write the base URL with and without.
            self._url = self._url.removesuffix("/v1").rstrip("/")
        self._version = ""

    def _make_sdk_client(self, http_client: httpx2.AsyncClient) -> SdkClient:
        options: dict[str, Any] = {
            "default_headers": {"Accept-Encoding": "identity", **self._headers},
            "default_query": self._query,
            "max_retries": 0,
            "timeout": self._timeouts(),
            "http_client": http_client,
            "open_telemetry": False,
        }
        try:
            client = self._sdk_client(options)
        except (anthropic.AnthropicError, ImportError, ValueError) as error:
            return _NoClient(http_client, self._unauthenticated(str(error)))
        # Not asked for, and finding it out takes 15 ms of the first request.
        client._platform = "Unknown"  # noqa: SLF001
        self._version = str(client.default_headers.get("anthropic-version", ""))
        faults = _cloud_faults(self.profile.auth)
        return _CloudClient(client, faults, self._unauthenticated) if faults else client

    def _sdk_client(self, options: dict[str, Any]) -> Any:
        """The package's client for this host. Raises what the package raises."""
        auth = self.profile.auth
        if auth in clouds.CLOUDS:
            given = {"aws": "api_key", "google": "access_token"}[auth]
            named = {given: self._key} if self._key else {}
            return clouds.anthropic_cloud_client(auth, self._url, {**options, **named})
        options = {"base_url": self._url, **options}
        if not self._own:
            return anthropic.AsyncAnthropic(**options, api_key=self._key or "none")
        client = anthropic.AsyncAnthropic(**options, api_key=self._key or None)
        sent = {name.lower() for name in self._headers}
        if not (client.api_key or client.auth_token or client.credentials) and sent.isdisjoint(
            {"x-api-key", "authorization"}
        ):
            raise anthropic.AnthropicError("no key was found")
        return client

    @property
    def _own(self) -> bool:
        """Whether this is a host that gets what the package finds in the environment."""
        return any(f".{self._host}".endswith(f".{host}") for host in self.own_hosts)

    def _dialect_headers(self) -> dict[str, str]:
        return {"anthropic-version": self._version} if self._version else {}

    def _fault(self, error: BaseException, *, begun: bool = False) -> ModelFailure:
        cause = error.__cause__
        if isinstance(cause, RefusedError):
            # What our own hook raises comes wrapped in the package's error of a connection.
            return cause.failure
        if isinstance(error, anthropic.AnthropicError) and not isinstance(
            error, anthropic.APIError
        ):
            return self._unauthenticated(str(error))
        return super()._fault(error, begun=begun)

    def _unauthenticated(self, reason: str) -> ModelFailure:
        """No credentials, or none that can be used."""
        said = clean_line(self._endpoint.quote(reason), 300)
        advice = clouds.ADVICE.get(self.profile.auth, _NO_KEY)
        return ModelFailure(
            kind="auth",
            message=f"{self._endpoint.provider} cannot be asked at {self._endpoint.place}: "
            f"{said or 'no credentials'}; {advice}",
        )


@dataclass(frozen=True, slots=True)
class _CloudClient:
    """A client that signs or fetches a token for each request. What the clouds' own libraries raise
    for want of credentials passes the package as it is."""

    client: Any
    faults: tuple[type[Exception], ...]
    said: Callable[[str], ModelFailure]

    async def post(self, path: str, **options: Any) -> Any:
        """Send a request. Raises RefusedError."""
        try:
            return await self.client.post(path, **options)
        except self.faults as error:
            raise RefusedError(self.said(str(error))) from None

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()


@dataclass(frozen=True, slots=True)
class _NoClient:
    """Stands where there could be no client; every request fails with the reason."""

    http_client: httpx2.AsyncClient
    failure: ModelFailure

    async def post(self, path: str, **options: Any) -> Any:
        """Fail. Raises RefusedError."""
        raise RefusedError(self.failure)

    async def close(self) -> None:
        """Close what there is."""
        await self.http_client.aclose()
