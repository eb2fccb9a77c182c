"""What is streamed, without secrets.

Theory of operation: a stream comes in pieces that may end anywhere, also inside a secret. So the
end of what has come is held back as long as it may be the beginning of one: of a known value in any
of its forms, or of something that looks like a secret. Everything before is shown at once; between
words nothing is held, and what is held is shown when the next piece, another stream or the record
of the whole comes. A few characters that were shown already are kept, because what stands before a
text says what it is (`password: `). Both what is kept and what is held are bounded, so a stream
costs time in proportion to its length. A value that is split over two streams (two blocks of one
answer) is not put together again.
"""

from collections.abc import Iterable
from dataclasses import replace

from agent_host.core.events import (
    Ephemeral,
    ReasoningDelta,
    Record,
    TextDelta,
    ToolArgumentsDelta,
)
from agent_host.ports import EventSink
from agent_host.records.redact import Redactor

_Delta = TextDelta | ReasoningDelta | ToolArgumentsDelta

SEEN = 64
"""Characters before what is held that say what it is."""

MOST_HELD = 40_000
"""Characters that are held back at most: more than the longest private key that is found."""


class Stream:
    """One stream of text. What `take` and `end` return is what may be shown."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._seen = ""
        self._held = ""

    @property
    def holds(self) -> bool:
        """Whether something is held back."""
        return bool(self._held)

    def take(self, piece: str) -> str:
        """Take the next piece."""
        start = len(self._seen)
        whole = self._seen + self._held + piece
        stop = self._redactor.open(whole, start)
        if len(whole) - stop > MOST_HELD:
            stop = len(whole)
        shown, stop = self._shown(whole, start, stop)
        self._held = whole[stop:]
        self._seen = whole[max(stop - SEEN, 0) : stop]
        return shown

    def end(self) -> str:
        """Return what was held back; the next piece begins another stream."""
        whole = self._seen + self._held
        shown = self._shown(whole, len(self._seen), len(whole))[0] if self._held else ""
        self._seen = self._held = ""
        return shown

    def _shown(self, whole: str, start: int, stop: int) -> tuple[str, int]:
        """What stands there without secrets, and where that ends: before a secret that goes on."""
        parts: list[str] = []
        done = start
        for begin, end, mark in self._redactor.cuts(whole):
            if end <= done:
                continue
            if begin >= stop:
                break
            if end > stop:
                stop = max(begin, done)
                break
            parts += whole[done : max(begin, done)], mark
            done = end
        return "".join((*parts, whole[done:stop])), stop


class _Redacting:
    """What becomes of each item; computed once, however many sinks are shown it."""

    def __init__(self, redactor: Redactor) -> None:
        self.count = 0
        self.shown: tuple[Record | Ephemeral, ...] = ()
        self._redactor = redactor
        self._stream = Stream(redactor)
        self._last: _Delta | None = None

    def take(self, item: Record | Ephemeral) -> None:
        """Take the next item."""
        self.count += 1
        if isinstance(item, TextDelta | ReasoningDelta | ToolArgumentsDelta):
            self.shown = self._piece(item)
        elif isinstance(item, Record):
            self.shown = (*self._rest(), self._redactor.item(item))
        else:
            self.shown = (self._redactor.item(item),)

    def _piece(self, item: _Delta) -> tuple[Record | Ephemeral, ...]:
        rest: tuple[_Delta, ...] = ()
        if self._last is not None and not _continues(self._last, item):
            rest = self._rest()
        self._last = item
        text = self._stream.take(item.text)
        if not text:
            return rest
        return (*rest, item if text == item.text else replace(item, text=text))

    def _rest(self) -> tuple[_Delta, ...]:
        """What was held back of the last stream."""
        last, self._last = self._last, None
        text = self._stream.end()
        return (replace(last, text=text),) if last is not None and text else ()


class RedactedSink:
    """Shows another sink everything without secrets; made by `redacted`."""

    def __init__(self, sink: EventSink, redacting: _Redacting) -> None:
        self._sink = sink
        self._redacting = redacting
        self._count = redacting.count

    def emit(self, item: Record | Ephemeral) -> None:
        """Take one item. Raises what the sink raises."""
        redacting = self._redacting
        if self._count == redacting.count:  # the first of the sinks that is shown it
            redacting.take(item)
        self._count = redacting.count
        for shown in redacting.shown:
            self._sink.emit(shown)


def redacted(sinks: Iterable[EventSink], redactor: Redactor) -> list[EventSink]:
    """Return sinks that show these ones everything without secrets. All of them must be emitted
    each item before the next one."""
    redacting = _Redacting(redactor)
    return [RedactedSink(sink, redacting) for sink in sinks]


def _continues(last: _Delta, item: _Delta) -> bool:
    return type(last) is type(item) and getattr(last, "index", 0) == getattr(item, "index", 0)
