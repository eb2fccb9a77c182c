"""What fills a model's context: about how many tokens each part of the next request is.

Theory of operation: what a provider counted for its last answer is exact, and only what came after
it is estimated (see `size`). `used` is that sum, by which the engine decides when a conversation is
compacted; `filling` shares the same sum out among the parts, by their characters, so that what a
person is shown adds up to what the engine goes by.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

from agent_host.core.context import view
from agent_host.core.conversation import Conversation
from agent_host.core.offering import definition_size
from agent_host.core.size import block_size, characters, tokens
from agent_host.core.types import (
    Audio,
    Block,
    Image,
    Message,
    Reasoning,
    Resource,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

Kind = Literal["system", "tools", "summary", "user", "attachments", "assistant", "results"]
"""`tools`: definitions; `assistant`: the model's text, reasoning and calls; `results`: of tools."""

_ORDER: tuple[Kind, ...] = (
    "system",
    "tools",
    "summary",
    "user",
    "attachments",
    "assistant",
    "results",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """About how many tokens a part is; `server`: whose tools or results, empty for the rest."""

    kind: Kind
    tokens: int
    server: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """`parts` add up to `used` tokens; `window` is what the model takes, 0 if that is not known;
    at `mark` tokens the conversation is compacted, 0: only when the provider refuses."""

    parts: tuple[Part, ...]
    used: int
    window: int = 0
    mark: int = 0


def fixed_size(system: str, tools: Iterable[Tool]) -> int:
    """Return about how many characters a request has before its first message."""
    return len(system) + sum(map(definition_size, tools))


def used(conversation: Conversation, fixed: int) -> int:
    """Return about how many tokens the next request is. `fixed`: see `fixed_size`."""
    c = conversation
    return c.counted + tokens(c.uncounted) if c.counted else tokens(c.uncounted + fixed)


def filling(
    conversation: Conversation, tools: Sequence[Tool], *, window: int = 0, mark: int = 0
) -> Filling:
    """Return what the next request with these tools is made of; empty parts are left out, the
    largest of a kind come first."""
    sizes: dict[tuple[Kind, str], int] = defaultdict(int)
    sizes["system", ""] = len(conversation.system)
    for tool in tools:
        sizes["tools", tool.server] += definition_size(tool)
    servers = {tool.name: tool.server for tool in tools}
    messages = view(conversation)
    if conversation.summaries:
        sizes["summary", ""] += characters(messages[0])
        messages = messages[1:]
    names: dict[str, str] = {}
    for message in messages:
        for kind, server, size in _sizes(message, names, servers):
            sizes[kind, server] += size
    total = used(conversation, fixed_size(conversation.system, tools))
    return Filling(parts=_shared(sizes, total), used=total, window=window, mark=mark)


def _sizes(
    message: Message, names: dict[str, str], servers: dict[str, str]
) -> Iterator[tuple[Kind, str, int]]:
    """Kind, server and characters of each block. `names`: of the calls so far, by their ids."""
    for block in message.content:
        server = ""
        if isinstance(block, ToolCall):
            names[block.id] = block.name
        elif isinstance(block, ToolResult):
            name = names.get(block.call_id, "")
            server = servers.get(name) or name.partition("__")[0]
        yield _kind(message, block), server, block_size(block)


def _kind(message: Message, block: Block) -> Kind:
    match block:
        case ToolResult():
            return "results"
        case ToolCall() | Reasoning():
            return "assistant"
        case Text():
            return "user" if message.role == "user" else "assistant"
        case Image() | Audio() | Resource():
            return "attachments"
        case _ as unreachable:
            assert_never(unreachable)


def _shared(sizes: dict[tuple[Kind, str], int], total: int) -> tuple[Part, ...]:
    """Whole tokens that add up to `total`, in the measure of the sizes."""
    known = sorted(
        ((kind, server, size) for (kind, server), size in sizes.items() if size),
        key=lambda one: (_ORDER.index(one[0]), -one[2], one[1]),
    )
    parts: list[Part] = []
    so_far = given = 0
    whole = sum(size for _, _, size in known)
    for kind, server, size in known:
        so_far += size
        share = total * so_far // whole - given
        given += share
        parts.append(Part(kind=kind, tokens=share, server=server))
    return tuple(parts)
