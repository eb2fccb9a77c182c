"""A server's resources as two tools of that server, for the model to list and read.

Theory of operation: resources are data that a server offers to be read by URI, and the protocol has
no tool for that. So each server that offers them gets two: `resources/list` and `resources/read`,
with a slash, which no real tool has in its name; policy, config and transcript know them by these
names under the server's own. Reading goes to that server alone, never to a URI by the host itself.
Lists are filtered and paged, so that ten thousand resources are no flood. Sources: MCP 2025-11-25
and 2026-07-28, server/resources.
"""

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from agent_host.core.catalogue import fingerprint
from agent_host.core.hidden import visible
from agent_host.core.text import clean_line
from agent_host.core.types import (
    Annotations,
    Content,
    JsonObject,
    Text,
    Tool,
    ToolErrorKind,
    ToolResult,
)
from agent_host.ports import CallContext
from agent_host.servers.offers import Failed, Offers, ResourceInfo
from agent_host.servers.outcome import failed
from agent_host.servers.spec import Spec

LIST = "resources/list"
READ = "resources/read"
LISTED = 100
"""Resources of one answer."""
MAX_URI = 8192
_SAID = 200
_KINDS: dict[str, ToolErrorKind] = {
    "server_unavailable": "server_unavailable",
    "timeout": "timeout",
    "unknown_server": "unknown_tool",
}


def resource_tools(spec: Spec) -> tuple[Tool, ...]:
    """The two tools of a server that offers resources, as far as the config includes them."""
    if not spec.resources:
        return ()
    return tuple(tool for tool in (_list_tool(spec), _read_tool(spec)) if _included(spec, tool))


async def call(
    offers: Offers, tool: Tool, arguments: JsonObject, context: CallContext
) -> ToolResult:
    """Run one of the two tools. Never raises for a server's fault."""
    if tool.tool == LIST:
        infos, problems = await offers.resources(tool.server)
        if not infos and problems:
            return failed(context, "server_unavailable", problems[0])
        content = listed(infos, problems, arguments)
        return ToolResult(call_id=context.call_id, content=content)
    read = await offers.read(tool.server, str(arguments["uri"]), context.principal)
    if isinstance(read, Failed):
        return failed(context, _KINDS.get(read.kind, "tool_error"), read.text)
    return ToolResult(call_id=context.call_id, content=read)


def listed(
    infos: Iterable[ResourceInfo], problems: Iterable[str], arguments: JsonObject
) -> tuple[Content, ...]:
    """The answer of `resources/list`: what has the words of `query` in it, from `offset` on."""
    words = str(arguments.get("query", "")).lower().split()
    found = [info for info in infos if all(word in _searched(info) for word in words)]
    offset = int(arguments.get("offset", 0))
    page = found[offset : offset + LISTED]
    lines = [f"{len(found)} resources" + (f" for {' '.join(words)!r}" if words else "") + ":"]
    lines += map(_line, page)
    if offset + len(page) < len(found):
        lines.append(f"[{len(found) - offset - len(page)} more: offset {offset + len(page)}]")
    lines += [f"[{clean_line(text)}]" for text in problems]
    return (Text(text="\n".join(lines)),)


def _line(info: ResourceInfo) -> str:
    kind = "template " if info.template else ""
    size = "" if info.size is None else f"{info.size:,} bytes"
    facts = ", ".join(filter(None, (clean_line(info.media_type, 100), size)))
    said = ": ".join(filter(None, (info.title or info.name, info.description)))
    about = clean_line(" ".join(visible(said)[: 4 * _SAID].split()), _SAID)
    return (
        f"- {kind}{clean_line(info.uri, MAX_URI)}{f' ({facts})' if facts else ''} {about}".rstrip()
    )


def _searched(info: ResourceInfo) -> str:
    return f"{info.uri} {info.name} {info.title} {info.description} {info.media_type}".lower()


def _included(spec: Spec, tool: Tool) -> bool:
    return any(fnmatchcase(tool.tool, glob) for glob in spec.include) and not any(
        fnmatchcase(tool.tool, glob) for glob in spec.exclude
    )


def _list_tool(spec: Spec) -> Tool:
    description = (
        f"List the resources (data to read) of the server {spec.name}. Templates have {{names}} in "
        "their URI, to be filled in."
    )
    properties: JsonObject = {
        "query": {
            "type": "string",
            "maxLength": 500,
            "description": "Only resources with these words in URI, name or description.",
        },
        "offset": {"type": "integer", "minimum": 0, "default": 0, "description": "Skip so many."},
    }
    return _tool(spec, LIST, description, properties)


def _read_tool(spec: Spec) -> Tool:
    properties: JsonObject = {
        "uri": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_URI,
            "description": f"The URI, as {LIST} or a result names it.",
        }
    }
    description = f"Read a resource of the server {spec.name} by its URI."
    return _tool(spec, READ, description, properties)


def _tool(spec: Spec, name: str, description: str, properties: JsonObject) -> Tool:
    tool = Tool(
        name="",
        server=spec.name,
        tool=name,
        description=description,
        input_schema={
            "type": "object",
            "properties": properties,
            "required": [key for key in properties if key == "uri"],
            "additionalProperties": False,
        },
        # By the protocol reading changes nothing; whether that is believed is the config's word.
        annotations=Annotations(read_only=True, idempotent=True),
        trusted=spec.trust_annotations,
        parallel=spec.parallel,
    )
    return replace(tool, fingerprint=fingerprint(tool))
