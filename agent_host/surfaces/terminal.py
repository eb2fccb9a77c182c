"""A session at a terminal: markdown as it streams, cards of calls, a sign of life.

Theory of operation: the stream is cut into finished blocks (`surfaces.blocks`) and each block is
drawn once by rich; nothing is ever drawn again, so the cost is linear, and the screen may change
its size at any time. rich gets only text that was cleaned, and what it makes of it is cleaned once
more: markdown can spell any character by an entity or an encoded link. Links are shown whole, as
text; html and images are shown as they were written, and nothing is fetched. While something is
under way the last line says so; it is erased before anything else is written.
"""

import asyncio
import io
from collections.abc import Iterable

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, TableElement
from rich.segment import Segment
from rich.table import Table

from agent_host.core.events import (
    Ephemeral,
    Interrupted,
    LimitReached,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    ReasoningDelta,
    Record,
    RunEnded,
    ServerLog,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from agent_host.core.text import clean_line
from agent_host.surfaces.blocks import Block, BlockSplitter
from agent_host.surfaces.cards import Card, Narrator, title
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.plain import soon, text_of, write_card
from agent_host.surfaces.prose import ProseStream, clean_prose
from agent_host.surfaces.question import wrap

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME_SECONDS = 0.12
_BROADEST = 120


class _FoldingTable(TableElement):
    """A table whose cells are folded, never cut: what a cell hides, nobody can judge."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for item in super().__rich_console__(console, options):
            if isinstance(item, Table):
                for column in item.columns:
                    column.overflow = "fold"
            yield item


class _Source(Markdown):
    """Markdown in which nothing is hidden: html, images and link definitions are plain text."""

    elements = Markdown.elements | {"table_open": _FoldingTable}

    def __init__(self, source: str) -> None:
        super().__init__("", hyperlinks=False)
        parser = MarkdownIt().enable(["strikethrough", "table"])
        parser.disable(["html_block", "html_inline", "image", "reference"])
        self.markup = source
        self.parsed = parser.parse(source)
        for token in self.parsed:
            for part in (token, *(token.children or ())):
                if part.type == "softbreak":
                    # Models and servers mean the lines that they write.
                    part.type = "hardbreak"
                # Before the layout, as an escape is longer than what it stands for.
                part.content = clean_prose(part.content)
                part.attrs = {
                    name: clean_prose(value) if isinstance(value, str) else value
                    for name, value in part.attrs.items()
                }


class _Safe:
    """What a renderable draws, cleaned once more, without blanks that show nothing."""

    def __init__(self, source: _Source) -> None:
        self._source = source

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        begun, blank = False, 0
        for line in Segment.split_lines(console.render(self._source, options)):
            pieces = _trimmed(
                Segment(clean_prose(piece.text), piece.style) for piece in line if not piece.control
            )
            if not pieces:
                blank += begun
                continue
            # Blocks bring blank lines of their own; around and between them one is enough.
            yield from [Segment.line()] * min(blank, 1)
            yield from pieces
            yield Segment.line()
            begun, blank = True, 0


def _trimmed(pieces: Iterable[Segment]) -> list[Segment]:
    line = list(pieces)
    while line:
        last = line.pop()
        text = last.text.rstrip(" ")
        if text:
            return [*line, Segment(text, last.style)]
    return line


def render(source: str, width: int, *, styled: bool) -> str:
    """Return a block of markdown as text for a terminal, each line with its newline."""
    console = Console(
        file=io.StringIO(),
        width=min(width, _BROADEST),
        force_terminal=styled,
        color_system="standard" if styled else None,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        _environ={},
    )
    with console.capture() as capture:
        console.print(_Safe(_Source(clean_prose(source))), end="")
    return capture.get()


class TerminalText:
    """EventSink of `chat`, and of `run` at a terminal. `answer` and `notes` may be one outlet."""

    def __init__(self, *, answer: Outlet, notes: Outlet) -> None:
        self._answer = answer
        self._notes = notes
        self._narrator = Narrator()
        self._pending: list[str] = []
        self._prose = ProseStream()
        self._blocks = BlockSplitter()
        self._streamed = False
        self._gap = False
        self._running: dict[str, str] = {}
        self._activity = ""
        self._frame = 0
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, item: Record | Ephemeral) -> None:
        """Take one item; deltas wait for the end of the tick, the rest is written at once."""
        match item:
            case Record():
                self._emit_record(item)
            case TextDelta():
                self._pending.append(item.text)
                if len(self._pending) == 1:
                    soon(self._flush)
            case ReasoningDelta():
                self._activity = "thinking"
            case ToolProgress():
                self._progress(item)
            case ServerLog():
                self._write_cards(self._narrator.tell_log(item))
            case _:
                pass

    def close(self) -> None:
        """Write what is pending and take the sign of life away."""
        self._end_text()
        self._rest()

    def _flush(self) -> None:
        if self._pending:
            text = "".join(self._pending)
            self._pending.clear()
            self._streamed = True
            self._draw(self._blocks.feed(self._prose.feed(text)))
            self._activity = self._blocks.tail[-200:] or "writing"

    def _end_text(self) -> None:
        self._flush()
        self._draw([*self._blocks.feed(self._prose.finish()), *self._blocks.finish()])
        self._gap = False

    def _draw(self, blocks: list[Block]) -> None:
        if blocks:
            self._notes.clear_transient()
        for block in blocks:
            if block.kind == "markdown":
                self._draw_markdown(block.text)
            else:
                self._draw_code(block)

    def _draw_markdown(self, source: str) -> None:
        text = source.strip("\n")
        if text.strip():
            drawn = render(text, self._answer.width, styled=self._answer.styled)
            gap = "\n" if self._gap or source.startswith("\n") else ""
            self._answer.write(gap + drawn)
            self._gap = False
        self._gap = self._gap or source.endswith("\n\n")

    def _draw_code(self, block: Block) -> None:
        gap, self._gap = ("\n" if self._gap else ""), False
        style = "dim" if block.kind == "fence" else "cyan"
        lines = clean_prose(block.text).removesuffix("\n").split("\n")
        painted = [self._answer.paint(line, style) for line in lines]
        self._answer.write(gap + "\n".join(painted) + "\n")

    def _emit_record(self, record: Record) -> None:
        event = record.event
        if isinstance(event, ModelResponded):
            self._flush()
            text = "" if self._streamed else text_of(event.message)
            self._draw(self._blocks.feed(clean_prose(text)))
            self._end_text()
            self._streamed = False
        elif isinstance(event, ModelFailed | Interrupted):
            # What was streamed may come once more, as the answer of this request.
            self._end_text()
        elif isinstance(event, ModelRequested):
            self._streamed = False
        self._write_cards(self._narrator.tell(record))
        self._follow(record)

    def _write_cards(self, cards: tuple[Card, ...]) -> None:
        if cards:
            self._flush()
        for card in cards:
            write_card(self._notes, card)

    def _follow(self, record: Record) -> None:
        """Keep the sign of life in step with what is under way."""
        event = record.event
        match event:
            case ModelRequested():
                self._work(f"asking {clean_line(event.model, 60)}")
            case ToolStarted():
                self._running[event.call_id] = title(event.server, event.tool)
                self._work("running " + ", ".join(self._running.values()))
            case ToolFinished():
                self._running.pop(event.result.call_id, None)
                if self._running:
                    self._work("running " + ", ".join(self._running.values()))
                else:
                    self._rest()
            case ModelResponded() | ModelFailed() | Interrupted() | LimitReached() | RunEnded():
                if not self._running:
                    self._rest()
            case _:
                pass

    def _progress(self, item: ToolProgress) -> None:
        share = f" {item.progress:g}" + (f"/{item.total:g}" if item.total else "")
        name = self._running.get(item.call_id, "")
        self._activity = f"{name}{share} {clean_line(item.message, 120)}"

    def _work(self, activity: str) -> None:
        self._activity = activity
        if self._timer is None and self._notes.movable:
            self._turn()

    def _turn(self) -> None:
        """Show the next frame, and come again."""
        self._frame = (self._frame + 1) % len(_FRAMES)
        line = clean_line(f"{_FRAMES[self._frame]} {self._activity}", 400)
        self._notes.show_transient(self._notes.paint(wrap(line, self._notes.width - 1)[0], "dim"))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._timer = loop.call_later(_FRAME_SECONDS, self._turn)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._notes.clear_transient()
