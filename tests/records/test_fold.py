"""The conversation that comes of the records of a transcript while the file is taken over."""

import pytest

from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import RecordError
from agent_host.records.fold import Fold
from agent_host.records.transcript import Transcript
from tests.records.samples import LEGAL, RUN, records


def written(folder, *events):
    with Transcript.create(folder, RUN) as transcript:
        for record in records(*events):
            transcript.append(record)
        return transcript.path


def test_taking_a_file_over_makes_its_conversation(tmp_path):
    fold = Fold(written(tmp_path, *LEGAL))
    with Transcript.open(tmp_path, RUN, walk=fold.walk) as transcript:
        assert transcript.seq == len(LEGAL)
    state = Conversation()
    for event in LEGAL:
        state = apply(state, event)
    assert fold.state == state


def test_what_is_no_legal_run_is_not_taken_over_and_nothing_is_set_aside(tmp_path):
    path = written(tmp_path, *LEGAL[:3], LEGAL[0])
    with path.open("ab") as file:
        file.write(b"torn")
    before = path.read_bytes()
    with pytest.raises(RecordError, match=r"\.jsonl:4: no legal conversation: .* not resumed"):
        Transcript.open(tmp_path, RUN, walk=Fold(path).walk)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_record_of_an_unknown_kind_is_named_by_its_line(tmp_path):
    path = written(tmp_path, *LEGAL[:3])
    text = path.read_text().splitlines(keepends=True)
    text[2] = text[2].replace('"event":{"type":"', '"event":{"type":"un', 1)
    path.write_text("".join(text))
    with pytest.raises(RecordError, match=r"\.jsonl:3: unknown event type"):
        Transcript.open(tmp_path, RUN, walk=Fold(path).walk)
