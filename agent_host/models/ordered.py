"""One answer of a wire that numbers its content blocks, put together block by block.

Theory of operation: the Messages and the Responses wire say of each piece to which block it
belongs, and the order of the blocks means something: thoughts stand before the call that they led
to, and go back in that place. So blocks are kept in the order in which they began, each with its
own opaque data. What these wires share with the Chat Completions wire stays the same: arguments are
raw text until the end and then parsed strictly, a call of an answer that was cut is never sound,
everything is bounded. A block that is begun twice, or a piece of one that was never begun, is a
broken stream.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from agent_host.core.events import Delta, ReasoningDelta, TextDelta, ToolArgumentsDelta
from agent_host.core.types import Block, JsonObject, Reasoning, Text
from agent_host.models.accumulate import (
    MAX_ANSWER,
    MAX_ARGUMENTS,
    MAX_CALLS,
    MAX_OPAQUE,
    AnswerTooLargeError,
    Restore,
    as_it_came,
    json_text,
    tool_call,
    unused_id,
    whole,
)

MAX_BLOCKS = 4096
"""Blocks in one answer."""

Kind = Literal["text", "reasoning", "call"]


@dataclass(slots=True, eq=False)
class OpenBlock:
    """A block in the making. `closed`: the provider said that it is whole."""

    kind: Kind
    place: int
    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    opaque: JsonObject | None = None
    closed: bool = False

    @property
    def text(self) -> str:
        """What came of it."""
        return "".join(self.pieces)

    def replace(self, text: str) -> None:
        """Set what the provider says that the whole of it is."""
        self.pieces[:] = [text]
        self.size = len(text)


class OrderedAnswer:
    """The blocks of one answer, in order. Blocks are named by whatever the wire names them by."""

    def __init__(self) -> None:
        self._blocks: dict[object, OpenBlock] = {}
        self._carry: dict[int, str] = {}
        self._fresh: list[tuple[OpenBlock, str]] = []
        self._size = 0
        self._calls = 0
        self.shown = False

    @property
    def empty(self) -> bool:
        """True if no text, reasoning or call has come."""
        return not any(b.pieces or b.kind == "call" or b.opaque for b in self._blocks.values())

    @property
    def has_calls(self) -> bool:
        """True if any call was begun."""
        return self._calls > 0

    def find(self, key: object) -> OpenBlock | None:
        """Return the block of that name, or None."""
        return self._blocks.get(key)

    def begin(self, key: object, kind: Kind, *, call_id: str = "", name: str = "") -> OpenBlock:
        """Begin a block; one that has that name already is returned as it is."""
        found = self._blocks.get(key)
        if found is not None:
            return found
        if len(self._blocks) >= MAX_BLOCKS:
            raise AnswerTooLargeError(f"more than {MAX_BLOCKS} blocks")
        block = OpenBlock(kind=kind, place=self._calls, call_id=call_id, name=name[:256])
        if kind == "call":
            self._calls += 1
            if self._calls > MAX_CALLS:
                raise AnswerTooLargeError(f"more than {MAX_CALLS} calls")
        self._blocks[key] = block
        return block

    def add(self, block: OpenBlock, piece: str) -> None:
        """Add a piece of a block's text, reasoning or arguments."""
        if not piece:
            return
        self._size += len(piece)
        block.size += len(piece)
        if self._size > MAX_ANSWER:
            raise AnswerTooLargeError(f"more than {MAX_ANSWER} characters")
        if block.kind == "call" and block.size > MAX_ARGUMENTS:
            raise AnswerTooLargeError(f"arguments of more than {MAX_ARGUMENTS} characters")
        block.pieces.append(piece)
        self._fresh.append((block, piece))

    def keep(self, block: OpenBlock, data: JsonObject) -> None:
        """Keep the provider's own data about a block (signatures, ids), within its bound."""
        merged = {**(block.opaque or {}), **data}
        if len(json_text(merged)) <= MAX_OPAQUE:
            block.opaque = merged

    def deltas(self) -> list[Delta]:
        """What came since the last time, neighbours of one block merged."""
        merged: list[tuple[OpenBlock, list[str]]] = []
        for block, piece in self._fresh:
            if merged and merged[-1][0] is block:
                merged[-1][1].append(piece)
            else:
                merged.append((block, [piece]))
        self._fresh.clear()
        found = (self._delta(block, "".join(pieces)) for block, pieces in merged)
        return [delta for delta in found if delta is not None]

    def rest(self) -> list[Delta]:
        """What is still to be shown when the stream has ended."""
        deltas = self.deltas()
        for block in self._blocks.values():
            carry = self._carry.pop(id(block), "")
            if carry and (delta := self._shown(block, whole(carry))) is not None:
                deltas.append(delta)
        return deltas

    def blocks(
        self, *, sound: bool, taken: Collection[str], restore: Restore = as_it_came
    ) -> tuple[Block, ...]:
        """The answer as blocks, in order. `sound`: the provider said that the calls are whole.
        `taken`: call ids of the conversation so far, which new ones must not repeat. `restore`:
        turns a tool's arguments back into what its own schema calls them."""
        result: list[Block] = []
        used = set(taken)
        for block in self._blocks.values():
            text = block.text
            if block.kind == "call":
                call_id = unused_id(block.call_id, used)
                used.add(call_id)
                result.append(
                    tool_call(
                        call_id,
                        block.name,
                        text,
                        sound=sound and block.closed,
                        opaque=block.opaque,
                        restore=restore,
                    )
                )
            elif text or block.opaque:
                kind = Text if block.kind == "text" else Reasoning
                result.append(kind(text=whole(text), opaque=block.opaque))
        return tuple(result)

    def _delta(self, block: OpenBlock, text: str) -> Delta | None:
        if block.kind == "call":
            return ToolArgumentsDelta(index=block.place, name=block.name, text=whole(text))
        # Half of a surrogate pair waits for the other half.
        text = self._carry.pop(id(block), "") + text
        if "\ud800" <= text[-1:] <= "\udbff":
            self._carry[id(block)] = text[-1]
            text = text[:-1]
        return self._shown(block, whole(text))

    def _shown(self, block: OpenBlock, text: str) -> Delta | None:
        if not text:
            return None
        if block.kind == "reasoning":
            return ReasoningDelta(text=text)
        self.shown = True
        return TextDelta(text=text)
