"""`/SERVER:PROMPT arguments`: which prompt is meant, with what, and the message that it makes.

Theory of operation: arguments are written as `name=value`, or in their order; quotes hold blanks
together, as in a shell, but nothing is ever expanded. A prompt of one argument takes the whole
line. The messages that the server makes of it become one turn of the user, because a user who
calls a prompt says it; where the server wrote both sides of a dialogue, each part says whose it is.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from agent_host.core.context import bound_content
from agent_host.core.text import clean_line
from agent_host.core.types import Audio, Content, Image, Message, Resource, Text
from agent_host.surfaces.chat_host import PromptArgument, PromptInfo


@dataclass(frozen=True, slots=True)
class Invocation:
    """A line that calls a prompt."""

    server: str
    name: str
    rest: str


def invocation(line: str) -> Invocation | None:
    """Return what a line such as `/docs:summarise x` calls, None if it is none."""
    word, _, rest = line.removeprefix("/").partition(" ")
    server, colon, name = word.partition(":")
    return Invocation(server, name, rest.strip()) if colon and server and name else None


def arguments_of(wanted: Sequence[PromptArgument], text: str) -> dict[str, str] | str:
    """Return the arguments that a text gives, or what is wrong with it: a clean sentence."""
    names = [argument.name for argument in wanted]
    if not text:
        return {}
    if len(names) == 1 and not text.startswith(f"{names[0]}="):
        return {names[0]: _unquoted(text)}
    try:
        words = shlex.split(text)
    except ValueError as error:
        return f"the arguments cannot be read: {clean_line(str(error), 80)}"
    given: dict[str, str] = {}
    placed: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in names:
            given[name] = value
        else:
            placed.append(word)
    free = [name for name in names if name not in given]
    if len(placed) > len(free):
        known = ", ".join(clean_line(name, 60) for name in names) or "none"
        return f"{clean_line(placed[len(free)], 60)!r} is one too many; its arguments: {known}"
    return given | dict(zip(free, placed, strict=False))


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted and text[0] not in text[1:-1] else text


def turn_of(messages: Sequence[Message]) -> Message:
    """Return the messages of a prompt as one of the user, bounded."""
    both = any(message.role == "assistant" for message in messages)
    content: list[Content] = []
    for message in messages:
        if both:
            content.append(Text(text=f"[{message.role}]"))
        content += [b for b in message.content if isinstance(b, Text | Image | Audio | Resource)]
    return Message(role="user", content=bound_content(content)[0])


def shown_turn(message: Message) -> str:
    """Return what a turn says, uncleaned."""
    parts: list[str] = []
    for block in message.content:
        if isinstance(block, Text):
            parts.append(block.text)
        elif isinstance(block, Resource):
            parts.append(f"[resource {block.uri}]\n{block.text or ''}".rstrip())
        elif isinstance(block, Image | Audio):
            parts.append(f"[{block.type}, {block.media_type}, {len(block.data) * 3 // 4:,} bytes]")
    return "\n".join(parts)


def usage(prompt: PromptInfo) -> str:
    """Return how a prompt is called: clean, one line."""
    words = [
        f"{clean_line(a.name, 60)}=…" if a.required else f"[{clean_line(a.name, 60)}=…]"
        for a in prompt.arguments
    ]
    return " ".join([f"/{clean_line(prompt.server, 64)}:{clean_line(prompt.name, 128)}", *words])
