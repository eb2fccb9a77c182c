"""A stream of markdown, cut into blocks that can be drawn once and for all.

Theory of operation: a line machine. A paragraph, table, quote or heading ends at a blank line; a
list ends where a line after a blank one does not go on with it, and its items are blocks of their
own; so are the lines of a code fence, as no later line changes them. What is too long to wait for
is cut at a line, or at a blank within one; the parts of a table know its head. Nothing is dropped
or changed: the blocks put together are the text, however it was cut into pieces. Each character is
looked at a fixed number of times.
"""

import re
from dataclasses import dataclass
from itertools import chain
from typing import Literal

BlockKind = Literal["markdown", "fence", "code"]

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^\n]*)")
_LIST = re.compile(r"( {0,3})(?:([-*+])|(\d{1,9})([.)]))(?:[ \t]|$)")
_BREAKS_IN = re.compile(r" {0,3}(?:[-*+]|1[.)])[ \t]+\S")
"""An item that may follow a paragraph without a blank line between (CommonMark 5.3)."""
_HEAD = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_GOES_ON = re.compile(r"[ \t]{2,}\S|(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_LONGEST_LINE = 4096
_LONGEST_BLOCK = 200
_LARGEST_BLOCK = 16_384


@dataclass(slots=True)
class _List:
    """A list under way: how far its items stand, what marks them, the number of the last one."""

    indent: int
    mark: str
    number: int


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of the source. `fence`: a line that opens or closes a fence; `code`: lines in one.
    `head`: the first lines of the table that this goes on with; `number`: of an item that goes on
    with a numbered list, if the list counts and its source does not."""

    kind: BlockKind
    text: str
    head: str = ""
    number: int = 0


class BlockSplitter:
    """Cuts one text into blocks as it comes."""

    def __init__(self) -> None:
        self._line: list[str] = []
        self._line_size = 0
        self._block: list[str] = []
        self._block_size = 0
        self._list: _List | None = None
        self._number = 0
        self._head = ""
        self._blank = False
        self._fence: tuple[str, int] | None = None
        self._ready: list[Block] = []

    @property
    def tail(self) -> str:
        """The line that has not ended yet, from its last piece on: a sign of life."""
        return self._line[-1] if self._line else ""

    def pending(self, limit: int) -> str:
        """Return the end of what was fed and is in no block yet, of about `limit` characters."""
        parts: list[str] = []
        size = 0
        for part in chain(reversed(self._line), reversed(self._block)):
            parts.append(part[-limit:])
            size += len(part)
            if size >= limit:
                break
        return "".join(reversed(parts))[-limit:]

    def feed(self, text: str) -> list[Block]:
        """Take a piece of the text and return the blocks that it completed."""
        *ended, rest = text.split("\n")
        for part in ended:
            self._extend(part)
            self._take("".join(self._line) + "\n")
            self._line.clear()
            self._line_size = 0
        if rest:
            self._extend(rest)
        return self._take_ready()

    def finish(self) -> list[Block]:
        """Return what is left; the next text starts anew."""
        if self._line:
            self._take("".join(self._line))
            self._line.clear()
            self._line_size = 0
        self._end_block()
        self._fence = None
        return self._take_ready()

    def _take_ready(self) -> list[Block]:
        ready, self._ready = self._ready, []
        return ready

    def _extend(self, part: str) -> None:
        """Add to the line under way, and cut it where it is too long to wait for."""
        self._line.append(part)
        self._line_size += len(part)
        if self._line_size <= _LONGEST_LINE:
            return
        line = "".join(self._line)
        start = 0
        while len(line) - start > _LONGEST_LINE:
            end = start + _LONGEST_LINE
            cut = line.rfind(" ", start + 1, end) + 1 or end
            self._take(line[start:cut])
            if self._fence is None:
                self._end_block()
            start = cut
        self._line[:] = [line[start:]]
        self._line_size = len(line) - start

    def _take(self, line: str) -> None:
        """Take a whole line (or the cut part of a long one)."""
        fence = _FENCE.match(line)
        if self._fence is not None:
            self._take_code(line, fence)
        elif fence is not None and not (fence[1][0] == "`" and "`" in fence[2]):
            self._end_block()
            self._fence = (fence[1][0], len(fence[1]))
            self._ready.append(Block("fence", line))
        elif not line.strip():
            self._add(line)
            self._blank = True
            if not self._list and self._block_size > len(line) and self._has_text():
                self._end_block()
        else:
            self._take_text(line)

    def _has_text(self) -> bool:
        return bool(self._block[0].strip()) or any(line.strip() for line in self._block)

    def _take_code(self, line: str, fence: re.Match[str] | None) -> None:
        assert self._fence is not None
        sign, length = self._fence
        if fence and fence[1][0] == sign and len(fence[1]) >= length and not fence[2].strip():
            self._fence = None
            self._ready.append(Block("fence", line))
        elif self._ready and self._ready[-1].kind == "code":
            self._ready[-1] = Block("code", self._ready[-1].text + line)
        else:
            self._ready.append(Block("code", line))

    def _take_text(self, line: str) -> None:
        item = _LIST.match(line)
        if self._list is not None:
            self._go_on(self._list, line, item)
        elif item and self._block and _BREAKS_IN.match(line) and self._has_text():
            self._end_block()
        if self._list is None and item and not any(map(str.strip, self._block)):
            self._list = _List(len(item[1]), item[2] or item[4], int(item[3] or 0))
            self._number = 0
        self._blank = False
        self._add(line)

    def _go_on(self, under_way: _List, line: str, item: re.Match[str] | None) -> None:
        """End the item under way where `line` begins another, or is no part of the list."""
        if item and len(item[1]) <= under_way.indent + 1:
            number = under_way.number + 1
            same = (item[2] or item[4]) == under_way.mark
            self._end_block()
            if same:
                self._list = _List(under_way.indent, under_way.mark, number)
                self._number = number if item[3] else 0
        elif self._blank and not _GOES_ON.match(line):
            self._end_block()

    def _add(self, line: str) -> None:
        self._block.append(line)
        self._block_size += len(line)
        if len(self._block) >= _LONGEST_BLOCK or self._block_size >= _LARGEST_BLOCK:
            head = self._head or self._table_head()
            self._end_block()
            self._head = head

    def _table_head(self) -> str:
        """Return the head of the table that the block is, if it is one."""
        lines = [line for line in self._block[:4] if line.strip()][:2]
        is_table = len(lines) == 2 and "|" in lines[0] and _HEAD.match(lines[1])
        return "".join(lines) if is_table else ""

    def _end_block(self) -> None:
        if self._block:
            text = "".join(self._block)
            self._ready.append(Block("markdown", text, self._head, self._number))
            self._block.clear()
        self._block_size = self._number = 0
        self._head = ""
        self._blank = False
        self._list = None
