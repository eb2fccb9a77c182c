"""The plain way: `import mcp, openai`, connect, list, and loop until the model stops asking.

What a careful reader of both packages' front pages writes. It does the same job as `agent-host
run`, without policy, validation, approval, transcript and limits; calls of a turn run together.
    python bench/baseline.py run URL MODEL SERVER...     a SERVER is a command, JSON list
    python bench/baseline.py --help
    python bench/baseline.py many URL MODEL COUNT SERVER  COUNT conversations at once; seconds
"""

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

import mcp
import openai

JsonObject = dict[str, Any]
Clients = dict[str, tuple[mcp.Client, str]]

PROMPT = "Do what you were made for."


async def connect(
    stack: contextlib.AsyncExitStack, commands: list[str]
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
            function = {
                "name": name,
                "description": tool.description,
                "parameters": tool.input_schema,
            }
            tools.append({"type": "function", "function": function})
    return clients, tools


async def ask(
    model: openai.AsyncOpenAI, name: str, messages: list[Any], tools: list[Any]
) -> tuple[str, list[JsonObject]]:
    """One streamed answer: its text and its calls."""
    text = ""
    found: dict[int, JsonObject] = {}
    stream = await model.chat.completions.create(
        model=name, messages=messages, tools=tools, stream=True
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
    return text, list(found.values())


def show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def run_call(clients: Clients, call: JsonObject) -> JsonObject:
    client, tool = clients[call["name"]]
    result = await client.call_tool(tool, json.loads(call["arguments"]))
    text = "".join(block.text for block in result.content if block.type == "text")
    return {"role": "tool", "tool_call_id": call["id"], "content": text}


async def converse(model: openai.AsyncOpenAI, name: str, clients: Clients, tools: list[Any]) -> str:
    messages: list[Any] = [{"role": "user", "content": PROMPT}]
    while True:
        text, found = await ask(model, name, messages, tools)
        if not found:
            return text
        asked = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in found
        ]
        messages.append({"role": "assistant", "content": text or None, "tool_calls": asked})
        messages += await asyncio.gather(*(run_call(clients, call) for call in found))


async def run(url: str, name: str, commands: list[str]) -> None:
    model = openai.AsyncOpenAI(base_url=url, api_key="none")
    async with contextlib.AsyncExitStack() as stack:
        clients, tools = await connect(stack, commands)
        await converse(model, name, clients, tools)
        sys.stdout.write("\n")


async def many(url: str, name: str, count: int, command: str) -> None:
    model = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    async with contextlib.AsyncExitStack() as stack:
        clients, tools = await connect(stack, [command])
        await converse(model, name, clients, tools)
        started = time.monotonic()
        await asyncio.gather(*(converse(model, name, clients, tools) for _ in range(count)))
        sys.stdout.write(f"\n{time.monotonic() - started}\n")


if __name__ == "__main__":
    if sys.argv[1] == "--help":
        sys.stdout.write(str(__doc__))
    elif sys.argv[1] == "run":
        asyncio.run(run(sys.argv[2], sys.argv[3], sys.argv[4:]))
    else:
        asyncio.run(many(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
