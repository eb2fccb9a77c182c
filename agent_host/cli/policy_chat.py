"""What `/policy` shows in a chat: the last decision, and the rules in force.

Theory of operation: a sink that remembers the last thing that policy and a human said of a call.
The rules are those of the config that the session was opened with, because a session keeps those.
"""

from collections.abc import Iterator

from agent_host.cli.policy_show import in_force
from agent_host.config.load import Loaded
from agent_host.core.errors import ConfigError
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    Ephemeral,
    PolicyDecided,
    Record,
)
from agent_host.core.text import clean_line
from agent_host.policy.explain import demands

_LINE = 500


class RulesInForce:
    """Watches a session; implements `ports.EventSink`."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._decided: PolicyDecided | None = None
        self._answers: list[ApprovalGiven | ApprovalExpired] = []

    def emit(self, item: Record | Ephemeral) -> None:
        """See `ports.EventSink`."""
        event = item.event if isinstance(item, Record) else item
        if isinstance(event, PolicyDecided):
            self._decided, self._answers = event, []
        elif isinstance(event, ApprovalGiven | ApprovalExpired) and self._is_about(event.call_id):
            self._answers.append(event)

    def _is_about(self, call_id: str) -> bool:
        return self._decided is not None and self._decided.call_id == call_id

    def lines(self) -> list[str]:
        """Return the last decision and the rules in force, clean, for people."""
        try:
            rules = in_force(self._loaded)
        except ConfigError as error:
            rules = [clean_line(str(error), _LINE)]
        return [*(clean_line(line, _LINE) for line in self._last()), "", *rules]

    def _last(self) -> Iterator[str]:
        one = self._decided
        if one is None:
            yield "policy has not been asked yet"
            return
        where = f" ({one.origin})" if one.origin else ""
        yield f"last call: {one.server}/{one.tool}: {one.decision}, rule {one.rule}{where}"
        if one.reason:
            yield f"because: {one.reason}"
        others = [name for name in one.rules if name != one.rule]
        if others:
            yield f"so say also: {', '.join(others)}"
        if one.decision == "ask":
            yield f"it takes: {'; '.join(demands(one.terms))}"
        for answer in self._answers:
            if isinstance(answer, ApprovalExpired):
                yield "nobody answered in time"
            else:
                said = "approved" if answer.decision == "approve" else "denied"
                yield f"{said} by {answer.by}{': ' + answer.feedback if answer.feedback else ''}"
