"""Keeps the values of known secrets out of records and artifacts.

Theory of operation: exact values only, each replaced by `[secret:NAME]`, which is the same in
every record, so that people and models see that two places held the same thing. Most records
hold none: a record is first written as usual, and only a line in which the escaped form of a
secret occurs is made again from a redacted copy. That test misses nothing, because JSON escapes
each character by itself. What the format says of itself (event types, decisions, ids of runs,
times) is never touched, so a secret that reads like a keyword cannot break a transcript. Values
shorter than MIN_LENGTH are not searched for: they would hit by chance and hide ordinary text.
"""

import functools
import re
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from agent_host.core.events import Record
from agent_host.core.types import JsonObject
from agent_host.records.codec import DEEPER, MAX_DEPTH, encode, encode_value, members

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
        self._find = re.compile("|".join(map(re.escape, self._marks)))
        self._find_bytes = re.compile(b"|".join(map(re.escape, self._bytes)))

    def __repr__(self) -> str:
        return f"Redactor({len(self._marks)} secrets)"

    def encode(self, record: Record) -> bytes:
        """Return the record's line, as `codec.encode` does, without any secret."""
        line = encode(record)
        for escaped in self._escaped:
            if escaped in line:
                return encode_value(self._record(record))
        return line

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

    def _record(self, record: Record) -> JsonObject:
        return {**members(record), "event": self._value(record.event, 2)}

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if not (isinstance(value, dict | list | tuple) or is_dataclass(value)):
            return value
        if depth > MAX_DEPTH:
            return DEEPER
        if isinstance(value, list | tuple):
            return [self._value(item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {self.text(str(k)): self._value(item, depth + 1) for k, item in value.items()}
        kind: type = type(value)
        fixed = _keywords(kind)
        return {
            name: item if name in fixed else self._value(item, depth + 1)
            for name, item in members(value).items()
        }


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
