import contextlib
import json
import math
import subprocess
import sys
from dataclasses import dataclass
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core import events as e
from agent_host.core.conversation import fold
from agent_host.core.errors import RecordError
from agent_host.core.types import ToolCall
from agent_host.records.codec import DEEPER, MAX_DEPTH, encode, encode_value
from agent_host.records.decode import decode
from tests.records.samples import APPROVALS, ASKING, CONTEXT, LEGAL, records, responded, started
from tests.records.strategies import RECORDS

ALL = records(*LEGAL) + records(*ASKING) + records(*APPROVALS) + records(*CONTEXT)


def pairs_joined(value: object) -> object:
    """What JSON makes of two lone surrogates that stand side by side: one character."""
    return json.loads(json.dumps(value))


@settings(max_examples=300, deadline=None)
@given(RECORDS)
def test_what_was_written_is_what_is_read(record):
    line = encode(record)
    assert b"\n" not in line
    assert line.isascii()
    assert decode(line) == record


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("a\ud800\udbff\udc00\udfff\U0001f600\x00\x1b\u2028")))
def test_surrogates_survive_and_pairs_come_back_as_their_character(text):
    record = records(started("c", "t", {text: text}))[0]
    back = decode(encode(record))
    joined = pairs_joined(text)
    assert back.event.arguments == {joined: joined}
    assert decode(encode(back)) == back


def test_every_event_type_has_a_sample_and_the_sample_run_is_legal():
    assert {type(event) for event in (*LEGAL, *ASKING, *APPROVALS, *CONTEXT)} == set(
        get_args(e.Event)
    )
    assert fold(LEGAL).phase == "user"


@pytest.mark.parametrize("record", ALL, ids=lambda r: f"{r.seq}-{r.event.type}")
def test_each_event_type_round_trips_and_says_its_type_first(record):
    line = encode(record)
    assert decode(line) == record
    assert next(iter(json.loads(line)["event"])) == "type"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (10**5000, hex(10**5000)),
    ],
    ids=["nan", "infinity", "minus infinity", "a number of 5,000 digits"],
)
def test_what_json_cannot_hold_is_written_as_text(value, kept):
    line = encode(records(started("c", "t", {"deep": [{"x": value}], "same": 1.5}))[0])
    assert b":NaN" not in line
    assert b":Infinity" not in line
    assert decode(line).event.arguments == {"deep": [{"x": kept}], "same": 1.5}


def test_a_number_that_is_not_finite_in_a_field_of_ours_can_be_read_again():
    line = encode(records(e.LimitReached(name="seconds", limit=math.inf))[0])
    assert decode(line).event.limit == math.inf


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 5000, 200_000])
def test_values_nested_too_deeply_are_cut_where_a_reader_would_give_up(depth):
    line = encode(records(started("c", "t", {"x": nested(depth)}))[0])
    assert DEEPER.encode() in line
    assert decode(line).event.call_id == "c"


def test_a_value_that_contains_itself_is_cut_too():
    circle: list[object] = []
    circle.append(circle)
    assert DEEPER.encode() in encode(records(started("c", "t", {"x": circle}))[0])


def test_nesting_up_to_the_bound_is_kept():
    deep = nested(MAX_DEPTH - 3)  # the record, the event and the arguments are levels too
    line = encode(records(started("c", "t", {"x": deep}))[0])
    assert decode(line).event.arguments == {"x": deep}


def test_many_brackets_that_are_only_text_are_kept():
    text = "[{" * 5000
    line = encode(records(started("c", "t", {"x": text, "y": [[]] * 300}))[0])
    assert decode(line).event.arguments == {"x": text, "y": [[]] * 300}


def test_something_that_is_no_value_of_ours_is_a_bug_not_a_record():
    with pytest.raises(TypeError, match="a set cannot be recorded"):
        encode(records(started("c", "t", {"x": {1}}))[0])


def message(line, number=7):
    with pytest.raises(RecordError) as caught:
        decode(line, "runs/a.jsonl", number)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("runs/a.jsonl:7: ")
    return str(caught.value)


def test_a_newer_schema_is_named_with_what_to_do():
    line = encode(records(LEGAL[0])[0]).replace(b'"schema":1', b'"schema":9')
    text = message(line)
    assert "schema 9" in text
    assert "up to 1" in text
    assert "use a newer agent-host" in text


def test_an_unknown_event_type_is_named():
    line = encode(records(e.Interrupted(by="a"))[0]).replace(b"interrupted", b"teleported\\u001b")
    assert "unknown event type 'teleported\\\\u{1b}'" in message(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe{}",
        b"{}",
        b'{"seq":0,"at":"","run_id":"","event":[]}',
        b'{"seq":true,"at":"","run_id":"","event":{}}',
        b'{"seq":0,"at":"","run_id":"","event":{}}',
        b'{"seq":0,"at":"","run_id":"","event":{"type":["a"]}}',
        b'{"seq":0,"at":"","run_id":"","event":{"type":"limit_reached","name":"turns","limit":NaN}}',
        b'{"seq":0,"at":"","run_id":"","event":{"type":"tool_finished","result":7}}',
        b'{"seq":' + b"9" * 5000 + b',"at":"","run_id":"","event":{"type":"interrupted","by":"a"}}',
        b"[" * 100_000,
        b'{"seq":0,"at":"","run_id":"","event":' + b'{"a":' * 500 + b"1" + b"}" * 501,
    ],
)
def test_a_damaged_line_is_an_error_that_names_file_and_line(line):
    message(line)


def test_a_sound_record_that_is_nested_too_deeply_is_damaged():
    shallow = encode(records(started("c", "t", {"x": 1}))[0])
    assert decode(shallow)
    text = message(shallow.replace(b'"x":1', b'"x":' + b"[" * 300 + b"]" * 300))
    assert "nested too deeply" in text


def test_an_error_quotes_nothing_of_the_record():
    text = message(
        b'{"seq":0,"at":"","run_id":"","event":{"type":"interrupted","by":{"k":"hunter2-secret"}}}'
    )
    assert "hunter2" not in text
    assert "by" in text


def test_fields_of_a_later_release_of_the_same_schema_are_ignored():
    line = encode(records(e.Interrupted(by="a"))[0]).replace(b'"by"', b'"later":[1],"by"')
    assert decode(line).event == e.Interrupted(by="a")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_to_a_line_is_an_error_or_a_record_never_a_crash(data):
    line = bytearray(encode(data.draw(st.sampled_from(ALL))))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(RecordError):
        assert isinstance(decode(bytes(line)), e.Record)


def test_two_calls_of_one_answer_keep_their_order():
    calls = tuple(ToolCall(id=f"c{n}", name="a__b", arguments={"n": n}) for n in range(8))
    record = records(responded("r", *calls, stop="tool_use"))[0]
    assert decode(encode(record)).event.message.content == calls


def test_writing_imports_no_pydantic():
    code = (
        "import sys; import agent_host.records.transcript, agent_host.records.redact, "
        "agent_host.records.ids; "
        "print(*{'pydantic', 'asyncio', 'mcp', 'openai'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_a_value_of_one_field_is_written_like_any_other():
    @dataclass(frozen=True, slots=True)
    class One:
        only: int

    assert encode_value(One(1)) == b'{"only":1}'
