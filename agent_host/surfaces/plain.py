"""The text mode of `run`: the answer on stdout, everything else in short lines on stderr.

Theory of operation: that a text is the answer is known only when its turn ends without calls. So
where stdout is no terminal a turn's text is written when the turn has ended, the answer to stdout
and what was said before calls to stderr: stdout then carries the answer alone. At a terminal the
text is streamed as it comes. Deltas are only collected; one write a tick of the event loop shows
them, so the cost is per tick and not per token. No screen library is imported here.
"""

import asyncio
from collections.abc import Callable

from agent_host.core.events import (
    Ephemeral,
    ModelFailed,
    ModelResponded,
    Record,
    ServerLog,
    TextDelta,
)
from agent_host.core.types import Message, Text, ToolCall
from agent_host.surfaces.cards import Card, Kind, Narrator
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.prose import ProseStream, clean_prose, level

MARKS: dict[Kind, str] = {"call": "→", "result": "←", "failure": "✗", "notice": "·"}
_STYLES: dict[Kind, str] = {"call": "cyan", "result": "dim", "failure": "red", "notice": "yellow"}


def text_of(message: Message) -> str:
    """Return what a message says, without its calls and reasoning."""
    return "\n\n".join(b.text for b in message.content if isinstance(b, Text) and b.text)


def soon(action: Callable[[], None]) -> None:
    """Do `action` at the end of this tick of the running event loop, or now if there is none."""
    try:
        asyncio.get_running_loop().call_soon(action)
    except RuntimeError:
        action()


def write_card(outlet: Outlet, card: Card) -> None:
    """Write a card as one line."""
    outlet.end_line()
    number = f"#{card.number} " if card.number else ""
    text = level(f"{MARKS[card.kind]} {number}{card.text}")
    outlet.write(outlet.paint(text, _STYLES[card.kind]) + "\n")


class PlainText:
    """EventSink of `run --output text`. `answer` is stdout, `notes` is stderr. `held`: whoever
    validates the answer writes it, and no other text reaches stdout."""

    def __init__(self, *, answer: Outlet, notes: Outlet, held: bool = False) -> None:
        self._answer = answer
        self._held = held
        self._notes = notes
        self._narrator = Narrator()
        self._pending: list[str] = []
        self._prose = ProseStream()
        self._streamed = False

    def emit(self, item: Record | Ephemeral) -> None:
        """Take one item; writes at once, but for deltas, which wait for the end of the tick."""
        if isinstance(item, Record):
            self._emit_record(item)
        elif isinstance(item, TextDelta):
            if self._answer.tty and not self._held:
                self._pending.append(item.text)
                if len(self._pending) == 1:
                    soon(self._flush)
        elif isinstance(item, ServerLog):
            for card in self._narrator.tell_log(item):
                self._write(card)

    def close(self) -> None:
        """Write what is pending and end the line; waits for a slow reader."""
        self._end_stream()
        self._answer.finish()
        self._notes.finish()

    def _flush(self) -> None:
        if self._pending:
            text = level(self._prose.feed("".join(self._pending)))
            self._pending.clear()
            self._streamed = True
            self._answer.write(text)

    def _end_stream(self) -> None:
        self._flush()
        self._answer.write(self._prose.finish())
        self._streamed = False
        self._answer.end_line()

    def _emit_record(self, record: Record) -> None:
        event = record.event
        if isinstance(event, ModelResponded):
            self._respond(event.message)
        elif isinstance(event, ModelFailed):
            self._end_stream()
        for card in self._narrator.tell(record):
            self._write(card)

    def _respond(self, message: Message) -> None:
        self._flush()
        streamed = self._streamed
        self._end_stream()
        text = text_of(message)
        if streamed or not text:
            return
        last = not any(isinstance(block, ToolCall) for block in message.content)
        if last and self._held:
            return
        shown = last or (self._answer.tty and not self._held)
        outlet = self._answer if shown else self._notes
        outlet.write(clean_prose(text))
        outlet.end_line()

    def _write(self, card: Card) -> None:
        self._flush()
        self._answer.end_line()
        write_card(self._notes, card)
