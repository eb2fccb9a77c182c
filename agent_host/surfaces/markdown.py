"""A block of markdown as lines for a terminal.

Theory of operation: markdown-it parses, rich lays out. Both get only text that was cleaned, and
what comes of it is cleaned once more: markdown can spell any character by an entity or an encoded
link. Nothing of the source is hidden: links are shown whole, as text; html and images are shown as
they were written; cells of a table are folded, never cut; what is nested too deeply to be laid out
is shown as it was written. Pure, and linear in the block.
"""

import io
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import zip_longest
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.markdown import (
    CodeBlock,
    Heading,
    ListItem,
    Markdown,
    TableElement,
)
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from agent_host.surfaces.highlight import painter
from agent_host.surfaces.palette import Palette
from agent_host.surfaces.prose import clean_prose, still_emoji

_BROADEST = 120
_NARROWEST = 12
"""Cells that are left for text in what is nested; with fewer the source is shown."""
_DEEPEST = 90
"""Levels of nesting; markdown-it leaves out what is below its own limit, so that is higher."""
_READABLE = 10
"""Cells that a column needs at most."""
_NESTING = {"blockquote_open": 4, "bullet_list_open": 3, "ordered_list_open": 4}


class _FoldingTable(TableElement):
    """A table whose cells are folded, never cut: what a cell hides, nobody can judge. On a screen
    where its columns would be too narrow to read, each row is a list of its cells."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._needed() > options.max_width:
            yield from self._as_list()
            return
        for item in super().__rich_console__(console, options):
            if isinstance(item, Table):
                for column in item.columns:
                    column.overflow = "fold"
            yield item

    def _rows(self) -> list[list[Text]]:
        """The texts of all rows, the head's first."""
        head = [self.header.row] if self.header is not None and self.header.row is not None else []
        body = self.body.rows if self.body is not None else []
        return [[cell.content for cell in row.cells] for row in (*head, *body)]

    def _needed(self) -> int:
        widths = zip_longest(
            *([text.cell_len for text in row] for row in self._rows()), fillvalue=0
        )
        return sum(min(max(cells), _READABLE) + 2 for cells in widths)

    def _as_list(self) -> Iterator[Text]:
        head, *body = self._rows() or [[]]
        for row in body or [head]:
            yield Text("")
            for name, cell in zip(head, row, strict=False):
                yield Text.assemble((name.plain, "bold"), ": ", cell) if body else name


class _LeftHeading(Heading):
    """A heading where the text begins: a centred one is far away on a broad screen."""

    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class _Code(CodeBlock):
    """Code inside of a quote or an item, in our colours; long lines are folded."""

    palette: Palette | None = None

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> "_Code":
        made = cls(token.info or "", "")
        made.palette = markdown.palette if isinstance(markdown, _Source) else None
        return made

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        paint = painter(self.lexer_name, self.palette) if self.palette is not None else None
        for line in str(self.text).rstrip("\n").split("\n"):
            shown = Text.from_ansi(paint(line)) if paint else Text(line, "markdown.code_block")
            yield Text("  ").append_text(shown)


class _Item(ListItem):
    """An item whose number takes the same room whatever the last one is: the last is not known."""

    def render_number(
        self, console: Console, options: ConsoleOptions, number: int, last_number: int
    ) -> RenderResult:
        return super().render_number(console, options, number, max(last_number, 10))


class _Source(Markdown):
    """Markdown in which nothing is hidden: html, images and link definitions are plain text."""

    elements = Markdown.elements | {
        "table_open": _FoldingTable,
        "heading_open": _LeftHeading,
        "fence": _Code,
        "code_block": _Code,
        "list_item_open": _Item,
    }

    def __init__(self, source: str, number: int, palette: Palette | None) -> None:
        # Not rich's own __init__: it makes a parser for each block, and that is most of the work.
        vars(self).update(vars(_made_once()))
        self.palette = palette
        self.markup = source
        self.parsed = _parser().parse(source)
        if number and self.parsed and self.parsed[0].type == "ordered_list_open":
            self.parsed[0].attrs["start"] = number
        in_table = False
        for token in self.parsed:
            in_table = in_table or token.type == "table_open"
            _clean_token(token, in_table=in_table)
            in_table = in_table and token.type != "table_close"

    @property
    def indented(self) -> int:
        """Cells that the deepest nesting takes away."""
        depth = deepest = 0
        for token in self.parsed:
            if token.type in _NESTING:
                depth += _NESTING[token.type]
                deepest = max(deepest, depth)
            elif token.nesting < 0:
                depth -= _NESTING.get(token.type.replace("_close", "_open"), 0)
        return deepest

    @property
    def levels(self) -> int:
        """How deeply it is nested."""
        return max((token.level for token in self.parsed), default=0)


@cache
def _made_once() -> Markdown:
    return Markdown("", hyperlinks=False)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": _DEEPEST + 10})
    parser.enable(["strikethrough", "table"])
    return parser.disable(["html_block", "html_inline", "image", "reference"])


def _clean_token(token: Token, *, in_table: bool) -> None:
    for part in (token, *(token.children or ())):
        if part.type == "softbreak":
            # Models and servers mean the lines that they write.
            part.type = "hardbreak"
        # Before the layout, as an escape is longer than what it stands for.
        content = clean_prose(part.content)
        part.content = still_emoji(content) if in_table else content
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


@cache
def _theme(palette: Palette) -> Theme:
    code, link, quote = (_style(sgr) for sgr in (palette.code, palette.link, palette.quote))
    heading = Style(bold=True)
    return Theme(
        {
            "markdown.h1": Style(bold=True, underline=True),
            **{f"markdown.h{level}": heading for level in range(2, 7)},
            "markdown.h7": heading,
            "markdown.code": code,
            "markdown.code_block": code,
            "markdown.link": Style(bold=True),
            "markdown.link_url": link,
            "markdown.block_quote": quote,
            "markdown.item.bullet": heading,
            "markdown.item.number": heading,
            "markdown.hr": Style(dim=True),
            "markdown.table.border": Style(dim=True),
            "markdown.table.header": heading,
        }
    )


def _style(sgr: str) -> Style:
    """Return what the numbers of SGR mean to rich."""
    return Text.from_ansi(f"\x1b[{sgr}mx").get_style_at_offset(_CONSOLE, 0)


_CONSOLE = Console(file=io.StringIO(), _environ={})


def render(
    source: str,
    width: int,
    *,
    styled: bool,
    palette: Palette | None = None,
    number: int = 0,
) -> str:
    """Return a block of markdown as text for a terminal, each line with its newline. `number`: of
    the item that it begins with."""
    width = min(width, _BROADEST)
    palette = palette or Palette()
    parsed = _Source(clean_prose(source), number, palette if styled else None)
    if parsed.indented > width - _NARROWEST or parsed.levels > _DEEPEST:
        return clean_prose(source).strip("\n") + "\n"
    console = _console(width, styled, palette)
    with console.capture() as capture:
        console.print(_Safe(parsed), end="")
    return capture.get()


@lru_cache(maxsize=4)
def _console(width: int, styled: bool, palette: Palette) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=styled,
        color_system="standard" if styled else None,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        theme=_theme(palette),
        _environ={},
    )
