"""What a server answered a call with, as blocks for the model and for the user.

Theory of operation: MCP 2025-11-25 and 2026-07-28, server/tools. Every content type the protocol
knows becomes a block; what is unknown or malformed becomes a file if it holds data, else text, so
that one odd block never loses the rest and no base64 ever becomes text. What is meant for the user
alone (`annotations.audience`) is kept apart, and the model is told. The structured form is shown
only if no text says the same (`saying`). The whole is bounded: what is over the cap is left out and
the model is told so. URIs are shown, never opened.
"""

import json
from collections.abc import Iterable
from typing import Any

from agent_host.core.hidden import without_smuggled
from agent_host.core.types import Audio, Content, Image, JsonObject, Resource, Text
from agent_host.servers.frames import sound
from agent_host.servers.tools.media import base64_of, media_type_of
from agent_host.servers.tools.saying import says

MAX_RESULT = 8 * 1024 * 1024
"""Characters of one result that reach the host."""
MAX_BLOCKS = 1000
MAX_FOR_USER = 1_000_000
"""Characters of what a result holds for the user alone."""
_NOTE = "[A part of the result is shown to the user only.]"


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
    items = _items(raw)
    blocks, room = _bounded([item for item in items if not _for_user(item)], MAX_RESULT)
    if len(items) > MAX_BLOCKS:
        blocks.append(Text(text=f"[{len(items) - MAX_BLOCKS} more blocks are left out.]"))
    structured = raw.get("structuredContent")
    if structured is not None and room > 0:
        blocks = _with_structured(structured, blocks, room)
    if any(map(_for_user, items)):
        blocks.append(Text(text=_NOTE))
    return tuple(blocks), raw.get("isError") is True


def for_user(raw: JsonObject) -> tuple[Content, ...]:
    """The blocks of a raw result that are meant for the user alone."""
    chosen = [item for item in _items(raw) if _for_user(item)]
    return tuple(_bounded(chosen, MAX_FOR_USER)[0])


def as_json(value: Any) -> str:
    """`value` as JSON text; what JSON cannot say (NaN, infinities) becomes null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False)
    return sound(text)


def _items(raw: JsonObject) -> list[Any]:
    listed = raw.get("content")
    return listed if isinstance(listed, list) else ([] if listed is None else [listed])


def _for_user(item: Any) -> bool:
    hints = item.get("annotations") if isinstance(item, dict) else None
    return isinstance(hints, dict) and hints.get("audience") == ["user"]


def _bounded(items: Iterable[Any], room: int) -> tuple[list[Content], int]:
    """The blocks that `room` characters hold, at most MAX_BLOCKS items, and what room is left."""
    blocks: list[Content] = []
    for item, _ in zip(items, range(MAX_BLOCKS), strict=False):
        for block in _blocks(item):
            room -= _size(block)
            if room < 0:
                text = "[The rest of the result is larger than the host accepts.]"
                return [*blocks, Text(text=text)], room
            blocks.append(block)
    return blocks, room


def _with_structured(structured: Any, blocks: list[Content], room: int) -> list[Content]:
    """The blocks with the structured form of the result, or without, if they say it already; and
    without texts that say nothing beside it."""
    texts = [block.text for block in blocks if isinstance(block, Text)]
    which = says(structured, texts)
    if which == "text":
        return blocks
    text = as_json(structured)
    if len(text) > room:
        over = "[The structured result is larger than the host accepts.]"
        return [*blocks, Text(text=over)]
    if which == "structured":
        blocks = [block for block in blocks if not isinstance(block, Text)]
    return [*blocks, Text(text=text)]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not -1e309 < value < 1e309:
        return None
    return value


def _size(block: Content) -> int:
    match block:
        case Text():
            return len(block.text)
        case Image() | Audio():
            return len(block.data)
        case Resource():
            return len(block.uri) + len(block.text or "") + len(block.data or "")


def _blocks(item: Any) -> list[Content]:
    if isinstance(item, str):
        return [Text(text=_shown(item))]
    if isinstance(item, dict):
        made = _known(item) or _file(item)
        if made is not None:
            about = _about(item) if item.get("type") == "resource_link" else ""
            return [made, Text(text=about)] if about else [made]
    return [Text(text=as_json(_without_data(item)))]


def _known(item: JsonObject) -> Content | None:
    kind = item.get("type")
    if kind == "text" and isinstance(item.get("text"), str):
        return Text(text=_shown(item["text"]))
    if kind in ("image", "audio"):
        return _media(item)
    if kind == "resource" and isinstance(item.get("resource"), dict):
        return _resource(item["resource"])
    if kind == "resource_link":
        return _resource({**item, "text": None, "blob": None})
    return None


def _media(item: JsonObject) -> Content | None:
    data = base64_of(item.get("data"))
    media_type = media_type_of(item.get("mimeType"), data)
    if data is None or not media_type.startswith(f"{item['type']}/"):
        return None
    if item["type"] == "image":
        return Image(data=data, media_type=media_type)
    return Audio(data=data, media_type=media_type)


def _resource(item: JsonObject) -> Content | None:
    uri, text = item.get("uri"), item.get("text")
    if not isinstance(uri, str):
        return None
    name = item.get("title") if isinstance(item.get("title"), str) else item.get("name")
    data = base64_of(item.get("blob"))
    return Resource(
        uri=sound(uri[:4096]),
        name=sound(name[:300]) if isinstance(name, str) else "",
        media_type=media_type_of(item.get("mimeType"), data),
        text=_shown(text) if isinstance(text, str) else None,
        data=data,
    )


def _file(item: JsonObject) -> Content | None:
    """A block of a type that is not known, with data all the same: a file."""
    data = base64_of(item.get("data", item.get("blob")))
    if data is None:
        return None
    kind = item.get("type")
    return Resource(
        uri="",
        name=sound(kind[:40]) if isinstance(kind, str) else "",
        media_type=media_type_of(item.get("mimeType"), data),
        data=data,
    )


def _about(link: JsonObject) -> str:
    """What a link says of the resource behind it."""
    description, size = link.get("description"), link.get("size")
    parts = [_shown(description[:2000])] if isinstance(description, str) and description else []
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        parts.append(f"{size:,} bytes")
    return f"[{', '.join(parts)}]" if parts else ""


def _shown(text: str) -> str:
    return without_smuggled(sound(text))


def _without_data(value: Any) -> Any:
    """A block that nobody understands, with data that is no base64 by its size only."""
    if not isinstance(value, dict):
        return value
    return {
        key: f"[{len(item)} characters]"
        if key in ("data", "blob") and isinstance(item, str) and len(item) > 200
        else item
        for key, item in value.items()
    }
