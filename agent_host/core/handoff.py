"""Any history made legal for any provider, as far as that does not depend on the provider.

Theory of operation: every provider refuses a conversation in which a call has no result, a result
has no call, results come in another place than right behind their calls, or two calls share an id.
The fold never makes such a conversation, but a history may have been shortened, imported or written
by another program. One pass puts it right and loses nothing that can be said: a missing result says
that it is missing, a result without its call becomes words of the user. Messages that are legal as
they stand keep their identity, and a history that is legal as a whole is returned as it is, so that
adapters serialize each message once. What depends on the wire (ids, signatures, where pictures may
stand, who may speak after whom) is each adapter's, when it writes a message.
"""

from collections.abc import Sequence
from dataclasses import replace

from agent_host.core.types import Block, Message, Text, ToolCall, ToolResult

_MISSING = "there is no record of this call's result; it may or may not have taken effect"


def legal(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages as every provider accepts them."""
    return messages if is_legal(messages) else tuple(_mended(messages))


def is_legal(messages: Sequence[Message], seen: set[str] | None = None) -> bool:
    """Return whether each call has its one result right behind it, and nothing else has one.

    `seen`: the ids of calls before these messages; those of the new ones are added.
    """
    seen = set() if seen is None else seen
    waiting: tuple[str, ...] = ()
    for message in messages:
        if message.role == "tool":
            if not waiting or tuple(_result_ids(message)) != waiting:
                return False
            waiting = ()
            continue
        ids = _call_ids(message)
        if waiting or len(set(ids)) != len(ids) or not seen.isdisjoint(ids) or "" in ids:
            return False
        if ids and message.role != "assistant":
            return False
        if any(isinstance(block, ToolResult) for block in message.content):
            return False
        seen.update(ids)
        waiting = ids
    return not waiting


def _call_ids(message: Message) -> tuple[str, ...]:
    return tuple(block.id for block in message.content if isinstance(block, ToolCall))


def _result_ids(message: Message) -> list[str]:
    """The ids of a message of results; one that holds anything else is none."""
    ids = [block.call_id for block in message.content if isinstance(block, ToolResult)]
    return ids if len(ids) == len(message.content) else [*ids, ""]


def _mended(messages: Sequence[Message]) -> list[Message]:
    """One turn after the other: an assistant's message, and all results up to the next one that
    speaks."""
    result: list[Message] = []
    seen: set[str] = set()
    place = 0
    while place < len(messages):
        message = messages[place]
        place += 1
        behind: list[Message] = []
        if message.role == "assistant":
            while place < len(messages) and messages[place].role == "tool":
                behind.append(messages[place])
                place += 1
            result += _turn(message, behind, seen)
        else:
            result += _words(message)
    return result


def _turn(message: Message, behind: Sequence[Message], seen: set[str]) -> list[Message]:
    """An assistant's message with its results: one for each call, in the order of the calls."""
    found: dict[str, ToolResult] = {}
    lost: list[Message] = []
    wanted = set(_call_ids(message))
    for one in behind:
        rest: list[Block] = []
        for block in one.content:
            if (
                isinstance(block, ToolResult)
                and block.call_id in wanted
                and block.call_id not in found
            ):
                found[block.call_id] = block
            else:
                rest.append(block)
        if rest:
            lost += _words(replace(one, content=tuple(rest)))
    spoken, names = _with_own_ids(message, seen)
    turn = [spoken] if spoken.content else []
    if names:
        results = tuple(_result(old, new, found) for old, new in names)
        same = len(behind) == 1 and behind[0].content == results
        turn.append(behind[0] if same else Message(role="tool", content=results))
    return [*turn, *lost]


def _with_own_ids(message: Message, seen: set[str]) -> tuple[Message, list[tuple[str, str]]]:
    """The message with ids that no other call has, and each call's id as it was and as it is."""
    names: list[tuple[str, str]] = []
    content: list[Block] = []
    for block in message.content:
        if isinstance(block, ToolResult):
            continue
        if isinstance(block, ToolCall):
            own = block.id or "call"
            number = 1
            while own in seen:
                number += 1
                own = f"{block.id or 'call'}_{number}"
            seen.add(own)
            names.append((block.id, own))
            content.append(block if own == block.id else replace(block, id=own))
        else:
            content.append(block)
    same = len(content) == len(message.content) and all(old == new for old, new in names)
    return (message if same else replace(message, content=tuple(content))), names


def _result(old: str, new: str, found: dict[str, ToolResult]) -> ToolResult:
    known = found.pop(old, None)
    if known is None:
        missing = Text(text=_MISSING)
        return ToolResult(call_id=new, content=(missing,), error="outcome_unknown")
    return known if old == new else replace(known, call_id=new)


def _words(message: Message) -> list[Message]:
    """A message of a user, or of results without a call, as what a user may say."""
    content: list[Block] = []
    changed = message.role != "user"
    for block in message.content:
        if isinstance(block, ToolResult):
            content.append(Text(text="Result of a call that is not in this conversation:"))
            content.extend(block.content)
            changed = True
        elif isinstance(block, ToolCall):
            changed = True
        else:
            content.append(block)
    if not content:
        return []
    return [Message(role="user", content=tuple(content)) if changed else message]
