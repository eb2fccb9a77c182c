"""What every server of a pool is kept with: clock, chance, environment, and whom to tell what.

Theory of operation: nothing here is looked up; whoever makes a pool says what the world is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_host.ports import Answer, Observer
from agent_host.servers.offer import Judge, trusting
from agent_host.servers.spec import LoadConnector


@dataclass(slots=True)
class World:
    """What every supervisor shares: the injected clock, chance, environment and observer;
    `answer` and `elicitation` as in `spec.Hooks`; `judge` says what may be
    offered. What is told of changes is given the supervisor that they are about."""

    observe: Observer
    load: LoadConnector
    environ: Mapping[str, str]
    monotonic: Callable[[], float]
    chance: Callable[[], float]
    tools_changed: Callable[[Any], None]
    resources_changed: Callable[[Any], None]
    connected: Callable[[Any], None]
    answer: Answer
    elicitation: bool = False
    judge: Judge = trusting
