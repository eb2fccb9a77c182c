import tracemalloc

import pytest

from agent_host.core import events as e
from agent_host.core.errors import RecordError, UsageError
from agent_host.core.types import Text, ToolCall, ToolResult
from agent_host.records.forks import fork
from agent_host.records.reader import conversation, read
from agent_host.records.transcript import Transcript
from tests.records.samples import RUN, START, records, requested, responded, user

ONE = (START, user("one"), requested("r1"), responded("r1", Text(text="first")))
TWO = (user("two"), requested("r2"), responded("r2", Text(text="second")))


def put(folder, *events):
    with Transcript.create(folder, RUN) as made:
        for record in records(*events, run_id=RUN):
            made.append(record)
    return made.path


def texts(folder, run_id):
    messages = conversation(folder / f"{run_id}.jsonl").messages
    return [block.text for message in messages for block in message.content]


def test_a_fork_of_all_is_the_same_conversation_under_an_id_of_its_own(tmp_path):
    path = put(tmp_path, *ONE, *TWO)
    before = path.read_bytes()
    made = fork(path)
    assert made > RUN
    assert texts(tmp_path, made) == ["one", "first", "two", "second"]
    copied = read(tmp_path / f"{made}.jsonl")
    assert copied[0].event.parent == RUN
    assert {record.run_id for record in copied} == {made}
    assert [record.at for record in copied] == [record.at for record in read(path)]
    assert path.read_bytes() == before
    Transcript.open(tmp_path, made).close()


def test_a_fork_before_a_message_holds_nothing_of_what_came_after(tmp_path):
    path = put(tmp_path, *ONE, *TWO)
    assert texts(tmp_path, fork(path, 2)) == ["one", "first"]
    assert texts(tmp_path, fork(path, 0)) == []


def test_a_message_that_was_taken_back_is_not_what_a_fork_ends_before(tmp_path):
    back = e.ConversationRewound(messages=2, by="ana")
    other = (user("three"), requested("r3"), responded("r3", Text(text="third")))
    path = put(tmp_path, *ONE, *TWO, back, *other)
    assert texts(tmp_path, fork(path)) == ["one", "first", "three", "third"]
    assert texts(tmp_path, fork(path, 2)) == ["one", "first"]


def test_artifacts_belong_to_both_runs(tmp_path):
    call = ToolCall(id="c1", name="orders__get", arguments={})
    artifact = f"{RUN}.artifacts/get.txt"
    content = (Text(text=f"in {artifact}"),)
    result = ToolResult(call_id="c1", content=content, artifact=artifact, error="unknown_tool")
    called = responded("r1", call, stop="tool_use")
    events = (START, user("one"), requested("r1"), called, e.ToolFinished(result=result))
    path = put(tmp_path, *events, requested("r2"), responded("r2", Text(text="done")))
    kept = tmp_path / f"{RUN}.artifacts"
    kept.mkdir()
    (kept / "get.txt").write_text("the whole")
    made = fork(path)
    (kept / "get.txt").unlink()
    told = conversation(tmp_path / f"{made}.jsonl").messages[2].content[0].content[0].text
    assert told == f"in {made}.artifacts/get.txt"
    named = [m.content[0].artifact for m in conversation(tmp_path / f"{made}.jsonl").messages[2:3]]
    assert named == [f"{made}.artifacts/get.txt"]
    assert (tmp_path / named[0]).read_text() == "the whole"


def test_artifacts_that_came_later_do_not_belong_to_a_fork(tmp_path):
    call = ToolCall(id="c1", name="orders__get", arguments={})
    notes = tuple(
        Text(text=f"[a picture is kept as {RUN}.artifacts/{one}]") for one in ("a.png", "b.png.")
    )
    result = ToolResult(call_id="c1", content=notes, error="unknown_tool")
    called = responded("r1", call, stop="tool_use")
    path = put(tmp_path, START, user("one"), requested("r1"), called, e.ToolFinished(result=result),
               requested("r2"), responded("r2", Text(text="done")))  # fmt: skip
    kept = tmp_path / f"{RUN}.artifacts"
    kept.mkdir()
    for name in ("a.png", "b.png", "later.txt"):
        (kept / name).write_text(name)
    made = fork(path)
    assert {one.name for one in (tmp_path / f"{made}.artifacts").iterdir()} == {"a.png", "b.png"}
    before = fork(path, 0)
    assert not (tmp_path / f"{before}.artifacts").exists()
    assert len(list(kept.iterdir())) == 3


def test_of_many_places_the_nearest_are_named(tmp_path):
    turns = []
    for number in range(1, 50):
        one = f"r{number}"
        turns += [user("more"), requested(one), responded(one, Text(text="so"))]
    path = put(tmp_path, START, *turns)
    with pytest.raises(UsageError, match=r"after: 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, …$"):
        fork(path, turn=10**9)
    with pytest.raises(UsageError, match="after: 0, 1, 2"):
        fork(path, turn=-1)


def test_a_run_that_waits_for_somebody_else_is_not_forked_there(tmp_path):
    path = put(tmp_path, *ONE, user("two"), requested("r2"))
    with pytest.raises(UsageError, match="waits"):
        fork(path)
    with pytest.raises(UsageError, match="3 messages, not 9"):
        fork(path, 9)
    assert texts(tmp_path, fork(path, 2)) == ["one", "first"]
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


def test_a_run_that_is_over_is_forked_as_well(tmp_path):
    made = fork(put(tmp_path, *ONE, e.RunEnded(reason="done")))
    assert texts(tmp_path, made) == ["one", "first"]


def test_a_run_that_is_not_there_is_no_fork(tmp_path):
    with pytest.raises(RecordError, match="there is no such run"):
        fork(tmp_path / f"{RUN}.jsonl")


def test_what_is_damaged_or_no_legal_run_is_not_forked_and_leaves_nothing(tmp_path):
    path = put(tmp_path, *ONE, START)
    with pytest.raises(RecordError, match=r":5: no legal conversation"):
        fork(path)
    path.write_bytes(path.read_bytes().replace(b'"type":"model_requested"', b'"type":"model_re"'))
    with pytest.raises(RecordError, match=r":3: unknown event type"):
        fork(path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_fork_takes_the_memory_of_a_record(tmp_path):
    text = "long " * 20_000
    rounds = [
        (user(text), requested(f"r{n}"), responded(f"r{n}", Text(text="x"))) for n in range(60)
    ]
    path = put(tmp_path, START, *(event for events in rounds for event in events))
    fork(path, turn=1)  # what is made once
    tracemalloc.start()
    try:
        made = fork(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 15 * len(text)
    assert len(read(tmp_path / f"{made}.jsonl")) == 181
