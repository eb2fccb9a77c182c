"""The files that policy comes from, the strictest first.

Theory of operation: up to three files say who may do what: the organisation's policy.toml, which
only root can write; the user's own policy.toml; and the servers.toml in use, which may have come
with a project. Each is a `Layer`. Every rule of every layer counts, and the strictest that matches
wins, so no layer can loosen what another asks or denies. Of what only one can say (`default`,
`expires`, `max_asks`, `flow`) the strictest that was *said* holds; of a total that two layers
define, the one that is further up; of roles, see `roles_of`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from agent_host.config.lines import KeyPath, line_of, locate
from agent_host.config.policy_tables import PolicyConfig, TotalConfig
from agent_host.config.values import seconds
from agent_host.core.types import Decision

Level = Literal["organisation", "user", "project"]

Flow = Literal["ask", "deny", "off"]

_STRICTEST: tuple[Decision, ...] = ("deny", "ask", "allow")
_STRICTEST_FLOW: tuple[Flow, ...] = ("deny", "ask", "off")


@dataclass(frozen=True, kw_only=True)
class Source:
    """The text of a file that was read, and its name for people."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> Mapping[KeyPath, int]:
        """The line of every key."""
        return locate(self.text)

    def where(self, *key: str | int) -> str:
        """Return `policy.toml:12` for a key, or the line of what would hold it."""
        return f"{self.name}:{line_of(self.lines, key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one file says of policy.

    `level`: whose file it is; `project` is the servers.toml in use, also the user's own. `name`:
    the file, for people. `where("policy", "rules", 0)`: the place of a key, as `servers.toml:12`.
    `tokens`: its users are those of an issuer of ID tokens that it names, not those of the
    operating system.
    """

    level: Level
    name: str
    policy: PolicyConfig
    where: Callable[..., str] = field(repr=False, compare=False)
    tokens: bool = False


def default_of(layers: Iterable[Layer]) -> tuple[Decision, str]:
    """Return the answer where no rule matches, the strictest that a layer says, and its place;
    `ask` and "" where none says it."""
    return _strictest(layers, "default", _STRICTEST.index)


def flow_of(layers: Iterable[Layer]) -> tuple[Flow, str]:
    """Return what `policy.flow` is, the strictest that a layer says, and its place; `ask` and ""
    where none says it."""
    return _strictest(layers, "flow", _STRICTEST_FLOW.index)


def expires_of(layers: Sequence[Layer]) -> float:
    """Return the seconds that a question may wait: the shortest time that a layer says."""
    return seconds(_strictest(layers, "expires", seconds)[0])


def max_asks_of(layers: Sequence[Layer]) -> int:
    """Return the most questions for one message: the fewest that a layer says."""
    return int(_strictest(layers, "max_asks", int)[0])


def settings_of(layers: Sequence[Layer]) -> dict[str, tuple[Any, str]]:
    """Return what holds of that which one file says for all: key of `[policy]` -> value and place,
    "" for a default."""
    ranks: dict[str, Callable[[Any], float]] = {
        "default": _STRICTEST.index,
        "expires": seconds,
        "max_asks": int,
        "flow": _STRICTEST_FLOW.index,
    }
    return {key: _strictest(layers, key, rank) for key, rank in ranks.items()}


def _strictest(layers: Iterable[Layer], key: str, rank: Callable[[Any], float]) -> tuple[Any, str]:
    """Return the value of the lowest rank that a layer says, and its place."""
    said = [
        (getattr(layer.policy, key), layer.where("policy", key))
        for layer in layers
        if key in layer.policy.model_fields_set
    ]
    usual = PolicyConfig.model_fields[key].default
    return min(said, key=lambda one: rank(one[0]), default=(usual, ""))


def totals_of(layers: Iterable[Layer]) -> dict[str, tuple[TotalConfig, Layer]]:
    """Return the running totals by name, each with the layer that defines it."""
    found: dict[str, tuple[TotalConfig, Layer]] = {}
    for layer in layers:
        for name, total in layer.policy.totals.items():
            found.setdefault(name, (total, layer))
    return found


@dataclass(frozen=True, slots=True)
class Member:
    """Who has a role: an id or `group:NAME`. `of_system`: the id is one of the operating system's
    users; else one of the users of ID tokens."""

    name: str
    of_system: bool


def roles_of(layers: Sequence[Layer]) -> Iterator[tuple[str, tuple[Member, ...]]]:
    """Yield who has which role, role by role and file by file.

    With an organisation's file only that one's count: else a user could give themselves the role
    that one of its rules asks for.
    """
    above = [layer for layer in layers if layer.level == "organisation"]
    for layer in above or layers:
        for role, who in layer.policy.roles.items():
            yield role, tuple(Member(name, not layer.tokens) for name in who)
