"""Server-sent events out of a byte stream, whatever the network did to it.

Theory of operation: `feed` takes the bytes of one network read and returns the payloads of the
events that are now complete; how the stream was cut into reads never changes what comes out. A
line that is not complete yet is kept as the list of its pieces, so a long line that arrives byte
by byte costs its length once. Lines end in LF, CRLF or CR, comments and unknown fields are
skipped, several `data` lines are one payload (WHATWG HTML, section 9.2.6). One line and one event
are bounded; beyond that `EventTooLargeError` says so, and the caller fails the request.
"""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLargeError(Exception):
    """A line or an event is larger than the bound."""


class EventParser:
    """The state of one stream. `limit`: bytes of one line, and of one event."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._pending = 0
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes and return the payloads they complete. Raises EventTooLargeError."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._keep(chunk)
            return []
        lines = chunk.split(b"\n")
        if self._pieces:
            self._pieces.append(lines[0])
            lines[0] = b"".join(self._pieces)
            self._pieces.clear()
            self._pending = 0
        self._keep(lines.pop())
        return self._events(lines)

    def finish(self) -> list[bytes]:
        """Return what the end of the stream completes: a provider may omit the last empty line."""
        last = b"".join(self._pieces)
        self._pieces.clear()
        return self._events([last, b""])

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._pending += len(piece)
            if self._pending > self._limit:
                raise EventTooLargeError

    def _events(self, lines: list[bytes]) -> list[bytes]:
        if self._at_start and lines[0]:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        events: list[bytes] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._size += len(value)
                if self._size > self._limit:
                    raise EventTooLargeError
                data.append(value)
            elif not line:
                if data:
                    events.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
                self._size = 0
        return events
