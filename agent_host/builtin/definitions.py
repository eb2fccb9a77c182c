"""What the host's own tools are, as a model is told."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from agent_host.core.catalogue import fingerprint
from agent_host.core.offering import (
    HOST,
    READ_ARTIFACT,
    READ_CONVERSATION,
    SEARCH_ARTIFACT,
    SEARCH_CONVERSATION,
    SEARCH_TOOLS,
)
from agent_host.core.types import Annotations, JsonObject, Tool

FOUND = 10
"""Tools that a search names by default."""
MOST_FOUND = 50
LINES = 200
"""Lines of a page by default."""
MOST_LINES = 2000
MATCHES = 20
MOST_MATCHES = 100
MOST_CONTEXT = 10
MAX_QUERY = 500
"""Characters of a query."""
SERVERS_NAMED = 100

_NAME: JsonObject = {
    "type": "string",
    "minLength": 1,
    "maxLength": 300,
    "description": "The artifact's name, as the result says.",
}


def search_tools(tools: Iterable[Tool]) -> Tool:
    """The tool that searches these tools; its description names their servers."""
    counts = Counter(tool.server for tool in tools)
    named = [f"{server} ({count})" for server, count in sorted(counts.items())[:SERVERS_NAMED]]
    if len(counts) > SERVERS_NAMED:
        named.append(f"and {len(counts) - SERVERS_NAMED} more")
    description = (
        "Find tools by what they do. Most tools are not listed until they were searched for: there "
        f"are {counts.total()} tools on {len(counts)} servers: {', '.join(named)}. What is found "
        "can be called in the next step."
    )
    properties = {
        "query": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_QUERY,
            "description": 'What you want to do, in a few words, as in "create an issue".',
        },
        "server": {"type": "string", "maxLength": 64, "description": "Only tools of this server."},
        "limit": _number(1, MOST_FOUND, FOUND, "Tools to name."),
    }
    return _tool(SEARCH_TOOLS, "Search tools", description, properties, ["query"])


def read_artifact() -> Tool:
    """The tool that reads a page of an artifact."""
    description = (
        "Read a part of a result that was too large to be shown whole. By lines, or from a "
        "character offset where lines are long; each answer says how to go on."
    )
    properties = {
        "name": _NAME,
        "line": _number(1, None, 1, "The first line to read, counted from 1."),
        "offset": {
            "type": "integer",
            "minimum": 0,
            "description": "The first character to read, counted from 0; instead of `line`.",
        },
        "limit": _number(1, MOST_LINES, LINES, "Lines to read."),
    }
    return _tool(READ_ARTIFACT, "Read an artifact", description, properties, ["name"])


def search_artifact() -> Tool:
    """The tool that searches an artifact."""
    description = (
        "Find lines in a result that was too large to be shown whole. Case does not count, unless "
        "the query is a regular expression."
    )
    properties = {
        "name": _NAME,
        "query": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_QUERY,
            "description": "The text to find.",
        },
        "regex": {
            "type": "boolean",
            "default": False,
            "description": "The query is a regular expression (without look-around and "
            "back-references), matched within each line.",
        },
        "context": _number(0, MOST_CONTEXT, 1, "Lines to show around each match."),
        "limit": _number(1, MOST_MATCHES, MATCHES, "Matches to show."),
        "line": _number(1, None, 1, "The line to search from, counted from 1."),
    }
    needed = ["name", "query"]
    return _tool(SEARCH_ARTIFACT, "Search an artifact", description, properties, needed)


def search_conversation() -> Tool:
    """The tool that searches the messages of this conversation."""
    description = (
        "Find something that was said or returned earlier in this conversation and is left out "
        "of it now. Case does not count; a message has to hold every word, and words in double "
        "quotes stand together. Each match says the number of its message."
    )
    properties = {
        "query": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_QUERY,
            "description": "The words to find.",
        },
        "limit": _number(1, MOST_MATCHES, MATCHES, "Messages to show."),
        "first": _number(1, None, 1, "The number of the message to search from."),
    }
    return _tool(SEARCH_CONVERSATION, "Search the conversation", description, properties, ["query"])


def read_conversation() -> Tool:
    """The tool that reads messages of this conversation."""
    description = (
        "Read messages of this conversation as they were, also those that are left out of it now. "
        "Messages are counted from 1; a long answer says how to go on."
    )
    properties = {
        "first": {
            "type": "integer",
            "minimum": 1,
            "description": "The number of the first message to read.",
        },
        "last": {
            "type": "integer",
            "minimum": 1,
            "description": "The number of the last message to read. Default: the first alone.",
        },
        "offset": _number(0, None, 0, "The first character to read of all that, counted from 0."),
    }
    return _tool(READ_CONVERSATION, "Read the conversation", description, properties, ["first"])


def _number(least: int, most: int | None, default: int, description: str) -> JsonObject:
    schema: JsonObject = {"type": "integer", "minimum": least}
    if most is not None:
        schema["maximum"] = most
    return {**schema, "default": default, "description": description}


def _tool(
    name: str, title: str, description: str, properties: JsonObject, required: list[str]
) -> Tool:
    tool = Tool(
        name=name,
        server=HOST,
        tool=name.removeprefix(f"{HOST}__"),
        description=description,
        input_schema={
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
        annotations=Annotations(
            title=title, read_only=True, destructive=False, idempotent=True, open_world=False
        ),
        trusted=True,
    )
    return replace(tool, fingerprint=fingerprint(tool))
