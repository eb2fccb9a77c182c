"""`servers.lock`."""

from dataclasses import dataclass

from agent_host.core.types import Tool
from agent_host.servers.spec import ServerHealth, Spec


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a server from last time."""

    tools: tuple[Tool, ...]
    protocol: str


class Lock:
    """stub"""

    def recall(self, spec: Spec) -> Remembered | None:
        return None

    def remember(self, spec: Spec, health: ServerHealth, tools: tuple[Tool, ...]) -> None:
        return None
