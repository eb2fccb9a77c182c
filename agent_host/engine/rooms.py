"""What a session works with, and what its performers need of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from agent_host.core.compaction import Space
from agent_host.core.conversation import Conversation
from agent_host.core.events import Event
from agent_host.core.limits import Limits
from agent_host.core.offering import Offering
from agent_host.core.types import JsonObject, Origin, Principal, ToolChoice
from agent_host.engine.feed import Feed
from agent_host.ports import (
    Approver,
    Fallback,
    ModelAdapter,
    Policy,
    Pricing,
    Respondent,
    ToolSource,
    Vault,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a model is asked again: at most `attempts` times within `seconds` in all, and
    only while nothing of an answer was shown. A provider's Retry-After is honoured within that.
    While another model stands by: at most `attempts_before_fallback` times within
    `seconds_before_fallback`."""

    attempts: int = 4
    seconds: float = 120.0
    first_wait: float = 0.5
    longest_wait: float = 20.0
    attempts_before_fallback: int = 2
    seconds_before_fallback: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """When a conversation is shortened for its model, and how: at `share` of the model's window
    (1: only when the provider refuses); `by_model`: the model writes the summary of what is left
    out."""

    share: float = 0.8
    by_model: bool = False


USUAL_COMPACTION = Compaction()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a model takes, in tokens: prompt and answer together, and the longest answer that it
    is asked for; 0 if that is not known."""

    tokens: int = 0
    answer: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What servers may have of the model in one run. `ask`: a human sees each request first;
    `max_requests` of all servers together, `max_tokens` of one answer."""

    ask: bool = True
    max_requests: int = 20
    max_tokens: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The adapters of a session. `fallback`, `prices` and `respondent` may be missing: then no
    other model is asked, no cost is known, and what servers ask for is declined. `offering` says
    which of the tools a model is offered, for this session alone; `windows`, what a model takes.
    `vault` keeps secrets from the model; without one it gets what tools return. `recorded` returns
    arguments as records show them: what an approval is bound to has to be the same after the run
    was resumed."""

    model: ModelAdapter
    tools: ToolSource
    policy: Policy
    approver: Approver
    fallback: Fallback | None = None
    prices: Pricing | None = None
    respondent: Respondent | None = None
    offering: Offering = field(default_factory=Offering)
    vault: Vault | None = None
    windows: Callable[[Origin], Window] = lambda _origin: Window()
    recorded: Callable[[JsonObject], JsonObject] = lambda arguments: arguments


class Host(Protocol):
    """What a performer needs of its session. `wall`: seconds since the epoch. `tool_choice` holds
    for the first request after a user's message; `output_schema` for every request."""

    conversation: Conversation
    feed: Feed
    principal: Principal
    retry: Retry
    limits: Limits
    sampling: Sampling
    new_id: Callable[[], str]
    wall: Callable[[], float]
    deferred: set[str]
    stopping: bool
    rooms: Rooms
    tool_choice: ToolChoice
    output_schema: JsonObject | None
    compaction: Compaction

    @property
    def space(self) -> Space:
        """What the model takes."""

    def record(self, event: Event) -> None:
        """Record a fact and apply it."""

    def change_model(self, model: ModelAdapter, by: str, reason: str = "") -> None:
        """Let another model answer from here on."""
