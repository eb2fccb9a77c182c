"""The openai package, without the types of every API that it speaks: half of what it costs.

The adapters speak through the package's client and read the raw stream; whoever asks the package
for one of the types gets it, see `engine.deferred`. `OpenAIWire` is what both dialects share.
"""

from typing import Any

import httpx2

from agent_host.core.text import clean_line
from agent_host.core.types import ModelFailure
from agent_host.engine.deferred import defer
from agent_host.models import clouds
from agent_host.models.settings import AdapterSettings
from agent_host.models.wire import WireModel

defer(
    "openai",
    "openai.lib",
    "openai.resources",
    "openai.types",
    "openai.types.audio",
    "openai.types.beta",
    "openai.types.chat",
    "openai.types.responses",
    "openai.types.shared",
    "openai.types.shared_params",
    "openai.types.webhooks",
)

import openai  # noqa: E402 - after the deferral

__all__ = ["OpenAIWire", "openai"]


class OpenAIWire(WireModel):
    """A dialect of the OpenAI API, through the openai package."""

    default_url = "https://api.openai.com/v1"
    own_hosts = ("api.openai.com",)
    request_id_header = "x-request-id"
    sdk_error = openai.OpenAIError
    connection_error = openai.APIConnectionError
    stream_class = openai.AsyncStream[Any]
    user_agent = f"openai-python/{openai.__version__}"

    def __init__(self, settings: AdapterSettings) -> None:
        super().__init__(settings)
        clouds.check_extra(self.profile.auth, settings.provider)

    def _openai_client(self, http_client: httpx2.AsyncClient) -> openai.AsyncOpenAI:
        options: dict[str, Any] = {
            "default_headers": {"Accept-Encoding": "identity", **self._headers},
            "default_query": self._query,
            "max_retries": 0,
            "timeout": self._timeouts(),
            "http_client": http_client,
        }
        client: openai.AsyncOpenAI
        if self.profile.auth in clouds.CLOUDS:
            client = clouds.openai_cloud_client(self.profile.auth, self._url, options)
        else:
            key = self._key or "none"
            client = openai.AsyncOpenAI(api_key=key, base_url=self._url, **options)
        # Not asked for, and finding it out takes 15 ms of the first request.
        client._platform = "Unknown"  # noqa: SLF001
        return client

    def _fault(self, error: BaseException, *, begun: bool = False) -> ModelFailure:
        signing = isinstance(error, openai.OpenAIError) and not isinstance(error, openai.APIError)
        if signing and self.profile.auth in clouds.CLOUDS:
            said = clean_line(self._endpoint.quote(str(error)), 300)
            advice = clouds.ADVICE[self.profile.auth]
            message = f"{self._endpoint.provider} cannot be asked: {said}; {advice}"
            return ModelFailure(kind="auth", message=message)
        return super()._fault(error, begun=begun)
