"""The Messages wire, as Anthropic and every compatible server speaks it.

Theory of operation: `wire` owns connections and faults, `anthropic_sdk` knows the package,
`anthropic_messages` makes the bytes of messages, `anthropic_stream` reads the answer; this file
says what a request holds. What one provider or model wants in another way stands in its profile.

Prompt cache: tools and system prompt end in breakpoints that never move; where a conversation ends
is said at the top of the request, so that no byte of its messages changes from one request to the
next. The clouds refuse that key and get the mark on the last block. Thinking is asked for together
with an effort: as much as the model likes, or for older models as a budget of tokens. Importing
this file is heavy, see `wire`.
"""

from collections.abc import Mapping, Sequence

from agent_host.core.types import JsonObject, Message, ModelRequest, Reasoning
from agent_host.models import choice
from agent_host.models.anthropic_messages import CACHED, TurnEncoder, with_mark
from agent_host.models.anthropic_sdk import AnthropicWire
from agent_host.models.anthropic_stream import MessagesStream
from agent_host.models.encoding import encode
from agent_host.models.schemas import ToolTable
from agent_host.models.settings import AdapterSettings
from agent_host.models.structured import is_said, strict_schema, with_schema_in_words
from agent_host.models.wire import AnswerStream

ADAPTER = "anthropic"

_DEFAULT_LIMIT = 8192
"""Tokens of an answer where nothing says how many: this wire wants a number."""
_MIN_BUDGET = 1024
_BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 31_999,
}
"""Tokens of thinking for a word of effort."""


def create(settings: AdapterSettings) -> "AnthropicModel":
    """Return the adapter for a model. Cheap: connects to nothing. Raises ConfigError."""
    return AnthropicModel(settings)


class AnthropicModel(AnthropicWire):
    """One model behind one base URL; implements `ports.ModelAdapter`."""

    adapter = ADAPTER
    path = "/v1/messages"

    def __init__(self, settings: AdapterSettings) -> None:
        super().__init__(settings)
        self._encoder = TurnEncoder(self.origin, self.profile)
        head: JsonObject = {**self.profile.body, "stream": True}
        if self.profile.body_model:
            head = {"model": settings.model, **head}
        self._head = encode(head)[:-1]

    def _prepare(self, request: ModelRequest) -> tuple[bytes, AnswerStream]:
        table = self._tool_table(request.tools)
        messages, taken = self._encoder.messages(request.messages, table)
        system, options = self._said(request, table)
        if self.profile.prompt_cache == "explicit":
            if self.profile.auth in ("aws", "google"):
                messages = with_mark(messages)
            else:
                options["cache_control"] = CACHED
        parts = [self._head]
        if table.offered:
            parts += (b',"tools":', self._encoder.tools(table))
        if system.strip():
            parts += (b',"system":', encode(self._system(system)))
        parts += (b',"messages":', messages)
        for key, value in options.items():
            parts.append(b',"%b":%b' % (key.encode(), encode(value)))
        parts.append(b"}")
        return b"".join(parts), MessagesStream(self._endpoint, self.origin, taken, table)

    def _system(self, system: str) -> str | list[JsonObject]:
        if self.profile.prompt_cache != "explicit":
            return system
        return [{"type": "text", "text": system, "cache_control": CACHED}]

    def _said(self, request: ModelRequest, table: ToolTable) -> tuple[str, JsonObject]:
        """The system prompt, and what differs from request to request beside messages."""
        profile = self.profile
        limit = request.max_output_tokens or self._settings.max_output_tokens
        limit = limit or profile.max_output_tokens or _DEFAULT_LIMIT
        options: JsonObject = {profile.max_tokens_field: limit}
        config: JsonObject = {}
        system, schema = request.system, request.output_schema
        if schema is not None:
            sent, strict = strict_schema(schema, profile.schema)
            if strict and is_said(schema, profile, tools=bool(table.offered)):
                config["format"] = {"type": "json_schema", "schema": sent}
            else:
                system = with_schema_in_words(system, schema)
        forced = False
        if table.offered and (chosen := self._choice(request, table)):
            options["tool_choice"] = chosen
            forced = chosen["type"] in ("any", "tool")
        if effort := self._settings.effort:
            if profile.effort == "output_config":
                config["effort"] = effort
            thinking = self._thinking(effort, limit, request.messages)
            if thinking and not forced:
                # The provider refuses to think where a call is forced.
                options["thinking"] = thinking
        if config:
            options["output_config"] = config
        return system, options

    def _choice(self, request: ModelRequest, table: ToolTable) -> JsonObject:
        """Which tools the model may or must call; empty: as it likes."""
        wire: JsonObject = {}
        if word := choice.word(request, self.profile):
            wire = {"type": "none" if word == "none" else "any"}
        elif named := choice.named_tool(request, table, self.profile):
            wire = {"type": "tool", "name": named}
        if choice.one_at_a_time(table, self.profile) and wire.get("type") != "none":
            wire = {"type": "auto", **wire, "disable_parallel_tool_use": True}
        return wire

    def _thinking(self, effort: str, limit: int, messages: Sequence[Message]) -> JsonObject:
        """How the model is asked to think; empty: not at all."""
        if self.profile.effort == "output_config":
            return {"type": "adaptive", "display": "summarized"}
        if self.profile.effort != "thinking_budget" or not self._may_think(messages):
            return {}
        budget = min(_BUDGETS.get(effort, 0), limit - _MIN_BUDGET)
        return {"type": "enabled", "budget_tokens": budget} if budget >= _MIN_BUDGET else {}

    def _may_think(self, messages: Sequence[Message]) -> bool:
        """Whether thinking may be switched on: not between a call that came without thoughts of
        this model and the end of that turn."""
        first: Message | None = None
        for message in reversed(messages):
            if message.role == "user":
                break
            if message.role == "assistant":
                first = message
        if first is None:
            return True
        block = first.content[0] if first.content else None
        thought = isinstance(block, Reasoning) and block.opaque is not None
        return thought and first.origin == self.origin
