"""What a test asks the offline model, and what it makes of it. The tools are the order desk's."""

import asyncio

from agent_host.core.types import (
    Annotations,
    Message,
    ModelRequest,
    Text,
    Tool,
    ToolCall,
)
from agent_host.demo.tools import TOOLS
from agent_host.models.offline import create
from agent_host.models.settings import AdapterSettings

DESK = tuple(
    Tool(
        name=f"orders__{tool.name}",
        server="orders",
        tool=tool.name,
        description=tool.description,
        input_schema=tool.input,
        annotations=Annotations(read_only=tool.read_only),
    )
    for tool in TOOLS.values()
)


def tool(name, description="", parameters=None, required=None, read_only=None, **schema):
    parameters = parameters or {}
    needed = list(parameters) if required is None else required
    return Tool(
        name=f"s__{name}",
        server="s",
        tool=name,
        description=description,
        input_schema={
            "type": "object",
            "properties": parameters,
            "required": needed,
            **schema,
        },
        annotations=Annotations(read_only=read_only),
    )


def model():
    return create(AdapterSettings(provider="offline", model="keywords"))


def user(text):
    return Message(role="user", content=(Text(text=text),))


def items(messages, tools=DESK, adapter=None):
    request = ModelRequest(request_id="r", system="", messages=tuple(messages), tools=tuple(tools))

    async def collect():
        return [item async for item in (adapter or model()).stream(request)]

    return asyncio.run(collect())


def answer(text, tools=DESK):
    return items([user(text)], tools)[-1].message.content


def calls(text, tools=DESK):
    return [(b.name, b.arguments) for b in answer(text, tools) if isinstance(b, ToolCall)]


def said(text, tools=DESK):
    blocks = answer(text, tools)
    assert all(isinstance(block, Text) for block in blocks), blocks
    return "".join(block.text for block in blocks)
