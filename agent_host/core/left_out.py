"""What the model is no longer sent of a conversation, as a fold has it.

Theory of operation: the log keeps every message. A compaction says how many of the oldest messages
a summary stands for, and up to which message long tool results give way to a stub: one line that
names the tool, how much it was and how to get it back. `head` is made of both once, when a
compaction comes, so that its messages keep their identity from request to request. A user who goes
back takes the newest messages away, and with them the summaries that spoke of them: an older
summary holds again. A message has the same number everywhere: its place in the conversation,
counted from 1.
"""

from collections.abc import Iterator, Sequence
from typing import assert_never

from agent_host.core.decisions import require
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    ContextCompacted,
    ConversationRewound,
    SummaryFinished,
    SummaryRequested,
)
from agent_host.core.replacing import replace
from agent_host.core.size import block_size, characters
from agent_host.core.state import Conversation, Summary
from agent_host.core.text import clean_line
from agent_host.core.types import Block, Message, Text, ToolCall, ToolResult

WORTH = 600
"""Characters that a tool result must have at least to be left out: a stub has some, too."""

LeftOut = SummaryRequested | SummaryFinished | ContextCompacted | ConversationRewound


def apply_left_out(c: Conversation, event: LeftOut) -> Conversation:
    """Return the conversation after `event`. Raises UsageError if it is not a legal move."""
    match event:
        case SummaryRequested():
            require(c.summarizing is None, "a summary is already being written")
            require(c.requested is None, "the model is being asked")
            return replace(c, summarizing=event.request_id)
        case SummaryFinished():
            if c.summarizing != event.request_id:
                raise UsageError(f"summary {event.request_id!r} is not being written")
            return replace(
                c,
                summarizing=None,
                usage=c.usage + event.usage,
                cost=c.cost + (event.cost or 0.0),
                unpriced=c.unpriced + int(event.cost is None and not event.error),
            )
        case ContextCompacted():
            return _compacted(c, event)
        case ConversationRewound():
            return _rewound(c, event)
        case _ as unreachable:
            assert_never(unreachable)


def _compacted(c: Conversation, event: ContextCompacted) -> Conversation:
    """What the provider counted is not what the model will be sent."""
    count = len(c.messages)
    if not (0 <= event.messages <= count and 0 <= event.results <= count):
        raise UsageError(f"{max(event.messages, event.results)} messages cannot be compacted")
    if not event.messages and not event.results:
        raise UsageError("0 messages cannot be compacted")
    summaries = c.summaries
    if event.messages:
        text = Text(text=event.summary)
        message = Message(role="user", content=(text,))
        older = tuple(s for s in summaries if s.messages < event.messages)
        summaries = (*older, Summary(messages=event.messages, message=message))
    c = _with_head(replace(c, summaries=summaries, stubbed=max(c.stubbed, event.results)))
    return replace(c, counted=event.after, uncounted=0 if event.after else view_size(c))


def _rewound(c: Conversation, event: ConversationRewound) -> Conversation:
    require(c.requested is None and c.summarizing is None, "the model is being asked")
    kept = event.messages
    if not (0 <= kept < len(c.messages) and c.messages[kept].role == "user"):
        raise UsageError(f"no message of the user comes after the first {kept} messages")
    c = replace(
        c,
        messages=c.messages[:kept],
        summaries=tuple(s for s in c.summaries if s.messages <= kept),
        stubbed=min(c.stubbed, kept),
        questions=(),
        failure=None,
        limit=None,
        interrupted=False,
        turns=0,
        tool_calls=0,
        refusals=0,
        asks=0,
        stop_reason=None,
        silent=False,
        rewound=True,
    )
    c = _with_head(c)
    return replace(c, counted=0, uncounted=view_size(c))


def view_size(c: Conversation) -> int:
    """About how many characters of messages the model is sent."""
    return sum(map(characters, c.head)) + sum(map(characters, c.messages[c.covered :]))


def _with_head(c: Conversation) -> Conversation:
    covered = max(c.summarized, c.stubbed)
    summary = (c.summaries[-1].message,) if c.summaries else ()
    head = (*summary, *stubs(c.messages, c.summarized, covered))
    return replace(c, head=head, covered=covered)


def stubs(messages: Sequence[Message], first: int, end: int) -> Iterator[Message]:
    """Yield the messages from `first` up to `end`, with stubs where long tool results were. What
    stays as it is keeps its identity."""
    for place in range(first, end):
        message = messages[place]
        if message.role != "tool" or not any(map(_is_long, message.content)):
            yield message
            continue
        calls = messages[place - 1].content if place else ()
        names = {block.id: block.name for block in calls if isinstance(block, ToolCall)}
        yield replace(
            message, content=tuple(_stub(block, names, place + 1) for block in message.content)
        )


def saved(message: Message) -> int:
    """Return about how many characters less a message is with stubs."""
    return sum(block_size(b) - WORTH // 2 for b in message.content if _is_long(b))


def _is_long(block: Block) -> bool:
    return isinstance(block, ToolResult) and block_size(block) >= WORTH


def _stub(block: Block, names: dict[str, str], number: int) -> Block:
    if not isinstance(block, ToolResult) or not _is_long(block):
        return block
    name = clean_line(names.get(block.call_id, "this tool"), 128)
    text = (
        f"[the result of {name}, about {block_size(block):,} characters, is left out here to save "
        f"room; host__read_conversation with first = {number} returns it]"
    )
    if block.artifact is not None:
        text += f"\n[the whole is kept as {block.artifact}; host__read_artifact reads it]"
    return replace(block, content=(Text(text=text),), for_user=())
