"""A Chat Completions server on loopback: the real wire, and a provider's rules for requests.

Theory of operation: see provider_server.py; a request is judged by the rules of one provider, see
chat_rules.py. As `gemini` it signs the first call of each answer, and wants the signature back.
`python -m tests.fakes.chat_server [PORT] [RULES]` serves until interrupted: it greets, and calls
the tool that the last user message names as `call NAME {json}`.
"""

import re
import sys
from collections.abc import Iterable
from typing import Any

from tests.fakes.chat_rules import SIGNATURE, judge
from tests.fakes.provider_server import Play, ProviderServer, event, refusal, serve, stream

__all__ = ["Play", "judge", "refusal", "stream"]

DONE = b"data: [DONE]\n\n"
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake-1"}


def chunk(delta: Any, finish: str | None = None, **extra: Any) -> bytes:
    return event(
        {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **extra}
    )


def text(piece: str) -> bytes:
    return chunk({"content": piece})


def call(*calls: Any) -> bytes:
    return chunk({"tool_calls": list(calls)})


def piece(
    index: int | None = 0,
    call_id: str | None = None,
    name: str | None = None,
    arguments: Any = None,
    **extra: Any,
) -> dict[str, Any]:
    """One element of `delta.tool_calls`; None leaves a key out."""
    function: dict[str, Any] = {}
    if name is not None:
        function["name"] = name
    if arguments is not None:
        function["arguments"] = arguments
    entry: dict[str, Any] = {"function": function, **extra}
    if index is not None:
        entry["index"] = index
    if call_id is not None:
        entry |= {"id": call_id, "type": "function"}
    return entry


def finish(reason: str | None = "stop") -> bytes:
    return chunk({}, reason)


def usage(prompt: int = 12, completion: int = 3, cached: int = 4) -> bytes:
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return event({**HEAD, "choices": [], "usage": counts})


HELLO = stream(text("Hello"), text(", world"), finish(), usage(), DONE)


def default(body: Any, more: Any = None) -> Play:
    """Greet, do the call that the user names, or repeat a result. `more`: is added to a call."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return stream(text("The tool says: "), text(last["content"]), finish(), usage(), DONE)
    wanted = re.fullmatch(r"call (\S+)\s*(\{.*\})?", str(last["content"]), re.DOTALL)
    if wanted:
        arguments = wanted[2] or "{}"
        return stream(
            call(piece(0, f"call_{len(body['messages'])}", wanted[1], "", **(more or {}))),
            *(call(piece(0, None, None, part)) for part in _parts(arguments)),
            finish("tool_calls"),
            usage(),
            DONE,
        )
    return HELLO


def _parts(value: str, size: int = 5) -> Iterable[str]:
    return (value[start : start + size] for start in range(0, len(value), size))


def signed() -> dict[str, Any]:
    """What Gemini adds to the first call of an answer."""
    return {"extra_content": {"google": {"thought_signature": SIGNATURE}}}


class ChatServer(ProviderServer):
    """Speaks Chat Completions as one of `chat_rules.RULES`."""

    def __init__(self, *plays: Play, rules: str = "plain", port: int = 0) -> None:
        super().__init__(*plays, port=port)
        self.rules = rules

    def judge(self, path: str, headers: dict[str, str], body: Any) -> str | None:
        return judge(body, self.rules)

    def default(self, body: Any) -> Play:
        return default(body, signed() if self.rules == "gemini" else None)


if __name__ == "__main__":
    port, rules = [*sys.argv[1:], *("8080", "plain")[len(sys.argv) - 1 :]][:2]
    serve(ChatServer(port=int(port), rules=rules))
