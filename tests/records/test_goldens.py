"""Transcripts of released schemas must be readable for ever: goldens are added, never changed."""

import json
from pathlib import Path
from typing import get_args

import pytest

from agent_host.core import events as e
from agent_host.core.conversation import fold
from agent_host.records.codec import encode
from agent_host.records.reader import inspect
from tests.records.samples import LEGAL, records

FOLDER = Path(__file__).parents[1] / "goldens"
GOLDENS = sorted(FOLDER.glob("schema-*.jsonl"))


def test_there_is_a_golden_of_every_schema():
    assert [path.name for path in GOLDENS] == [f"schema-{n + 1}.jsonl" for n in range(e.SCHEMA)]


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.name)
def test_a_released_transcript_is_read_whole_and_makes_a_conversation(path):
    reading = inspect(path)
    assert reading.torn == ""
    conversation = fold(record.event for record in reading.records)
    assert conversation.turns >= 0
    assert conversation.messages


def test_the_golden_of_this_schema_has_every_event_type():
    events = [record.event for record in inspect(GOLDENS[-1]).records]
    assert {type(event) for event in events} == set(get_args(e.Event))


def test_what_was_released_means_what_it_meant():
    assert list(inspect(FOLDER / "schema-1.jsonl").records) == records(*LEGAL)


def within(released, written):
    """Whether all that was released is written still; keys may have been added, at the end."""
    if not isinstance(released, dict):
        return released == written
    common = [key for key in written if key in released]
    return common == [*released] and all(within(v, written[k]) for k, v in released.items())


def test_this_schema_is_still_written_as_it_was_released():
    lines = (FOLDER / "schema-1.jsonl").read_bytes().splitlines()
    for line, record in zip(lines, records(*LEGAL), strict=True):
        assert within(json.loads(line), json.loads(encode(record)))
