"""A Messages server on loopback: the real wire, and Anthropic's rules for requests.

Theory of operation: see provider_server.py and messages_rules.py.
`python -m tests.fakes.messages_server [PORT]` serves until interrupted: it greets, and calls the
tool that the last user message names as `call NAME {json}`.
"""

import re
import sys
from collections.abc import Iterable
from typing import Any

from tests.fakes import messages_rules, provider_server
from tests.fakes.messages_rules import judge, sealed, signed
from tests.fakes.provider_server import Play, ProviderServer, event, serve

__all__ = ["Play", "judge", "sealed", "signed"]

HEADERS = {"content-type": "text/event-stream", "request-id": "req_1"}


def stream(*body: bytes, **options: Any) -> Play:
    return provider_server.stream(*body, **{"headers": HEADERS, **options})


def error(kind: str, message: str = "no") -> dict[str, Any]:
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_1",
    }


def refusal(status: int, body: Any, **headers: str) -> Play:
    return provider_server.refusal(status, body, request_id="req_1", **headers)


# -- events -----------------------------------------------------------------------------------


def named(value: dict[str, Any]) -> bytes:
    """An event under the name of its type, as the provider sends them."""
    return event(value, value["type"])


def start(model: str = "fake-1", **usage: int) -> bytes:
    counts = {
        "input_tokens": 12,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
        **usage,
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": counts,
    }
    return named({"type": "message_start", "message": message})


def begin(index: Any, kind: str, **block: Any) -> bytes:
    return named(
        {"type": "content_block_start", "index": index, "content_block": {"type": kind, **block}}
    )


def delta(index: Any, kind: str, **piece: Any) -> bytes:
    return named({"type": "content_block_delta", "index": index, "delta": {"type": kind, **piece}})


def close(index: Any) -> bytes:
    return named({"type": "content_block_stop", "index": index})


def end(reason: str | None = "end_turn", **usage: int) -> bytes:
    return named(
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": 3, **usage},
        }
    )


STOP = named({"type": "message_stop"})
PING = named({"type": "ping"})


def said(index: int, *pieces: str) -> bytes:
    """A block of text."""
    deltas = (delta(index, "text_delta", text=piece) for piece in pieces)
    return b"".join([begin(index, "text", text=""), *deltas, close(index)])


def called(index: int, call_id: str, name: str, *pieces: str) -> bytes:
    """A call, its arguments in pieces."""
    deltas = (delta(index, "input_json_delta", partial_json=piece) for piece in pieces)
    head = begin(index, "tool_use", id=call_id, name=name, input={})
    return b"".join([head, *deltas, close(index)])


def thought(index: int, *pieces: str, model: str = "fake-1") -> bytes:
    """A block of thinking, signed by the model."""
    deltas = (delta(index, "thinking_delta", thinking=piece) for piece in pieces)
    return b"".join(
        [
            begin(index, "thinking", thinking="", signature=""),
            *deltas,
            delta(index, "signature_delta", signature=signed("".join(pieces), model)),
            close(index),
        ]
    )


def hidden(index: int, model: str = "fake-1") -> bytes:
    """A block of thinking that nobody may read."""
    return begin(index, "redacted_thinking", data=sealed(model)) + close(index)


def whole(*blocks: bytes, reason: str = "end_turn", **usage: int) -> Play:
    """An answer of these blocks."""
    return stream(start(**usage), *blocks, end(reason), STOP)


HELLO = whole(said(0, "Hello", ", world"))


def default(body: Any) -> Play:
    """Greet, do the call that the user names, or repeat a result."""
    content = body["messages"][-1]["content"]
    last = content[-1] if isinstance(content, list) else {"type": "text", "text": content}
    place, blocks = 0, []
    if (body.get("thinking") or {}).get("type") in ("adaptive", "enabled"):
        place, blocks = 1, [thought(0, "Let me ", "see.", model=body["model"])]
    if last["type"] == "tool_result":
        blocks.append(said(place, "The tool says: ", _text_of(last.get("content", ""))))
        return whole(*blocks)
    wanted = re.fullmatch(r"call (\S+)\s*(\{.*\})?", last.get("text", ""), re.DOTALL)
    if wanted:
        call_id = f"toolu_{len(body['messages'])}"
        blocks.append(called(place, call_id, wanted[1], *_parts(wanted[2] or "{}")))
        return whole(*blocks, reason="tool_use")
    return whole(*blocks, said(place, "Hello", ", world"))


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", f"[{part['type']}]") for part in content)


def _parts(value: str, size: int = 5) -> Iterable[str]:
    return (value[start : start + size] for start in range(0, len(value), size))


# -- the server -------------------------------------------------------------------------------


class MessagesServer(ProviderServer):
    """Speaks the Messages API."""

    root = ""
    paths = ("/v1/messages",)
    needs_key = True
    automatic_cache = True
    version = re.compile(r"20\d\d-\d\d-\d\d")

    def judge(self, path: str, headers: dict[str, str], body: Any) -> str | None:
        if path.partition("?")[0] not in self.paths:
            return "not_found_error: Not Found"
        if self.needs_key and not (headers.get("x-api-key") or headers.get("authorization")):
            return "authentication_error: x-api-key header is required"
        if not self.version.fullmatch(headers.get("anthropic-version", "")):
            return "anthropic-version: header is required"
        return messages_rules.judge(body, automatic_cache=self.automatic_cache)

    def default(self, body: Any) -> Play:
        return default(body)

    def refusal(self, problem: str) -> Play:
        kind, _, message = problem.partition(": ")
        status = {"not_found_error": 404, "authentication_error": 401}.get(kind)
        if status is None:
            return refusal(400, error("invalid_request_error", problem))
        return refusal(status, error(kind, message))


if __name__ == "__main__":
    serve(MessagesServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080))
