"""What of a result is too large for a model: kept whole, shown in part.

Theory of operation: texts are kept together as one artifact, each picture, sound or file as its
own bytes, with the suffix that people's programs know it by. The model is told what is missing,
under which name it lies, and which tools read it. A disk that is full costs the whole of a result,
never the result: the call has had its effect.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from agent_host.core.context import RESULT_LIMIT, bound_content, described, joined_text, too_large
from agent_host.core.errors import RecordError
from agent_host.core.offering import READ_ARTIFACT, SEARCH_ARTIFACT
from agent_host.core.types import Content, Text, ToolResult

Keep = Callable[[str, bytes], str]
"""Stores an artifact and returns its name (`ports.Journal.keep`)."""

_SUFFIXES = {
    "application/pdf": "pdf",
    "application/zip": "zip",
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
}
_SUBTYPE = re.compile(r"(?:image|audio|video|font)/(?:x-)?([a-z0-9]{2,8})")


def bounded(result: ToolResult, keep: Keep) -> ToolResult:
    """Return the result as it may enter a context; what does not fit is kept as artifacts."""
    content, cut = bound_content(result.content)
    if not cut:
        return result
    first: str | None = None
    notes: list[Content] = []
    for name, what, data in _files(result):
        try:
            artifact = keep(name, data)
        except RecordError:
            notes.append(Text(text=f"[{what} could not be kept; ask for less]"))
            continue
        first = first or artifact
        how = f"; {READ_ARTIFACT} and {SEARCH_ARTIFACT} read it" if name.endswith(".txt") else ""
        notes.append(Text(text=f"[{what} is kept as {artifact}{how}]"))
    return replace(result, content=(*content, *notes), artifact=first)


def _files(result: ToolResult) -> Iterator[tuple[str, str, bytes]]:
    """Name, description and bytes of each artifact."""
    text = joined_text(result.content)
    if len(text) > RESULT_LIMIT:
        lines = text.count("\n") + 1
        what = f"the whole text ({len(text):,} characters, {lines:,} lines)"
        yield f"{result.call_id}.txt", what, text.encode("utf-8", "backslashreplace")
    yield from _media(result.call_id, result.content)


def _media(call_id: str, content: Iterable[Content]) -> Iterator[tuple[str, str, bytes]]:
    for number, block in enumerate(content, 1):
        if isinstance(block, Text) or not too_large(block):
            continue
        suffix = _SUFFIXES.get(block.media_type)
        if suffix is None:
            found = _SUBTYPE.fullmatch(block.media_type)
            suffix = found[1] if found else "bin"
        yield f"{call_id}-{number}.{suffix}", described(block), _bytes(block.data or "")


def _bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data)
    except ValueError:
        return data.encode("utf-8", "backslashreplace")
