"""Transcripts that were damaged: what the commands say and do, region by region."""

import re

import pytest

from tests.faults.stage import told

TAILS = {
    "half a record": b'{"seq":20,"at":"2026-11-25T12:1',
    "zeros": b"\0" * 4096,
    "garbage": b"\xff\xfe garbage {}[]\n\n{}\n",
    "half a character": "{“".encode()[:-1],
}


@pytest.fixture
def ended_run(stage):
    """The stage with a run that was killed after its first payment."""
    assert stage.run(fault={"kind": "kill-after", "nth": 14, "of": "/transcripts/"}).status == -9
    return stage


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_a_torn_end_is_shown_set_aside_and_the_run_goes_on(ended_run, tail):
    stage, file = ended_run, ended_run.file()
    whole = file.read_bytes()
    file.write_bytes(whole + tail)
    shown = stage.host("transcripts", "show", "last")
    assert shown.status == 0
    assert "no whole record" in shown.out + shown.err
    assert file.read_bytes() == whole + tail  # looking changes nothing
    again = stage.check_taken_up()
    assert "were moved to" in again.err
    assert file.with_suffix(".corrupt").read_bytes() == tail
    assert file.read_bytes().startswith(whole)


def test_an_end_of_the_last_record_that_is_cut_anywhere_is_no_more_than_that_record(ended_run):
    stage, file = ended_run, ended_run.file()
    whole = file.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for cut in range(last + 1, len(whole), 97):
        file.write_bytes(whole[:cut])
        shown = stage.host("transcripts", "show", "last")
        assert shown.status == 0
        assert f"the last {cut - last:,} bytes" in shown.out + shown.err
    stage.check_taken_up()


def regions(line):
    """A byte of each region of a record's line, by name."""
    found = {
        "brace": 0,
        "seq": line.index(b'"seq":') + 6,
        "time": line.index(b'"at":"') + 8,
        "run id": line.index(b'"run_id":"') + 12,
        "type": line.index(b'"type":"') + 9,
        "quote": line.index(b'"type"'),
        "inside": len(line) // 2,
        "end": len(line) - 1,
    }
    return found.items()


@pytest.mark.parametrize("number", [0, 3, 9])
def test_a_flipped_bit_in_any_region_of_a_record_is_one_line_or_no_harm(ended_run, number):
    stage, file = ended_run, ended_run.file()
    lines = file.read_bytes().splitlines(keepends=True)
    refused = 0
    for name, place in regions(lines[number]):
        for bit in (0, 7):
            damaged = bytearray(b"".join(lines))
            damaged[sum(map(len, lines[:number])) + place] ^= 1 << bit
            file.write_bytes(damaged)
            listed = stage.host("transcripts", "list")
            shown = stage.host("transcripts", "show", "last")
            resumed = stage.host("run", "--trust", "--max-turns", "1", "--resume", "last")
            for ended in (listed, shown, resumed):
                assert ended.status in {0, 1, 2, 3, 4}, (name, ended)
                assert "Traceback" not in ended.err, name
                assert "a bug in agent-host" not in ended.err, name
            assert listed.status == 0, name
            if resumed.status == 1:
                refused += 1
                said = told(resumed, file.name)
                assert re.search(rf"jsonl:({number + 1}|{number + 2}): ", said), said
                assert file.read_bytes() == damaged  # nothing was changed
                assert not file.with_suffix(".corrupt").exists()
    assert refused > 5


def test_a_damaged_record_says_how_to_go_on_without_the_rest_and_that_works(ended_run):
    stage, file = ended_run, ended_run.file()
    lines = file.read_bytes().splitlines(keepends=True)
    damaged = [*lines[:11], lines[11].replace(b'"event"', b'"evnt"'), *lines[12:]]
    file.write_bytes(b"".join(damaged))
    told(stage.run("--resume", "last"), f"{file.name}:12: ", "keep a copy", "cut it before this")
    file.with_suffix(".copy").write_bytes(file.read_bytes())
    file.write_bytes(b"".join(lines[:11]))
    ended = stage.run("--resume", "last")
    assert ended.status == 0, ended.err


@pytest.mark.parametrize("content", [b"", b"\n", b"\0", b"{}\n", b"not a transcript\n"])
def test_what_is_no_transcript_is_listed_with_the_reason_and_refused(stage, content):
    assert stage.run().status == 0
    stage.file().write_bytes(content)
    listed = stage.host("transcripts", "list")
    assert listed.status == 0
    told(stage.host("transcripts", "show", "last"), stage.file().name)
    told(stage.run("--resume", "last"), stage.file().name)
    assert stage.file().read_bytes() == content
