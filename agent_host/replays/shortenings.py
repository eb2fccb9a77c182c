"""When a recorded conversation was shortened, for a run that says the same again.

Theory of operation: a compaction hangs on the model's window, on all tools and on a summary that
may be a model's; so it is taken as it is recorded, at the same number of messages. One that a user
went back over is gone; one that stands only for messages before that holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_host.core.conversation import Conversation, apply
from agent_host.core.events import ContextCompacted, ConversationRewound, Event


@dataclass(frozen=True, slots=True)
class Shortening:
    """A compaction, and how many messages there were."""

    length: int
    event: ContextCompacted


def shortenings(events: Sequence[Event]) -> list[Shortening]:
    """Return the compactions that still stand, in order. Raises UsageError for events that are no
    legal run."""
    state = Conversation()
    found: list[Shortening] = []
    for event in events:
        state = apply(state, event)
        if isinstance(event, ContextCompacted):
            found.append(Shortening(len(state.messages), event))
        elif isinstance(event, ConversationRewound):
            found = [
                Shortening(min(one.length, event.messages), one.event)
                for one in found
                if max(one.event.messages, one.event.results) <= event.messages
            ]
    return found
