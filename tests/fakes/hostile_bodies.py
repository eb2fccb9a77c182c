"""What a hostile HTTP server answers a call with, for `hostile_http`: a switch a lie.

Each lie gets (handler, message) and writes to the socket whatever it likes.
"""

import json
import zlib

from tests.fakes.hostile_lies import NASTY, text

PIECE = 1 << 20


def answer(message, said="yours"):
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], **text(said)}).encode()


def start(handler, kind="text/event-stream", status=200, **headers):
    handler.close_connection = True
    handler.send_response(status)
    if kind is not None:
        handler.send_header("content-type", kind)
    handler.send_header("connection", "close")
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def write(handler, *pieces):
    """Write as long as somebody reads; return whether all was read."""
    try:
        for piece in pieces:
            handler.wfile.write(piece)
            handler.wfile.flush()
            handler.server.written += len(piece)
    except OSError:
        return False
    return True


def write_for_ever(handler, piece):
    while not handler.server.released.is_set() and write(handler, piece):
        pass
    handler.server.flooded.set()


def wrong_type(handler, message):
    start(handler, "application/octet-stream")
    write(handler, answer(message))


def no_type(handler, message):
    start(handler, None)
    write(handler, answer(message))


def nasty_type(handler, message):
    start(handler, "text/\x9b2J\xad;x=\x1b[2J")
    write(handler, answer(message))


def half_frame(handler, message):
    """A whole answer whose event does not end."""
    start(handler)
    write(handler, b"data: " + answer(message))


def same_event_id(handler, message):
    """Every event has one id, and the answer comes three times."""
    start(handler)
    note = b'{"jsonrpc":"2.0","method":"x/y"}'
    events = [note, note, answer(message, "first"), answer(message, "second"), note]
    write(handler, *(b"id: 1\ndata: " + event + b"\n\n" for event in events))


def other_events(handler, message):
    """Events of other kinds, broken UTF-8, other line ends and a byte-order mark."""
    start(handler)
    write(
        handler,
        b"\xef\xbb\xbf: " + NASTY.encode("utf-8") + b"\n\n",
        b"event: endpoint\ndata: http://127.0.0.1:9/evil\n\n",
        b"event: error\ndata: \xff\xfe\n\n",
        b"id: \xff\x00\nretry: -1\nretry: soon\nnonsense\n\n",
        b"event: message\r\ndata: " + answer(message) + b"\r\n\r\n",
    )


def event_without_end(handler, message):
    start(handler)
    write_for_ever(handler, b"data: " + b"x" * PIECE)


def lines_without_end(handler, message):
    """One event of lines that never ends: each line is short."""
    start(handler)
    write_for_ever(handler, (b"data: " + b"x" * 100 + b"\n") * 10_000)


def comments(handler, message):
    start(handler)
    write_for_ever(handler, b": still here\n\n" * 10_000)


def drip(handler, message):
    """A byte at a time, so that no single read ever waits."""
    start(handler, "application/json")
    while not handler.server.released.wait(0.01) and write(handler, b" "):
        pass
    handler.server.flooded.set()


def body_without_end(handler, message):
    start(handler, "application/json")
    write_for_ever(handler, b" " * PIECE)


def error_without_end(handler, message):
    start(handler, "text/plain", 500)
    write_for_ever(handler, b"sorry " * 100_000)


def nasty_error(handler, message):
    start(handler, "text/html", 503)
    write(handler, NASTY.encode("utf-8") * 1000)


def nasty_reason(handler, message):
    handler.close_connection = True
    write(handler, b"HTTP/1.1 502 \x1b[2J\x9b2Jno\r\ncontent-length: 0\r\n\r\n")


def many_headers(handler, message):
    start(handler, "application/json", **{f"x_{i}": "y" for i in range(50_000)})
    write(handler, answer(message))


def huge_header(handler, message):
    start(handler, "application/json", x_huge="y" * (4 << 20))
    write(handler, answer(message))


def bad_chunks(handler, message):
    start(handler, "application/json", transfer_encoding="chunked")
    write(handler, b"zz\r\n" + answer(message) + b"\r\n0\r\n\r\n")


def informs_for_ever(handler, message):
    handler.close_connection = True
    write_for_ever(handler, b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 1000)


def not_http(handler, message):
    handler.close_connection = True
    write(handler, b"SSH-2.0-OpenSSH_9.2\r\n" + NASTY.encode("utf-8"))


def deflated(handler, message):
    start(handler, "application/json", content_encoding="deflate")
    write(handler, zlib.compress(b"x" * (50 * PIECE)))


def zstd(handler, message):
    start(handler, "application/json", content_encoding="zstd, gzip")
    write(handler, b"\x28\xb5\x2f\xfd" + b"\x00" * 100)


def accepted(handler, message):
    """As if a call were a notification."""
    start(handler, None, 202, content_length="0")


def empty(handler, message):
    start(handler, "application/json", content_length="0")


def no_such_status(handler, message):
    start(handler, "application/json", 799)
    write(handler, answer(message))


def array(handler, message):
    start(handler, "application/json")
    write(handler, b"[" + answer(message, "batched") + b"]")


def other_id(handler, message):
    start(handler, "application/json")
    write(handler, answer({"id": message["id"] + 1000}))


BODIES = {
    lie.__name__: lie
    for lie in (
        wrong_type, no_type, nasty_type, half_frame, same_event_id, other_events,
        event_without_end, lines_without_end, comments, drip, body_without_end, error_without_end,
        nasty_error, nasty_reason, many_headers, huge_header, bad_chunks, informs_for_ever,
        not_http, deflated, zstd, accepted, empty, no_such_status, array, other_id,
    )
}  # fmt: skip
