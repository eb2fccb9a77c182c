"""`servers.lock`: what each server's tools were when it was last seen.

Theory of operation: a JSON file beside servers.toml, meant for version control: stable order, one
line a value, no secrets (only a hash of a server's configuration, with the names but not the
values of variables and headers). With it the first model request leaves before any server is up;
what the live server says replaces it. A file that cannot be read is ignored, said once, and
written anew. Fingerprints are computed when read, never believed. Written atomically, and only
when something changed.

What pins need is kept beside the memory: the first definition of each tool stays in `pinned` from
the moment on that the server's own differs from it or is gone, so that a change can be shown as a
diff and a tool that comes back changed is not taken for a new one.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from agent_host.core.catalogue import fingerprint
from agent_host.core.text import clean_line
from agent_host.core.types import Annotations, Json, JsonObject, Tool
from agent_host.servers.spec import Spec, StdioSpec

FORMAT = 1
MAX_FILE = 32 * 1024 * 1024
"""Bytes of a lock file that are read."""
MAX_DISCOVERED = 64 * 1024
"""Characters of JSON of what `discovered` may hold; more is not kept."""
MAX_PINNED = 500
"""Definitions of one server that are kept after it no longer has them as such."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")

ToolState = Literal["new", "known", "changed"]
"""Whether a definition is as it was when its tool was first seen. `new`: first seen now."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a server from last time; the tools have no exposed names yet.

    `discovered` is what the connection wanted to be remembered (see `Lock.remember`); empty: none.
    `resources`: whether it has any; None if that is not known.
    """

    tools: tuple[Tool, ...]
    protocol: str
    version: str
    discovered: JsonObject = field(default_factory=dict)
    resources: bool | None = None


def spec_hash(spec: Spec) -> str:
    """SHA-256 (hex) of what decides which server a spec reaches; values of variables and headers
    do not count, so that a new key keeps the memory."""
    parts: list[Any]
    if spec.identity:
        parts = ["declared", spec.identity]
    elif isinstance(spec, StdioSpec):
        parts = ["stdio", spec.command, list(spec.args), spec.cwd, sorted(spec.env)]
    else:
        parts = ["http", spec.url, sorted(spec.headers)]
    text = json.dumps([*parts, spec.protocol])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Lock:
    """The content of a lock file. `problem` says what was wrong with the file, if anything."""

    def __init__(self, path: Path, servers: JsonObject, problem: str = "") -> None:
        self.path = path
        self.problem = problem
        self._servers = servers
        self._before = servers
        self._learned: JsonObject = {}
        self._changed = bool(problem)

    @classmethod
    def read(cls, path: Path) -> "Lock":
        """Read a lock file; a missing one is empty. Never raises."""
        servers, problem = _load(path)
        return cls(path, servers, problem)

    def tools(self, server: str, known_hash: str) -> tuple[Tool, ...] | None:
        """The remembered tools of `server`, or None unless it was configured the same."""
        entry = self._servers.get(server, {})
        listed = entry.get("tools")
        if entry.get("spec") != known_hash or not isinstance(listed, list):
            return None
        try:
            return tuple(_tool(server, item) for item in listed)
        except (KeyError, TypeError, ValueError, RecursionError):
            self._changed = True
            return None

    def recall(self, spec: Spec) -> Remembered | None:
        """What is known of the server that `spec` names, if it is still the same."""
        tools = self.tools(spec.name, spec_hash(spec))
        if tools is None:
            return None
        entry = self._servers[spec.name]
        found = entry.get("discovered")
        return Remembered(
            tools,
            str(entry.get("protocol", "")),
            str(entry.get("version", "")),
            found if isinstance(found, dict) else {},
            entry["resources"] if isinstance(entry.get("resources"), bool) else None,
        )

    def remember(
        self,
        spec: Spec,
        version: str,
        protocol: str,
        tools: Iterable[Tool],
        *,
        discovered: JsonObject | None = None,
        instructions: str | None = None,
        prompts: Mapping[str, Json] | None = None,
        resources: bool | None = None,
    ) -> None:
        """Take over what a live server said.

        `discovered`: what a connection wants back next time, opaque here; `instructions` and
        `prompts` (by name): kept as hashes only; `resources`: whether there are any. Each of
        these: None if nothing is known of it now, which keeps what was remembered.
        """
        hashed = spec_hash(spec)
        before = _same_server(self._servers, spec.name, hashed)
        entries = [_entry(tool) for tool in sorted(tools, key=lambda tool: tool.tool)]
        entry: JsonObject = {"spec": hashed, "version": version, "protocol": protocol}
        entry |= {
            key: before[key] for key in ("discovered", "resources", *_HASHED) if key in before
        }
        if discovered is not None:
            entry["discovered"] = discovered if _fits(discovered) else {}
        if instructions is not None:
            entry["instructions"] = _hash(instructions)
        if resources is not None:
            entry["resources"] = resources
        if prompts is not None:
            entry["prompts"] = {name: _hash(prompts[name]) for name in sorted(prompts)}
        entry["tools"] = entries
        if pinned := _pinned(before, entries):
            entry["pinned"] = pinned
        if self._servers.get(spec.name) != entry:
            self._servers = {**self._servers, spec.name: entry}
            self._learned[spec.name] = entry
            self._changed = True

    def states(self, spec: Spec, tools: Iterable[Tool]) -> dict[str, ToolState]:
        """By own name: whether a live definition is the one that was first seen, by the file as
        it was read."""
        pins = _pins(_same_server(self._before, spec.name, spec_hash(spec)))
        return {tool.tool: _state(pins.get(tool.tool), tool) for tool in tools}

    def unseen(self, spec: Spec, tools: Iterable[Tool]) -> tuple[Tool, ...]:
        """Those whose definition is another one than when the server was seen last, by the file
        as it was read."""
        seen = _listed(_same_server(self._before, spec.name, spec_hash(spec)))
        return tuple(tool for tool in tools if _state(seen.get(tool.tool), tool) != "known")

    @property
    def changed(self) -> bool:
        """Whether `save` has something to write."""
        return self._changed

    def save(self) -> str | None:
        """Write the file if something changed; return why that failed, or None."""
        if not self._changed:
            return None
        # Another run may have written meanwhile; what this one did not learn is not taken back.
        self._servers = {**self._servers, **_load(self.path)[0], **self._learned}
        servers = dict(sorted(self._servers.items()))
        text = json.dumps({"format": FORMAT, "servers": servers}, indent=1) + "\n"
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            # The folder may be a stranger's: no link that waits there is followed.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(partial, flags, 0o644)
            with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123  # a descriptor
                file.write(text)
            partial.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            self._changed = False
            return f"{clean_line(str(self.path))}: cannot be written: {error.strerror}"
        self._changed = False
        return None


def _load(path: Path) -> tuple[JsonObject, str]:
    """What a file remembers, by server, and what is wrong with the file."""
    shown = clean_line(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{shown}: cannot be read: {error.strerror}; going on without it"
    try:
        value = json.loads(data) if len(data) <= MAX_FILE else None
    except (ValueError, RecursionError):
        value = None
    document: JsonObject = value if isinstance(value, dict) else {}
    servers = document.get("servers")
    if not isinstance(servers, dict) or document.get("format") != FORMAT:
        return {}, f"{shown}: is no lock file of this version; it will be rewritten"
    return {k: v for k, v in servers.items() if isinstance(v, dict)}, ""


_HASHED = ("instructions", "prompts")


def _hash(value: Json) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _fits(value: JsonObject) -> bool:
    try:
        return len(json.dumps(value)) <= MAX_DISCOVERED
    except (TypeError, ValueError, RecursionError):
        return False


def _same_server(servers: JsonObject, name: str, hashed: str) -> JsonObject:
    """What is remembered of a server that is configured as it was; else nothing."""
    entry: JsonObject = servers.get(name, {})
    return entry if entry.get("spec") == hashed else {}


def _pins(entry: JsonObject) -> dict[str, JsonObject]:
    """The definition under which each tool was first seen, by own name."""
    pins, pinned = _listed(entry), entry.get("pinned")
    if isinstance(pinned, dict):
        pins |= {name: item for name, item in pinned.items() if isinstance(item, dict)}
    return pins


def _state(pin: JsonObject | None, tool: Tool) -> ToolState:
    if pin is None:
        return "new"
    return "known" if _same(pin, _entry(tool)) else "changed"


def _listed(entry: JsonObject) -> dict[str, JsonObject]:
    """The definitions as they were listed last, by own name."""
    listed = entry.get("tools")
    return {
        item["name"]: item
        for item in (listed if isinstance(listed, list) else ())
        if isinstance(item, dict) and isinstance(item.get("name"), str)
    }


def _pinned(before: JsonObject, entries: list[JsonObject]) -> dict[str, JsonObject]:
    """The pins that are not among the live definitions, by own name, in stable order."""
    live = {entry["name"]: entry for entry in entries}
    apart = {n: p for n, p in _pins(before).items() if n not in live or not _same(p, live[n])}
    return dict(sorted(apart.items())[:MAX_PINNED])


def _same(one: JsonObject, other: JsonObject) -> bool:
    """Whether two entries are the same definition; what a file calls its fingerprint is not
    believed."""
    return {**one, "fingerprint": ""} == {**other, "fingerprint": ""}


def _entry(tool: Tool) -> JsonObject:
    entry: JsonObject = {"name": tool.tool, "fingerprint": tool.fingerprint}
    entry["description"] = tool.description
    hints = {key: value for key, value in asdict(tool.annotations).items() if value is not None}
    if hints:
        entry["annotations"] = hints
    entry["input_schema"] = tool.input_schema
    if tool.output_schema is not None:
        entry["output_schema"] = tool.output_schema
    return entry


def _tool(server: str, item: Any) -> Tool:
    """A remembered tool. Raises KeyError, TypeError or ValueError for what is not one."""
    name, description, schema = item["name"], item["description"], item["input_schema"]
    output = item.get("output_schema")
    if not (isinstance(name, str) and isinstance(description, str) and isinstance(schema, dict)):
        raise TypeError("not a tool")
    if not (output is None or isinstance(output, dict)):
        raise TypeError("not a tool")
    # The file may come with a project: no name goes to a model that no server could have had.
    if not _NAME.match(name) or schema.get("type") != "object":
        raise ValueError("not a tool that was ever offered")
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
    """Remembered annotations. Raises TypeError for what are none."""
    hints = dict(said)
    if not all(isinstance(v, str if k == "title" else bool) for k, v in hints.items()):
        raise TypeError("not a tool")
    return Annotations(**hints)
