"""Recorded text on its way out: bounded, and nothing in it hidden.

Theory of operation: `visible` is what every writer passes recorded text through before it escapes
for its own form: too long is cut in the middle with a note (the JSON form has it whole), and every
character that could hide, reorder or move text becomes a visible escape (`core.text.clean`).
"""

from collections.abc import Callable

from agent_host.core.context import shorten
from agent_host.core.text import clean
from agent_host.core.types import Audio, Block, Image, Resource

LIMIT = 200_000
"""Characters of one text that are written; a longer one is cut in its middle."""

MEDIA_LIMIT = 4_000_000
"""Base64 characters of one embedded picture."""

MEDIA_TOTAL = 40_000_000
"""Base64 characters of all embedded pictures of one file."""

RASTER = {
    "image/png": "iVBORw0KGgo",
    "image/jpeg": "/9j/",
    "image/gif": "R0lGOD",
    "image/webp": "UklGR",
}
"""Kinds of pictures that may be embedded, and how the base64 of each begins. No SVG: it is a
program."""

Cleaner = Callable[[str], str]


def visible(text: str, cleaner: Cleaner = clean) -> str:
    """Return text that may be shown, of at most about LIMIT characters."""
    cut = shorten(text, LIMIT)
    if cut != text:
        cut += f"\n[cut: {len(text):,} characters in all; `--format json` has them]"
    return cleaner(cut)


def described(block: Block) -> str:
    """Return what a block is that is not written out."""
    match block:
        case Image() | Audio():
            return f"{block.type} {block.media_type}, {len(block.data) * 3 // 4:,} bytes"
        case Resource():
            data = f", {len(block.data) * 3 // 4:,} bytes" if block.data else ""
            kind = f" {block.media_type}" if block.media_type else ""
            return f"resource {block.uri}{kind}{data}"
        case _:
            return block.type
