"""Passing over a transcript without holding it."""

import tracemalloc

import pytest

from agent_host.core.errors import RecordError
from agent_host.records.codec import encode
from agent_host.records.reader import salvage, summary
from agent_host.records.transcript import Transcript
from agent_host.records.walk import Walk
from tests.records.samples import (
    APPROVALS,
    ASKING,
    CONTEXT,
    LEGAL,
    RUN,
    START,
    records,
    requested,
    responded,
    user,
)

RUNS = {
    "whole": (LEGAL, b""),
    "asking": (ASKING, b""),
    "approvals": (APPROVALS, b""),
    "went back": (CONTEXT, b""),
    "went back and on": ((*CONTEXT, *CONTEXT[1:3]), b""),
    "just begun": ((START,), b""),
    "cut off": (LEGAL[:9], b""),
    "torn": (LEGAL, b'{"seq":'),
    "damaged": (LEGAL[:5], b"garbage\n" + encode(records(*LEGAL)[5]) + b"\n"),
    "damaged in a type": (LEGAL[:5], encode(records(*LEGAL)[5]).replace(b'"r1"', b"7") + b"\n"),
    "illegal": ((*LEGAL[:5], START, *LEGAL[5:]), b""),
    "illegal and torn": ((START, LEGAL[9]), b"torn"),
}


@pytest.fixture(params=RUNS)
def path(request, tmp_path):
    events, tail = RUNS[request.param]
    with Transcript.create(tmp_path, RUN) as transcript:
        for record in records(*events):
            transcript.append(record)
    with transcript.path.open("ab") as file:
        file.write(tail)
    return transcript.path


def test_it_finds_what_reading_the_whole_file_finds(path):
    reading = salvage(path)
    walk = Walk(path)
    for _ in range(2):
        assert tuple(walk) == reading.records
        assert (walk.torn, walk.damaged) == (reading.torn, reading.damaged)
        assert walk.found == summary(path, reading) == summary(path)
        assert walk.problem == (walk.found.broken or reading.torn)


def test_a_second_pass_ends_where_the_first_did(path):
    walk = Walk(path)
    found = walk.finish()
    before = len(tuple(Walk(path)))
    more = records(*[user("more")] * (before + 1))[-1]
    whole = salvage(path)
    if not (whole.torn or whole.damaged):
        with path.open("ab") as file:
            file.write(encode(more) + b"\n")
        assert len(salvage(path).records) == before + 1
    assert len(tuple(walk)) == before
    assert walk.finish() is found
    assert not walk.torn or whole.torn


def test_a_file_that_is_changed_between_two_passes_is_said_to_be_damaged(path):
    walk = Walk(path)
    count = len(tuple(walk))
    data = path.read_bytes()
    place = data.index(b"\n") + 1
    path.write_bytes(data[:place] + b"#" * (len(data) - place))
    was = walk.damaged
    assert len(tuple(walk)) == 1
    assert walk.damaged == was if was or count == 1 else "changed by somebody" in walk.damaged


def test_a_line_that_is_damaged_meanwhile_ends_the_pass_and_is_named(tmp_path):
    with Transcript.create(tmp_path, RUN) as transcript:
        for record in records(*LEGAL):
            transcript.append(record)
    walk = Walk(transcript.path)
    walk.finish()
    lines = transcript.path.read_bytes().splitlines(keepends=True)
    lines[2] = b"x" * (len(lines[2]) - 1) + b"\n"
    transcript.path.write_bytes(b"".join(lines))
    assert len(tuple(walk)) == 2
    assert ":3: damaged record" in walk.damaged
    assert walk.problem == walk.damaged


@pytest.mark.parametrize("content", [b"", b"torn", b'{"seq":0}\n'])
def test_a_file_without_one_sound_record_is_an_error(tmp_path, content):
    path = tmp_path / f"{RUN}.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordError):
        next(iter(Walk(path)))
    with pytest.raises(RecordError):
        Walk(path).finish()


def test_one_record_is_held_at_a_time(tmp_path):
    text = "long " * 20_000
    with Transcript.create(tmp_path, RUN) as transcript:
        events = [START]
        for number in range(60):
            events += [user(text), requested(f"r{number}"), responded(f"r{number}")]
        for record in records(*events):
            transcript.append(record)
    tuple(Walk(transcript.path))[:0]  # what is made once
    tracemalloc.start()
    try:
        assert Walk(transcript.path).finish().turns == 60
        assert summary(transcript.path).turns == 60
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 15 * len(text)
