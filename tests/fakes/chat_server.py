"""A Chat Completions server on loopback: the real wire, and a provider's rules for requests.

Theory of operation: raw asyncio in a thread of its own, so that it can play what no HTTP library
would send: streams cut at any byte, split at any byte, wrong framing, events of every dialect. A
request is judged first, as strictly as OpenAI's own API does, and refused with 400; then the next
answer of `plays` is played (the last one stays), or a default one. `python chat_server.py [PORT]`
serves until interrupted: it greets, and calls the tool that the last user message names as
`call NAME {json}`.
"""

import asyncio
import json
import re
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

DONE = b"data: [DONE]\n\n"
MAX_TOOLS = 128
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake-1"}


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


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


@dataclass(frozen=True, kw_only=True)
class Play:
    """One answer. `end`: how it ends; `hang` sends nothing more and waits for the client to go."""

    body: Sequence[bytes] = ()
    status: int = 200
    headers: dict[str, str] = field(
        default_factory=lambda: {"content-type": "text/event-stream", "x-request-id": "req-1"}
    )
    framing: Literal["chunked", "length", "close"] = "chunked"
    end: Literal["whole", "cut", "hang", "drop"] = "whole"
    """`cut`: the framing says that more comes; `drop`: no answer at all."""


def stream(*body: bytes, **options: Any) -> Play:
    return Play(body=body, **options)


def refusal(status: int, body: Any, **headers: str) -> Play:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Play(
        body=[data],
        status=status,
        headers={"content-type": "application/json"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
        framing="length",
    )


HELLO = stream(text("Hello"), text(", world"), finish(), usage(), DONE)


# -- what a provider refuses ------------------------------------------------------------------


class RefusedError(Exception):
    pass


def _must(condition: object, problem: str) -> None:
    if not condition:
        raise RefusedError(problem)


def judge(body: Any) -> str | None:
    """What OpenAI's API would say of a request, or None."""
    try:
        _must(isinstance(body, dict), "We could not parse the JSON body of your request.")
        _must(isinstance(body.get("model"), str) and body["model"], "you must provide a model")
        known = {
            *("model", "messages", "tools", "stream", "stream_options", "max_tokens"),
            *("max_completion_tokens", "tool_choice", "parallel_tool_calls", "temperature"),
        }
        unknown = body.keys() - known
        _must(not unknown, f"Unrecognized request argument supplied: {unknown}")
        _messages(body.get("messages"))
        _tools(body.get("tools"))
    except RefusedError as error:
        return str(error)
    return None


def _messages(messages: Any) -> None:
    _must(isinstance(messages, list) and messages, "'messages' must contain at least one message")
    waiting: list[str] = []
    seen: set[str] = set()
    for place, message in enumerate(messages):
        where = f"messages.[{place}]"
        _must(isinstance(message, dict), f"Invalid type for '{where}'")
        role = message.get("role")
        _must(role in ("system", "user", "assistant", "tool"), f"Invalid value: '{role}'")
        if role == "tool":
            call_id = message.get("tool_call_id")
            _must(
                call_id in waiting,
                "messages with role 'tool' must be a response to a preceeding message with "
                f"'tool_calls' ({where})",
            )
            waiting.remove(call_id)
            _must(isinstance(message.get("content"), str), f"Invalid content in '{where}': text")
            continue
        _must(
            not waiting,
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            f"to each 'tool_call_id'. The following did not have response messages: {waiting}",
        )
        if role == "assistant":
            waiting = _assistant(message, where, seen)
        else:
            _content(message.get("content"), where, role)
    _must(not waiting, f"tool_call_ids did not have response messages: {waiting}")


def _assistant(message: Any, where: str, seen: set[str]) -> list[str]:
    calls = message.get("tool_calls")
    content = message.get("content")
    _must(content is None or isinstance(content, str), f"Invalid content in '{where}'")
    _must(content is not None or calls, f"Invalid value for 'content' in '{where}': null")
    ids: list[str] = []
    if calls is None:
        return ids
    _must(isinstance(calls, list) and calls, f"[] is too short - '{where}.tool_calls'")
    for one in calls:
        _must(one.get("type") == "function", f"Invalid type in '{where}.tool_calls'")
        call_id = one.get("id")
        _must(isinstance(call_id, str) and call_id, f"Missing '{where}.tool_calls.id'")
        _must(len(call_id) <= 40, f"Invalid '{where}.tool_calls.id': string too long (40)")
        _must(call_id not in ids and call_id not in seen, f"Duplicate id '{call_id}'")
        ids.append(call_id)
        function = one.get("function", {})
        _must(NAME.fullmatch(function.get("name", "")), f"Invalid '{where}...function.name'")
        arguments = function.get("arguments")
        _must(isinstance(arguments, str), f"Invalid '{where}...function.arguments'")
        try:
            parsed = json.loads(arguments)
        except ValueError:
            parsed = None
        _must(isinstance(parsed, dict), f"'{where}': arguments are no JSON object")
    seen.update(ids)
    return ids


def _content(content: Any, where: str, role: str) -> None:
    if isinstance(content, str):
        return
    _must(isinstance(content, list) and content, f"Invalid content in '{where}'")
    for part in content:
        kind = part.get("type")
        if kind == "text":
            _must(isinstance(part.get("text"), str), f"Missing text in '{where}'")
        elif kind == "image_url" and role == "user":
            url = part["image_url"]["url"]
            _must(
                re.fullmatch(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*", url),
                f"Invalid image in '{where}'",
            )
        elif kind == "input_audio" and role == "user":
            _must(part["input_audio"]["format"] in ("wav", "mp3"), f"Invalid audio in '{where}'")
        else:
            raise RefusedError(f"Invalid content type in '{where}': {kind}")


def _tools(tools: Any) -> None:
    if tools is None:
        return
    _must(isinstance(tools, list) and tools, "[] is too short - 'tools'")
    _must(len(tools) <= MAX_TOOLS, f"Invalid 'tools': array too long, at most {MAX_TOOLS}")
    names: set[str] = set()
    for tool in tools:
        function = tool.get("function", {})
        name = function.get("name", "")
        _must(tool.get("type") == "function" and NAME.fullmatch(name), f"Invalid name {name!r}")
        _must(name not in names, f"Duplicate tool {name}")
        names.add(name)
        _must(function.keys() <= {"name", "description", "parameters"}, f"Extra keys in {name}")
        schema = function.get("parameters")
        _must(isinstance(schema, dict), f"Invalid schema for function '{name}'")
        where = f"Invalid schema for function '{name}'"
        _must(schema.get("type") == "object", f"{where}: schema must be of type 'object'")
        _must(isinstance(schema.get("properties"), dict), f"{where}: missing properties")
        for key in ("anyOf", "oneOf", "allOf", "enum", "not"):
            _must(key not in schema, f"{where}: '{key}' at the top level")
        _schema(schema, where, schema)


def _schema(schema: Any, where: str, root: Any) -> None:
    if isinstance(schema, list):
        for item in schema:
            _schema(item, where, root)
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    if kinds == "array" or (isinstance(kinds, list) and "array" in kinds):
        _must(isinstance(schema.get("items"), dict), f"{where}: array schema missing items")
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "$defs", "definitions"):
            _must(isinstance(value, dict), f"{where}: {key} is no object")
            for item in value.values():
                _must(isinstance(item, dict), f"{where}: {item!r} is not of type 'object'")
                _schema(item, where, root)
        elif key == "$ref":
            found = root
            for name in str(value).removeprefix("#/").split("/"):
                found = found.get(name) if isinstance(found, dict) and value != "#" else found
            _must(isinstance(found, dict), f"{where}: reference {value!r} can only point inside")
        elif key not in ("enum", "const", "default", "examples"):
            _schema(value, where, root)


# -- HTTP -------------------------------------------------------------------------------------


@dataclass
class Received:
    headers: dict[str, str]
    body: Any
    path: str
    raw: bytes
    connection: int


class ChatServer:
    """`with ChatServer() as server:` and `server.url`, `server.plays`, `server.received`."""

    def __init__(self, *plays: Play, port: int = 0) -> None:
        self.plays = list(plays)
        self.received: list[Received] = []
        self.refused: list[str] = []
        self.left = threading.Event()
        """Set when a client went away before its answer was whole."""
        self.lenient = False
        self._port = port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, limit=1 << 26)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        number = self._connections
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            return
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        """Answer one request; False: the connection is used up."""
        first = await reader.readexactly(1)
        if not first.isalpha():
            return False  # TLS, or no HTTP at all
        rest = await reader.readuntil(b"\r\n\r\n")
        head = (first + rest).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        self.received.append(Received(headers, body, head[0].split(" ")[1], raw, number))
        problem = judge(body)
        if problem is not None and not self.lenient:
            self.refused.append(problem)
            error = {"message": problem, "type": "invalid_request_error", "code": None}
            return await self._play(refusal(400, {"error": error}), reader, writer)
        if len(self.plays) > 1:
            play = self.plays.pop(0)
        else:
            play = self.plays[0] if self.plays else default(body)
        return await self._play(play, reader, writer)

    async def _play(
        self, play: Play, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if play.end == "drop":
            return False
        headers = dict(play.headers)
        if play.framing == "chunked":
            headers["transfer-encoding"] = "chunked"
        elif play.framing == "length":
            extra = 1 if play.end != "whole" else 0
            headers["content-length"] = str(sum(map(len, play.body)) + extra)
        lines = [f"HTTP/1.1 {play.status} X", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for data in play.body:
            if data:
                framed = b"%x\r\n%b\r\n" % (len(data), data)
                writer.write(framed if play.framing == "chunked" else data)
                await writer.drain()
        if play.end == "hang":
            await writer.drain()
            if await reader.read(1) == b"":
                self.left.set()
            return False
        if play.end == "cut":
            return False
        if play.framing == "chunked":
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return play.framing != "close"


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


def main() -> None:
    server = ChatServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    try:
        asyncio.run(server.serve())
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
