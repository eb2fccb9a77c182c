"""A Chat Completions server on loopback: the real wire, and a provider's rules for requests.

Theory of operation: see provider_server.py; a request is judged as strictly as OpenAI's own API
does. `python chat_server.py [PORT]`
serves until interrupted: it greets, and calls the tool that the last user message names as
`call NAME {json}`.
"""

import json
import re
import sys
from collections.abc import Iterable
from typing import Any

from tests.fakes.provider_server import (
    Play,
    ProviderServer,
    RefusedError,
    event,
    must,
    refusal,
    serve,
    stream,
)

__all__ = ["Play", "refusal", "stream"]

DONE = b"data: [DONE]\n\n"
MAX_TOOLS = 128
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
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


# -- what a provider refuses ------------------------------------------------------------------


def judge(body: Any) -> str | None:
    """What OpenAI's API would say of a request, or None."""
    try:
        must(isinstance(body, dict), "We could not parse the JSON body of your request.")
        must(isinstance(body.get("model"), str) and body["model"], "you must provide a model")
        known = {
            *("model", "messages", "tools", "stream", "stream_options", "max_tokens"),
            *("max_completion_tokens", "tool_choice", "parallel_tool_calls", "temperature"),
        }
        unknown = body.keys() - known
        must(not unknown, f"Unrecognized request argument supplied: {unknown}")
        _messages(body.get("messages"))
        _tools(body.get("tools"))
    except RefusedError as error:
        return str(error)
    return None


def _messages(messages: Any) -> None:
    must(isinstance(messages, list) and messages, "'messages' must contain at least one message")
    waiting: list[str] = []
    seen: set[str] = set()
    for place, message in enumerate(messages):
        where = f"messages.[{place}]"
        must(isinstance(message, dict), f"Invalid type for '{where}'")
        role = message.get("role")
        must(role in ("system", "user", "assistant", "tool"), f"Invalid value: '{role}'")
        if role == "tool":
            call_id = message.get("tool_call_id")
            must(
                call_id in waiting,
                "messages with role 'tool' must be a response to a preceeding message with "
                f"'tool_calls' ({where})",
            )
            waiting.remove(call_id)
            must(isinstance(message.get("content"), str), f"Invalid content in '{where}': text")
            continue
        must(
            not waiting,
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            f"to each 'tool_call_id'. The following did not have response messages: {waiting}",
        )
        if role == "assistant":
            waiting = _assistant(message, where, seen)
        else:
            _content(message.get("content"), where, role)
    must(not waiting, f"tool_call_ids did not have response messages: {waiting}")


def _assistant(message: Any, where: str, seen: set[str]) -> list[str]:
    calls = message.get("tool_calls")
    content = message.get("content")
    must(content is None or isinstance(content, str), f"Invalid content in '{where}'")
    must(content is not None or calls, f"Invalid value for 'content' in '{where}': null")
    ids: list[str] = []
    if calls is None:
        return ids
    must(isinstance(calls, list) and calls, f"[] is too short - '{where}.tool_calls'")
    for one in calls:
        must(one.get("type") == "function", f"Invalid type in '{where}.tool_calls'")
        call_id = one.get("id")
        must(isinstance(call_id, str) and call_id, f"Missing '{where}.tool_calls.id'")
        must(len(call_id) <= 40, f"Invalid '{where}.tool_calls.id': string too long (40)")
        must(call_id not in ids and call_id not in seen, f"Duplicate id '{call_id}'")
        ids.append(call_id)
        function = one.get("function", {})
        must(NAME.fullmatch(function.get("name", "")), f"Invalid '{where}...function.name'")
        arguments = function.get("arguments")
        must(isinstance(arguments, str), f"Invalid '{where}...function.arguments'")
        try:
            parsed = json.loads(arguments)
        except ValueError:
            parsed = None
        must(isinstance(parsed, dict), f"'{where}': arguments are no JSON object")
    seen.update(ids)
    return ids


def _content(content: Any, where: str, role: str) -> None:
    if isinstance(content, str):
        return
    must(isinstance(content, list) and content, f"Invalid content in '{where}'")
    for part in content:
        kind = part.get("type")
        if kind == "text":
            must(isinstance(part.get("text"), str), f"Missing text in '{where}'")
        elif kind == "image_url" and role == "user":
            url = part["image_url"]["url"]
            must(
                re.fullmatch(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*", url),
                f"Invalid image in '{where}'",
            )
        elif kind == "input_audio" and role == "user":
            must(part["input_audio"]["format"] in ("wav", "mp3"), f"Invalid audio in '{where}'")
        else:
            raise RefusedError(f"Invalid content type in '{where}': {kind}")


def _tools(tools: Any) -> None:
    if tools is None:
        return
    must(isinstance(tools, list) and tools, "[] is too short - 'tools'")
    must(len(tools) <= MAX_TOOLS, f"Invalid 'tools': array too long, at most {MAX_TOOLS}")
    names: set[str] = set()
    for tool in tools:
        function = tool.get("function", {})
        name = function.get("name", "")
        must(tool.get("type") == "function" and NAME.fullmatch(name), f"Invalid name {name!r}")
        must(name not in names, f"Duplicate tool {name}")
        names.add(name)
        must(
            function.keys() <= {"name", "description", "parameters", "strict"},
            f"Extra keys in {name}",
        )
        schema = function.get("parameters")
        must(isinstance(schema, dict), f"Invalid schema for function '{name}'")
        where = f"Invalid schema for function '{name}'"
        must(schema.get("type") == "object", f"{where}: schema must be of type 'object'")
        must(isinstance(schema.get("properties"), dict), f"{where}: missing properties")
        for key in ("anyOf", "oneOf", "allOf", "enum", "not"):
            must(key not in schema, f"{where}: '{key}' at the top level")
        _schema(schema, where, schema)


def _schema(schema: Any, where: str, root: Any) -> None:
    if isinstance(schema, list):
        for item in schema:
            _schema(item, where, root)
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    if kinds == "array" or (isinstance(kinds, list) and "array" in kinds):
        must(isinstance(schema.get("items"), dict), f"{where}: array schema missing items")
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "$defs", "definitions"):
            must(isinstance(value, dict), f"{where}: {key} is no object")
            for item in value.values():
                must(isinstance(item, dict), f"{where}: {item!r} is not of type 'object'")
                _schema(item, where, root)
        elif key == "$ref":
            found = root
            for name in str(value).removeprefix("#/").split("/"):
                found = found.get(name) if isinstance(found, dict) and value != "#" else found
            must(isinstance(found, dict), f"{where}: reference {value!r} can only point inside")
        elif key not in ("enum", "const", "default", "examples"):
            _schema(value, where, root)


def default(body: Any) -> Play:
    """Greet, do the call that the user names, or repeat a result."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return stream(text("The tool says: "), text(last["content"]), finish(), usage(), DONE)
    wanted = re.fullmatch(r"call (\S+)\s*(\{.*\})?", str(last["content"]), re.DOTALL)
    if wanted:
        arguments = wanted[2] or "{}"
        return stream(
            call(piece(0, f"call_{len(body['messages'])}", wanted[1], "")),
            *(call(piece(0, None, None, part)) for part in _parts(arguments)),
            finish("tool_calls"),
            usage(),
            DONE,
        )
    return HELLO


def _parts(value: str, size: int = 5) -> Iterable[str]:
    return (value[start : start + size] for start in range(0, len(value), size))


class ChatServer(ProviderServer):
    """Speaks Chat Completions."""

    def judge(self, path: str, headers: dict[str, str], body: Any) -> str | None:
        return judge(body)

    def default(self, body: Any) -> Play:
        return default(body)


if __name__ == "__main__":
    serve(ChatServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080))
