"""A server made with the official SDK, which speaks every era: stdio, or HTTP with `--port`."""

import argparse
import asyncio
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import Completion, ElicitRequest, ElicitRequestFormParams, InputRequiredResult
from pydantic import BaseModel

server = MCPServer("sdk", version="3.2.1", instructions="Made by the book.", log_level="ERROR")


class Name(BaseModel):
    name: str


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
async def old_ask(context: Context) -> str:
    answer = await context.elicit("Who are you?", Name)
    return f"{answer.action} {answer.data.name if answer.action == 'accept' else ''}".strip()


def ask_name(greeting: str) -> Elicit[Name]:
    return Elicit(f"{greeting}! Who are you?", Name)


@server.tool()
async def new_ask(greeting: str, who: Annotated[Name, Resolve(ask_name)]) -> str:
    return f"{greeting}, {who.name}"


@server.tool()
async def insist(context: Context) -> str | InputRequiredResult:
    if context.request_state == "asked twice":
        return "enough"
    asked = ElicitRequestFormParams(message="Sure?", requested_schema=Name.model_json_schema())
    return InputRequiredResult(
        input_requests={"sure": ElicitRequest(params=asked)},
        request_state="asked twice" if context.request_state else "asked once",
    )


@server.tool()
async def steps(context: Context) -> str:
    for step in range(8):
        await asyncio.sleep(0.1)
        await context.report_progress(step, 8, f"step {step}")
    return "there"


@server.tool()
async def hang() -> str:
    await asyncio.sleep(60)
    return "never"


@server.tool()
async def grow(context: Context) -> str:
    server.add_tool(lambda: "new", name="grown")
    await context.notify_tools_changed()
    if context.protocol_version < "2026":
        await context.session.send_tool_list_changed()
    return "grew"


@server.resource("note://one", mime_type="text/plain")
def note() -> str:
    return "one note"


@server.resource("note://{name}/page")
def page(name: str) -> str:
    return f"page of {name}"


@server.prompt()
def greet(who: str) -> str:
    return f"Greet {who}."


@server.completion()
async def complete(ref, argument, context):
    return Completion(values=[f"{argument.value}!"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    if port is None:
        server.run()
    else:
        server.run("streamable-http", port=port)
