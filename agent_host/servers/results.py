"""What a server answered a call with, as blocks for the model.

Theory of operation: MCP 2025-11-25 and 2026-07-28, server/tools. Every content type the protocol
knows becomes a block; what is unknown or malformed becomes text, so that one odd block never loses
the rest. `structuredContent` is shown only where no text block says the same. The whole is bounded:
what is over the cap is left out and the model is told so. URIs are shown, never opened.
"""

import base64
import binascii
import json
from typing import Any

from agent_host.core.types import Audio, Content, Image, JsonObject, Resource, Text
from agent_host.servers.frames import sound

MAX_RESULT = 8 * 1024 * 1024
"""Characters of one result that reach the host."""
MAX_BLOCKS = 1000


def text_result(text: str) -> tuple[Content, ...]:
    """A result of one text."""
    return (Text(text=text),)


def content_of(raw: JsonObject) -> tuple[tuple[Content, ...], bool]:
    """The blocks of a raw tools/call result, and whether the tool calls it an error."""
    if raw.get("resultType", "complete") != "complete":
        kind = str(raw.get("resultType"))[:40]
        return text_result(
            f"The server wants more ({sound(kind)}), which the host cannot give."
        ), True
    listed = raw.get("content")
    items = listed if isinstance(listed, list) else ([] if listed is None else [listed])
    blocks: list[Content] = []
    room = MAX_RESULT
    for item in items[:MAX_BLOCKS]:
        block = _block(item)
        room -= _size(block)
        if room < 0:
            blocks.append(Text(text="[The rest of the result is larger than the host accepts.]"))
            break
        blocks.append(block)
    else:
        if len(items) > MAX_BLOCKS:
            blocks.append(Text(text=f"[{len(items) - MAX_BLOCKS} more blocks are left out.]"))
    structured = raw.get("structuredContent")
    if structured is not None and room > 0 and not _said(structured, blocks):
        text = as_json(structured)
        over = "[The structured result is larger than the host accepts.]"
        blocks.append(Text(text=text if len(text) <= room else over))
    return tuple(blocks), raw.get("isError") is True


def as_json(value: Any) -> str:
    """`value` as JSON text; what JSON cannot say (NaN, infinities) becomes null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False)
    return sound(text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not -1e309 < value < 1e309:
        return None
    return value


def _said(structured: Any, blocks: list[Content]) -> bool:
    """Whether a text block is the JSON of `structured`, or says its only value."""
    wrapped = None
    if isinstance(structured, dict) and len(structured) == 1:
        (wrapped,) = structured.values()
    for block in blocks:
        if not isinstance(block, Text):
            continue
        if isinstance(wrapped, str) and block.text == wrapped:
            return True
        try:
            value = json.loads(block.text)
        except (ValueError, RecursionError):
            continue
        if value == structured or (wrapped is not None and value == wrapped):
            return True
    return False


def _size(block: Content) -> int:
    match block:
        case Text():
            return len(block.text)
        case Image() | Audio():
            return len(block.data)
        case Resource():
            return len(block.uri) + len(block.text or "") + len(block.data or "")


def _block(item: Any) -> Content:
    if isinstance(item, dict):
        made = _known(item)
        if made is not None:
            return made
    if isinstance(item, str):
        return Text(text=sound(item))
    return Text(text=as_json(item))


def _known(item: JsonObject) -> Content | None:
    kind = item.get("type")
    if kind == "text" and isinstance(item.get("text"), str):
        return Text(text=sound(item["text"]))
    if kind in ("image", "audio"):
        return _media(item)
    if kind == "resource" and isinstance(item.get("resource"), dict):
        return _resource(item["resource"])
    if kind == "resource_link":
        return _resource({**item, "text": None, "blob": None})
    return None


def _media(item: JsonObject) -> Content | None:
    data, media_type = item.get("data"), item.get("mimeType")
    if not isinstance(data, str) or not isinstance(media_type, str) or not _is_base64(data):
        return None
    if item["type"] == "image":
        return Image(data=data, media_type=sound(media_type[:100]))
    return Audio(data=data, media_type=sound(media_type[:100]))


def _resource(item: JsonObject) -> Content | None:
    uri, text, blob = item.get("uri"), item.get("text"), item.get("blob")
    if not isinstance(uri, str):
        return None
    name, media_type = item.get("name"), item.get("mimeType")
    return Resource(
        uri=sound(uri[:4096]),
        name=sound(name[:300]) if isinstance(name, str) else "",
        media_type=sound(media_type[:100]) if isinstance(media_type, str) else "",
        text=sound(text) if isinstance(text, str) else None,
        data=blob if isinstance(blob, str) and _is_base64(blob) else None,
    )


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
