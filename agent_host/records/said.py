"""The searchable text of a record: what people, models, servers and tools said.

Theory of operation: plain JSON in, so that nothing of a record need be built for it. What people
and models say is searched whole, what goes to tools and comes back in its beginning (it is most
of a transcript; a search in artifacts is the model's tool, not this). Control characters become
spaces, and letters that are written in two ways one (NFC). The index takes a run of letters as
one word, and Chinese, Japanese and Thai write without spaces, Korean without one before what is
added to a word: there each character is made a word of its own, by a mark that is taken out again
before people see it. So is each emoji and other symbol, wherever it stands; lines that are drawn
with characters are none.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from agent_host.core.types import JsonObject

MOST = 200_000
"""Characters of one record that are searched: its beginning."""

OF_TOOLS = 8000
"""The same, of what goes to a tool or comes from one."""

MARK = "\u200b"
"""Stands between the characters of a script without spaces (ZERO WIDTH SPACE)."""

HIT, END = "\x02", "\x03"
"""Stand around a hit in a snippet; no text that is searched holds them."""

_CONTROL = dict.fromkeys((*range(0x20), 0x7F), " ")
_NOTHING = re.compile("[\x00-\x1f\x7f\u200b\u2500-\u259f\u2800-\u28ff]+")
"""Control characters, the mark, and what is drawn with: boxes, bars, dots."""

_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff])"
)
_NO_WORD = re.compile(r"[^\x00-\x7f\w\s]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def said(event: JsonObject) -> tuple[str, str]:
    """Return who says it (`user`, `model`, `call`, `result`, `answer`, `failure`, or nobody) and
    the text of an event; what is no event of a known shape says nothing."""
    name = event.get("type")
    kind = _KINDS.get(name, "") if isinstance(name, str) else ""
    if not kind:
        return "", ""
    try:
        text = " ".join(part for part in _parts(name, event) if isinstance(part, str) and part)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return "", ""
    return kind, searchable(text[: OF_TOOLS if kind in _TOOLS else MOST])


def searchable(text: str) -> str:
    """Return a text as it is indexed, and as what is looked for has to be."""
    if text.isascii():
        return text.translate(_CONTROL).strip()
    text = _NOTHING.sub(" ", text)
    text = _SURROGATE.sub("?", unicodedata.normalize("NFC", text))
    return _NO_WORD.sub(_symbol, _UNSPACED.sub(rf"{MARK}\1{MARK}", text)).strip()


def has_words(text: str) -> bool:
    """Whether there is anything in a text, as `searchable` returns it, that is indexed."""
    return MARK in text or any(map(str.isalnum, text))


def _symbol(found: re.Match[str]) -> str:
    one = found[0]
    return f"{MARK}{one}{MARK}" if unicodedata.category(one)[0] == "S" else one


_KINDS = {
    "user_said": "user",
    "model_responded": "model",
    "tool_finished": "result",
    "tool_started": "call",
    "input_requested": "question",
    "input_given": "answer",
    "approval_given": "answer",
    "model_failed": "failure",
    "run_ended": "failure",
}


_TOOLS = frozenset({"call", "result"})


def _parts(name: Any, event: JsonObject) -> Iterator[Any]:
    match name:
        case "user_said" | "model_responded":
            for block in event["message"]["content"]:
                yield from _block(block)
        case "tool_finished":
            for block in (*event["result"]["content"], *event["result"].get("for_user", ())):
                yield from _block(block)
        case "tool_started":
            yield f"{event['server']}/{event['tool']}"
            yield _json(event["arguments"])
        case "input_given":
            yield _json(event.get("content"))
        case "approval_given":
            yield event.get("feedback")
            yield _json(event.get("arguments"))
        case "run_ended":
            yield event.get("detail")
        case _:
            yield event.get("message")


def _block(block: JsonObject) -> Iterator[Any]:
    match block["type"]:
        case "text":
            yield block["text"][:MOST]
        case "tool_call":
            yield block["name"]
            yield block["raw"][:MOST] if block.get("raw") else _json(block["arguments"])
        case "resource":
            yield block["uri"]
            yield (block.get("text") or "")[:MOST]


def _json(value: Any) -> str:
    """JSON in which a line end parts words, as it does in the text."""
    return _ESCAPE.sub(_unescaped, json.dumps(value, ensure_ascii=False)[:MOST]) if value else ""


_ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|.)")


def _unescaped(found: re.Match[str]) -> str:
    return found[1] if found[1] in {"\\", '"'} else " "
