import os

import pytest

from agent_host.core import events as e
from agent_host.core.conversation import fold
from agent_host.core.errors import ExitStatus, RecordError
from agent_host.core.types import Text, ToolCall, Usage
from agent_host.records.codec import encode
from agent_host.records.reader import conversation, find, outcome, read, run_ids, summaries
from tests.records.samples import LEGAL, RUN, finished, records, requested, responded, user

ONE = "01KAP4AAAA0000000000000001"
TWO = "01KAP4AAAA0000000000000002"
NEW = "01KAP5ZZZZ0000000000000003"


def put(folder, run_id, *events):
    folder.mkdir(exist_ok=True)
    path = folder / f"{run_id}.jsonl"
    items = records(*(events or LEGAL), run_id=run_id)
    path.write_bytes(b"".join(encode(item) + b"\n" for item in items))
    return path


@pytest.fixture
def folder(tmp_path):
    for run_id in (TWO, NEW, ONE):
        put(tmp_path, run_id)
    (tmp_path / "notes.txt").write_text("not a transcript")
    (tmp_path / f"{ONE}.artifacts").mkdir()
    return tmp_path


def test_runs_are_known_by_their_files_oldest_first(folder):
    assert run_ids(folder) == [ONE, TWO, NEW]
    assert run_ids(folder / "none") == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [(ONE, ONE), ("01KAP5", NEW), ("01kap5zz", NEW), (TWO.lower(), TWO), ("last", NEW)],
)
def test_a_run_is_found_by_its_id_a_beginning_of_it_or_as_the_last(folder, asked, found):
    assert find(folder, asked) == folder / f"{found}.jsonl"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("01KAP4", "2 runs begin with '01KAP4'"),
        ("01KAP5ZZZZ0000000000000009", f"did you mean {NEW}?"),
        ("zzz", "`last` is the newest"),
        ("", "`last` is the newest"),
        ("../" + ONE, "no run '../"),
        (f"{ONE}.jsonl", "did you mean"),
        ("\x1b[2Jx", "\\u{1b}[2Jx"),
        ("a" * 100_000, "no run"),
    ],
)
def test_an_unknown_or_ambiguous_run_is_an_error_with_what_comes_nearest(folder, asked, says):
    with pytest.raises(RecordError) as caught:
        find(folder, asked)
    assert says in str(caught.value).replace("\\\\", "\\")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert caught.value.exit_status == ExitStatus.USAGE


def test_an_empty_or_missing_folder_is_named_when_a_run_is_looked_for(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(RecordError, match="no transcripts here yet"):
            find(folder, "last")


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot be listed"):
        run_ids(tmp_path / "file")


def test_a_file_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(RecordError, match="no such run"):
        read(tmp_path / f"{RUN}.jsonl")


def test_a_list_says_of_each_run_what_happened_newest_first(folder):
    newest, *_ = found = summaries(folder)
    assert [s.run_id for s in found] == [NEW, TWO, ONE]
    assert newest.words == "Where is my order 12345? Refund the shipping."
    assert newest.model == "local:llama"
    assert not newest.simulated
    assert (newest.turns, newest.calls) == (2, 3)
    assert newest.usage.input_tokens == 240
    assert newest.started_at == "2026-11-22T10:00:00.000000Z"
    assert newest.outcome == "waiting for the user"
    assert [s.run_id for s in summaries(folder, newest=1)] == [NEW]
    assert summaries(folder / "none") == []


def test_broken_transcripts_are_listed_with_the_reason(folder):
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "empty.jsonl").touch()
    (folder / "illegal.jsonl").write_bytes(
        b"".join(encode(r) + b"\n" for r in records(LEGAL[0], finished("x", "y")))
    )
    newer = (folder / f"{ONE}.jsonl").read_bytes().replace(b'"schema":1', b'"schema":2')
    (folder / "newer.jsonl").write_bytes(newer)
    found = {s.run_id: s.broken for s in summaries(folder)}
    assert "not a regular file" in found["pipe"]
    assert "empty" in found["empty"]
    assert "tool_finished" in found["illegal"]
    assert "newer agent-host" in found["newer"]
    assert found[ONE] == ""


def test_a_transcript_makes_the_conversation_that_was(folder):
    assert conversation(folder / f"{NEW}.jsonl") == fold(LEGAL)


def test_a_run_that_is_not_legal_is_refused_by_its_line(folder):
    path = put(folder, NEW, LEGAL[0], user("x"), finished("x", "y"))
    with pytest.raises(RecordError, match=r"jsonl:3: no legal conversation: tool_finished"):
        conversation(path)


CALL = ToolCall(id="c", name="orders__refund", arguments={})


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], "waiting for the user"),
        ([user("x")], "cut off (the model was to answer)"),
        ([user("x"), requested("r")], "cut off (the model was to answer)"),
        ([user("x"), requested("r"), responded("r", CALL)], "cut off (calls were open)"),
        (
            [
                user("x"),
                requested("r"),
                responded("r", CALL, stop="tool_use"),
                e.PolicyDecided(call_id="c", decision="ask", rule="default"),
                e.ApprovalRequested(
                    call_id="c", server="orders", tool="refund", fingerprint="", arguments={}
                ),
            ],
            "waiting for approval",
        ),
        ([user("x"), requested("r"), responded("r", Text(text="y"))], "waiting for the user"),
        ([e.RunEnded(reason="limit")], "limit"),
    ],
)
def test_the_outcome_is_what_a_resume_would_find(events, expected):
    assert outcome(fold([LEGAL[0], *events])) == expected


def test_a_run_that_never_asked_a_model_costs_nothing(tmp_path):
    put(tmp_path, ONE, e.RunStarted(**{**vars_of(LEGAL[0]), "simulated": True}))
    (found,) = summaries(tmp_path)
    assert (found.usage, found.turns, found.calls, found.words) == (Usage(), 0, 0, "")
    assert found.simulated


def vars_of(value):
    return {name: getattr(value, name) for name in value.__slots__}
