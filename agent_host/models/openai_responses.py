"""The Responses wire: OpenAI's own, and of those who serve it as well.

Theory of operation: `wire` owns connections and faults, `responses_items` makes the bytes of
messages, `responses_stream` reads the answer; this file says what a request holds. Nothing is kept
at the provider (`store` is false): the whole conversation goes out each time, and reasoning returns
encrypted. What one provider wants in another way stands in its profile. Importing this file is
heavy, see `wire`.
"""

from typing import Any

import httpx2

from agent_host.core.types import JsonObject, ModelRequest
from agent_host.models import choice
from agent_host.models.encoding import encode
from agent_host.models.openai_sdk import OpenAIWire
from agent_host.models.responses_items import ItemEncoder
from agent_host.models.responses_stream import ResponsesStream
from agent_host.models.schemas import ToolTable
from agent_host.models.settings import AdapterSettings
from agent_host.models.structured import is_said, strict_schema, with_schema_in_words
from agent_host.models.wire import AnswerStream

ADAPTER = "openai-responses"


def create(settings: AdapterSettings) -> "OpenAIResponses":
    """Return the adapter for a model. Cheap: connects to nothing. Raises ConfigError."""
    return OpenAIResponses(settings)


class OpenAIResponses(OpenAIWire):
    """One model behind one base URL; implements `ports.ModelAdapter`."""

    adapter = ADAPTER
    path = "/responses"

    def __init__(self, settings: AdapterSettings) -> None:
        super().__init__(settings)
        self._encoder = ItemEncoder(self.origin, self.profile)
        head: JsonObject = {"stream": True, "store": False}
        if self.profile.body_model:
            head = {"model": settings.model, **head}
        if self.profile.effort == "reasoning":
            head["include"] = ["reasoning.encrypted_content"]
        head |= self.profile.body
        if settings.effort and self.profile.effort == "reasoning":
            asked: Any = self.profile.body.get("reasoning", {"summary": "auto"})
            head["reasoning"] = {**asked, "effort": settings.effort}
        self._head = encode(head)[:-1]

    def _prepare(self, request: ModelRequest) -> tuple[bytes, AnswerStream]:
        table = self._tool_table(request.tools)
        schema, system = request.output_schema, request.system
        if schema is not None and not is_said(schema, self.profile, tools=bool(table.offered)):
            system = with_schema_in_words(system, schema)
        above = self.profile.system_role == "system"
        items, taken = self._encoder.items("" if above else system, request.messages, table)
        parts = [self._head]
        if system and above:
            parts += (b',"instructions":', encode(system))
        if table.offered:
            parts += (b',"tools":', self._encoder.tools(table))
        parts += (b',"input":', items)
        limit = (
            request.max_output_tokens
            or self._settings.max_output_tokens
            or self.profile.max_output_tokens
        )
        for key, value in self._options(request, table, limit).items():
            parts.append(b',"%b":%b' % (key.encode(), encode(value)))
        parts.append(b"}")
        answer = ResponsesStream(self._endpoint, self.origin, taken, table, limit)
        return b"".join(parts), answer

    def _options(self, request: ModelRequest, table: ToolTable, limit: int) -> JsonObject:
        """What differs from request to request beside messages and tools."""
        options: JsonObject = {}
        if limit:
            options[self.profile.max_tokens_field] = limit
        if table.offered:
            options |= self._choice(request, table)
        if request.output_schema is not None:
            options |= self._format(request.output_schema, tools=bool(table.offered))
        if self.profile.prompt_cache == "key" and request.conversation:
            options["prompt_cache_key"] = request.conversation
        return options

    def _choice(self, request: ModelRequest, table: ToolTable) -> JsonObject:
        """Which tools the model may or must call."""
        options: JsonObject = {}
        if word := choice.word(request, self.profile):
            options["tool_choice"] = word
        elif named := choice.named_tool(request, table, self.profile):
            options["tool_choice"] = {"type": "function", "name": named}
        if choice.one_at_a_time(table, self.profile):
            options["parallel_tool_calls"] = False
        return options

    def _format(self, schema: JsonObject, *, tools: bool) -> JsonObject:
        """How the text of the answer has to look."""
        profile = self.profile
        if is_said(schema, profile, tools=tools):
            sent, strict = strict_schema(schema, profile.schema)
            named: JsonObject = {"type": "json_schema", "name": "answer", "schema": sent}
            if strict or profile.strict_field:
                named["strict"] = strict
            return {"text": {"format": named}}
        if profile.structured == "json_object" and (profile.structured_with_tools or not tools):
            return {"text": {"format": {"type": "json_object"}}}
        return {}

    def _make_sdk_client(self, http_client: httpx2.AsyncClient) -> Any:
        return self._openai_client(http_client)
