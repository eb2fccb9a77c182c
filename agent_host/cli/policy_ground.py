"""What the commands about rules look at: the files' rules, the tools, the roles and labels.

Theory of operation: the pure parts of policy know neither files nor servers; this turns a config
into what they take. Tools are those of servers.lock, or of the live servers.
"""

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module

from agent_host.cli.trusting import add_trust_option, ensure_trusted
from agent_host.config.layers import Layer, roles_of, totals_of
from agent_host.config.load import Loaded
from agent_host.config.near import nearest
from agent_host.core.errors import UsageError
from agent_host.core.text import clean_line
from agent_host.core.types import Tool
from agent_host.host.known import KnownTools, known_tools, with_host_tools
from agent_host.policy.expressions import ExpressionError, condition, plain, quantity
from agent_host.policy.ground import Fault, Ground, Key, RuleText, TotalText
from agent_host.policy.syntax import Node


def add_tools_options(parser: argparse.ArgumentParser) -> None:
    """Add `--live` and `--trust`."""
    parser.add_argument(
        "--live",
        action="store_true",
        help="ask the servers for their tools, instead of servers.lock",
    )
    add_trust_option(parser)


def tools_of(loaded: Loaded, options: argparse.Namespace) -> KnownTools:
    """Return the tools of every server, as the options say. Starts servers only for `--live`."""
    if not options.live:
        return known_tools(loaded)
    ensure_trusted(loaded, flag=options.trust)
    return live_tools(loaded)


def live_tools(loaded: Loaded) -> KnownTools:
    """Return what the servers say now; a server that is not up is None, and said on stderr."""
    # Only this needs an event loop.
    live = import_module("agent_host.cli.live")

    async def ask(pool: object) -> dict[str, tuple[Tool, ...] | None]:
        live.complain(pool)
        tools = tuple(pool.tools().values())  # type: ignore[attr-defined]  # a Pool
        up = {h.name for h in pool.health() if h.state == "connected"}  # type: ignore[attr-defined]
        return {
            name: tuple(t for t in tools if t.server == name) if name in up else None
            for name in live.enabled(loaded)
        }

    found: dict[str, tuple[Tool, ...] | None] = live.with_servers(loaded, live.enabled(loaded), ask)
    return with_host_tools(found)


def find_tool(servers: KnownTools, server: str, name: str) -> Tool | None:
    """Return a tool by its server and own or exposed name; None if it is not known. Raises
    UsageError for a server that is not there."""
    if server not in servers:
        known = nearest(server, [*servers])
        raise UsageError(f'there is no server "{clean_line(server, 80)}"{known}')
    for tool in servers[server] or ():
        if name in {tool.tool, tool.name}:
            return tool
    return None


def ground_of(loaded: Loaded, servers: KnownTools) -> Ground:
    """Return what conditions are checked against."""
    configured = loaded.config.servers.values()
    said = {label for one in configured for labels in one.labels.values() for label in labels}
    trusted = {label for tools in servers.values() for tool in tools or () for label in tool.labels}
    layers = loaded.layers
    return Ground(
        servers=servers,
        labels=frozenset(said | trusted),
        more_labels=any(one.trust_annotations for one in configured),
        roles=_roles(layers),
        more_roles=loaded.config.identity.token is not None or any(one.tokens for one in layers),
        identified=any(one.tokens for one in layers if one.level == "organisation"),
        compiled=compiled,
    )


def _roles(layers: Sequence[Layer]) -> dict[str, frozenset[str] | None]:
    found: dict[str, frozenset[str] | None] = {}
    for role, members in roles_of(layers):
        before = found.get(role, frozenset())
        grouped = any(member.name.startswith("group:") for member in members)
        names = frozenset(member.name for member in members)
        found[role] = None if grouped or before is None else before | names
    return found


def compiled(key: Key, text: str) -> Node | Fault:
    """Return the tree of a condition, or why it is none."""
    compilers = {"when": condition, "value": quantity, "per": plain}
    try:
        return compilers[key](text).node
    except ExpressionError as error:
        return Fault(text=error.problem, line=error.line, column=error.column)


def rules_of(layers: Sequence[Layer]) -> list[RuleText]:
    """Return every rule of every file, as it stands there."""
    return [
        RuleText(
            id=rule.id,
            effect=rule.effect,
            server=rule.server,
            tools=tuple(rule.tools),
            when=rule.when,
            approvers=tuple(rule.approvers),
            approvals=rule.approvals,
            self_approval=rule.self_approval,
            level=layer.level,
            place=_Place(layer, ("policy", "rules", number)),
        )
        for layer in layers
        for number, rule in enumerate(layer.policy.rules)
    ]


def total_texts(layers: Sequence[Layer]) -> list[TotalText]:
    """Return every running total, as it stands in its file."""
    return [
        TotalText(
            name=name,
            server=total.server,
            tools=tuple(total.tools),
            value=total.value,
            per=tuple(total.per),
            level=layer.level,
            place=_Place(layer, ("policy", "totals", name)),
        )
        for name, (total, layer) in totals_of(layers).items()
    ]


class _Place:
    """The place of a table, and of its keys."""

    def __init__(self, layer: Layer, table: tuple[str | int, ...]) -> None:
        self._layer = layer
        self._table = table

    def __call__(self, *key: str) -> str:
        return self._layer.where(*self._table, *key)


def only_server(servers: KnownTools, name: str) -> Mapping[str, tuple[Tool, ...] | None]:
    """Return one server's tools. Raises UsageError if there is no such server."""
    if name not in servers:
        known = nearest(name, [*servers])
        raise UsageError(f'there is no server "{clean_line(name, 80)}"{known}')
    return {name: servers[name]}
