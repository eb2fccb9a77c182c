"""Transcripts of released schemas must be readable for ever: goldens are added, never changed."""

import json
from pathlib import Path
from typing import get_args

import pytest

from agent_host.core import events as e
from agent_host.core.conversation import fold
from agent_host.records.codec import encode
from agent_host.records.reader import inspect
from tests.records.samples import APPROVALS, ASKING, CONTEXT, LEGAL, records

FOLDER = Path(__file__).parents[1] / "goldens"
GOLDENS = sorted(FOLDER.glob("schema-*.jsonl"))
MEANT = {
    "schema-1.jsonl": LEGAL,
    "schema-1-asking.jsonl": ASKING,
    "schema-1-approvals.jsonl": APPROVALS,
    "schema-1-context.jsonl": CONTEXT,
}
"""What each golden holds. Events that came later to a schema have a golden of their own."""


def test_there_is_a_golden_of_every_schema():
    assert {path.name for path in GOLDENS} == set(MEANT)
    assert {f"schema-{n + 1}.jsonl" for n in range(e.SCHEMA)} <= set(MEANT)


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.name)
def test_a_released_transcript_is_read_whole_and_makes_a_conversation(path):
    reading = inspect(path)
    assert reading.torn == ""
    conversation = fold(record.event for record in reading.records)
    assert conversation.turns >= 0
    assert conversation.messages


def test_the_goldens_of_this_schema_have_every_event_type():
    paths = FOLDER.glob(f"schema-{e.SCHEMA}*.jsonl")
    events = [record.event for path in paths for record in inspect(path).records]
    assert {type(event) for event in events} == set(get_args(e.Event))


@pytest.mark.parametrize("name", MEANT)
def test_what_was_released_means_what_it_meant(name):
    assert list(inspect(FOLDER / name).records) == records(*MEANT[name])


def within(released, written):
    """Whether all that was released is written still; keys may have been added, at the end."""
    if not isinstance(released, dict):
        return released == written
    common = [key for key in written if key in released]
    return common == [*released] and all(within(v, written[k]) for k, v in released.items())


@pytest.mark.parametrize("name", MEANT)
def test_this_schema_is_still_written_as_it_was_released(name):
    lines = (FOLDER / name).read_bytes().splitlines()
    for line, record in zip(lines, records(*MEANT[name]), strict=True):
        assert within(json.loads(line), json.loads(encode(record)))
