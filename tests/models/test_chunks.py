"""The joiner of HTTP chunks, judged by the parser that reads after it."""

import socket
from asyncio.trsock import TransportSocket

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.models.chunks import Joiner, JoiningStream

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nTransfer-Encoding: Chunked\r\n\r\n"


def chunked(*payloads: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in payloads) + last


class Reader:
    """What an HTTP client makes of the bytes: statuses, body, number of pieces, fault."""

    def __init__(self) -> None:
        self.connection = h11.Connection(h11.CLIENT)
        self.connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        self.connection.send(h11.EndOfMessage())
        self.statuses: list[int] = []
        self.body = b""
        self.pieces = 0
        self.whole = False
        self.fault = ""

    def feed(self, data: bytes) -> None:
        if self.fault:
            return
        try:
            self.connection.receive_data(data)
            while True:
                event = self.connection.next_event()
                if isinstance(event, h11.Response | h11.InformationalResponse):
                    self.statuses.append(event.status_code)
                elif isinstance(event, h11.Data):
                    self.body += bytes(event.data)
                    self.pieces += 1
                elif isinstance(event, h11.EndOfMessage):
                    self.whole = True
                    return
                else:
                    return
        except h11.RemoteProtocolError as error:
            self.fault = str(error)


def read(stream: bytes, cuts: list[int], *, joined: bool) -> Reader:
    reader, joiner = Reader(), Joiner()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        data = joiner.feed(stream[start:end]) if joined else stream[start:end]
        if data:
            reader.feed(data)
    reader.feed(b"")
    return reader


STREAMS = {
    "chunks": HEAD + chunked(b"a" * 10, b"\r\n", b"0\r\n\r\n", b"x" * 300),
    "no chunks": HEAD + chunked(),
    "trailers": HEAD + chunked(b"abc", last=b"0\r\nx-sum: 1\r\n\r\n"),
    "extensions": HEAD + b"3;a=b\r\nabc\r\n" + chunked(b"de"),
    "early hints first": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + HEAD + chunked(b"abc"),
    "length": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n3\r\nab",
    "until closed": b"HTTP/1.1 200 OK\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "bad size": HEAD + b"3\r\nabc\r\nzz\r\n",
    "negative size": HEAD + b"-3\r\nabc\r\n",
    "bad end of chunk": HEAD + b"3\r\nabcXX3\r\nabc\r\n",
    "half a bad end": HEAD + b"3\r\nabc\rX3\r\nabc\r\n",
    "cut": HEAD + b"5\r\nabc",
    "cut in the size": HEAD + b"3\r\nabc\r\n1",
    "a size without end": HEAD + b"3\r\nabc\r\n" + b"0" * 400,
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_split_anywhere_the_parser_reads_the_same(stream: bytes) -> None:
    plain = read(stream, [], joined=False)
    for cuts in [[], *([n] for n in range(len(stream))), list(range(len(stream)))]:
        reader = read(stream, cuts, joined=True)
        assert (reader.statuses, reader.body, reader.whole) == (
            plain.statuses,
            plain.body,
            plain.whole,
        )
        assert bool(reader.fault) == bool(plain.fault)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=10), st.data())
def test_any_chunks_split_anyhow_carry_the_same_body(
    payloads: list[bytes], data: st.DataObject
) -> None:
    stream = HEAD + chunked(*payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    reader = read(stream, cuts, joined=True)
    assert (reader.body, reader.whole, reader.fault) == (b"".join(payloads), True, "")


def test_many_chunks_of_one_read_are_one_piece() -> None:
    stream = HEAD + chunked(*[b"token "] * 500)
    assert read(stream, [len(HEAD)], joined=True).pieces == 1
    assert read(stream, [len(HEAD)], joined=False).pieces == 500


def test_a_chunk_is_passed_on_before_it_is_whole() -> None:
    joiner = Joiner()
    joiner.feed(HEAD)
    assert joiner.feed(b"ff\r\nhel") == b"3\r\nhel\r\n"


def test_the_next_request_starts_over() -> None:
    joiner = Joiner()
    joiner.feed(HEAD + chunked(b"abc"))
    joiner.start()
    assert joiner.feed(HEAD + chunked(b"a", b"b")) == HEAD + chunked(b"ab")


def test_an_idle_connection_is_asked_itself_whether_it_was_closed():
    ours, theirs = socket.socketpair()

    class Idle:
        def get_extra_info(self, info: str) -> object:
            assert info == "socket"
            return TransportSocket(ours)  # as an event loop hands it out

    stream = JoiningStream(Idle())
    assert stream.get_extra_info("is_readable") is False
    theirs.close()
    assert stream.get_extra_info("is_readable") is True
    ours.close()
    assert stream.get_extra_info("is_readable") is True
