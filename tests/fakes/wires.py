"""The wires side by side: for each, its fake provider and how that says the same things.

Theory of operation: what tests of several wires have in common is said once here. A `Wire` names
the adapter, makes its server, and turns what a provider may say (text, calls, an end) into a play.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes import chat_server, messages_server, responses_server
from tests.fakes.provider_server import Play, ProviderServer


@dataclass(frozen=True)
class Wire:
    """`says(pieces, calls, reason)` is a whole answer; a call is (id, name, JSON text). `reason`:
    "end", "length" or "refusal". `error(message)` is an error object of a body or an event."""

    adapter: str
    server: Callable[..., ProviderServer]
    says: Callable[[Sequence[str], Sequence[tuple[str, str, str]], str], Play]
    error: Callable[[str], Any]
    empty: Play
    """A whole answer that holds nothing."""

    def config(self, url: str, **more: Any) -> str:
        """A `[models.m]` table for a server of this wire."""
        keys = {"adapter": self.adapter, "base_url": url, "model": "fake-1", "api_key": "k-123456"}
        lines = [f"{key} = {_toml(value)}" for key, value in (keys | more).items()]
        return "\n".join(["[models.m]", *lines, ""])


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _chat(pieces: Sequence[str], calls: Sequence[tuple[str, str, str]], reason: str) -> Play:
    body = [chat_server.text(piece) for piece in pieces]
    body += [
        chat_server.call(chat_server.piece(place, call_id, name, arguments))
        for place, (call_id, name, arguments) in enumerate(calls)
    ]
    ends = {"end": "tool_calls" if calls else "stop", "refusal": "content_filter"}
    end = chat_server.finish(ends.get(reason, reason))
    return chat_server.stream(*body, end, chat_server.usage(), chat_server.DONE)


def _messages(pieces: Sequence[str], calls: Sequence[tuple[str, str, str]], reason: str) -> Play:
    blocks = [messages_server.said(0, *pieces)] if pieces else []
    blocks += [
        messages_server.called(place, *call) for place, call in enumerate(calls, len(blocks))
    ]
    ends = {"end": "tool_use" if calls else "end_turn", "length": "max_tokens"}
    return messages_server.whole(*blocks, reason=ends.get(reason, reason))


def _responses(pieces: Sequence[str], calls: Sequence[tuple[str, str, str]], reason: str) -> Play:
    parts = [responses_server.said(*pieces)] if pieces else []
    parts += [responses_server.called(*call) for call in calls]
    ends = {"end": "", "length": "max_output_tokens", "refusal": "content_filter"}
    return responses_server.stream(*responses_server.answer(*parts, reason=ends[reason]))


CHAT = Wire(
    "openai-chat",
    chat_server.ChatServer,
    _chat,
    lambda message: {"error": {"message": message, "type": "server_error", "code": 500}},
    chat_server.stream(chat_server.finish(), chat_server.usage(), chat_server.DONE),
)
MESSAGES = Wire(
    "anthropic",
    messages_server.MessagesServer,
    _messages,
    lambda message: messages_server.error("api_error", message),
    messages_server.whole(),
)
RESPONSES = Wire(
    "openai-responses",
    responses_server.ResponsesServer,
    _responses,
    lambda message: {"error": responses_server.error(message, "server_error")},
    responses_server.stream(*responses_server.answer()),
)
WIRES = (CHAT, RESPONSES, MESSAGES)
