"""A session at a terminal: markdown as it streams, cards of calls, what is under way.

Theory of operation: everything that is finished is written once and never touched again (`answer`,
`card_lines`). What is under way is a `Live`, a picture of a few lines that is drawn again and again
below: by the chat's own screen where one stands (`Outlet.above`), else by this file, at the foot of
the outlet, until something else is written. Where nothing may move (TERM=dumb, or a person who said
so) changes are lines. Deltas only collect; one write a tick of the event loop shows them.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from importlib import import_module

from agent_host.core.events import (
    Ephemeral,
    Interrupted,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    ReasoningDelta,
    Record,
    ServerLog,
    TextDelta,
    ToolArgumentsDelta,
    ToolProgress,
)
from agent_host.core.types import Message, Reasoning
from agent_host.surfaces.activity import Activity
from agent_host.surfaces.answer import LAYOUT, Answer
from agent_host.surfaces.card_lines import card_lines
from agent_host.surfaces.cards import Card, Narrator
from agent_host.surfaces.cells import Line, rows
from agent_host.surfaces.live import FRAME_SECONDS, HEIGHT, Live
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.palette import palette
from agent_host.surfaces.plain import soon, text_of, write_card
from agent_host.surfaces.preferences import TerminalPreferences
from agent_host.surfaces.thoughts import Thoughts

_SHARE = 3
"""The foot takes at most one part in so many of the screen's height."""
_EASE = 10
"""A slow terminal is given so many times longer than it takes for a frame."""


class TerminalText:
    """EventSink of `chat`, and of `run` at a terminal. `answer` and `notes` may be one outlet, and
    are if they are one screen. `environ` says what the terminal is; `now` is in seconds and never
    goes back."""

    def __init__(
        self,
        *,
        answer: Outlet,
        notes: Outlet,
        preferences: TerminalPreferences | None = None,
        environ: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        chosen = preferences or TerminalPreferences()
        self._screen = answer
        self._notes = notes
        self._now = now
        self._moving = answer.movable and chosen.spinner
        self._reasoning = chosen.reasoning
        self.live = Live(still=not self._moving)
        self._activity = Activity(self.live)
        self._narrator = Narrator()
        self._thoughts = Thoughts(chosen.reasoning)
        self._answer = Answer(answer, palette(chosen.theme, environ or {}))
        self._pending: list[str] = []
        self._streamed = self._thought = False
        self._timer: asyncio.TimerHandle | None = None
        self._loading = False

    def number_calls(self, asked: Callable[[], int]) -> None:
        """Show each call's number. `asked` counts the calls of the conversation so far, those of
        its last answer included; it is asked seldom."""
        self._narrator.asked = asked

    def emit(self, item: Record | Ephemeral) -> None:
        """Take one item; deltas wait for the end of the tick, the rest is written at once."""
        match item:
            case Record():
                self._emit_record(item)
            case TextDelta():
                self._end_thought()
                self._pending.append(item.text)
                if len(self._pending) == 1:
                    soon(self._flush)
            case ReasoningDelta():
                self._think(item.text)
            case ToolArgumentsDelta():
                self._end_thought()
                self._activity.prepare(item, self._now())
            case ToolProgress():
                self._say_still(self._activity.progress(item))
            case ServerLog():
                self._write_cards(self._narrator.tell_log(item))

    def close(self) -> None:
        """Write what is pending and take away what was under way."""
        self._end_thought()
        self._end_text()
        self.live.clear()
        self._rest()

    # -- text and reasoning ------------------------------------------------------------------

    def _flush(self) -> None:
        if self._pending:
            text = "".join(self._pending)
            self._pending.clear()
            self._streamed = True
            self._answer.feed(text)
            self.live.work("writing", self._now())
            self.live.show_tail(self._answer.tail)

    def _end_text(self) -> None:
        self._flush()
        self.live.show_tail(None)
        self._answer.end()

    def _think(self, text: str) -> None:
        if not self._thoughts.under_way:
            self._end_text()
        now = self._now()
        self._thought = True
        self._write_thought(self._thoughts.feed(text, now))
        self.live.work("thinking", now, note=self._thoughts.note)
        self.live.show_tail(self._thoughts.tail, "dim")

    def _end_thought(self) -> None:
        if self._thoughts.under_way:
            lines, said = self._thoughts.end(self._now())
            self.live.show_tail(None)
            self._write_thought(lines)
            self._say_thought(said)

    def _tell_thought(self, message: Message) -> None:
        """Reasoning that came with an answer and was not streamed."""
        text = "\n\n".join(b.text for b in message.content if isinstance(b, Reasoning) and b.text)
        if text and not self._thought:
            now = self._now()
            self._write_thought(self._thoughts.feed(text, now))
            lines, said = self._thoughts.end(now)
            self._write_thought(lines)
            self._say_thought(said)

    def _write_thought(self, lines: list[str]) -> None:
        if lines:
            self._screen.write("".join(f"{self._screen.paint(f'│ {s}', 'dim')}\n" for s in lines))
            self._answer.stand_apart()

    def _say_thought(self, said: str) -> None:
        if said:
            self._screen.end_line()
            where = "; /reasoning shows it" if self._narrator.asked is not None else ""
            lines = rows(f"· {said}{where}", self._screen.width - 1)
            self._screen.write("".join(f"{self._screen.paint(s, 'dim')}\n" for s in lines))
            self._answer.stand_apart()

    # -- facts -------------------------------------------------------------------------------

    def _emit_record(self, record: Record) -> None:
        event = record.event
        if isinstance(event, ModelResponded):
            self._end_thought()
            self._tell_thought(event.message)
            self._flush()
            if not self._streamed:
                self._answer.feed(text_of(event.message))
            self._end_text()
            self._streamed = self._thought = False
        elif isinstance(event, ModelFailed | Interrupted):
            # What was streamed may come once more, as the answer of this request.
            self._end_thought()
            self._end_text()
        elif isinstance(event, ModelRequested):
            self._streamed = self._thought = False
        cards = self._narrator.tell(record)
        said = self._activity.follow(record, self._now())
        self._write_cards(cards)
        self._say_still(said)
        self._load()
        self._draw()

    def _write_cards(self, cards: tuple[Card, ...]) -> None:
        if cards:
            self._flush()
        for card in cards:
            if not self._moving:
                write_card(self._notes, card)
                self._answer.stand_apart()
            elif card.kind != "call":
                # A call is in the picture while it runs, and one line when it is over.
                self._notes.end_line()
                lines = card_lines(card, self._notes.width - 1)
                self._notes.write("".join(f"{self._painted(self._notes, s)}\n" for s in lines))
                self._answer.stand_apart()

    def _say_still(self, said: str) -> None:
        if said and not self._moving:
            write_card(self._notes, Card(kind="notice", text=said))

    # -- what is under way -------------------------------------------------------------------

    def _load(self) -> None:
        """Import what lays out an answer while the model is asked for it."""
        if not self._loading and self.live.busy:
            self._loading = True
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            loop.run_in_executor(None, import_module, LAYOUT)

    def _draw(self) -> None:
        """Begin or end to draw the picture, if that is for this file to do."""
        if not self.live.busy:
            self._rest()
        elif self._timer is None and self._moving and self._screen.above is None:
            self._screen.foot = self._foot
            self._turn()

    def _foot(self) -> str:
        height = min(HEIGHT, max(self._screen.height // _SHARE, 1))
        lines = self.live.lines(self._screen.width - 1, self._now(), height)
        return "\n".join(self._painted(self._screen, line) for line in lines)

    @staticmethod
    def _painted(outlet: Outlet, line: Line) -> str:
        return "".join(outlet.paint(text, style or None) for style, text in line)

    def _turn(self) -> None:
        """Show the next frame, and come again."""
        self._timer = None
        if self._screen.above is not None:
            self._rest()
            return
        began = self._now()
        foot = self._foot()
        if foot:
            self._screen.show_transient(foot)
        else:
            self._screen.clear_transient()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        pause = max(FRAME_SECONDS, _EASE * (self._now() - began))
        self._timer = loop.call_later(pause, self._turn)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._screen.foot = None
        self._screen.clear_transient()
