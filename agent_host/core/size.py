"""How much a conversation is: characters, and an estimate of tokens.

Theory of operation: what a provider counted for its last answer is exact, so only what came after
it is estimated, at the three and a half characters a token that English text and JSON come to;
a picture counts as much as the largest that providers bill. The estimate is for budgets and hints,
never for cutting.
"""

from typing import assert_never

from agent_host.core.types import (
    Audio,
    Block,
    Image,
    Message,
    Reasoning,
    Resource,
    Text,
    ToolCall,
    ToolResult,
)

CHARACTERS_PER_TOKEN = 3.5
_MEDIA = 5_600
"""Characters that a picture or a sound counts as: 1,600 tokens."""


def characters(message: Message) -> int:
    """Return about how many characters a message is for a model."""
    return sum(map(block_size, message.content)) + 16


def block_size(block: Block) -> int:
    """Return about how many characters a block is for a model."""
    match block:
        case Text() | Reasoning():
            return len(block.text)
        case Image() | Audio():
            return _MEDIA
        case Resource():
            return len(block.text) if block.text is not None else _MEDIA if block.data else 64
        case ToolCall():
            return len(block.name) + json_size(block.arguments) + 32
        case ToolResult():
            return sum(map(block_size, block.content)) + 32
        case _ as unreachable:
            assert_never(unreachable)


def json_size(value: object) -> int:
    """About the length of a value as JSON, without writing it."""
    total, queue = 0, [value]
    while queue:
        one = queue.pop()
        if isinstance(one, str):
            total += len(one) + 2
        elif isinstance(one, dict):
            total += 2
            for key, inner in one.items():
                total += len(key) + 4
                queue.append(inner)
        elif isinstance(one, list):
            total += 2 + len(one)
            queue.extend(one)
        else:
            total += 6
    return total


def tokens(size: int) -> int:
    """Return about how many tokens so many characters are."""
    return int(size / CHARACTERS_PER_TOKEN) + 1
