"""The plain way: `import mcp` and a model's SDK, connect, list, and loop until the model is done.

What a careful reader of the packages' front pages writes. It does the same job as `agent-host
run`, without policy, validation, approval, transcript and limits; calls of a turn run together.
A WIRE is openai-chat, openai-responses or anthropic; a SERVER is a command, JSON list.
    python bench/baseline.py run WIRE URL MODEL SERVER...
    python bench/baseline.py many WIRE URL MODEL COUNT SERVER  COUNT conversations at once; seconds
    python bench/baseline.py --help
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import mcp

JsonObject = dict[str, Any]
Clients = dict[str, tuple[mcp.Client, str]]

PROMPT = "Do what you were made for."


class Wire(Protocol):
    """A model behind one SDK."""

    def tool(self, name: str, description: str | None, schema: JsonObject) -> JsonObject:
        """A tool as a request offers it."""

    async def ask(self, history: list[Any], tools: list[Any]) -> tuple[list[Any], list[JsonObject]]:
        """One streamed answer: what it adds to the history, and its calls."""

    def results(self, results: list[tuple[str, str]]) -> list[Any]:
        """What the results of calls (id, text) add to the history."""


class Chat:
    """Chat Completions, with the openai package."""

    def __init__(self, url: str, model: str) -> None:
        import openai

        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self.model = model

    def tool(self, name: str, description: str | None, schema: JsonObject) -> JsonObject:
        function = {"name": name, "description": description, "parameters": schema}
        return {"type": "function", "function": function}

    async def ask(self, history: list[Any], tools: list[Any]) -> tuple[list[Any], list[JsonObject]]:
        text = ""
        found: dict[int, JsonObject] = {}
        stream = await self.client.chat.completions.create(
            model=self.model, messages=history, tools=tools, stream=True
        )
        async for event in stream:
            for choice in event.choices:
                text += choice.delta.content or ""
                for delta in choice.delta.tool_calls or ():
                    entry = found.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                    entry["id"] = delta.id or entry["id"]
                    if delta.function:
                        entry["name"] = delta.function.name or entry["name"]
                        entry["arguments"] += delta.function.arguments or ""
                if choice.delta.content:
                    show(choice.delta.content)
        asked = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in found.values()
        ]
        said: JsonObject = {"role": "assistant", "content": text or None}
        return [said | {"tool_calls": asked} if asked else said], list(found.values())

    def results(self, results: list[tuple[str, str]]) -> list[Any]:
        return [{"role": "tool", "tool_call_id": key, "content": text} for key, text in results]


class Responses:
    """Responses, with the openai package; nothing is stored at the provider."""

    def __init__(self, url: str, model: str) -> None:
        import openai

        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self.model = model

    def tool(self, name: str, description: str | None, schema: JsonObject) -> JsonObject:
        tool = {"type": "function", "name": name, "description": description}
        return tool | {"parameters": schema, "strict": False}

    async def ask(self, history: list[Any], tools: list[Any]) -> tuple[list[Any], list[JsonObject]]:
        items: list[Any] = []
        found: list[JsonObject] = []
        stream = await self.client.responses.create(
            model=self.model, input=history, tools=tools, store=False, stream=True
        )
        async for event in stream:
            if event.type == "response.output_text.delta":
                show(event.delta)
            elif event.type == "response.output_item.done":
                item = event.item
                items.append(item.to_dict())
                if item.type == "function_call":
                    call = {"id": item.call_id, "name": item.name, "arguments": item.arguments}
                    found.append(call)
        return items, found

    def results(self, results: list[tuple[str, str]]) -> list[Any]:
        return [
            {"type": "function_call_output", "call_id": key, "output": text}
            for key, text in results
        ]


class Messages:
    """Messages, with the anthropic package."""

    def __init__(self, url: str, model: str) -> None:
        import anthropic

        self.client = anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0)
        self.model = model

    def tool(self, name: str, description: str | None, schema: JsonObject) -> JsonObject:
        return {"name": name, "description": description, "input_schema": schema}

    async def ask(self, history: list[Any], tools: list[Any]) -> tuple[list[Any], list[JsonObject]]:
        content: dict[int, JsonObject] = {}
        stream = await self.client.messages.create(
            model=self.model, max_tokens=8192, messages=history, tools=tools, stream=True
        )
        async for event in stream:
            if event.type == "content_block_start":
                begun = event.content_block
                content[event.index] = {"type": begun.type, "text": ""}
                if begun.type == "tool_use":
                    content[event.index] |= {"id": begun.id, "name": begun.name}
            elif event.type == "content_block_delta":
                if event.delta.type == "text_delta":
                    content[event.index]["text"] += event.delta.text
                    show(event.delta.text)
                elif event.delta.type == "input_json_delta":
                    content[event.index]["text"] += event.delta.partial_json
        found = []
        for block in content.values():
            if block["type"] == "tool_use":
                arguments = block.pop("text") or "{}"
                block["input"] = json.loads(arguments)
                found.append({"id": block["id"], "name": block["name"], "arguments": arguments})
        return [{"role": "assistant", "content": list(content.values())}], found

    def results(self, results: list[tuple[str, str]]) -> list[Any]:
        content = [
            {"type": "tool_result", "tool_use_id": key, "content": text} for key, text in results
        ]
        return [{"role": "user", "content": content}]


WIRES: dict[str, Callable[[str, str], Wire]] = {
    "openai-chat": Chat,
    "openai-responses": Responses,
    "anthropic": Messages,
}


async def connect(
    stack: contextlib.AsyncExitStack, wire: Wire, commands: list[str]
) -> tuple[Clients, list[Any]]:
    """Start the servers one after the other: the clients by tool name, and the tools."""
    clients: Clients = {}
    tools: list[Any] = []
    for number, command in enumerate(commands):
        program, *arguments = json.loads(command)
        parameters = mcp.StdioServerParameters(command=program, args=arguments)
        client = await stack.enter_async_context(mcp.Client(parameters))
        for tool in (await client.list_tools()).tools:
            name = tool.name if len(commands) == 1 else f"s{number}__{tool.name}"
            clients[name] = (client, tool.name)
            tools.append(wire.tool(name, tool.description, tool.input_schema))
    return clients, tools


def show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def run_call(clients: Clients, call: JsonObject) -> tuple[str, str]:
    client, tool = clients[call["name"]]
    result = await client.call_tool(tool, json.loads(call["arguments"]))
    return call["id"], "".join(block.text for block in result.content if block.type == "text")


async def converse(wire: Wire, clients: Clients, tools: list[Any]) -> None:
    history: list[Any] = [{"role": "user", "content": PROMPT}]
    while True:
        said, calls = await wire.ask(history, tools)
        if not calls:
            return
        history += said
        history += wire.results(await asyncio.gather(*(run_call(clients, call) for call in calls)))


async def run(wire: Wire, commands: list[str]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients, tools = await connect(stack, wire, commands)
        await converse(wire, clients, tools)
        sys.stdout.write("\n")


async def many(wire: Wire, count: int, command: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients, tools = await connect(stack, wire, [command])
        await converse(wire, clients, tools)
        started = time.monotonic()
        await asyncio.gather(*(converse(wire, clients, tools) for _ in range(count)))
        sys.stdout.write(f"\n{time.monotonic() - started}\n")


def main(arguments: list[str]) -> None:
    if arguments[0] == "--help":
        import openai  # noqa: F401 - what a program that is made of it pays first

        sys.stdout.write(str(__doc__))
        return
    what, name, url, model, *rest = arguments
    wire = WIRES[name](url, model)
    if what == "run":
        asyncio.run(run(wire, rest))
    else:
        asyncio.run(many(wire, int(rest[0]), rest[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
