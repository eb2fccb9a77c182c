"""Keeps the values of known secrets out of records, artifacts and what surfaces show.

Theory of operation: exact values only, each replaced by `[secret:NAME]`, which is the same in
every record, so that people and models see that two places held the same thing. Most records
hold none: a record is first written as usual, and only a line in which the escaped form of a
secret occurs is made again from a redacted copy. That test misses nothing, because JSON escapes
each character by itself. What the format says of itself (event types, decisions, ids of runs,
times) is never touched, so a secret that reads like a keyword cannot break a transcript. Values
shorter than MIN_LENGTH are not searched for: they would hit by chance and hide ordinary text.
"""

import functools
import operator
import re
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from agent_host.core.events import (
    Ephemeral,
    ReasoningDelta,
    Record,
    TextDelta,
    ToolArgumentsDelta,
)
from agent_host.ports import EventSink
from agent_host.records.codec import DEEPER, MAX_DEPTH, encode, encode_value, members

_Item = TypeVar("_Item", bound=Record | Ephemeral)
_Any = TypeVar("_Any")
_Delta = TextDelta | ReasoningDelta | ToolArgumentsDelta

MIN_LENGTH = 4
"""Characters of the shortest value that is treated as a secret."""


class Redactor:
    """Replaces the values of `secrets` (name to value) wherever a record holds them."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets: dict[str, str] = {}
        self.add(secrets)

    def add(self, secrets: Mapping[str, str]) -> None:
        """Replace the values of these secrets as well, in what is written from here on."""
        self._secrets |= {v: name for name, v in secrets.items() if len(v) >= MIN_LENGTH}
        known = self._secrets
        longest_first = sorted(known, key=lambda value: (-len(value), value))
        self._marks = {value: f"[secret:{known[value]}]" for value in longest_first}
        self._escaped = tuple(encode_value(value)[1:-1] for value in longest_first)
        self._bytes = {_utf8(value): _utf8(mark) for value, mark in self._marks.items()}
        self._longest = max(map(len, known), default=1)
        self._firsts = {value[0] for value in known}
        self._find = re.compile("|".join(map(re.escape, self._marks)))
        self._find_bytes = re.compile(b"|".join(map(re.escape, self._bytes)))

    def __repr__(self) -> str:
        return f"Redactor({len(self._marks)} secrets)"

    def encode(self, record: Record) -> bytes:
        """Return the record's line, as `codec.encode` does, without any secret."""
        line = encode(record)
        for escaped in self._escaped:
            if escaped in line:
                return encode(self.item(record))
        return line

    def item(self, item: _Item) -> _Item:
        """Return a record, or what is only shown, without any secret; itself if it has none."""
        if not self._marks:
            return item
        if isinstance(item, Record):
            event = self._value(item.event, 2)
            return item if event is item.event else replace(item, event=event)
        redacted: _Item = self._value(item, 2)
        return redacted

    def value(self, value: _Any) -> _Any:
        """Return a value of JSON or dataclasses without any secret; itself if it has none."""
        redacted: _Any = self._value(value, 0) if self._marks else value
        return redacted

    def unfinished(self, text: str) -> int:
        """Return how many characters at the end of `text` may be the beginning of a secret."""
        start = max(len(text) - self._longest + 1, 0)
        for place in range(start, len(text)):
            if text[place] in self._firsts:
                rest = text[place:]
                if any(value.startswith(rest) for value in self._marks):
                    return len(rest)
        return 0

    def text(self, text: str) -> str:
        """Return `text` without any secret."""
        if not any(value in text for value in self._marks):
            return text
        return self._find.sub(lambda match: self._marks[match[0]], text)

    def bytes(self, data: bytes) -> bytes:
        """Return `data` (UTF-8 text, or anything) without the UTF-8 form of any secret."""
        if not any(value in data for value in self._bytes):
            return data
        return self._find_bytes.sub(lambda match: self._bytes[match[0]], data)

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if not (isinstance(value, dict | list | tuple) or is_dataclass(value)):
            return value
        if depth > MAX_DEPTH:
            return DEEPER
        if isinstance(value, list | tuple):
            items = [self._value(item, depth + 1) for item in value]
            if all(map(operator.is_, items, value)):
                return value
            return items if isinstance(value, list) else tuple(items)
        if isinstance(value, dict):
            new = {self.text(str(k)): self._value(item, depth + 1) for k, item in value.items()}
            same = all(map(operator.is_, new.values(), value.values()))
            return value if same and list(new) == list(value) else new
        return self._fields(value, depth)

    def _fields(self, value: Any, depth: int) -> Any:
        kind: type = type(value)
        fixed = _keywords(kind)
        new = {
            name: self._value(item, depth + 1)
            for name, item in members(value).items()
            if name not in fixed
        }
        changed = {name: item for name, item in new.items() if item is not getattr(value, name)}
        return replace(value, **changed) if changed else value


class RedactedSink:
    """Shows another sink everything without the secrets that `redactor` knows. What is streamed
    is held back as long as it may be the beginning of a secret."""

    def __init__(self, sink: EventSink, redactor: Redactor) -> None:
        self._sink = sink
        self._redactor = redactor
        self._last: _Delta | None = None
        self._tail = ""

    def emit(self, item: Record | Ephemeral) -> None:
        """Take one item. Raises what the sink raises."""
        if isinstance(item, TextDelta | ReasoningDelta | ToolArgumentsDelta):
            if self._tail and not _continues(self._last, item):
                self._release()
            self._stream(item)
            return
        if isinstance(item, Record):
            self._release()
        self._sink.emit(self._redactor.item(item))

    def _stream(self, item: _Delta) -> None:
        text = self._redactor.text(self._tail + item.text)
        whole = len(text) - self._redactor.unfinished(text)
        self._last, self._tail = item, text[whole:]
        if whole:
            self._sink.emit(item if text[:whole] == item.text else _with(item, text[:whole]))

    def _release(self) -> None:
        last, tail = self._last, self._tail
        self._last, self._tail = None, ""
        if last is not None and tail:
            self._sink.emit(_with(last, tail))


def _continues(last: _Delta | None, item: _Delta) -> bool:
    return type(last) is type(item) and getattr(last, "index", 0) == getattr(item, "index", 0)


def _with(delta: _Delta, text: str) -> _Delta:
    return replace(delta, text=text)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@functools.cache
def _keywords(kind: type) -> frozenset[str]:
    """The fields of a dataclass whose text is a keyword of the format: nothing but literals."""
    return frozenset(f.name for f in fields(kind) if _is_literal(f.type))


def _is_literal(hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Literal:
        return True
    arguments = typing.get_args(hint)
    return bool(arguments) and all(a is type(None) or _is_literal(a) for a in arguments)
