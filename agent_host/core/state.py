"""The state of a run: what a fold over its events comes to.

Theory of operation: see `conversation`, the only room that makes one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent_host.core.calls import CallState, Grant
from agent_host.core.events import (
    ApprovalRequested,
    InputRequested,
    LimitReached,
    ModelFailed,
    RunEnded,
    SamplingRequested,
)
from agent_host.core.replacing import replace
from agent_host.core.types import LabelSeen, Message, Origin, Principal, StopReason, Usage

Awaiting = Literal["start", "user", "model", "tools", "approval", "input", "nothing"]
"""What a conversation waits for. `start`: its first event; `nothing`: it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What stands for the first `messages` messages."""

    messages: int
    message: Message


@dataclass(frozen=True, kw_only=True)  # without slots: see `replacing`
class Conversation:
    """The state of a run.

    `phase` is where the dialogue stands; `calls` are those of the open turn, in source order, and
    empty between turns; `turns` and `tool_calls` count from the user's last message, `usage` over
    the whole run, as `answers` and `cost` do (US dollars; of `unpriced` answers it is not known);
    `refusals` are the denied calls since the user's last message; `requested` is the model request
    under way; `failure` is why the model did not answer; `questions` are the approval requests of
    the open turn (what a yes binds to); `labels` are those of the data in the context, in the order
    in which they came, and `asks` the questions since the user's last message. `stop_reason` is the
    last answer's, `silent` says that it held neither text nor calls. `rewound` says that the user
    went back and has said nothing since.
    `counted` are the tokens of prompt and answer that the provider counted last (or that a
    compaction came to), 0 for none, and `uncounted` the characters that came after that.
    `summaries` stand for the oldest messages, the last one holds and the others come back when the
    user goes back; of the first `stubbed` messages long tool results are left out; `head` is what
    the model is sent instead of the first `covered` messages. `summarizing` is the request for a
    summary that is under way.
    """

    run_id: str = ""
    principal: Principal = Principal(id="")
    origin: Origin = Origin(provider="", model="", adapter="")
    simulated: bool = False
    system: str = ""
    messages: Sequence[Message] = ()
    calls: tuple[CallState, ...] = ()
    questions: tuple[ApprovalRequested, ...] = ()
    grants: tuple[Grant, ...] = ()
    labels: tuple[LabelSeen, ...] = ()
    asks: int = 0
    inputs: tuple[InputRequested, ...] = ()
    samplings: tuple[SamplingRequested, ...] = ()
    sampled: int = 0
    phase: Literal["start", "user", "model", "tools"] = "start"
    requested: str | None = None
    failure: ModelFailed | None = None
    limit: LimitReached | None = None
    interrupted: bool = False
    summaries: tuple[Summary, ...] = ()
    stubbed: int = 0
    head: tuple[Message, ...] = ()
    covered: int = 0
    summarizing: str | None = None
    rewound: bool = False
    turns: int = 0
    tool_calls: int = 0
    refusals: int = 0
    requests: int = 0
    answers: int = 0
    usage: Usage = Usage()
    cost: float = 0.0
    unpriced: int = 0
    stop_reason: StopReason | None = None
    silent: bool = False
    counted: int = 0
    uncounted: int = 0
    ended: RunEnded | None = None

    @property
    def awaiting(self) -> Awaiting:
        """What has to come next; questions to a human outrank running tools."""
        if self.ended is not None:
            return "nothing"
        if self.inputs:
            return "input"
        if any(s.asked and s.approval is None and s.result is None for s in self.calls):
            return "approval"
        return self.phase

    @property
    def summarized(self) -> int:
        """How many of the oldest messages a summary stands for."""
        return self.summaries[-1].messages if self.summaries else 0

    def call(self, call_id: str) -> CallState | None:
        """Return the state of an open turn's call, or None."""
        return next((s for s in self.calls if s.call.id == call_id), None)

    def with_call(self, state: CallState) -> "Conversation":
        """Return the conversation with another state of that call."""
        call_id = state.call.id
        return replace(self, calls=tuple(state if s.call.id == call_id else s for s in self.calls))
