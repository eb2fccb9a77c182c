"""Results that a resumed run does not hold in memory, and reads again."""

import gc
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core import events as e
from agent_host.core.context import view
from agent_host.core.conversation import fold
from agent_host.core.types import Text, ToolResult
from agent_host.records.codec import encode_value
from agent_host.records.fold import Fold
from agent_host.records.kept import LONG, KeptResult
from agent_host.records.transcript import Transcript
from tests.records.samples import READ, RUN, START, finished, records, requested, responded, user
from tests.records.samples import started as began

LONG_TEXT = "\u00e4 long result; " * LONG


def round_of(number, text):
    """What happens when the user asks, a tool is called, and the model answers: 4 messages."""
    call = f"call-{number}"
    return [
        user(f"Question {number}"),
        requested(f"a{number}"),
        responded(f"a{number}", replace(READ, id=call), stop="tool_use"),
        e.PolicyDecided(call_id=call, decision="allow", rule="x"),
        began(call, "get_order", {}),
        finished(call, f"{number}: {text}"),
        requested(f"b{number}"),
        responded(f"b{number}", Text(text=f"Answer {number}")),
    ]


def compacted(messages, results):
    return e.ContextCompacted(messages=messages, results=results, summary="All before.", after=9)


def went_back(messages):
    return e.ConversationRewound(messages=messages, by="ana")


def resumed(folder, events):
    """The conversation of a run that another process wrote and left."""
    with Transcript.create(folder, RUN) as transcript:
        for record in records(START, *events):
            transcript.append(record)
    found = Fold(transcript.path)
    Transcript.open(folder, RUN, walk=found.walk).close()
    return transcript.path, found.state


def results_of(conversation):
    return [
        block
        for message in conversation.messages
        for block in message.content
        if isinstance(block, ToolResult)
    ]


def put_elsewhere(path):
    """Overwrite the file in its place, as no program of ours does."""
    with path.open("r+b") as file:
        file.write(b" " * path.stat().st_size)


STEPS = st.lists(
    st.tuples(st.sampled_from("rrrrcsbl"), st.integers(0, 20), st.integers(0, 20)), max_size=16
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_a_resumed_conversation_is_the_one_that_was_left(steps):
    events = []
    for number, (kind, first, second) in enumerate(steps):
        count = len(fold([START, *events]).messages)
        places = [p for p, m in enumerate(fold([START, *events]).messages) if m.role == "user"]
        if kind in "rl":
            events += round_of(number, LONG_TEXT if kind == "r" else "short")
        elif kind == "c" and count:
            events.append(compacted(first % count + 1, second % (count + 1)))
        elif kind == "s" and count:
            events.append(compacted(0, first % count + 1))
        elif kind == "b" and places:
            events.append(went_back(places[first % len(places)]))
    expected = fold([START, *events])
    with TemporaryDirectory() as folder:
        _, state = resumed(Path(folder), events)
        assert state == expected
        assert expected == state
        assert view(state) == view(expected)
        assert [encode_value(m) for m in state.messages] == [
            encode_value(m) for m in expected.messages
        ]


def test_what_a_compaction_left_out_is_not_held_and_is_read_when_asked_for(tmp_path):
    events = [*round_of(1, LONG_TEXT), *round_of(2, "short"), *round_of(3, LONG_TEXT)]
    path, state = resumed(tmp_path, [*events, compacted(8, 0)])
    first, second, third = results_of(state)
    assert first.content == (Text(text=f"1: {LONG_TEXT}"),)
    put_elsewhere(path)
    assert first.content == (Text(text="[this result can no longer be read from the transcript]"),)
    assert first.for_user == ()
    assert second.content == (Text(text="2: short"),)
    assert third.content == (Text(text=f"3: {LONG_TEXT}"),)


def test_results_that_are_left_out_alone_are_not_held_either(tmp_path):
    events = [*round_of(1, LONG_TEXT), *round_of(2, LONG_TEXT)]
    path, state = resumed(tmp_path, [*events, compacted(0, 4)])
    put_elsewhere(path)
    first, second = results_of(state)
    assert "no longer" in first.content[0].text
    assert second.content[0].text == f"2: {LONG_TEXT}"
    assert "is left out here" in view(state)[2].content[0].content[0].text


def test_after_going_back_the_results_of_then_are_let_go_as_well(tmp_path):
    events = [*round_of(1, LONG_TEXT), *round_of(2, LONG_TEXT), *round_of(3, LONG_TEXT)]
    events += [went_back(4), *round_of(4, LONG_TEXT), *round_of(5, LONG_TEXT), compacted(8, 0)]
    path, state = resumed(tmp_path, events)
    put_elsewhere(path)
    held = ["no longer" not in one.content[0].text for one in results_of(state)]
    assert held == [False, False, True]


def test_going_back_behind_a_compaction_finds_the_results_again(tmp_path):
    events = [*round_of(1, LONG_TEXT), *round_of(2, LONG_TEXT), compacted(6, 0), went_back(4)]
    _, state = resumed(tmp_path, events)
    assert view(state)[2].content[0].content == (Text(text=f"1: {LONG_TEXT}"),)
    assert view(state)[2] is state.messages[2]


def test_memory_is_what_the_model_is_sent(tmp_path):
    events = [one for number in range(40) for one in round_of(number, LONG_TEXT)]
    tracemalloc.start()
    try:
        _, state = resumed(tmp_path, [*events, compacted(156, 156)])
        del events
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(results_of(state)) == 40
    assert used < 8 * len(LONG_TEXT)


def test_a_conversation_that_outlives_its_file_lets_others_have_it(tmp_path):
    path, state = resumed(tmp_path, [*round_of(1, LONG_TEXT), compacted(4, 0)])
    Transcript.open(tmp_path, RUN).close()
    path.unlink()
    assert results_of(state)[0].content == (Text(text=f"1: {LONG_TEXT}"),)


def test_nothing_is_let_go_if_another_file_came_to_the_place(tmp_path):
    events = records(START, *round_of(1, LONG_TEXT), compacted(4, 0))
    with Transcript.create(tmp_path, RUN) as transcript:
        for record in events:
            transcript.append(record)
    found = Fold(transcript.path)

    def moved_meanwhile(scan):
        other = transcript.path.with_name("other")
        other.write_bytes(b"x" * 100_000)
        other.replace(transcript.path)
        found.walk(scan)

    Transcript.open(tmp_path, RUN, walk=moved_meanwhile).close()
    assert results_of(found.state)[0].content == (Text(text=f"1: {LONG_TEXT}"),)


def test_files_are_closed_with_the_last_result(tmp_path):
    before = set(Path("/proc/self/fd").iterdir())
    _, state = resumed(tmp_path, [*round_of(1, LONG_TEXT), compacted(4, 0)])
    assert isinstance(results_of(state)[0], KeptResult)
    del state
    gc.collect()
    assert set(Path("/proc/self/fd").iterdir()) <= before


@pytest.fixture
def kept(tmp_path):
    _, state = resumed(tmp_path, [*round_of(1, LONG_TEXT), compacted(4, 0)])
    return results_of(state)[0]


def test_such_a_result_is_a_result_like_any_other(kept):
    plain = ToolResult(call_id="call-1", content=(Text(text=f"1: {LONG_TEXT}"),))
    assert kept == plain
    assert plain == kept
    assert hash(kept) == hash(plain)
    assert kept != replace(plain, error="denied")
    assert kept != "a text"
    assert json.loads(encode_value(kept)) == json.loads(encode_value(plain))
    changed = replace(kept, call_id="another")
    assert type(changed) is ToolResult
    assert changed == replace(plain, call_id="another")


def test_collecting_garbage_goes_on_after_the_file_was_read(tmp_path):
    assert gc.isenabled()
    resumed(tmp_path, round_of(1, "x"))
    assert gc.isenabled()
