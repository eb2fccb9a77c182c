"""What a run has used, by model and by message: a fold over its records. Pure.

Theory of operation: each answer is a fact with its tokens and, where the price is known, its money;
what a server had the model answer, and summaries, are facts of their own and count for the model
all the same. A message of the user begins a new row, also where it was taken back later: it was
paid for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent_host.core.events import (
    Event,
    ModelChanged,
    ModelResponded,
    Record,
    RunStarted,
    SamplingFinished,
    SummaryFinished,
    UserSaid,
)
from agent_host.core.types import Text, Usage


@dataclass(slots=True)
class Spent:
    """What one model, or one message, has used. `cost` in US dollars of the answers with a known
    price; `unpriced` counts the others; `simulated`: no AI answered."""

    name: str
    answers: int = 0
    usage: Usage = Usage()
    cost: float = 0.0
    unpriced: int = 0
    simulated: bool = False

    def add(self, usage: Usage, cost: float | None) -> None:
        """Count one answer."""
        self.answers += 1
        self.usage += usage
        self.cost += cost or 0.0
        self.unpriced += int(cost is None)


@dataclass(slots=True)
class Spending:
    """By model, in the order of their first answer, and by message of the user. Names are
    uncleaned."""

    models: dict[str, Spent] = field(default_factory=dict)
    messages: list[Spent] = field(default_factory=list)
    _asked: str = ""
    _simulated: bool = False

    def take(self, event: Event) -> None:
        """Count what an event used."""
        match event:
            case RunStarted() | ModelChanged():
                self._asked = f"{event.provider} {event.model}".strip()
                self._simulated = event.simulated
            case UserSaid():
                texts = [b.text for b in event.message.content if isinstance(b, Text)]
                self.messages.append(Spent(name=texts[0][:200] if texts else ""))
            case ModelResponded():
                self._count(event.usage, event.cost)
            case SamplingFinished() | SummaryFinished() if event.usage != Usage():
                self._count(event.usage, event.cost)
            case _:
                pass

    def _count(self, usage: Usage, cost: float | None) -> None:
        if self._asked not in self.models:
            self.models[self._asked] = Spent(name=self._asked, simulated=self._simulated)
        self.models[self._asked].add(usage, cost)
        if self.messages:
            message = self.messages[-1]
            message.simulated = self._simulated and (message.simulated or not message.answers)
            message.add(usage, cost)


def spending(records: Iterable[Record]) -> Spending:
    """Return what a run has used."""
    found = Spending()
    for record in records:
        found.take(record.event)
    return found
