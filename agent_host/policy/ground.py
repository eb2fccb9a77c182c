"""What conditions are checked against: the rules as they were written, and what there is.

Theory of operation: plain values, made by whoever has read the files; nothing here reads one.
`variables` says what the variables of a condition may be for the calls of one tool, which must
agree with what the engine gives them (`facts`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from agent_host.core.types import Decision, Tool
from agent_host.policy.shapes import Alternative, Shape, list_of, only, plain
from agent_host.policy.shapes import shape_of as shape_of_schema
from agent_host.policy.syntax import Node

Level = Literal["organisation", "user", "project"]
Key = Literal["when", "value", "per"]
"""Which key of a rule or total a text stands at, which decides what it has to come to."""
Place = Callable[..., str]
"""The place of a key of a table, as `servers.toml:12`; without a key, of the table itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    """A rule as it stands in a file."""

    id: str
    effect: Decision
    server: str = "*"
    tools: tuple[str, ...] = ("*",)
    when: str | None = None
    approvers: tuple[str, ...] = ()
    approvals: int = 1
    self_approval: bool = True
    level: Level = "project"
    place: Place = lambda *_: "servers.toml:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalText:
    """A running total as it stands in a file."""

    name: str
    server: str = "*"
    tools: tuple[str, ...] = ("*",)
    value: str = "1.0"
    per: tuple[str, ...] = ("user.id",)
    level: Level = "project"
    place: Place = lambda *_: "servers.toml:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a text is no condition. Line and column, from 1, where they are known."""

    text: str
    line: int = 0
    column: int = 0


Compiler = Callable[[Key, str], Node | Fault]
"""Returns the tree of a text, or why it is none. Never raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What there is. `servers`: the tools of each configured server, None where nobody has seen
    them. `labels`: those that the config gives; `more_labels`: trusted servers may give others.
    `roles`: who has each role, None where that is not known here (groups); `more_roles`: ID tokens
    name others. `identified`: the organisation's file says who users are."""

    servers: Mapping[str, tuple[Tool, ...] | None]
    labels: frozenset[str] = frozenset()
    more_labels: bool = False
    roles: Mapping[str, frozenset[str] | None]
    more_roles: bool = False
    identified: bool = False
    compiled: Compiler


def variables(tool: Tool | None) -> dict[str, Shape]:
    """Return what the variables of a condition may be for the calls of a tool; None: of any."""
    return {
        "args": plain("map") if tool is None else _arguments(tool),
        "signed": plain("map") if tool is None else _arguments(tool),
        "now": plain("time"),
        **_OF_ALL,
        **(_OF_ANY_TOOL if tool is None else _of_tool(tool)),
    }


def _arguments(tool: Tool) -> Shape:
    return shape_of_schema(tool.input_schema).of("map")


_TEXT = plain("string")
_TRUTH = plain("bool")
_WORDS = list_of(_TEXT)
_COUNT = Shape((Alternative(kind="number", low=0, high=2.0**53),))
_HINTS = ("destructive", "idempotent", "open_world")
_OF_ALL = {
    "user.id": _TEXT,
    "user.issuer": _TEXT,
    "user.roles": _WORDS,
    "user.claims": plain("map"),
    "run.id": _TEXT,
    "run.labels": _WORDS,
    "run.cost": _COUNT,
    "run.turn": _COUNT,
    "run.calls": _COUNT,
    "run.interactive": _TRUTH,
    "run.model": _TEXT,
    "run.provider": _TEXT,
}
_OF_ANY_TOOL = {
    "tool.name": _TEXT,
    "tool.server": _TEXT,
    "tool.source": _TEXT,
    "tool.labels": _WORDS,
    "tool.new": _TRUTH,
    "tool.read_only": _TRUTH,
    "tool.annotations_trusted": _TRUTH,
    **{f"tool.{hint}": _TRUTH for hint in _HINTS},
}


def _of_tool(tool: Tool) -> dict[str, Shape]:
    """What is certain of a tool: its name, not what its server may say tomorrow."""
    return {**_OF_ANY_TOOL, "tool.name": only(tool.tool), "tool.server": only(tool.server)}
