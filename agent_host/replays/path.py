"""What a recorded run came to: the words of its user, and the answers that still stand.

Theory of operation: the run is folded; what it went back over (`conversation_rewound`) is gone from
both. An answer is told by its calls and its words; the order of calls that were made together, and
their ids, say nothing.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent_host.core.conversation import Conversation, apply
from agent_host.core.events import ConversationRewound, Event, ModelResponded, UserSaid
from agent_host.core.types import Json, JsonObject, Message, Text, ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Words of the user (`answers` is then empty), and the answers up to the next ones. `places`:
    where in the run each answer is recorded."""

    message: Message
    answers: tuple[Message, ...]
    places: tuple[int, ...]


def exchanges(events: Sequence[Event]) -> list[Said]:
    """Return what was said, in order. Raises UsageError for events that are no legal run."""
    state = Conversation()
    kept: list[tuple[int, int, Message]] = []
    for place, event in enumerate(events):
        before = len(state.messages)
        state = apply(state, event)
        if isinstance(event, ConversationRewound):
            kept = [one for one in kept if one[0] < event.messages]
        elif isinstance(event, UserSaid | ModelResponded):
            kept.append((before, place, event.message))
    found: list[Said] = []
    answers: list[tuple[int, Message]] = []
    for _, place, message in reversed(kept):
        if message.role == "assistant":
            answers.insert(0, (place, message))
            continue
        places, words = tuple(p for p, _ in answers), tuple(m for _, m in answers)
        found.insert(0, Said(message=message, answers=words, places=places))
        answers = []
    return found


def key(name: str, arguments: Json) -> str:
    """Return what two calls have in common that ask for the same."""
    return f"{name} {json.dumps(arguments, sort_keys=True, ensure_ascii=False)}"


def calls(message: Message | None) -> tuple[ToolCall, ...]:
    """Return the calls of an answer."""
    return tuple(b for b in message.content if isinstance(b, ToolCall)) if message else ()


def words(message: Message | None) -> str:
    """Return the text of an answer."""
    return "".join(b.text for b in message.content if isinstance(b, Text)) if message else ""


Alike = Callable[[str, Json], str]
"""Takes a call's name and arguments, and returns what calls that count as the same have in common;
`key`, unless something is to be left out."""


def same_calls(one: Message | None, other: Message | None, alike: Alike = key) -> bool:
    """Whether two answers ask for the same calls."""
    first, second = (Counter(alike(c.name, c.arguments) for c in calls(m)) for m in (one, other))
    return first == second


def shape(message: Message | None, *, exact: bool = False) -> JsonObject | None:
    """Return what is compared of an answer, as JSON; its words where there is no call, or if
    `exact`."""
    if message is None:
        return None
    asked: list[Json] = [{"tool": c.name, "arguments": c.arguments} for c in calls(message)]
    if exact or not asked:
        return {"calls": asked, "text": words(message)}
    return {"calls": asked}
