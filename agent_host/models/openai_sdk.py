"""The openai package, without the types of every API that it speaks: half of what it costs.

The adapters speak through the package's client and read the raw stream; whoever asks the package
for one of the types gets it, see `engine.deferred`. `OpenAIWire` is what both dialects share.
"""

from typing import Any

import httpx2

from agent_host.engine.deferred import defer
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

    def _openai_client(self, http_client: httpx2.AsyncClient) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self._url,
            default_headers={"Accept-Encoding": "identity", **self._headers},
            default_query=self._query,
            max_retries=0,
            timeout=self._timeouts(),
            http_client=http_client,
        )
        # Not asked for, and finding it out takes 15 ms of the first request.
        client._platform = "Unknown"  # noqa: SLF001
        return client
