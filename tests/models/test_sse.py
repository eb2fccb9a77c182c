import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.models.sse import EventParser, EventTooLargeError


def parsed(*reads: bytes, limit: int = 1000) -> list[bytes]:
    parser = EventParser(limit)
    return [event for read in reads for event in parser.feed(read)] + parser.finish()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b": comment\n\ndata:a\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"event: x\nid: 7\nretry: 1\ndata: a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a", [b"a"]),
        (b"data: a\n", [b"a"]),
        (b"\n\n\n", []),
        (b"datax: a\n\n", []),
        (b"", []),
    ],
)
def test_events_come_out_however_lines_end(stream: bytes, events: list[bytes]) -> None:
    assert parsed(stream) == events


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from([b"data: a", b"data:b", b":c", b"\n", b"\r", b"\r\n", b"event: x"])),
    st.data(),
)
def test_how_the_network_splits_a_stream_changes_nothing(
    pieces: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    reads = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parsed(*reads) == parsed(stream)
    assert parsed(*(stream[n : n + 1] for n in range(len(stream)))) == parsed(stream)


def test_a_line_without_end_is_refused() -> None:
    parser = EventParser(100)
    for _ in range(10):
        parser.feed(b"data: 7890")
    with pytest.raises(EventTooLargeError):
        parser.feed(b"x")


def test_an_event_of_endless_lines_is_refused() -> None:
    parser = EventParser(100)
    for _ in range(10):
        parser.feed(b"data: 1234567890\n")
    with pytest.raises(EventTooLargeError):
        parser.feed(b"data: x\n")
