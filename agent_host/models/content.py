"""Content blocks in the words that several wires share: media types, and text in place of media.

Theory of operation: a provider refuses a whole request for one bad picture, and with it every later
request of the conversation; so a block is checked before it is sent as what it claims to be, and
becomes a line of text otherwise. Nothing is converted and nothing is fetched.
"""

import binascii
from functools import lru_cache

from agent_host.core.text import clip
from agent_host.core.types import Audio, Block, Image, Resource, Text, ToolResult

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What every provider that takes pictures takes."""
SOUNDS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
"""Media types of sounds, and what the OpenAI wires call them."""
PDF = "application/pdf"


@lru_cache(maxsize=256)
def is_base64(data: str) -> bool:
    """Return whether `data` is base64 (RFC 4648, section 4) of at least one byte."""
    try:
        return bool(binascii.a2b_base64(data, strict_mode=True))
    except ValueError:
        return False


def picture(block: Block) -> Image | None:
    """Return the block as a picture that providers take, or None."""
    if isinstance(block, Resource) and block.data is not None and block.text is None:
        block = Image(data=block.data, media_type=block.media_type)
    if isinstance(block, Image) and block.media_type in PICTURES and is_base64(block.data):
        return block
    return None


def sound(block: Block) -> Audio | None:
    """Return the block as a sound that the wires with sounds take, or None."""
    if isinstance(block, Resource) and block.data is not None and block.text is None:
        block = Audio(data=block.data, media_type=block.media_type)
    if isinstance(block, Audio) and block.media_type in SOUNDS and is_base64(block.data):
        return block
    return None


def document(block: Block) -> Resource | None:
    """Return the block as a PDF file, or None."""
    if isinstance(block, Resource) and block.media_type == PDF and block.data is not None:
        return block if is_base64(block.data) else None
    return None


def file_name(file: Resource) -> str:
    """Return what a file is called, for a provider that wants a name."""
    return clip(file.name or file.uri.rpartition("/")[2] or "document.pdf", 120)


def as_text(block: Block) -> str:
    """Return a block where only text may stand."""
    match block:
        case Text():
            return block.text
        case Image() | Audio():
            return f"[{block.type} {block.media_type}]"
        case Resource():
            where = f"{block.name} {block.uri}".strip()
            if block.text is not None:
                return f"[resource {where}]\n{block.text}"
            return f"[resource {where} {block.media_type}]".replace(" ]", "]")
        case _:
            return ""


def in_words(block: Block) -> str:
    """Return a block that this model is not sent, as text that says so: never its data."""
    text = as_text(block)
    lost = isinstance(block, Image | Audio) or (
        isinstance(block, Resource) and block.text is None and block.data is not None
    )
    return f"{text[:-1]}: not shown, this model cannot take it]" if lost else text


def result_text(result: ToolResult, texts: list[str]) -> str:
    """Return the text of a result for a wire that cannot say that it is an error."""
    text = "\n".join(texts) or "(no output)"
    return f"Error ({result.error}): {text}" if result.error else text
