"""Two decoders of JSON, one of which is only sometimes there: what they make is the same."""

import json
import sys

import pydantic_core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.errors import RecordError
from agent_host.records.codec import parse

PARTS = [
    *'{}[],:"',
    *"tfn-+.0eE19",
    *("true", "false", "null", "NaN", "Infinity", "1e400", "1e-400", "-0", "-0.0", "0.1"),
    *("9007199254740993", "9223372036854775808", "1.7976931348623159e308", "5e-324", "2e-324"),
    *('"a"', '"a":', '"\\ud800"', '"\\ud83d\\ude00"', '"\\ude00\\ud83d"', '"\\u0000"', '"\\x"'),
    *("\\", "\\u", "\\u00e9", "é", "\U0001f600", "\x00", "\x1f", "\x7f", "\t", " ", "\ufeff"),
]
EDGES = [
    '{"a":1,"b":2,"a":3}',
    '{"\\u0061":1,"a":2}',
    '{"\\ud800":1}',
    "1" * 4300,
    "1" * 4301,
    "-" + "1" * 4301,
    "1" * 400 + ".5",
    "0." + "0" * 400 + "1",
    "[" * 90 + "]" * 90,
    "[" * 150 + "]" * 150,
    "[" * 250 + "]" * 250,
    "[" * 100_000,
]


def line_with(text):
    """A line of a transcript in which that stands where a value belongs."""
    line = f'{{"seq":0,"at":"","run_id":"r","event":{{"type":"x","value":{text}}}}}\n'
    return line.encode("utf-8", "surrogatepass")


def slowly(line):
    """What the standard library makes of it, or nothing."""

    def refuse(name):
        raise ValueError(name)

    try:
        return json.loads(line.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def found(line):
    try:
        return parse(line, "file", 1)
    except RecordError:
        return None


def is_quick():
    return hasattr(sys.modules["pydantic_core"], "from_json")


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join))
def test_any_text_is_the_same_value_or_no_record(text):
    line = line_with(text)
    assert is_quick()
    assert repr(found(line)) == repr(slowly(line))


@settings(max_examples=500, deadline=None)
@given(st.floats(allow_nan=False) | st.integers() | st.text() | st.binary())
def test_any_value_is_the_same(value):
    if isinstance(value, bytes):
        line = line_with("@").replace(b"@", b'"%b"' % value)
        text = slowly(line)
    else:
        line = line_with(json.dumps(value))
        text = slowly(line)
    assert repr(found(line)) == repr(text)


@settings(max_examples=500, deadline=None)
@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
)
def test_any_number_is_the_same_to_the_last_bit(text):
    line = line_with(text)
    assert repr(found(line)) == repr(slowly(line))


@pytest.mark.parametrize("text", EDGES, ids=range(len(EDGES)))
def test_edges_of_json_are_the_same(text):
    line = line_with(text)
    expected = slowly(line)
    if text.startswith("[" * 100):  # deeper than a record may be
        expected = None
    assert repr(found(line)) == repr(expected)


def test_the_quick_decoder_alone_would_not_do():
    with pytest.raises(ValueError, match="hex escape"):
        pydantic_core.from_json(b'"\\ud800"')
