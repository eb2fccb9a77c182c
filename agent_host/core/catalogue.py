"""Every tool of every server: exposed names, collisions, fingerprints.

Theory of operation: a tool's identity is the pair (server, own name) with its fingerprint. The
exposed name is only what a model can be told: `server__tool` where both parts are legal for every
provider (`[A-Za-z0-9_-]`, at most 64 characters, a letter or underscore first; OpenAI and Gemini
function names), else as much of it as fits and eight hex digits of the pair's hash. A name
depends on its own pair alone, so it does not move when other servers come and go; it is turned
back into the pair by the table only, never by splitting the text.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from agent_host.core.text import clean_line
from agent_host.core.types import JsonObject, Tool

NAME_LIMIT = 64
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_SAME = str.maketrans("1i0", "llo")
_SEPARATORS = re.compile(r"[_-]+")
_TELLING = 8
"""Characters of a name that is not one everyday word, so that two of the kind are no accident."""
_LEGAL_START = re.compile(r"[A-Za-z_]")


def exposed_name(server: str, tool: str) -> str:
    """Return the name under which a model sees tool `tool` of server `server`."""
    joined = f"{_ILLEGAL.sub('_', server)}__{_ILLEGAL.sub('_', tool)}"
    if not _LEGAL_START.match(joined):
        joined = f"_{joined}"
    # A server name with "__" in it, or "_" at its end, could make one text out of two pairs.
    plain = f"{server}__{tool}"
    if joined == plain and len(plain) <= NAME_LIMIT and "__" not in f"{server}_":
        return plain
    digest = hashlib.sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{joined[: NAME_LIMIT - 9]}_{digest}"


def fingerprint(tool: Tool) -> str:
    """Return the SHA-256 (hex) of the definition: own name, description, schemas, annotations."""
    a = tool.annotations
    definition: JsonObject = {
        "name": tool.tool,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
        "annotations": [a.title, a.read_only, a.destructive, a.idempotent, a.open_world],
    }
    if a.labels:
        definition["labels"] = a.labels
    return hashlib.sha256(
        json.dumps(definition, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def build_catalogue(tools: Iterable[Tool]) -> tuple[dict[str, Tool], tuple[str, ...]]:
    """Return the tools by exposed name, in the order given, and what had to be left out and why.

    Two tools that would share an exposed name are both left out: neither may answer for the other.
    """
    table: dict[str, Tool] = {}
    clashes: set[str] = set()
    for tool in tools:
        name = exposed_name(tool.server, tool.tool)
        if name in table or name in clashes:
            clashes.add(name)
            continue
        table[name] = tool if tool.name == name else replace(tool, name=name)
    for name in clashes:
        table.pop(name, None)
    return table, tuple(
        f"two tools share the name {clean_line(name)}: both are withheld"
        for name in sorted(clashes)
    )


def look_alikes(tools: Iterable[Tool]) -> tuple[str, ...]:
    """Say which names of servers, or of tools of two servers, differ only in what an eye or a
    model takes for the same (see `alike`)."""
    tools = tuple(tools)
    servers: dict[str, str] = {}
    found: dict[str, None] = {}
    for tool in tools:
        first = servers.setdefault(_looks(tool.server), tool.server)
        if first != tool.server:
            found[f"the names of the servers {first} and {tool.server} look alike"] = None
    for one, other in _pairs(tools):
        pair = f"{one.tool} of {one.server} and {other.tool} of {other.server}"
        found[f"{clean_line(pair)} look alike"] = None
    return tuple(found)


def alike(tools: Iterable[Tool]) -> dict[tuple[str, str], str]:
    """Return, by server and own name, which other server's tool a tool could be taken for, clean.

    Their names differ in `l` `I` `1`, `O` `0`, `rn` `m`, `vv` `w`, or, if they are more than one
    everyday word, only in case (except all capitals) or in `-` `_` between words. A dot makes
    another name, of a namespace. Names are ASCII by then.
    """
    found: dict[tuple[str, str], str] = {}
    for one, other in _pairs(tools):
        found.setdefault((one.server, one.tool), clean_line(f"{other.tool} of {other.server}"))
        found.setdefault((other.server, other.tool), clean_line(f"{one.tool} of {one.server}"))
    return found


def _pairs(tools: Iterable[Tool]) -> Iterator[tuple[Tool, Tool]]:
    """The first tool of each look, and every tool of another server that has the same look under
    another name."""
    first: dict[str, Tool] = {}
    for tool in tools:
        one = first.setdefault(_looks(_SEPARATORS.sub("_", tool.tool)), tool)
        if one.server == tool.server or one.tool == tool.tool:
            continue
        if one.tool.lower() == tool.tool.lower() and not _telling(one.tool, tool.tool):
            continue
        yield one, tool


def _telling(one: str, other: str) -> bool:
    """Whether two names that differ in case only are no accident."""
    words = one.isalpha() or len(one) < _TELLING
    return not (words or one.isupper() or other.isupper())


def _looks(name: str) -> str:
    return name.replace("I", "l").lower().translate(_SAME).replace("rn", "m").replace("vv", "w")


def changes(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Compare two tables of own tool name -> fingerprint; return (added, removed, changed)."""
    added = tuple(name for name in after if name not in before)
    removed = tuple(name for name in before if name not in after)
    changed = tuple(name for name, print_ in after.items() if before.get(name, print_) != print_)
    return added, removed, changed
