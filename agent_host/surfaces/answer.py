"""The text of an answer, drawn as it streams.

Theory of operation: pieces are cleaned, cut into finished blocks, and each block is drawn once;
nothing is ever drawn again, so the cost is linear and the screen may change its size at any time.
Lines of code come as they are, in colours if their language is known. What lays out markdown is
imported with the first block. Blank lines of the source stand between blocks as one.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from agent_host.surfaces.blocks import Block, BlockSplitter
from agent_host.surfaces.highlight import Painter, painter
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.palette import Palette
from agent_host.surfaces.prose import ProseStream, clean_prose

LAYOUT = "agent_host.surfaces.markdown"
"""The module that is imported when there is something to lay out."""

_TAIL = 1000


class Answer:
    """Draws one text after the other to `outlet`."""

    def __init__(self, outlet: Outlet, palette: Palette) -> None:
        self._outlet = outlet
        self._palette = palette
        self._prose = ProseStream()
        self._blocks = BlockSplitter()
        self._fenced = False
        self._paint: Painter | None = None
        self._gap = False

    def tail(self) -> str:
        """The end of what came and is not drawn yet, clean."""
        return self._blocks.pending(_TAIL)

    def stand_apart(self) -> None:
        """Something else was written: a blank line comes before the next text."""
        self._gap = True

    def feed(self, text: str) -> None:
        """Take a piece, and draw what it finishes."""
        self._draw(self._blocks.feed(self._prose.feed(text)))

    def end(self) -> None:
        """Draw what is left; the next text stands alone."""
        self._draw([*self._blocks.feed(self._prose.finish()), *self._blocks.finish()])
        self._fenced, self._paint, self._gap = False, None, False

    def _draw(self, blocks: Iterable[Block]) -> None:
        # One write for all of them: a foot below is drawn once.
        drawn = "".join(
            self._markdown(block) if block.kind == "markdown" else self._code(block)
            for block in blocks
        )
        self._outlet.write(drawn)

    def _markdown(self, block: Block) -> str:
        source = block.text.strip("\n")
        drawn = ""
        if source.strip():
            layout: Any = import_module(LAYOUT)
            drawn = layout.render(
                block.head + source,
                self._outlet.width,
                styled=self._outlet.styled,
                palette=self._palette,
                number=block.number,
            )
            if self._gap or block.text.startswith("\n"):
                drawn = f"\n{drawn}"
            self._gap = False
        self._gap = self._gap or block.text.endswith("\n\n")
        return drawn

    def _code(self, block: Block) -> str:
        gap, self._gap = ("\n" if self._gap else ""), False
        lines = clean_prose(block.text).removesuffix("\n").split("\n")
        if block.kind == "fence":
            self._fenced = not self._fenced
            info = lines[0].strip().lstrip("`~") if self._fenced and self._outlet.styled else ""
            self._paint = painter(info, self._palette)
            return gap + self._outlet.paint(lines[0], "dim") + "\n"
        if self._paint is not None:
            return gap + "".join(f"{self._paint(line)}\n" for line in lines)
        return gap + "".join(f"{self._outlet.paint(line, 'cyan')}\n" for line in lines)
