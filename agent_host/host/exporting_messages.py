"""A conversation as the JSON document of a model API, written in pieces.

Theory of operation: the encoders of the adapters write a whole request, which for a long run would
be in memory several times. So the conversation is cut where nothing of one side reaches the other:
before a user speaks whom the model has answered in words. Each part is encoded together with what
the user says next, because what ends a request may differ from what goes on, and that last message
is left out again. ASCII alone is written: nothing that is hidden or turns text around stands in it
as it is.
"""

import json
from collections.abc import Callable, Iterator, Sequence

from agent_host.core.handoff import legal
from agent_host.core.types import JsonObject, Message, Text

AT_LEAST = 32
"""Messages in a part."""

Encoding = Callable[[tuple[Message, ...], bool], bytes]
"""Makes the JSON array of some messages; whether they are the first."""


def document(head: JsonObject, messages: Sequence[Message], encoded: Encoding) -> Iterator[str]:
    """Yield the document: the members of `head`, and the messages as `encoded` writes them, made
    legal for any provider."""
    begin = json.dumps({**head, "messages": []}, indent=1).removesuffix("]\n}")
    end = ""
    for one in _wire(legal(tuple(messages)), encoded):
        shown = json.dumps(one, indent=1).replace("\n", "\n  ")
        yield f"{begin}\n  {shown}"
        begin, end = ",", "\n "
    yield f"{'' if end else begin}{end}]\n}}\n"


def _wire(messages: tuple[Message, ...], encoded: Encoding) -> Iterator[JsonObject]:
    start = 0
    for place in range(AT_LEAST, len(messages)):
        if place - start >= AT_LEAST and _is_cut(messages, place):
            found = json.loads(encoded(messages[start : place + 1], start == 0))
            yield from found[:-1]
            start = place
    yield from json.loads(encoded(messages[start:], start == 0))


def _is_cut(messages: tuple[Message, ...], place: int) -> bool:
    before, here = messages[place - 1], messages[place]
    answered = before.role == "assistant" and any(
        isinstance(block, Text) and block.text.strip() for block in before.content
    )
    return here.role == "user" and answered
