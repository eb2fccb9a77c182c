"""Speaks MCP for the order desk, on stdio or streamable HTTP.

The SDK's low-level server is used because its definitions are plain values: the decorators of
the high-level one build a pydantic model for each tool and schema. Arguments are validated here,
with messages that say what was wrong and what the parameter means.
"""

import asyncio
import json
import socket
import sqlite3
from typing import Any

import jsonschema_rs
import mcp_types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from agent_host.core.text import clean_line
from agent_host.demo.desk import Desk, DeskError
from agent_host.demo.tools import TOOLS, DeskTool

PATH = "/mcp"
"""Where the streamable HTTP endpoint is."""

_INSTRUCTIONS = (
    "The order desk of a demo shop. Look things up before you change them. Refunds pay out real "
    "money of the shop; messages go to customers. Amounts are in EUR."
)
_MAX_PROBLEMS = 5


def _definition(tool: DeskTool) -> mcp_types.Tool:
    return mcp_types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input,
        output_schema=tool.output,
        annotations=mcp_types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.read_only,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.idempotent,
            open_world_hint=tool.open_world,
        ),
    )


def _problems(tool: DeskTool, arguments: dict[str, Any]) -> str | None:
    """Return what is wrong with the arguments and what was expected, or None."""
    validator = jsonschema_rs.validator_for(tool.input)
    found = []
    for error in validator.iter_errors(arguments):
        where = ".".join(str(step) for step in error.instance_path)
        parameter = tool.input["properties"].get(where, {})
        values = " One of: " + ", ".join(parameter["enum"]) + "." if "enum" in parameter else ""
        meaning = f" ({parameter.get('description', '')}{values})" if parameter else ""
        found.append(clean_line(f"{where}: {error.message}{meaning}".removeprefix(": ")))
        if len(found) == _MAX_PROBLEMS:
            break
    if not found:
        return None
    known = ", ".join(tool.input["properties"])
    return f"{tool.name} cannot run: {'; '.join(found)}. Its parameters are: {known}."


def _text(text: str) -> list[mcp_types.ContentBlock]:
    return [mcp_types.TextContent(type="text", text=text)]


def _failure(text: str) -> mcp_types.CallToolResult:
    return mcp_types.CallToolResult(content=_text(text), is_error=True)


def build(desk: Desk, version: str) -> Server[Any]:
    """Return the MCP server of a desk."""
    listing = mcp_types.ListToolsResult(tools=[_definition(tool) for tool in TOOLS.values()])

    async def on_list_tools(
        _context: ServerRequestContext[Any], _params: mcp_types.PaginatedRequestParams | None
    ) -> mcp_types.ListToolsResult:
        return listing

    async def on_call_tool(
        _context: ServerRequestContext[Any], params: mcp_types.CallToolRequestParams
    ) -> mcp_types.CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(
                mcp_types.INVALID_PARAMS,
                f"Unknown tool: {clean_line(params.name, 80)}. There are: {', '.join(TOOLS)}.",
            )
        arguments = params.arguments or {}
        problems = _problems(tool, arguments)
        if problems is not None:
            return _failure(problems)
        try:
            value = tool.run(desk, **arguments)
        except DeskError as error:
            return _failure(str(error))
        except sqlite3.Error as error:
            return _failure(f"{tool.name} changed nothing: the database says: {error}. Try again.")
        text = json.dumps(value, ensure_ascii=False)
        return mcp_types.CallToolResult(content=_text(text), structured_content=value)

    return Server(
        "order-desk",
        version=version,
        title="Order desk (demo)",
        instructions=_INSTRUCTIONS,
        on_list_tools=on_list_tools,
        on_call_tool=on_call_tool,
    )


def serve_stdio(desk: Desk, version: str) -> None:
    """Serve one client on stdin and stdout until stdin ends."""
    server = build(desk, version)

    async def serve() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    asyncio.run(serve())


def serve_http(desk: Desk, version: str, listener: socket.socket, host: str) -> None:
    """Serve any number of clients on a listening socket until interrupted.

    On a loopback `host` the SDK refuses requests with a foreign Host or Origin (DNS rebinding).
    """
    app = build(desk, version).streamable_http_app(streamable_http_path=PATH, host=host)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, ws="none")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
