"""A Responses server on loopback: the real wire, and OpenAI's rules for requests.

Theory of operation: see provider_server.py and responses_rules.py. An answer is made of parts
(`thought`, `said`, `called`), which `answer` turns into the events of a stream, one bytes each.
`python -m tests.fakes.responses_server [PORT]` serves until interrupted: it thinks, and greets, or
calls the tool that the last user message names as `call NAME {json}`.
"""

import itertools
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.provider_server import Play, ProviderServer, refusal, serve, stream
from tests.fakes.provider_server import event as sse
from tests.fakes.responses_rules import PREFIXES, judge, sealed

__all__ = ["Play", "judge", "refusal", "stream"]

MODEL = "fake-1"
_stems = itertools.count(1)


@dataclass(frozen=True)
class Part:
    """An item of an answer. `pieces`: its text, as it is streamed. `sealed`: reasoning comes with
    its encrypted content."""

    kind: str
    pieces: tuple[str, ...] = ()
    call_id: str = ""
    name: str = ""
    phase: str | None = None
    refused: bool = False
    sealed: bool = True
    raw: bool = False
    """Reasoning comes as it is, not as a summary."""


def thought(*pieces: str, sealed: bool = True, raw: bool = False) -> Part:
    return Part("reasoning", pieces, sealed=sealed, raw=raw)


def said(*pieces: str, phase: str | None = None, refused: bool = False) -> Part:
    return Part("message", pieces, phase=phase, refused=refused)


def called(call_id: str, name: str, *pieces: str) -> Part:
    return Part("function_call", pieces, call_id=call_id, name=name)


def event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, "sequence_number": 0, **fields}, kind)


def items(*parts: Part, stem: str = "") -> list[dict[str, Any]]:
    """The parts as whole items, with ids that say what belongs together."""
    stem = stem or f"{next(_stems):x}"
    ids: list[str] = []
    behind = ""
    for place, part in enumerate(parts):
        ids.append(f"{PREFIXES[part.kind]}_{stem}_{place}{behind}")
        behind = f"r{place}" if part.kind == "reasoning" else behind
    made = []
    for item_id, part in zip(ids, parts, strict=True):
        following = ids[len(made) + 1] if len(made) + 1 < len(ids) else "none"
        made.append(_item(part, item_id, following))
    return made


def _item(part: Part, item_id: str, following: str) -> dict[str, Any]:
    text = "".join(part.pieces)
    item: dict[str, Any] = {"type": part.kind, "id": item_id, "status": "completed"}
    if part.kind == "function_call":
        return {**item, "call_id": part.call_id, "name": part.name, "arguments": text}
    if part.kind == "reasoning":
        shown = {"type": "reasoning_text" if part.raw else "summary_text", "text": text}
        del item["status"]
        item |= {"summary": [] if part.raw or not text else [shown]}
        item |= {"content": [shown]} if part.raw else {}
        secret = sealed(item_id, following) if part.sealed else None
        return {**item, "encrypted_content": secret}
    content: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    if part.refused:
        content = {"type": "refusal", "refusal": text}
    item |= {"phase": part.phase} if part.phase else {}
    return {**item, "role": "assistant", "content": [content]}


def item_events(index: int, item: dict[str, Any], part: Part) -> list[bytes]:
    """An item as it is streamed: begun, in pieces, done."""
    at = {"output_index": index, "item_id": item["id"]}
    begun = {**item, "status": "in_progress"}
    if part.kind == "function_call":
        begun["arguments"] = ""
        name = "response.function_call_arguments"
        body = [event(f"{name}.delta", **at, delta=one, obfuscation="x") for one in part.pieces]
        body.append(event(f"{name}.done", **at, arguments=item["arguments"]))
    elif part.kind == "reasoning":
        begun |= {"summary": [], "encrypted_content": "gAAAAAincomplete"}
        body = _reasoning_events(at, part)
    else:
        begun["content"] = []
        body = _message_events(at, item["content"][0], part)
    return [
        event("response.output_item.added", output_index=index, item=begun),
        *body,
        event("response.output_item.done", output_index=index, item=item),
    ]


def _reasoning_events(at: dict[str, Any], part: Part) -> list[bytes]:
    text = "".join(part.pieces)
    if part.raw:
        at = {**at, "content_index": 0}
        body = [event("response.reasoning_text.delta", **at, delta=one) for one in part.pieces]
        return [*body, event("response.reasoning_text.done", **at, text=text)]
    if not text:
        return []
    at = {**at, "summary_index": 0}
    name = "response.reasoning_summary"
    return [
        event(f"{name}_part.added", **at, part={"type": "summary_text", "text": ""}),
        *(event(f"{name}_text.delta", **at, delta=one) for one in part.pieces),
        event(f"{name}_text.done", **at, text=text),
        event(f"{name}_part.done", **at, part={"type": "summary_text", "text": text}),
    ]


def _message_events(at: dict[str, Any], content: dict[str, Any], part: Part) -> list[bytes]:
    at = {**at, "content_index": 0}
    key = "refusal" if part.refused else "text"
    name = "response.refusal" if part.refused else "response.output_text"
    return [
        event("response.content_part.added", **at, part={**content, key: ""}),
        *(event(f"{name}.delta", **at, delta=one, logprobs=[]) for one in part.pieces),
        event(f"{name}.done", **at, **{key: content[key]}, logprobs=[]),
        event("response.content_part.done", **at, part=content),
    ]


def usage(prompt: int = 12, completion: int = 3, cached: int = 4, written: int = 5) -> Any:
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + completion,
    }


def response(
    output: Sequence[Any] = (), status: str = "completed", reason: str = "", error: Any = None
) -> dict[str, Any]:
    """The response object, as the events `response.*` and a body without a stream hold it."""
    over = status not in ("in_progress", "queued")
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": error,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": MODEL,
        "output": list(output),
        "usage": usage() if over else None,
        "store": False,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def created() -> bytes:
    return event("response.created", response=response(status="in_progress"))


def terminal(output: Sequence[Any] = (), reason: str = "", error: Any = None) -> bytes:
    """The last event: completed; with a reason incomplete, with an error failed."""
    status = "failed" if error else "incomplete" if reason else "completed"
    return event(f"response.{status}", response=response(output, status, reason, error))


def answer(*parts: Part, reason: str = "", stem: str = "") -> list[bytes]:
    """The events of a whole answer. With a reason it is incomplete, and so is its last item."""
    made = items(*parts, stem=stem)
    if reason and made and "status" in made[-1]:
        made[-1]["status"] = "incomplete"
    body = [created(), event("response.in_progress", response=response(status="in_progress"))]
    for index, (item, part) in enumerate(zip(made, parts, strict=True)):
        body += item_events(index, item, part)
    return [*body, terminal(made, reason)]


def whole(*parts: Part, reason: str = "") -> Play:
    return stream(*answer(*parts, reason=reason))


HELLO = whole(said("Hello", ", world"))


def default(body: Any) -> Play:
    """Greet, do the call that the user names, or repeat a result; each after a thought."""
    last = body["input"][-1]
    if last.get("type") == "function_call_output":
        return whole(thought("hm"), said("The tool says: ", str(last["output"])))
    wanted = re.fullmatch(r"call (\S+)\s*(\{.*\})?", str(last.get("content")), re.DOTALL)
    if wanted:
        pieces = tuple(_pieces(wanted[2] or "{}"))
        return whole(thought("hm"), called(f"call_{len(body['input'])}", wanted[1], *pieces))
    return whole(thought(), said("Hello", ", world"))


def _pieces(value: str, size: int = 5) -> Iterable[str]:
    return (value[start : start + size] for start in range(0, len(value), size))


def error(message: str, code: str = "server_error") -> dict[str, Any]:
    """An error object, as a body or the event `response.failed` holds it."""
    return {"code": code, "message": message}


class ResponsesServer(ProviderServer):
    """Speaks the Responses wire as OpenAI does."""

    def judge(self, path: str, headers: dict[str, str], body: Any) -> str | None:
        if path.partition("?")[0] != "/v1/responses":
            return f"Invalid URL (POST {json.dumps(path)})"
        return judge(body)

    def default(self, body: Any) -> Play:
        return default(body)


if __name__ == "__main__":
    serve(ResponsesServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080))
