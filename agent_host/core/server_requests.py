"""What servers ask of the host, read from the protocol's JSON, and the answers written into it.

Theory of operation: a server is untrusted, so what it asks is bounded and checked before a person
or a model sees it: a request that is not sound, too large, or asks for what the host does not do
comes back as a reason, never as an exception. Sources: MCP 2025-11-25 and 2026-07-28,
client/elicitation (ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult) and
client/sampling (CreateMessageRequestParams, CreateMessageResult).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from agent_host.core.context import DEPTH_LIMIT, deeper_than
from agent_host.core.events import InputRequested
from agent_host.core.types import (
    Audio,
    Block,
    Image,
    JsonObject,
    Message,
    ModelResponse,
    Text,
)

MAX_MESSAGE = 8_000
"""Characters of the message of a request for input."""
MAX_URL = 16_384
MAX_FIELDS = 64
"""Fields of one form."""
MAX_SCHEMA = 64 * 1024
"""Characters of a form's schema, as Python prints it."""
MAX_PROMPT = 256 * 1024
"""Characters of what a server asks the model."""
MAX_MESSAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingPrompt:
    """What a server asks the model. `max_tokens`: as many as the server wants."""

    messages: tuple[Message, ...]
    system: str
    max_tokens: int


def input_requested(
    params: JsonObject, *, input_id: str, server: str, call_id: str, key: str
) -> InputRequested | str:
    """Return a request for input as an event, or what is wrong with it."""
    mode = params.get("mode", "form")
    message = params.get("message")
    if not isinstance(message, str):
        return "the request for input has no message"
    if len(message) > MAX_MESSAGE:
        return f"the message is longer than {MAX_MESSAGE} characters"
    url, schema = "", None
    if mode == "url":
        url = params.get("url", "")
        problem = _url_problem(url)
    elif mode == "form":
        schema = params.get("requestedSchema")
        problem = _schema_problem(schema)
    else:
        problem = "its mode is neither form nor url"
    if problem:
        return problem
    return InputRequested(
        input_id=input_id,
        server=server,
        mode=mode,
        message=message,
        requested_schema=schema,
        url=url,
        call_id=call_id,
        key=key,
    )


def _url_problem(url: Any) -> str:
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        return "its URL is not an http or https URL"
    if len(url) > MAX_URL:
        return f"its URL is longer than {MAX_URL} characters"
    return "" if url.isprintable() and " " not in url else "its URL holds what no URL may hold"


def _schema_problem(schema: Any) -> str:
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "its form has no schema of type object"
    fields = schema.get("properties")
    if not isinstance(fields, dict):
        return "its form has no fields"
    if len(fields) > MAX_FIELDS:
        return f"its form has more than {MAX_FIELDS} fields"
    if deeper_than(schema, DEPTH_LIMIT) or len(str(schema)) > MAX_SCHEMA:
        return "the schema of its form is too large"
    return ""


def sampling_prompt(params: JsonObject) -> SamplingPrompt | str:
    """Return what a server asks the model, or what is wrong with it."""
    raw = params.get("messages")
    if not isinstance(raw, list) or not raw:
        return "the request for the model has no messages"
    if len(raw) > MAX_MESSAGES:
        return f"the request for the model has more than {MAX_MESSAGES} messages"
    if params.get("tools"):
        return "the host offers no tools in a request for the model"
    messages = [_message(item) for item in raw]
    sound = [message for message in messages if message is not None]
    if len(sound) != len(raw):
        return "a message of the request for the model cannot be read"
    system = params.get("systemPrompt", "")
    system = system if isinstance(system, str) else ""
    size = len(system) + sum(_size(block) for m in sound for block in m.content)
    if size > MAX_PROMPT:
        return f"the request for the model is larger than {MAX_PROMPT} characters"
    wanted = params.get("maxTokens")
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        return "the request for the model says no maxTokens"
    return SamplingPrompt(messages=tuple(sound), system=system, max_tokens=wanted)


def _message(item: Any) -> Message | None:
    if not isinstance(item, dict) or item.get("role") not in ("user", "assistant"):
        return None
    role: Literal["user", "assistant"] = "user" if item["role"] == "user" else "assistant"
    raw = item.get("content")
    parts = [_block(part) for part in (raw if isinstance(raw, list) else [raw])]
    blocks = tuple(part for part in parts if part is not None)
    return Message(role=role, content=blocks) if blocks and len(blocks) == len(parts) else None


def _block(item: Any) -> Text | Image | Audio | None:
    if not isinstance(item, dict):
        return None
    kind, text, data, media = (item.get(k) for k in ("type", "text", "data", "mimeType"))
    if kind == "text" and isinstance(text, str):
        return Text(text=text)
    if kind in ("image", "audio") and isinstance(data, str) and isinstance(media, str):
        return (Image if kind == "image" else Audio)(data=data, media_type=media[:100])
    return None


def _size(block: Any) -> int:
    return len(block.text) if isinstance(block, Text) else len(getattr(block, "data", ""))


def sampling_result(response: ModelResponse, model: str) -> JsonObject | None:
    """Return the model's answer as the protocol has it (`CreateMessageResult`), or None if it
    holds no text. `model`: who answered, if the answer does not say."""
    text = "".join(_texts(response.message.content))
    if not text:
        return None
    stop = {"max_tokens": "maxTokens", "stop_sequence": "stopSequence"}
    return {
        "role": "assistant",
        "content": {"type": "text", "text": text},
        "model": response.model_served or model,
        "stopReason": stop.get(response.stop_reason, "endTurn"),
    }


def _texts(blocks: tuple[Block, ...]) -> Iterator[str]:
    return (block.text for block in blocks if isinstance(block, Text))
