"""A result that was too large to be recorded whole, as something that is cut in the same way.

Theory of operation: of a text that was too long the record has head and tail, and between them how
many characters and which lines are left out; the engine cuts what it gets. So the middle is filled
with as many characters and line ends as were there. What stands for it is never shown.
"""

import re
from dataclasses import replace

from agent_host.core.context import RESULT_LIMIT, joined_text, text_of
from agent_host.core.types import Content, Resource, Text, ToolResult

_CUT = re.compile(
    r"\n\[\.\.\. (?P<left>[\d,]+) of (?P<whole>[\d,]+) characters left out, "
    r"lines (?P<first>[\d,]+) to (?P<last>[\d,]+) of [\d,]+ \.\.\.\]\n"
)
_KEPT = re.compile(r"\[the whole text .* (?:is kept as .*|could not be kept; ask for less)\]")


def whole(result: ToolResult) -> ToolResult:
    """Return a result that becomes the recorded one when it is bounded."""
    if len(joined_text(result.content)) <= RESULT_LIMIT:
        return result
    content = [b for b in result.content if not (isinstance(b, Text) and _KEPT.fullmatch(b.text))]
    filled = tuple(_filled(block) for block in content)
    return replace(result, content=filled, artifact=None)


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
