"""Keeps secrets out of records, artifacts and what surfaces show.

Theory of operation: two kinds. The values of configured secrets are known exactly: each is replaced
by `[secret:NAME]` wherever it stands, in every form of `forms`. Others are found by what they look
like (`detect`) and replaced by `[secret:KIND:HEX]` (`marks`); what was found once is then known,
too. Both are the same in every record, so that people and models see that two places held the same
thing. Most records hold none: a record is first written as usual, and only a line in which
something may be a secret is made again from a redacted copy. That misses nothing, because JSON
escapes each character by itself. What the format says of itself (event types, decisions, ids,
times) is never touched, so a secret that reads like a keyword cannot break a transcript, and
nothing is looked for by its form in ids, hashes, media, and what providers and servers want back as
it was. Values shorter than MIN_LENGTH are not searched for: they would hit by chance and hide
ordinary text. Streams: see `streamed`.
"""

import base64
import functools
import operator
import typing
import weakref
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar

from agent_host.core.events import Ephemeral, Record
from agent_host.core.types import Resource
from agent_host.records.codec import DEEPER, MAX_DEPTH, encode, members
from agent_host.records.forms import Needles
from agent_host.records.marks import MARK, Marks

_Item = TypeVar("_Item", bound=Record | Ephemeral)
_Any = TypeVar("_Any")
Cut = tuple[int, int, str]
"""Start and end of a secret in a text, and what is written instead."""

MIN_LENGTH = 4
"""Characters of the shortest value that is treated as a secret."""

LEARNED = 500
"""Secrets found by their form that are then searched for exactly; one that is found after these is
still replaced where its form tells."""

_LEAST_LEARNED = 6

_AS_IT_IS = frozenset(
    {
        *("opaque", "state", "call_id", "id", "request_id", "response_id", "provider_request_id"),
        *("input_id", "sampling_id", "run_id", "parent", "fingerprint", "config_fingerprint"),
        *("policy", "binding", "name", "server", "tool", "provider", "model", "adapter", "at"),
        *("principal_id", "requester", "requester_from", "authenticated_by", "by", "expires_at"),
    }
)
"""Fields of dataclasses in which nothing is looked for by its form."""

_NOT_FOUND_IN = _AS_IT_IS | {"data"}
_MEDIA = ("image/", "audio/", "video/")


_LIVE: "weakref.WeakSet[Redactor]" = weakref.WeakSet()


def without_any(text: str) -> str:
    """Return `text` without the secrets that anything in this process knows of: for errors that
    end it, which come from anywhere."""
    for redactor in tuple(_LIVE):
        text = redactor.text(text)
    return text


class Finder(Protocol):
    """What finds secrets by their form; see `detect.Detector`."""

    def suspects(self, line: str) -> bool:
        """Whether a line of JSON may hold one."""

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """Return start, end and kind of each, in order and apart."""

    def open(self, text: str, start: int) -> int:
        """Return where what may be an unfinished one begins, not before `start`."""


class Redactor:
    """Replaces the values of `secrets` (name to value) wherever something holds them, and what
    `finder` finds. `marks`: what found ones are replaced by."""

    def __init__(
        self,
        secrets: Mapping[str, str],
        finder: Finder | None = None,
        marks: Marks | None = None,
    ) -> None:
        self.finder = finder
        self.marks = marks or Marks()
        self._needles = Needles()
        self._learned = Needles()
        self._last: tuple[Record, Record, bytes] | None = None
        _LIVE.add(self)
        self.add(secrets)

    def add(self, secrets: Mapping[str, str]) -> None:
        """Replace the values of these secrets as well, in what is written from here on."""
        self._last = None
        for name, value in secrets.items():
            if len(value) >= MIN_LENGTH:
                self._needles.add(value, f"[secret:{name}]")

    def __repr__(self) -> str:
        return f"Redactor({len(self._needles)} secrets)"

    def encode(self, record: Record) -> bytes:
        """Return the record's line, as `codec.encode` does, without any secret."""
        if self._last is not None and self._last[0] is record:
            return self._last[2]
        line = encode(record)
        text = line.decode("ascii")
        if self._suspects(text):
            redacted = self._record(record)
            if redacted is not record:
                line = encode(redacted)
        else:
            redacted = record
        self._last = record, redacted, line
        return line

    def _suspects(self, line: str) -> bool:
        if self._needles.in_line(line) or self._learned.in_line(line):
            return True
        return self.finder is not None and self.finder.suspects(line)

    def item(self, item: _Item) -> _Item:
        """Return a record, or what is only shown, without any secret; itself if it has none."""
        if isinstance(item, Record):
            self.encode(item)  # most hold none, which is seen at once in their line
            assert self._last is not None
            return typing.cast(_Item, self._last[1])
        redacted: _Item = self._value(item, 2, find=True)
        return redacted

    def value(self, value: _Any) -> _Any:
        """Return a value of JSON or dataclasses without any secret; itself if it has none."""
        redacted: _Any = self._value(value, 0, find=True)
        return redacted

    def text(self, text: str) -> str:
        """Return `text` without any secret."""
        return self._text(text, find=True)

    def bytes(self, data: bytes) -> bytes:
        """Return `data` without any secret: of UTF-8 text what `text` does, of anything else
        without the values of known ones."""
        if self.finder is not None:
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                return self._needles.bytes(data)
            redacted = self.text(text)
            return data if redacted is text else redacted.encode("utf-8", "surrogatepass")
        return self._needles.bytes(data)

    def cuts(self, text: str, *, find: bool = True) -> list[Cut]:
        """Return where secrets stand in `text` and what is written instead, in order and apart."""
        known = self._needles.spans(text)
        if find and self._learned:
            known = _apart(known, self._learned.spans(text))
        found = self.finder.find(text) if self.finder is not None and find else []
        if not found:
            return sorted(known)
        marks = [span[:2] for span in _spans(text)]
        new = [f for f in found if not any(m[0] <= f[0] and f[1] <= m[1] for m in marks)]
        return self._joined(text, known, new)

    def open(self, text: str, start: int) -> int:
        """Return where the earliest secret may begin, from `start` on, that `text` breaks off in;
        its length if it breaks off in none."""
        new = text[start:]
        stop = start + self._needles.open(new)
        if self._learned:
            stop = min(stop, start + self._learned.open(new))
        return stop if self.finder is None else min(stop, self.finder.open(text, start))

    def _joined(self, text: str, known: list[Cut], found: list[tuple[int, int, str]]) -> list[Cut]:
        """Known and found secrets; where they overlap, one that covers both."""
        joined: list[tuple[int, int, str, str]] = []  # start, end, kind, mark (of known ones)
        spans = [(s, -e, "", mark) for s, e, mark in known]
        spans += [(s, -e, kind, "") for s, e, kind in found]
        for start, minus_end, kind, mark in sorted(spans):
            end = -minus_end
            if joined and start < joined[-1][1]:
                last = joined[-1]
                if end > last[1]:
                    joined[-1] = last[0], end, last[2] or kind or "secret", ""
                elif mark and (start, end) == last[:2]:
                    joined[-1] = start, end, "", mark
            else:
                joined.append((start, end, kind, mark))
        return [(s, e, mark or self._found(kind, text[s:e])) for s, e, kind, mark in joined]

    def _found(self, kind: str, value: str) -> str:
        """The mark of a secret that was found, which from here on is known."""
        mark = self.marks.mark(kind, value)
        if len(self._learned) < LEARNED and len(value) >= _LEAST_LEARNED:
            self._learned.add(value, mark, encoded=False)
        return mark

    def _text(self, text: str, *, find: bool) -> str:
        cuts = self.cuts(text, find=find)
        if not cuts:
            return text
        parts: list[str] = []
        done = 0
        for start, end, mark in cuts:
            parts += text[done:start], mark
            done = end
        return "".join((*parts, text[done:]))

    def _record(self, record: Record) -> Record:
        event = self._value(record.event, 2, find=True)
        return record if event is record.event else replace(record, event=event)

    def _value(self, value: Any, depth: int, *, find: bool) -> Any:
        if isinstance(value, str):
            return self._text(value, find=find)
        if not (isinstance(value, dict | list | tuple) or is_dataclass(value)):
            return value
        if depth > MAX_DEPTH:
            return DEEPER
        if isinstance(value, list | tuple):
            items = [self._value(item, depth + 1, find=find) for item in value]
            if all(map(operator.is_, items, value)):
                return value
            return items if isinstance(value, list) else tuple(items)
        if isinstance(value, dict):
            return self._object(value, depth, find=find)
        return self._fields(value, depth, find=find)

    def _object(self, value: dict[Any, Any], depth: int, *, find: bool) -> dict[str, Any]:
        new = {}
        for key, item in value.items():
            name = self._text(str(key), find=find)
            new[name] = self._value(item, depth + 1, find=find)
            if find and self.finder is not None and isinstance(item, str) and new[name] is item:
                new[name] = self._member(name, item)
        same = all(map(operator.is_, new.values(), value.values()))
        return value if same and list(new) == list(value) else new

    def _member(self, name: str, text: str) -> str:
        """A value that is a secret because of its key: `{"password": "..."}`."""
        assert self.finder is not None
        before = f'{name[-60:]}="'
        whole = f'{before}{text}"'
        if len(text) > _LONGEST_MEMBER or not self.finder.suspects(whole):
            return text
        size = len(before)
        for start, end, kind in self.finder.find(whole):
            if (start, end) == (size, size + len(text)):
                return self._found(kind, text)
        return text

    def _fields(self, value: Any, depth: int, *, find: bool) -> Any:
        kind: type = type(value)
        fixed = _keywords(kind)
        new = {
            name: self._value(item, depth + 1, find=find and _is_searched(kind, name))
            for name, item in members(value).items()
            if name not in fixed
        }
        if find and isinstance(new.get("data"), str) and new.get("media_type", "") is not None:
            new["data"] = self._media(new["data"], str(new.get("media_type", "")))
        changed = {name: item for name, item in new.items() if item is not getattr(value, name)}
        return replace(value, **changed) if changed else value

    def _media(self, data: str, media_type: str) -> str:
        """A file in base64; one of text, whatever it is called, is looked into."""
        if self.finder is None or media_type.startswith(_MEDIA):
            return data
        try:
            text = base64.b64decode(data).decode("utf-8")
        except ValueError:
            return data
        redacted = self.text(text)
        if redacted is text:
            return data
        return base64.b64encode(redacted.encode("utf-8", "surrogatepass")).decode("ascii")


_LONGEST_MEMBER = 500


def _is_searched(kind: type, name: str) -> bool:
    """Whether secrets are looked for by their form in that field of a dataclass."""
    return name not in _NOT_FOUND_IN or (kind is Resource and name == "name")


def _apart(first: list[Cut], more: list[Cut]) -> list[Cut]:
    """Both, without those of `more` that overlap one of `first`."""
    return first + [m for m in more if not any(m[0] < f[1] and f[0] < m[1] for f in first)]


def _spans(text: str) -> list[tuple[int, int]]:
    """Where marks stand in a text already."""
    return [m.span() for m in MARK.finditer(text)] if "[secret:" in text else []


@functools.cache
def _keywords(kind: type) -> frozenset[str]:
    """The fields of a dataclass whose text is a keyword of the format: nothing but literals."""
    return frozenset(f.name for f in fields(kind) if _is_literal(f.type))


def _is_literal(hint: Any) -> bool:
    if typing.get_origin(hint) is typing.Literal:
        return True
    arguments = typing.get_args(hint)
    return bool(arguments) and all(a is type(None) or _is_literal(a) for a in arguments)
