"""One answer of a model, put together from whatever pieces a provider streams.

Theory of operation: a wire adapter translates each event into `text`, `reasoning` and `call`
pieces and takes what can be shown with `deltas` once per network read. Providers disagree about
which piece belongs to which call (index missing, always 0, from 1; id missing, repeated, changed
in every piece), so `call` decides by all three of index, id and name; where two readings remain it
takes the one whose result cannot be executed wrongly. Arguments stay raw text until the end and
are then parsed strictly: what is not exactly one JSON object with finite numbers and unique keys
becomes a call with a `fault`, never a guess. All of it is bounded; `AnswerTooLargeError` says so.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from agent_host.core.context import DEPTH_LIMIT
from agent_host.core.events import Delta, ReasoningDelta, TextDelta, ToolArgumentsDelta
from agent_host.core.text import clip
from agent_host.core.types import Block, Json, JsonObject, Reasoning, Text, ToolCall

MAX_CALLS = 128
"""Calls in one answer."""
MAX_ANSWER = 16 * 1024 * 1024
"""Characters of text, reasoning and arguments in one answer together."""
MAX_ARGUMENTS = 4 * 1024 * 1024
"""Characters of one call's arguments."""
MAX_OPAQUE = 1024 * 1024
"""Characters of the JSON of a provider's own data about one block."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_LEGAL_ID = re.compile(r"[A-Za-z0-9_.:@=+/|-]{1,128}")
_NAME_LIMIT = 256
_RAW_LIMIT = 20_000
_MAX_PIECES = 100_000
"""Pieces under changing ids that never get a name, see `_joined`."""

Fault = Literal["malformed_call", "truncated_call"]


Restore = Callable[[str, JsonObject], JsonObject]


def as_it_came(_name: str, arguments: JsonObject) -> JsonObject:
    """Return the arguments as they are: the model was shown the server's own schema."""
    return arguments


class AnswerTooLargeError(Exception):
    """The answer goes beyond a bound; the text says which."""


class _MalformedError(ValueError):
    """The text is not one strict JSON object."""


def whole(text: str) -> str:
    """Return `text` with surrogate pairs joined and lone surrogates replaced by U+FFFD."""
    if text.isascii() or not _SURROGATES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _refuse_constant(name: str) -> NoReturn:
    raise _MalformedError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _MalformedError(text)
    return number


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _MalformedError("a key appears twice")
    return result


def _restore(value: Json, depth: int = 0) -> Json:
    """Check the nesting and replace lone surrogates, which JSON escapes can hide."""
    if depth > DEPTH_LIMIT:
        raise _MalformedError("nested too deeply")
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [_restore(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return _unique([(whole(key), _restore(item, depth + 1)) for key, item in value.items()])
    return value


def parse_arguments(raw: str) -> JsonObject | None:
    """Return the JSON object that `raw` is, or None if it is not exactly that.

    Empty text and `null` mean no arguments. NaN, infinities, duplicate keys and deep nesting are
    refused: two parsers would not agree on what was approved.
    """
    stripped = raw.strip()
    if stripped in ("", "null"):
        return {}
    try:
        value = json.loads(
            stripped,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
        return _restore(value) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None


@dataclass(slots=True, eq=False)
class _Call:
    """A call in the making. `parent`: the call before it at the same index, in case that this is
    a piece of that one under another id."""

    id: str
    name: str
    place: int
    parent: "_Call | None" = None
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    opaque: JsonObject | None = None

    def complete(self) -> bool:
        """True if the pieces so far are a whole JSON object."""
        if not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        return parse_arguments("".join(self.pieces)) is not None

    def repeated(self, piece: str) -> bool:
        """True if `piece` says again, whole, what the pieces so far say."""
        return len(piece) == self.size and self.complete() and piece == "".join(self.pieces)


class Answer:
    """The pieces of one answer, in order."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._carry = {"text": "", "reasoning": ""}
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._size = 0
        self._fresh: list[tuple[str, int, str]] = []
        self._opaque: JsonObject | None = None
        self.shown = False

    @property
    def empty(self) -> bool:
        """True if no text, reasoning or call has come."""
        return not (self._text or self._reasoning or self._calls)

    @property
    def has_calls(self) -> bool:
        """True if any call was begun."""
        return bool(self._calls)

    def text(self, piece: str) -> None:
        """Add a piece of the answer's text."""
        self._grow(len(piece))
        self._text.append(piece)
        self._fresh.append(("text", 0, piece))

    def reasoning(self, piece: str) -> None:
        """Add a piece of the model's reasoning."""
        self._grow(len(piece))
        self._reasoning.append(piece)
        self._fresh.append(("reasoning", 0, piece))

    def opaque(self, data: JsonObject) -> None:
        """Keep the provider's own data about the answer as a whole."""
        if is_small(data):
            self._opaque = {**(self._opaque or {}), **data}

    def call(
        self,
        *,
        index: int | None,
        call_id: str,
        name: str,
        arguments: Json,
        opaque: JsonObject | None = None,
        apart: bool = False,
    ) -> None:
        """Add a piece of a call. `apart`: it came beside other pieces in one event, so that a
        name without an index begins a call of its own."""
        piece = arguments if isinstance(arguments, str) else json_text(arguments)
        call = self._owner(index, call_id, name, piece, apart=apart)
        if call is None:
            if opaque is not None:
                self.opaque(opaque)
            return
        if opaque is not None and is_small(opaque):
            call.opaque = {**(call.opaque or {}), **opaque}
        if not piece or (call_id and call.repeated(piece)):
            return
        self._grow(len(piece))
        call.size += len(piece)
        if call.size > MAX_ARGUMENTS:
            raise AnswerTooLargeError(f"the arguments of a call exceed {MAX_ARGUMENTS} characters")
        call.pieces.append(piece)
        self._fresh.append(("call", call.place, piece))

    def _owner(
        self, index: int | None, call_id: str, name: str, piece: str, *, apart: bool
    ) -> _Call | None:
        """The call that a piece belongs to, begun if need be; None if there is none yet."""
        last = self._calls[-1] if self._calls else None
        known = self._by_id.get(call_id) if call_id else None
        found = self._by_index.get(index) if index is not None else known
        if found is None and (index is None or not (call_id or name)) and not (apart and name):
            found = last
        if found is None:
            return self._begin(index, call_id, name, None) if call_id or name or piece else None
        if call_id and found.id and call_id != found.id:
            if known is not None and (not name or name == known.name):
                return known
            return self._begin(index, call_id, name, found)
        if name and found.name:
            again = not call_id and (
                (apart and index is None) or (piece.lstrip().startswith("{") and found.complete())
            )
            if name != found.name or again:
                return self._begin(index, call_id, name, None)
        found.name = found.name or name
        if call_id and not found.id:
            found.id = call_id
            self._by_id[call_id] = found
        return found

    def _begin(self, index: int | None, call_id: str, name: str, parent: _Call | None) -> _Call:
        if len(self._calls) >= (MAX_CALLS if name else _MAX_PIECES):
            raise AnswerTooLargeError(f"more than {MAX_CALLS} calls")
        call = _Call(
            id=call_id,
            name=name[:_NAME_LIMIT],
            place=len(self._calls),
            parent=None if name else parent,
        )
        self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        if call_id:
            self._by_id.setdefault(call_id, call)
        return call

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_ANSWER:
            raise AnswerTooLargeError(f"more than {MAX_ANSWER} characters")

    def deltas(self) -> list[Delta]:
        """What came since the last time, neighbours of one kind merged."""
        merged: list[tuple[str, int, list[str]]] = []
        for kind, place, piece in self._fresh:
            if merged and merged[-1][0] == kind and merged[-1][1] == place:
                merged[-1][2].append(piece)
            else:
                merged.append((kind, place, [piece]))
        self._fresh.clear()
        return [
            delta
            for kind, place, pieces in merged
            if (delta := self._delta(kind, place, "".join(pieces)))
        ]

    def _delta(self, kind: str, place: int, text: str) -> Delta | None:
        if kind == "call":
            return ToolArgumentsDelta(index=place, name=self._calls[place].name, text=whole(text))
        # Half of a surrogate pair waits for the other half.
        text = self._carry[kind] + text
        self._carry[kind] = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        if self._carry[kind]:
            text = text[:-1]
        return self._shown(kind, whole(text))

    def _shown(self, kind: str, text: str) -> Delta | None:
        if not text:
            return None
        if kind == "reasoning":
            return ReasoningDelta(text=text)
        self.shown = True
        return TextDelta(text=text)

    def rest(self) -> list[Delta]:
        """What is still to be shown when the stream has ended."""
        deltas = self.deltas()
        for kind, carry in self._carry.items():
            self._carry[kind] = ""
            if delta := self._shown(kind, whole(carry)):
                deltas.append(delta)
        return deltas

    def blocks(
        self, *, sound: bool, taken: Collection[str], restore: Restore = as_it_came
    ) -> tuple[Block, ...]:
        """The answer as blocks: reasoning, text, calls. `sound`: the provider said that the calls
        are whole. `taken`: call ids of the conversation so far, which new ones must not repeat.
        `restore`: turns a tool's arguments back into what its own schema calls them."""
        blocks: list[Block] = []
        if reasoning := whole("".join(self._reasoning)):
            blocks.append(Reasoning(text=reasoning))
        calls = _joined(self._calls)
        opaque = self._opaque
        if opaque is not None and calls and calls[0].opaque is None:
            calls[0].opaque, opaque = opaque, None
        if (text := whole("".join(self._text))) or opaque is not None:
            blocks.append(Text(text=text, opaque=opaque))
        used = set(taken)
        for call in calls:
            call.id = unused_id(call.id, used)
            used.add(call.id)
            blocks.append(
                tool_call(
                    call.id,
                    call.name,
                    "".join(call.pieces),
                    sound=sound,
                    opaque=call.opaque,
                    restore=restore,
                )
            )
        return tuple(blocks)


def is_small(data: JsonObject) -> bool:
    """Return whether a provider's own data about a block is within its bound."""
    return len(json_text(data)) <= MAX_OPAQUE


def json_text(value: Json) -> str:
    """Return arguments that came as a value instead of text; None is no piece at all."""
    if value is None:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "nested too deeply"


def _joined(calls: Iterable[_Call]) -> list[_Call]:
    """Give pieces that never got a name to the call whose id they replaced."""
    result: list[_Call] = []
    owners: dict[int, _Call] = {}
    for call in calls:
        owner = owners.get(id(call.parent)) if call.parent and not call.name else None
        owners[id(call)] = owner or call
        if owner is None:
            result.append(call)
        else:
            owner.pieces.extend(call.pieces)
            owner.opaque = owner.opaque or call.opaque
    return result


def unused_id(wanted: str, used: Collection[str]) -> str:
    """A legal id that no other call has: the provider's own if it is one."""
    if _LEGAL_ID.fullmatch(wanted) and wanted not in used:
        return wanted
    stem = wanted if _LEGAL_ID.fullmatch(wanted) and len(wanted) <= 32 else "call"
    number = len(used) + 1
    while f"{stem}_{number}" in used:
        number += 1
    return f"{stem}_{number}"


def tool_call(
    call_id: str,
    name: str,
    raw: str,
    *,
    sound: bool,
    opaque: JsonObject | None = None,
    restore: Restore = as_it_came,
) -> ToolCall:
    """Return a call from the text of its arguments, with a fault if it cannot be executed."""
    raw = whole(raw)
    arguments = parse_arguments(raw) if name else None
    fault: Fault | None = None
    if not sound:
        fault = "truncated_call"
    elif arguments is None:
        fault = "malformed_call"
    name = whole(name) or "unnamed"
    return ToolCall(
        id=call_id,
        name=name,
        arguments=restore(name, arguments) if fault is None and arguments is not None else {},
        fault=fault,
        raw=None if fault is None else clip(raw, _RAW_LIMIT),
        opaque=opaque,
    )
