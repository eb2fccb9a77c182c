"""Commands that look back: what it cost, a call whole, what the model thought.

Theory of operation: calls and thoughts come from the conversation, which holds them whole; what was
used comes from the run's records, because the conversation keeps only sums. Calls are numbered in
the order in which the model asked for them, from 1.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent_host.core.conversation import Conversation
from agent_host.core.limits import Limits
from agent_host.core.money import shown_cost
from agent_host.core.text import clean_line
from agent_host.core.types import Audio, Content, Image, Reasoning, Resource, ToolCall, ToolResult
from agent_host.surfaces.cards import brief_arguments, brief_result, title
from agent_host.surfaces.commands_page import Ground
from agent_host.surfaces.spending import Spending, Spent, spending

_CALLS_LISTED = 20
_MESSAGES_LISTED = 10


@dataclass(frozen=True, slots=True)
class NumberedCall:
    """A call, its number, and its result if there is one."""

    number: int
    call: ToolCall
    result: ToolResult | None


def calls_of(conversation: Conversation) -> list[NumberedCall]:
    """Return every call of a conversation, in order."""
    asked: list[ToolCall] = []
    results: dict[int, ToolResult] = {}
    begun = 0
    for message in conversation.messages:
        if message.role == "tool":
            ids = {asked[place].id: place for place in range(begun, len(asked))}
            for block in message.content:
                if isinstance(block, ToolResult) and block.call_id in ids:
                    results[ids[block.call_id]] = block
        elif message.role == "assistant":
            begun = len(asked)
            asked += [b for b in message.content if isinstance(b, ToolCall)]
    open_ = {s.call.id: s.result for s in conversation.calls if s.result is not None}
    return [
        NumberedCall(n + 1, call, results.get(n) or (open_.get(call.id) if n >= begun else None))
        for n, call in enumerate(asked)
    ]


class LookCommands:
    """See the table of commands for what each does."""

    def __init__(self, ground: Ground) -> None:
        self._host = ground.host
        self._page = ground.page
        self._around = ground.around

    # -- cost ------------------------------------------------------------------------------

    async def cost(self, rest: str) -> None:
        """/cost"""
        c = self._host.session.conversation
        total = Spent("in all", c.answers, c.usage, c.cost, c.unpriced, c.simulated)
        self._page.heading(_spent(total))
        if self._around.records is not None:
            self._parts(await asyncio.to_thread(spending, self._around.records()))
        self._page.items(_left(c, self._host.session.limits))

    def _parts(self, spent: Spending) -> None:
        for one in spent.models.values():
            self._page.item(_spent(one))
            if one.unpriced:
                self._page.item(f"  {one.unpriced} of {one.answers} answers have no known price")
        messages = [one for one in spent.messages if one.answers]
        if len(messages) > 1:
            self._page.say("  by message:")
        shown = messages[-_MESSAGES_LISTED:] if len(messages) > 1 else []
        for one in shown:
            name = clean_line(one.name, 40) or "(no text)"
            self._page.item(f"  {_spent(one, name=f'“{name}”')}")
        if len(messages) > len(shown) > 0:
            self._page.item(f"  … and {len(messages) - len(shown)} before")

    # -- calls -----------------------------------------------------------------------------

    async def show(self, rest: str) -> None:
        """/show"""
        calls = calls_of(self._host.session.conversation)
        if not calls:
            self._page.item("no tool was called yet")
        elif not rest:
            for one in calls[-_CALLS_LISTED:]:
                self._brief(one)
            if len(calls) > _CALLS_LISTED:
                self._page.item(f"… and {len(calls) - _CALLS_LISTED} before; /show N shows each")
        elif not rest.isdecimal() or not 1 <= int(rest[:9]) <= len(calls):
            last = f"1 to {len(calls)}" if len(calls) > 1 else "1"
            self._page.item(f"there is no call {clean_line(rest, 20)!r}; there is {last}")
        else:
            await self._whole(calls[int(rest[:9]) - 1])

    def _name(self, call: ToolCall) -> str:
        tool = self._host.pool.tools().get(call.name)
        if tool is None:
            return clean_line(call.name, 128)
        return title(tool.server, tool.tool)

    def _brief(self, one: NumberedCall) -> None:
        arguments = brief_arguments(one.call.arguments)
        result = brief_result(one.result) if one.result is not None else "no result yet"
        name = f"{one.number} {self._name(one.call)}"
        self._page.item(f"  {arguments}  → {result}", bold=name)

    async def _whole(self, one: NumberedCall) -> None:
        self._page.heading(f"{one.number} {self._name(one.call)}")
        if one.call.fault is not None:
            self._page.item(f"it could not be run as it came: {one.call.fault}")
        given = one.call.raw if one.call.raw is not None else _json(one.call.arguments)
        self._page.item("arguments, as the model wrote them:")
        self._page.behind_bar(given)
        if one.result is None:
            self._page.item("there is no result yet")
            return
        error = f" ({one.result.error})" if one.result.error else ""
        self._page.item(f"result{error}:")
        self._page.behind_bar(await self._result(one.result))
        if one.result.for_user:
            self._page.item("for you alone, never sent to the model:")
            self._page.behind_bar("\n".join(map(_shown, one.result.for_user)))

    async def _result(self, result: ToolResult) -> str:
        """All of a result, also what the model was not sent."""
        if result.artifact and self._around.artifact is not None:
            whole = await asyncio.to_thread(self._around.artifact, result.artifact)
            if whole is not None:
                return whole
        return "\n".join(map(_shown, result.content)) or "(empty)"

    # -- reasoning -------------------------------------------------------------------------

    async def reasoning(self, rest: str) -> None:
        """/reasoning"""
        thoughts = list(_thoughts(self._host.session.conversation))
        back = int(rest[:9]) if rest.isdecimal() else 0
        if rest and not rest.isdecimal():
            self._page.item("as in /reasoning, or /reasoning 1 for the last but one")
        elif not thoughts:
            self._page.item("no reasoning was shown by the model")
        elif back >= len(thoughts):
            self._page.item(f"there is reasoning of {len(thoughts)} answers only")
        else:
            self._page.behind_bar(thoughts[-1 - back])


def _thoughts(conversation: Conversation) -> Iterator[str]:
    for message in conversation.messages:
        texts = [b.text for b in message.content if isinstance(b, Reasoning) and b.text.strip()]
        if texts:
            yield "\n\n".join(texts)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _shown(block: Content) -> str:
    if isinstance(block, Image | Audio):
        return f"[{block.type}, {block.media_type}, {len(block.data) * 3 // 4:,} bytes]"
    if isinstance(block, Resource):
        return f"[resource {block.uri}]\n{block.text or ''}".rstrip()
    return block.text


def _spent(one: Spent, *, name: str = "") -> str:
    usage = one.usage
    parts = [f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"]
    if usage.cache_read_tokens or usage.cache_write_tokens:
        cached = f"{usage.cache_read_tokens:,} read from cache"
        written = f", {usage.cache_write_tokens:,} written" if usage.cache_write_tokens else ""
        parts.append(cached + written)
    parts.append(f"{one.answers} answer{'' if one.answers == 1 else 's'}")
    if one.simulated and not one.cost:
        parts.append("no AI")
    elif one.answers:
        parts.append(shown_cost(one.cost, one.unpriced, one.answers))
    return f"{name or clean_line(one.name, 80)}: {'; '.join(parts)}"


def _left(c: Conversation, limits: Limits) -> Sequence[str]:
    """What the limits leave, in words; those of one message count from the last one."""
    used = c.usage.input_tokens + c.usage.output_tokens
    lines = []
    if limits.max_cost is not None:
        left = max(0.0, limits.max_cost - c.cost)
        lines.append(f"left of max_cost: ${left:.4f} of ${limits.max_cost:g}")
    if limits.max_tokens is not None:
        left_tokens = max(0, limits.max_tokens - used)
        lines.append(f"left of max_tokens: {left_tokens:,} of {limits.max_tokens:,}")
    for name, limit, count in (
        ("max_turns", limits.max_turns, c.turns),
        ("max_tool_calls", limits.max_tool_calls, c.tool_calls),
    ):
        if limit is not None:
            lines.append(f"left of {name}, for one message: {max(0, limit - count)} of {limit}")
    if limits.max_seconds is not None:
        lines.append(f"one message may take {limits.max_seconds:g} seconds of work")
    return lines
