"""A server's resources as two tools of that server, for the model to list and read.

Theory of operation: resources are data that a server offers to be read by URI, and the protocol has
no tool for that. So each server that offers them gets two: `resources/list` and `resources/read`,
with a slash, which no real tool has in its name; policy, config and transcript know them by these
names under the server's own. Reading goes to that server alone, never to a URI by the host itself.
Most servers say that they offer resources and have none, so a server is asked after it has
connected, and servers.lock remembers. One that had none is asked again when it connects anew, and
when it says that its resources changed. Lists are filtered and paged, so that ten thousand
resources are no flood. Sources: MCP 2025-11-25 and 2026-07-28, server/resources.
"""

import asyncio
from collections.abc import Container, Iterable
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
from agent_host.servers.lock import Remembered
from agent_host.servers.offers import Failed, Offers, ResourceInfo
from agent_host.servers.spec import Spec
from agent_host.servers.supervisor import Supervisor
from agent_host.servers.tools.labelling import READ, configured
from agent_host.servers.tools.outcome import failed

LIST = "resources/list"
LISTED = 100
"""Resources of one answer."""
MAX_URI = 8192
_SAID = 200
LOOK_PAUSE = 0.5
"""Seconds until a server that says over and over that its resources changed is asked again."""
_KINDS: dict[str, ToolErrorKind] = {
    "server_unavailable": "server_unavailable",
    "timeout": "timeout",
    "unknown_server": "unknown_tool",
}


class Readers:
    """Which servers have resources to read, as far as that is known."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, bool]] = {}
        self._looking: dict[str, bool] = {}
        """Servers that are being asked, and whether they have to be asked once more."""

    def recall(self, name: str, known: Remembered) -> None:
        """Take over what is remembered of a server."""
        if known.resources is not None:
            self._known[name] = known.version, known.resources

    def keep(self, names: Container[str]) -> None:
        """Forget all servers but these."""
        self._known = {name: known for name, known in self._known.items() if name in names}

    def tools(self, spec: Spec) -> tuple[Tool, ...]:
        """The two tools of a server that has resources, else none."""
        return resource_tools(spec) if self.has(spec.name) else ()

    def has(self, name: str) -> bool | None:
        """Whether a server has resources; None: not known."""
        known = self._known.get(name)
        return None if known is None else known[1]

    def is_unknown(self, server: Supervisor) -> bool:
        """Whether a server that is up has to be asked: it was not, is another version now, or had
        none. One that is being asked is then asked once more."""
        name, connection = server.spec.name, server.connection
        if connection is None or not server.spec.resources:
            return False
        if not connection.has_resources:
            self._known[name] = connection.version, False
            return False
        if name in self._looking:
            self._looking[name] = True
            return False
        return self._known.get(name) != (connection.version, True)

    async def look(self, server: Supervisor, offers: Offers) -> bool:
        """Ask a server; return whether something else is known now."""
        name, before = server.spec.name, self.has(server.spec.name)
        self._looking[name] = True
        try:
            while self._looking[name]:
                self._looking[name] = False
                connection = server.connection
                infos, problems = await offers.resources(name)
                if connection is None or (problems and not infos):
                    return False
                self._known[name] = connection.version, bool(infos)
                if infos:
                    break
                await asyncio.sleep(LOOK_PAUSE)
        finally:
            del self._looking[name]
        return self.has(name) != before


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
    content, labels = read
    return ToolResult(call_id=context.call_id, content=content, labels=labels)


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
        labels=configured(spec, name),
    )
    return replace(tool, fingerprint=fingerprint(tool))
