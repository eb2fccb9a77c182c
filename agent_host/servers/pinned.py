"""What servers.lock holds of one server: its pins, and what makes the next start faster.

Theory of operation: a pin is a whole definition (of a tool, a prompt, the instructions), so that a
change can be shown. A pin stays when its tool is gone: one that comes back as another tool is not
taken for a new one. `absent` names the pinned tools that were not there as pinned when the server
listed them last; those are not offered from memory. What is read is judged as if a stranger had
written it: an entry that is damaged anywhere in its pins is `lost`, which is not the same as a
server that was never seen. Fingerprints are computed, never believed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from agent_host.core.catalogue import fingerprint
from agent_host.core.types import Annotations, JsonObject, Tool
from agent_host.servers.tools.labelling import sound_labels

MAX_PINS = 2500
"""Pinned tools of one server. None is ever dropped for a new one: that would unpin it."""
MAX_PINNED = 8 * 1024 * 1024
"""Characters of JSON of all pinned tools of one server."""
MAX_PROMPTS = 1000
MAX_DISCOVERED = 64 * 1024
"""Characters of JSON of what `discovered` may hold; more is not kept."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")
_PROMPT_KEYS = {"title", "description", "arguments"}

WithheldWhy = Literal["changed", "lost", "full"]
"""`changed`: not as pinned; `lost`: the pins of its server cannot be read; `full`: its server has
more tools than are pinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What is known of a server. `spec`: the hash of how it was configured; `title` and `version`:
    what it calls itself; None: not known. `lost`: there was an entry, and it cannot be read.

    `discovered` is what the connection wanted to be remembered, opaque here; `resources`: whether
    it has any. `tools` and `prompts` are by own name.
    """

    spec: str = ""
    title: str = ""
    version: str = ""
    protocol: str = ""
    discovered: JsonObject = field(default_factory=dict)
    resources: bool | None = None
    instructions: str | None = None
    prompts: Mapping[str, JsonObject] = field(default_factory=dict)
    tools: Mapping[str, Tool] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a human accepted in this process: names of tools (also of such as are gone and no longer
    pinned) and prompts, the instructions, or a whole server whose pins were lost."""

    tools: frozenset[str] = frozenset()
    prompts: frozenset[str] = frozenset()
    instructions: bool = False
    whole: bool = False

    def __or__(self, other: "Accepted") -> "Accepted":
        return Accepted(
            tools=self.tools | other.tools,
            prompts=self.prompts | other.prompts,
            instructions=self.instructions or other.instructions,
            whole=self.whole or other.whole,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A live tool that is not offered, and its pin, if there is one."""

    tool: Tool
    pinned: Tool | None
    why: WithheldWhy


def bare(tool: Tool) -> Tool:
    """Return a tool's definition, without what the config and the host say of it."""
    return replace(tool, name="", trusted=False, parallel=True, labels=(), is_new=False)


def size_of(tool: Tool) -> int:
    """Return the characters of JSON that pinning a tool takes."""
    return len(json.dumps(_tool_entry(tool)))


def read_pinned(server: str, value: Any, version: int) -> Pinned:
    """Read an entry of a file of format `version` (1 or 2); what is damaged is `lost`."""
    try:
        return _read_first(server, value) if version == 1 else _read(server, value)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return Pinned(lost=True)


def written(pinned: Pinned) -> JsonObject:
    """Return an entry as it stands in the file, in stable order. A pin that was lost stays so."""
    if pinned.lost:
        return {"lost": True}
    entry: JsonObject = {"spec": pinned.spec}
    entry |= {"name": pinned.title} if pinned.title else {}
    entry |= {"version": pinned.version, "protocol": pinned.protocol}
    if pinned.discovered:
        entry["discovered"] = pinned.discovered
    if pinned.resources is not None:
        entry["resources"] = pinned.resources
    if pinned.instructions is not None:
        entry["instructions"] = pinned.instructions
    if pinned.prompts:
        entry["prompts"] = dict(sorted(pinned.prompts.items()))
    entry["tools"] = {name: _tool_entry(tool) for name, tool in sorted(pinned.tools.items())}
    if pinned.absent:
        entry["absent"] = sorted(pinned.absent)
    return entry


def merged(theirs: Pinned, mine: Pinned, accepted: Accepted) -> Pinned:
    """Return what two processes know together: the pins that were written first stay, except where
    a human accepted another one here."""
    if theirs.lost:
        return mine if accepted.whole else theirs
    tools = {**mine.tools, **theirs.tools}
    prompts = {**mine.prompts, **theirs.prompts}
    for name in accepted.tools:
        _settle(tools, name, mine.tools.get(name))
    for name in accepted.prompts:
        _settle(prompts, name, mine.prompts.get(name))
    own_word = accepted.instructions or theirs.instructions is None
    other = {n for n, pin in mine.tools.items() if n in tools and tools[n] != pin}
    only_theirs = theirs.absent - mine.tools.keys()
    return replace(
        mine,
        tools=tools,
        prompts=prompts,
        instructions=mine.instructions if own_word else theirs.instructions,
        absent=frozenset((mine.absent | other | only_theirs) & tools.keys()),
    )


def _settle(pins: dict[str, Any], name: str, pin: Any) -> None:
    if pin is None:
        pins.pop(name, None)
    else:
        pins[name] = pin


def fits(value: JsonObject) -> bool:
    """Whether `discovered` may be kept."""
    try:
        return len(json.dumps(value)) <= MAX_DISCOVERED
    except (TypeError, ValueError, RecursionError):
        return False


def _read(server: str, value: Any) -> Pinned:
    """An entry. Raises for what is none."""
    if value.get("lost"):
        raise ValueError("its pins were lost")
    tools = {name: _tool(server, {**item, "name": name}) for name, item in value["tools"].items()}
    absent, prompts = value.get("absent", []), value.get("prompts", {})
    instructions = value.get("instructions")
    _check(isinstance(absent, list) and all(isinstance(name, str) for name in absent))
    _check(instructions is None or isinstance(instructions, str))
    _check(all(isinstance(p, dict) and set(p) <= _PROMPT_KEYS for p in prompts.values()))
    return replace(
        _memory(value),
        instructions=instructions,
        prompts=dict(prompts),
        tools=tools,
        absent=frozenset(absent) & tools.keys(),
    )


def _read_first(server: str, value: Any) -> Pinned:
    """An entry of the first format: the tools as last listed, and apart the first definitions of
    those that were others by then. Of instructions it kept a hash, which no text can be shown of.
    """
    listed = {tool.tool: tool for tool in (_tool(server, item) for item in value["tools"])}
    first = {n: _tool(server, {**item, "name": n}) for n, item in value.get("pinned", {}).items()}
    return replace(_memory(value), tools={**listed, **first}, absent=frozenset(first))


def _memory(value: Any) -> Pinned:
    """What an entry holds besides pins. Raises TypeError if it does not say of which server."""
    _check(isinstance(value["spec"], str))
    found, resources = value.get("discovered"), value.get("resources")
    return Pinned(
        spec=value["spec"],
        title=str(value.get("name", "")),
        version=str(value.get("version", "")),
        protocol=str(value.get("protocol", "")),
        discovered=found if isinstance(found, dict) else {},
        resources=resources if isinstance(resources, bool) else None,
    )


def _check(sound: bool) -> None:
    if not sound:
        raise TypeError("not an entry")


def _tool_entry(tool: Tool) -> JsonObject:
    entry: JsonObject = {"fingerprint": tool.fingerprint, "description": tool.description}
    said = asdict(tool.annotations)
    hints = {key: value for key, value in said.items() if value is not None and value != ()}
    if hints:
        entry["annotations"] = hints
    entry["input_schema"] = tool.input_schema
    if tool.output_schema is not None:
        entry["output_schema"] = tool.output_schema
    return entry


def _tool(server: str, item: Any) -> Tool:
    """A pinned tool. Raises KeyError, TypeError or ValueError for what is not one."""
    name, description, schema = item["name"], item["description"], item["input_schema"]
    output = item.get("output_schema")
    _check(isinstance(name, str) and isinstance(description, str) and isinstance(schema, dict))
    _check(output is None or isinstance(output, dict))
    # The file may come with a project: no name goes to a model that no server could have had.
    _check(_NAME.match(name) is not None and schema.get("type") == "object")
    tool = Tool(
        name="",
        server=server,
        tool=name,
        description=description,
        input_schema=schema,
        output_schema=output,
        annotations=_hints(item.get("annotations", {})),
    )
    return replace(tool, fingerprint=fingerprint(tool))


def _hints(said: Any) -> Annotations:
    """Pinned annotations. Raises TypeError for what are none."""
    hints = dict(said)
    labels = hints.pop("labels", [])
    _check(list(sound_labels(labels)) == labels)
    _check(all(isinstance(v, str if k == "title" else bool) for k, v in hints.items()))
    return Annotations(**hints, labels=tuple(labels))
