"""What a call is, for a person who is asked something for its sake."""

from collections.abc import Callable
from typing import Protocol

from agent_host.core.conversation import Conversation
from agent_host.core.text import clean_line
from agent_host.surfaces.cards import brief_arguments


class Talking(Protocol):
    """A session, as far as its calls go."""

    @property
    def conversation(self) -> Conversation:
        """The state after the last event."""


def purpose(session: Talking) -> Callable[[str], str]:
    """Return what says, by the id of a call, its name and its arguments on one clean line."""

    def about(call_id: str) -> str:
        state = session.conversation.call(call_id)
        if state is None:
            return ""
        return f"{clean_line(state.call.name, 128)}  {brief_arguments(state.arguments, 60)}".strip()

    return about
