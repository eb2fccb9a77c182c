"""What is known of the servers' tools without starting anything: what servers.lock remembers.

Theory of operation: a server's entry counts if the server is configured as it was; its tools are
then those that the config includes, with what the config says of them, as a session would offer
them before the server is up. A server that is not remembered is None. Nothing is written, no
secret is resolved, and no event loop is needed.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from agent_host.builtin import definitions
from agent_host.config.load import Loaded
from agent_host.config.server_tables import ServerConfig
from agent_host.core.catalogue import build_catalogue, fingerprint
from agent_host.core.offering import HOST
from agent_host.core.types import Tool
from agent_host.servers.lock import Lock, Remembered
from agent_host.servers.spec import HttpSpec, Spec, StdioSpec
from agent_host.servers.tools.labelling import labels_of

LOCK_FILE = "servers.lock"
_OF_RESOURCES = ("resources/list", "resources/read")

KnownTools = Mapping[str, tuple[Tool, ...] | None]
"""The tools of each server that is enabled, None for one that nobody has seen."""


def known_tools(loaded: Loaded) -> dict[str, tuple[Tool, ...] | None]:
    """Return what servers.lock says of the config's servers, and the host's own tools."""
    lock = Lock.read(loaded.folder / LOCK_FILE, writes=False)
    found: dict[str, tuple[Tool, ...] | None] = {}
    for name, server in loaded.config.servers.items():
        if server.enabled:
            spec = bare_spec(name, server)
            remembered = lock.recall(spec)
            found[name] = None if remembered is None else _tools(spec, remembered)
    return with_host_tools(found)


def with_host_tools(servers: KnownTools) -> dict[str, tuple[Tool, ...] | None]:
    """Return the same with exposed names, and with the tools that are the host's own."""
    table, _ = build_catalogue(tool for tools in servers.values() for tool in tools or ())
    named = {(tool.server, tool.tool): tool for tool in table.values()}
    own = (
        definitions.search_tools(table.values()),
        definitions.read_artifact(),
        definitions.search_artifact(),
    )
    found = {
        name: None
        if tools is None
        else tuple(named[t.server, t.tool] for t in tools if (t.server, t.tool) in named)
        for name, tools in servers.items()
    }
    return {**found, HOST: own}


def bare_spec(name: str, server: ServerConfig) -> Spec:
    """Return a spec that says which server it is, and cannot be started."""
    common: dict[str, Any] = {
        "name": name,
        "include": tuple(server.tools.include),
        "exclude": tuple(server.tools.exclude),
        "protocol": server.protocol,
        "trust_annotations": server.trust_annotations,
        "parallel": server.parallel,
        "resources": server.resources,
        "identity": identity_of(server),
        "labels": labels_in(server),
        "unusable": "it is only looked up",
    }
    if server.url is not None:
        return HttpSpec(url=server.url, sse=server.sse, **common)
    return StdioSpec(command=server.command or "", **common)


def labels_in(server: ServerConfig) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what a server's table says of labels."""
    return tuple((glob, tuple(labels)) for glob, labels in server.labels.items())


def identity_of(server: ServerConfig) -> str:
    """What decides which server this is, as the config has it: the same on every machine that
    shares it, and without any secret."""
    parts = [server.command, server.args, server.cwd, sorted(server.env)]
    return json.dumps([*parts, server.url, sorted(server.headers)])


def _tools(spec: Spec, remembered: Remembered) -> tuple[Tool, ...]:
    tools = list(remembered.tools)
    if remembered.resources and spec.resources:
        tools += [_of_resources(spec.name, name) for name in _OF_RESOURCES]
    return tuple(
        replace(
            tool,
            trusted=spec.trust_annotations,
            parallel=spec.parallel,
            labels=labels_of(spec, tool),
        )
        for tool in tools
        if _includes(spec, tool.tool)
    )


def _of_resources(server: str, name: str) -> Tool:
    """A tool of the host for a server's resources, as far as rules care."""
    schema: dict[str, Any] = {"type": "object"}
    tool = Tool(name="", server=server, tool=name, description="", input_schema=schema)
    return replace(tool, fingerprint=fingerprint(tool))


def _includes(spec: Spec, name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in spec.include) and not any(
        fnmatchcase(name, glob) for glob in spec.exclude
    )
