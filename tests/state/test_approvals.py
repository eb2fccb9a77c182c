"""The inbox of approvals: what is written there is read, taken once, and never believed."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent_host.core.approvals import Yes
from agent_host.core.errors import RecordError
from agent_host.core.types import ApprovalTerms, LabelSeen
from agent_host.state.approvals import KEPT_SECONDS, Answered, Inbox, Waiting, shortened
from tests.fakes.programs import ROOT

QUESTION = Waiting(
    binding="b" * 64,
    folder="/srv/desk/transcripts",
    config="/srv/desk/servers.toml",
    run_id="R1",
    call_id="c1",
    server="orders",
    tool="refund",
    fingerprint="f" * 64,
    arguments={"amount": 250, "exact": [1, 1.0, True, None, "\ud800 \u202e"]},
    asked_at=1_800_000_000.0,
    rule="large",
    origin="servers.toml:12",
    rules=("large", "night"),
    reason="more than 100",
    terms=ApprovalTerms(approvers=("lead",), needed=2, self_approval=False, seconds=3600.0),
    requester="ana",
    requester_from="os",
    yeses=(Yes("bob", "os", "d" * 64, ("lead",)),),
    labels=(LabelSeen(label="private", server="crm", tool="get"),),
    expires_at="2027-01-15T09:00:00Z",
)
ANSWER = Answered(
    binding="b" * 64,
    run_id="R1",
    call_id="c1",
    decision="approve",
    by="eve",
    authenticated_by="os",
    roles=("lead",),
    answered_at=1_800_000_100.0,
    arguments={"amount": 25},
    reason="shipping only",
    proof="a token",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "state.db"


@pytest.fixture
def inbox(path: Path):
    with Inbox(path) as made:
        yield made


def test_a_question_is_read_as_it_was_written_by_another_process(inbox, path):
    inbox.publish(QUESTION)
    with Inbox(path) as other:
        [found] = other.questions()
    assert found == QUESTION
    assert repr(found.arguments) == repr(QUESTION.arguments)  # 1, 1.0 and true are not the same


def test_a_newer_question_about_a_call_takes_the_place_of_the_older_one(inbox):
    inbox.publish(QUESTION)
    newer = replace(QUESTION, binding="c" * 64, arguments={"amount": 5})
    inbox.publish(newer)
    inbox.publish(newer)
    elsewhere = replace(QUESTION, folder="/other/transcripts", binding="d" * 64, asked_at=1.0)
    inbox.publish(elsewhere)
    assert inbox.questions() == [elsewhere, newer]


def test_an_answer_is_taken_exactly_once(inbox, path):
    number = inbox.answer(ANSWER)
    [given] = inbox.given(QUESTION.binding)
    assert given == replace(ANSWER, id=number)
    with Inbox(path) as other:
        assert other.take(given)
        assert not inbox.take(given)
        assert not inbox.refuse(given, "too late")
    settled = inbox.look(number)
    assert (settled.state, settled.proof) == ("taken", "")
    assert (settled.arguments, settled.reason) == (None, "")  # they may hold secrets
    assert inbox.given(QUESTION.binding) == []


def take_one(path: Path, results: "multiprocessing.Queue[int]") -> None:
    with Inbox(path) as inbox:
        results.put(sum(inbox.take(one) for one in inbox.given(QUESTION.binding)))


def test_of_many_processes_one_takes_an_answer(inbox, path):
    inbox.answer(ANSWER)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    others = [context.Process(target=take_one, args=(path, results)) for _ in range(6)]
    for other in others:
        other.start()
    taken = [results.get(timeout=30) for _ in others]
    for other in others:
        other.join()
    assert sorted(taken) == [0, 0, 0, 0, 0, 1]


def test_whoever_answers_again_takes_their_first_answer_back(inbox):
    first = inbox.answer(ANSWER)
    second = inbox.answer(replace(ANSWER, decision="deny"))
    other = inbox.answer(replace(ANSWER, by="bob"))
    assert [given.id for given in inbox.given(QUESTION.binding)] == [second, other]
    assert inbox.look(first).state == "refused"
    assert inbox.not_counted(0.0) == []  # they know that themselves


def test_what_did_not_count_is_kept_with_the_reason_for_a_while(inbox):
    number = inbox.answer(ANSWER)
    assert inbox.refuse(inbox.look(number), "the arguments are not valid")
    [told] = inbox.not_counted(ANSWER.answered_at)
    assert (told.why, told.proof) == ("the arguments are not valid", "")
    assert inbox.not_counted(ANSWER.answered_at + 1) == []
    inbox.answer(replace(ANSWER, answered_at=ANSWER.answered_at + KEPT_SECONDS + 1))
    assert inbox.look(number) is None


def test_what_is_withdrawn_waits_no_more_and_its_answers_are_refused(inbox):
    """fault 27: an answer for what is over."""
    other = replace(QUESTION, binding="c" * 64, call_id="c2")
    for question in (QUESTION, other):
        inbox.publish(question)
    number = inbox.answer(ANSWER)
    inbox.withdraw("R1", "c1")
    assert inbox.questions() == [other]
    settled = inbox.look(number)
    assert (settled.state, settled.why) == ("refused", "nobody asks that any more")
    assert (settled.proof, settled.arguments) == ("", None)
    inbox.withdraw("R1")
    assert inbox.questions() == []


def test_another_process_is_noticed_by_a_number_that_costs_nothing(inbox, path):
    before = inbox.version
    assert inbox.version == before
    with Inbox(path) as other:
        other.answer(ANSWER)
    assert inbox.version != before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        "{}",
        "{",
        '{"binding": 5}',
        "[" * 100_000,
    ],
)
def test_a_row_that_is_none_is_left_out(inbox, path, text):
    number = inbox.answer(ANSWER)
    inbox.publish(QUESTION)
    with sqlite3.connect(path) as forged:
        forged.execute("UPDATE approval_questions SET question = ?", (text,))
        forged.execute("UPDATE approval_answers SET answer = ?", (text,))
    forged.close()
    assert (inbox.questions(), inbox.given(QUESTION.binding)) == ([], [])
    assert inbox.look(number) is None


def test_a_row_of_a_newer_version_is_read_as_far_as_it_is_known(inbox, path):
    inbox.publish(QUESTION)
    with sqlite3.connect(path) as newer:
        newer.execute("UPDATE approval_questions SET question = json_set(question, '$.new', 1)")
    newer.close()
    assert inbox.questions() == [QUESTION]


def test_the_columns_of_an_answer_outweigh_its_text(inbox, path):
    inbox.answer(ANSWER)
    with sqlite3.connect(path) as forged:
        forged.execute("UPDATE approval_answers SET answer = json_set(answer, '$.binding', 'x')")
    forged.close()
    assert [given.binding for given in inbox.given(QUESTION.binding)] == [QUESTION.binding]


def test_the_file_is_for_its_owner_alone(inbox, path):
    inbox.publish(QUESTION)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o077 for p in path.parent.iterdir()} == {0}


def test_a_file_that_is_no_database_is_said_to_be_that(path):
    path.parent.mkdir()
    path.write_text("no database at all" * 100)
    with pytest.raises(RecordError, match="cannot be used"):
        Inbox(path)


def test_a_file_that_breaks_under_way_is_said_to_be_that(inbox):
    inbox.close()
    with pytest.raises(RecordError, match="approvals list --rebuild"):
        inbox.questions()


HALF = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from agent_host.state.approvals import Inbox
from tests.state.test_approvals import ANSWER
inbox = Inbox(Path(sys.argv[1]))
inbox._db.execute("BEGIN IMMEDIATE")
inbox._insert(ANSWER)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_approver_that_is_killed_while_it_writes_has_written_nothing(inbox, path):
    """fault 1: kill -9 in the middle of a write."""
    inbox.publish(QUESTION)
    done = subprocess.run(
        [sys.executable, "-c", HALF, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert inbox.given(QUESTION.binding) == []
    inbox.answer(ANSWER)
    assert len(inbox.given(QUESTION.binding)) == 1


def test_short_ids_are_as_long_as_it_takes_to_tell_them_apart():
    assert shortened([]) == {}
    assert shortened(["a" * 64]) == {"a" * 64: "a" * 8}
    one, other = "abcdefgh1" + "0" * 55, "abcdefgh2" + "0" * 55
    assert shortened([one, other, one]) == {one: "abcdefgh1", other: "abcdefgh2"}
