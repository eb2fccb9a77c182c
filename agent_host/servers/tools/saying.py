"""Whether a text and a structured value say the same.

Theory of operation: most servers send a structured result twice, as the value and as text: its JSON
(as the protocol asks, MCP 2025-11-25, server/tools), its only value, or prose with the same values.
A model needs it once. The same value, or every word of the value in the text: the text is enough.
Every word of the text in the value: the text says less. Else each says what the other does not, and
both are needed. Compared are sets of words, so the work is linear.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

_WORD = re.compile(r"\w+")


def says(structured: Any, texts: Iterable[str]) -> Literal["text", "structured", "both"]:
    """Return what has to be shown for nothing to be lost."""
    texts = [text for text in texts if text.strip()]
    if not texts:
        return "structured"
    if any(_is(structured, text) for text in texts):
        return "text"
    told = {word for text in texts for word in _WORD.findall(text.lower())}
    values = {word for value in _values(structured) for word in _WORD.findall(value.lower())}
    if values <= told:
        return "text"
    names = {word for name in _names(structured) for word in _WORD.findall(name.lower())}
    return "structured" if told <= values | names else "both"


def _is(structured: Any, text: str) -> bool:
    """Whether a text is the JSON of a value, or says its only value."""
    wrapped = None
    if isinstance(structured, dict) and len(structured) == 1:
        (wrapped,) = structured.values()
    if isinstance(wrapped, str) and text == wrapped:
        return True
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return bool(value == structured or (wrapped is not None and value == wrapped))


def _values(value: Any) -> Iterator[str]:
    """What stands in a value, as text: strings, numbers, true and false."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, str):
            yield item
        elif item is not None:
            yield json.dumps(item)


def _names(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield from item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
