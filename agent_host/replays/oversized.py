"""A result that was too large to be recorded whole, as something that is cut in the same way.

Theory of operation: of a text that was too long the record has head and tail, and between them how
many characters and which lines are left out; the engine cuts what it gets. So the middle is filled
with as many characters and line ends as were there. What stands for it is never shown.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from agent_host.core.context import RESULT_LIMIT, joined_text, text_of
from agent_host.core.types import Content, Resource, Text, ToolResult

_CUT = re.compile(
    r"\n\[\.\.\. (?P<left>[\d,]+) of (?P<whole>[\d,]+) characters left out, "
    r"lines (?P<first>[\d,]+) to (?P<last>[\d,]+) of [\d,]+ \.\.\.\]\n"
)
_KEPT = re.compile(r"\[the whole text .* (?:is kept as .*|could not be kept; ask for less)\]")


_MARK = re.compile(r"\[secret:[^\[\]\n]{1,160}\]")
_PADDING = "\ufdd0"
"""A noncharacter: no text that is interchanged has it (Unicode, section 23.7)."""


def whole(result: ToolResult) -> tuple[ToolResult, str]:
    """Return a result that becomes the recorded one when it is bounded, and the mark that padding
    stands for in it, or nothing; see `restored`."""
    if len(joined_text(result.content)) <= RESULT_LIMIT:
        return result, ""
    content = [b for b in result.content if not (isinstance(b, Text) and _KEPT.fullmatch(b.text))]
    length = len(joined_text(tuple(_filled(block) for block in content)))
    padded, mark = _padded(tuple(content), _said(content) - length)
    filled = tuple(_filled(block) for block in padded)
    return replace(result, content=filled, artifact=None), mark


def restored(result: ToolResult, mark: str) -> ToolResult:
    """Return a result that was bounded with the mark where the padding stands."""
    return replace(result, content=tuple(_unpadded(block, mark) for block in result.content))


def _unpadded(block: Content, mark: str) -> Content:
    if not isinstance(block, Text | Resource) or block.text is None:
        return block
    return replace(block, text=re.sub(f"{_PADDING}+", lambda _: mark, block.text))


def _said(content: Sequence[Content]) -> int:
    """How many characters there were, as the record says."""
    found = (_CUT.search(text_of(block) or "") for block in content)
    return next((int(cut["whole"].replace(",", "")) for cut in found if cut is not None), 0)


def _padded(content: tuple[Content, ...], missing: int) -> tuple[tuple[Content, ...], str]:
    """Put padding for the first mark, so that as many characters are there as are missing."""
    for place, block in enumerate(content):
        found = _MARK.search(text_of(block) or "")
        if not missing or found is None or not isinstance(block, Text | Resource):
            continue
        length, text = len(found[0]) + missing, text_of(block) or ""
        if length > 0:
            text = text[: found.start()] + _PADDING * length + text[found.end() :]
            other = replace(block, text=text)
            return (*content[:place], other, *content[place + 1 :]), found[0]
    return content, ""


def _filled(block: Content) -> Content:
    text = text_of(block)
    found = None if text is None else _CUT.search(text)
    if text is None or found is None or not isinstance(block, Text | Resource):
        return block
    head, tail = text[: found.start()], text[found.end() :]
    left, first, last = (int(found[k].replace(",", "")) for k in ("left", "first", "last"))
    return replace(block, text=head + _filling(len(head), left, last - first) + tail)


def _filling(start: int, length: int, ends: int) -> str:
    """`length` characters with `ends` line ends, of which the last one is at the end, and the rest
    where a head is not looked for any more."""
    if not ends:
        return "x" * length
    free = max(0, RESULT_LIMIT * 3 // 4 - start)
    middle = ends - 1
    rest = length - free - middle - 1
    return "x" * free + "\n" * middle + "x" * max(0, rest) + "\n"
