"""An MCP server made with the SDK that asks for everything: forms with every kind of field, pages
to open, an answer of the model; and that offers prompts and resources. On stdio, in every protocol
version: before 2026-07-28 it asks during the call, since then it answers with what it wants.

Tools: `book` (a form with every kind of field), `name` (a form of one field), `secret` (a form that
asks for a password), `odd` (a form that no host can show), `pay` (a page), `think` (the model).
"""

import json
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.request_state import RequestStateSecurity
from mcp_types import (
    Completion,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
)

server = MCPServer(
    "forms",
    version="1.0",
    # What a host brings back has to be believed by the server's next process as well.
    request_state_security=RequestStateSecurity(keys=["0123456789abcdef0123456789abcdef"]),
)

BOOK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Full name", "minLength": 3, "maxLength": 40},
        "email": {"type": "string", "format": "email", "description": "For the confirmation."},
        "site": {"type": "string", "format": "uri"},
        "day": {"type": "string", "format": "date", "default": "2026-12-24"},
        "at": {"type": "string", "format": "date-time"},
        "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{2}$"},
        "guests": {"type": "integer", "minimum": 1, "maximum": 8, "default": 2},
        "tip": {"type": "number", "minimum": 0},
        "window": {"type": "boolean", "title": "At the window?", "default": True},
        "table": {
            "type": "string",
            "title": "Table",
            "oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "title": "Large"}],
            "default": "s",
        },
        "room": {"type": "string", "enum": ["hall", "garden"], "enumNames": ["Hall", "Garden"]},
        "extras": {
            "type": "array",
            "items": {
                "anyOf": [{"const": x, "title": x.title()} for x in ("cake", "wine", "music")]
            },
            "minItems": 1,
            "maxItems": 2,
            "default": ["cake"],
        },
    },
    "required": ["name", "guests", "extras"],
}
NAME: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
}
SECRET: dict[str, Any] = {
    "type": "object",
    "properties": {"password": {"type": "string", "title": "Password"}},
    "required": ["password"],
}
ODD: dict[str, Any] = {"type": "object", "properties": {"home": {"type": "object"}}}
PAGE = "https://pay.example.com/session/" + "0123456789" * 450 + "/end"

Asked = ElicitRequest | CreateMessageRequest


async def _asked(ctx: Context, what: Asked) -> Any:
    """The answer, as JSON; or what the host has to answer before there is one."""
    if (ctx.request_context.protocol_version or "") >= "2026-07-28":
        given = (ctx.input_responses or {}).get("it")
        if given is None:
            return InputRequiredResult(input_requests={"it": what}, request_state="kept")
        return json.dumps(given.model_dump(mode="json", by_alias=True, exclude_none=True))
    related = ctx.request_id
    params = what.params
    if isinstance(params, ElicitRequestFormParams):
        done = await ctx.session.elicit_form(params.message, params.requested_schema, related)
    elif isinstance(params, ElicitRequestURLParams):
        done = await ctx.session.elicit_url(params.message, params.url, "pay-1", related)
    else:
        done = await ctx.session.create_message(
            params.messages,
            max_tokens=params.max_tokens,
            system_prompt=params.system_prompt,
            related_request_id=related,
        )
    return json.dumps(done.model_dump(mode="json", by_alias=True, exclude_none=True))


def _form(message: str, schema: dict[str, Any]) -> ElicitRequest:
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


@server.tool()
async def book(ctx: Context) -> str | InputRequiredResult:
    """Book a table."""
    return await _asked(ctx, _form("Which table, for whom?\nAll can be changed later.", BOOK))


@server.tool()
async def name(ctx: Context) -> str | InputRequiredResult:
    """Ask for a name."""
    return await _asked(ctx, _form("Who are you?", NAME))


@server.tool()
async def secret(ctx: Context) -> str | InputRequiredResult:
    """Ask for a password."""
    answer = await _asked(ctx, _form("Log in.", SECRET))
    return answer if isinstance(answer, InputRequiredResult) else json.loads(answer)["action"]


@server.tool()
async def odd(ctx: Context) -> str | InputRequiredResult:
    """Ask for what no form can hold."""
    return await _asked(ctx, _form("Where do you live?", ODD))


@server.tool()
async def pay(ctx: Context) -> str | InputRequiredResult:
    """Have a page opened."""
    params = ElicitRequestURLParams(message="Please pay.", url=PAGE, elicitation_id="pay-1")
    return await _asked(ctx, ElicitRequest(params=params))


@server.tool()
async def think(ctx: Context) -> str | InputRequiredResult:
    """Ask the model."""
    said = SamplingMessage(role="user", content=TextContent(type="text", text="What is a tide?"))
    params = CreateMessageRequestParams(messages=[said], system_prompt="Be brief.", max_tokens=200)
    return await _asked(ctx, CreateMessageRequest(params=params))


@server.prompt(description="Sum a topic up.")
def summarise(topic: str, length: str = "short") -> str:
    return f"Sum up {topic}, {length}."


@server.resource("note://first", mime_type="text/plain", description="The first note.")
def first() -> str:
    return "Buy milk.\x1b[2J\n"


@server.resource("note://logo", mime_type="image/png")
def logo() -> bytes:
    return b"\x89PNG\r\n\x1a\n\x1b]0;x\x07"


@server.resource("note://by/{author}", mime_type="text/plain")
def by(author: str) -> str:
    return f"A note by {author}."


@server.completion()
async def complete(ref: Any, argument: Any, context: Any) -> Completion:
    known = {
        "topic": ["tides", "tin", "tea"],
        "length": ["short", "long"],
        "author": ["ann", "anton", "bob"],
    }
    return Completion(values=[v for v in known[argument.name] if v.startswith(argument.value)])


if __name__ == "__main__":
    server.run("stdio")
