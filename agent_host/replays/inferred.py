"""What a process was set to, as far as its record tells: names, limits, deadlines.

Theory of operation: settings are not recorded, only what they led to. A limit is known once it was
reached; before that any limit that is not reached does as well.
"""

import re
from datetime import datetime
from typing import Any

from agent_host.core.events import LimitReached, SamplingFinished, ToolFinished
from agent_host.core.limits import Limits
from agent_host.engine.rooms import Sampling
from agent_host.replays.recording import Recording
from agent_host.replays.tools import words_of

_ASKS = re.compile(r"not executed: a human was asked (\d+) times for one message, the limit")
_USED_UP = re.compile(r"this run's (\d+) requests for the model are used up")
_COUNTED = re.compile(r"request-(\d+)")
_EVER = 10**9


class RecordedIds:
    """Names requests as the recorded process did: by counting, or as they are recorded."""

    def __init__(self, ids: list[str], opening: int) -> None:
        found = [_COUNTED.fullmatch(name) for name in ids]
        counted = all(match is not None and int(match[1]) > opening for match in found)
        self._ids = None if counted else iter(ids)
        self._next = opening

    def __call__(self) -> str:
        """Return the next name."""
        self._next += 1
        usual = f"request-{self._next}"
        return usual if self._ids is None else next(self._ids, usual)


def limits(recording: Recording, segment: range) -> Limits:
    """The limits that were reached; whether others were set is not known. Where the process ended
    before that was recorded, it is what was refused because of them that tells."""
    found: dict[str, Any] = {}
    refused: dict[str, int] = {}
    for place in segment:
        event = recording.events[place]
        if isinstance(event, LimitReached):
            found.setdefault(f"max_{event.name}", event.limit)
        elif isinstance(event, ToolFinished) and event.result.error == "denied":
            asks = _ASKS.fullmatch(words_of(event.result))
            if asks is not None:
                found.setdefault("max_asks", int(asks[1]))
        elif isinstance(event, ToolFinished) and event.result.error == "limit":
            number = recording.numbers[place]
            if number is not None:
                refused["max_tool_calls"] = min(refused.get("max_tool_calls", number), number)
    return Limits(**{"max_turns": None, "max_tool_calls": None, **refused, **found})


def sampling(recording: Recording, segment: range) -> Sampling:
    """What servers could have of the model: the number that was used up, if it was."""
    most = _EVER
    for place in segment:
        event = recording.events[place]
        if isinstance(event, SamplingFinished):
            used_up = _USED_UP.fullmatch(event.error)
            most = min(most, int(used_up[1])) if used_up is not None else most
    return Sampling(ask=True, max_requests=most, max_tokens=_EVER)


def seconds(at: str) -> float:
    """Seconds since the epoch of a time in a record; 0 if it is none."""
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return 0.0
