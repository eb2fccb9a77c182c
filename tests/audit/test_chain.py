import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.audit.canonical import DEEPER, canonical, digest
from agent_host.audit.chain import MAX_LINE, ZERO, Link, NoLink, seal, unseal
from agent_host.core.types import Text
from tests.audit.made import entry


def test_what_is_sealed_is_a_link_with_the_hash_of_its_bytes():
    line, own = seal(entry(), 7, "a" * 64)
    link = unseal(line)
    assert isinstance(link, Link)
    assert (link.seq, link.prev, link.type, link.hash) == (7, "a" * 64, "call_started", own)
    assert json.loads(line)["arguments"] == {"order_id": "0", "amount": 20.5}
    assert line.endswith(f',"hash":"{own}"}}\n'.encode())


def test_a_line_can_be_checked_without_this_program():
    line, _ = seal(entry(arguments={"a": 1, "hash": "b"}), 7, "a" * 64)
    body, _, rest = line.rpartition(b',"hash":')
    assert rest == b'"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def test_the_same_entry_is_always_the_same_line():
    one = seal(
        {"type": "a", "time": "2026-11-25T10:00:00Z", "x": 1, "b": {"d": 1, "c": 2}}, 1, ZERO
    )
    two = seal(
        {"b": {"c": 2, "d": 1}, "x": 1, "time": "2026-11-25T10:00:00Z", "type": "a"}, 1, ZERO
    )
    assert one == two


LINE = seal(entry(1, reason='ünï\nhash","hash":"' + "a" * 64), 3, "b" * 64)[0]


@given(st.integers(0, len(LINE) - 1), st.integers(1, 255))
def test_no_byte_can_be_flipped(place, bits):
    changed = bytearray(LINE)
    changed[place] ^= bits
    assert isinstance(unseal(bytes(changed)), NoLink)


@given(st.integers(0, len(LINE) - 1))
def test_no_byte_can_be_dropped(place):
    assert isinstance(unseal(LINE[:place] + LINE[place + 1 :]), NoLink)


def test_what_an_entry_says_cannot_pass_for_what_the_chain_says():
    line, _ = seal(entry(server='x","hash":"' + "0" * 64 + '"}\n{"seq":9'), 1, ZERO)
    assert line.count(b"\n") == 1
    link = unseal(line)
    assert isinstance(link, Link)
    assert link.seq == 1


def test_a_line_that_is_cut_off_or_too_long_is_told_apart():
    assert unseal(LINE[:-1]) == NoLink("is cut off", 3)
    assert unseal(LINE[:-1] + b" " * MAX_LINE) == NoLink("is longer than any entry", 3)
    assert unseal(b"garbage\n") == NoLink("does not have the form of an entry", None)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 10**5000, "\ud800", {"a": [1]}],
    ids=["nan", "inf", "-inf", "huge", "surrogate", "nested"],
)
def test_any_value_can_be_written(value):
    text = canonical({"v": value})
    assert text.isascii()
    json.loads(text)


def test_what_is_nested_too_deeply_is_cut_visibly():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert DEEPER in canonical(deep)


def test_a_dataclass_is_its_fields_and_a_digest_is_of_the_canonical_form():
    assert canonical(Text(text="x")) == '{"opaque":null,"text":"x","type":"text"}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    with pytest.raises(TypeError):
        canonical(object())
