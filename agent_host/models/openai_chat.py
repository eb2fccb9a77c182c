"""The Chat Completions wire, as OpenAI and every compatible server speaks it.

Theory of operation: `wire` owns connections and faults, `chat_messages` makes the bytes of
messages, `chat_stream` reads the answer; this file says what a request holds. What one provider
wants in another way stands in its profile. Importing this file is heavy, see `wire`.
"""

from typing import Any

import httpx2

from agent_host.core.types import JsonObject, ModelRequest
from agent_host.models import choice
from agent_host.models.chat_messages import ChatEncoder
from agent_host.models.chat_stream import ChatStream
from agent_host.models.encoding import encode
from agent_host.models.openai_sdk import OpenAIWire
from agent_host.models.schemas import ToolTable
from agent_host.models.settings import AdapterSettings
from agent_host.models.structured import is_said, strict_schema, with_schema_in_words
from agent_host.models.wire import AnswerStream

ADAPTER = "openai-chat"


def create(settings: AdapterSettings) -> "OpenAIChat":
    """Return the adapter for a model. Cheap: connects to nothing. Raises ConfigError."""
    return OpenAIChat(settings)


class OpenAIChat(OpenAIWire):
    """One model behind one base URL; implements `ports.ModelAdapter`."""

    adapter = ADAPTER
    path = "/chat/completions"

    def __init__(self, settings: AdapterSettings) -> None:
        super().__init__(settings)
        self._encoder = ChatEncoder(self.origin, self.profile)
        head: JsonObject = {**self.profile.body, "stream": True}
        if self.profile.body_model:
            head = {"model": settings.model, **head}
        if self.profile.stream_usage:
            head["stream_options"] = {"include_usage": True}
        if settings.effort and self.profile.effort == "reasoning_effort":
            head["reasoning_effort"] = settings.effort
        self._head = encode(head)[:-1]

    def _prepare(self, request: ModelRequest) -> tuple[bytes, AnswerStream]:
        table = self._tool_table(request.tools)
        schema, system = request.output_schema, request.system
        if schema is not None and not is_said(schema, self.profile, tools=bool(table.offered)):
            system = with_schema_in_words(system, schema)
        messages, taken = self._encoder.messages(system, request.messages, table)
        parts = [self._head, b',"messages":', messages]
        if table.offered:
            parts += (b',"tools":', self._encoder.tools(table))
        for key, value in self._options(request, table).items():
            parts.append(b',"%b":%b' % (key.encode(), encode(value)))
        parts.append(b"}")
        return b"".join(parts), ChatStream(self._endpoint, self.origin, taken, table)

    def _options(self, request: ModelRequest, table: ToolTable) -> JsonObject:
        """What differs from request to request beside messages and tools."""
        profile = self.profile
        options: JsonObject = {}
        limit = request.max_output_tokens or self._settings.max_output_tokens
        if limit or profile.max_output_tokens:
            options[profile.max_tokens_field] = limit or profile.max_output_tokens
        if table.offered:
            options |= self._choice(request, table)
        if request.output_schema is not None:
            options |= self._format(request.output_schema, tools=bool(table.offered))
        if profile.prompt_cache == "key" and request.conversation:
            options["prompt_cache_key"] = request.conversation
        return options

    def _choice(self, request: ModelRequest, table: ToolTable) -> JsonObject:
        """Which tools the model may or must call."""
        options: JsonObject = {}
        if word := choice.word(request, self.profile):
            options["tool_choice"] = word
        elif named := choice.named_tool(request, table, self.profile):
            options["tool_choice"] = {"type": "function", "function": {"name": named}}
        if choice.one_at_a_time(table, self.profile):
            options["parallel_tool_calls"] = False
        return options

    def _format(self, schema: JsonObject, *, tools: bool) -> JsonObject:
        """How the text of the answer has to look."""
        profile = self.profile
        if is_said(schema, profile, tools=tools):
            sent, strict = strict_schema(schema, profile.schema)
            named: dict[str, Any] = {"name": "answer", "schema": sent}
            if strict:
                named["strict"] = True
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        if profile.structured == "json_object" and (profile.structured_with_tools or not tools):
            return {"response_format": {"type": "json_object"}}
        return {}

    def _make_sdk_client(self, http_client: httpx2.AsyncClient) -> Any:
        return self._openai_client(http_client)
