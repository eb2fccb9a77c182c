"""An approver that others can answer for: the first answer counts, and no row is believed."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_host.config.load import load
from agent_host.core.approvals import Yes, digest
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    RunEnded,
    RunResumed,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from agent_host.core.types import ApprovalTerms, Principal, ToolResult
from agent_host.host import approvals as room
from agent_host.host.approvals import Approvals, restored
from agent_host.host.identity import user_name
from agent_host.host.secrets import Secrets
from agent_host.ports import ApprovalQuestion, Deferred
from agent_host.state.approvals import Answered, Inbox
from tests.fakes.screens import record, tool

ARGUMENTS = {"order_id": "12345", "amount": 250, "pin": "s3cret-pin"}
ASKED = ApprovalRequested(
    call_id="c1",
    server="orders",
    tool="refund_order",
    fingerprint="f",
    arguments=ARGUMENTS,
    binding="b" * 64,
    requester="ana",
    requester_from="os",
)
QUESTION = ApprovalQuestion(
    call_id="c1",
    tool=tool(),
    arguments=ARGUMENTS,
    rule="refunds",
    reason="money",
    in_doubt=False,
    invalid=lambda edited: "amount is missing" if "amount" not in edited else None,
    waiting=lambda: 0,
    asked=ASKED,
)
YES = ApprovalGiven(call_id="c1", decision="approve", by="here")


class Here:
    """Who is asked at this terminal: answers when it is told to."""

    def __init__(self, answer: ApprovalGiven | Deferred | None = None) -> None:
        self.answer = answer
        self.asked = asyncio.Event()
        self.answered = asyncio.Event()
        self.withdrawn = False

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        self.asked.set()
        if self.answer is not None:
            return self.answer
        try:
            await self.answered.wait()
        except asyncio.CancelledError:
            self.withdrawn = True
            raise
        return YES


class Desk:
    """Approvals over a folder of its own; `said` is what the user was told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(room, "POLL_SECONDS", 0.0)
        self.folder = folder
        (folder / "servers.toml").write_text("")
        self.state = folder / "state"
        self.secrets = Secrets({"AGENT_HOST_STATE": str(self.state)})
        self.secrets.redactor.add({"PIN": "s3cret-pin"})
        self.loaded = load(folder / "servers.toml", {})
        self.now = time.time()
        self.said: list[str] = []

    def approvals(self, here: Here | None = None) -> Approvals:
        made = Approvals(
            here or Here(),
            self.loaded,
            self.secrets,
            self.folder / "transcripts" / "R1.jsonl",
            now=lambda: self.now,
        )
        made.tell = self.said.append
        return made

    def inbox(self) -> Inbox:
        return Inbox(self.state / "state.db")

    def answer(self, **more: Any) -> int:
        fields = {
            "binding": "b" * 64,
            "run_id": "R1",
            "call_id": "c1",
            "decision": "approve",
            "by": user_name(),
            "authenticated_by": "os",
            "roles": (),
            "answered_at": self.now,
            **more,
        }
        with self.inbox() as inbox:
            return inbox.answer(Answered(**fields))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def ask(
    desk: Desk,
    here: Here,
    *meanwhile: Callable[[], object],
    question: ApprovalQuestion = QUESTION,
) -> ApprovalGiven | Deferred:
    async def scene() -> ApprovalGiven | Deferred:
        with desk.approvals(here) as approvals:
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(approvals.approve(question))
                for act in meanwhile:
                    await here.asked.wait()
                    for _ in range(10):
                        await asyncio.sleep(0)
                    act()
                return await asyncio.wait_for(asking, 20)

    return asyncio.run(scene())


def test_an_answer_from_elsewhere_comes_before_one_from_here(desk: Desk) -> None:
    here = Here()
    given = ask(desk, here, desk.answer)
    assert isinstance(given, ApprovalGiven)
    assert (given.by, given.authenticated_by) == (user_name(), "os")
    assert (given.binding, given.via) == ("b" * 64, "approvals:1")
    assert here.withdrawn


def test_an_answer_from_here_comes_before_one_from_elsewhere(desk: Desk) -> None:
    here = Here()
    assert ask(desk, here, here.answered.set) == YES


def test_an_answer_that_is_there_already_is_taken_and_nobody_is_asked(desk: Desk) -> None:
    desk.answer(decision="deny", reason="no", arguments={"amount": 1})
    here = Here()
    given = ask(desk, here)
    assert isinstance(given, ApprovalGiven)
    assert (given.decision, given.feedback, given.arguments) == ("deny", "no", None)
    assert not here.asked.is_set()


def test_what_needs_no_human_is_not_shown_to_others(desk: Desk) -> None:
    assert ask(desk, Here(YES)) == YES
    with desk.inbox() as inbox:
        assert inbox.questions() == []


def test_what_nobody_can_answer_here_waits_for_others(desk: Desk) -> None:
    assert isinstance(ask(desk, Here(Deferred())), Deferred)
    with desk.inbox() as inbox:
        [waiting] = inbox.questions()
    assert (waiting.run_id, waiting.folder) == ("R1", str(desk.folder / "transcripts"))
    assert waiting.config == str(desk.folder / "servers.toml")
    assert waiting.definition == tool()


def test_secrets_are_not_shown_to_others_and_come_back_where_an_edit_left_them(desk: Desk) -> None:
    ask(desk, Here(Deferred()))
    with desk.inbox() as inbox:
        [waiting] = inbox.questions()
    assert waiting.arguments == {**ARGUMENTS, "pin": "[secret:PIN]"}
    assert b"s3cret-pin" not in (desk.state / "state.db").read_bytes()
    desk.answer(arguments={**waiting.arguments, "amount": 5})
    given = ask(desk, Here())
    assert isinstance(given, ApprovalGiven)
    assert given.arguments == {**ARGUMENTS, "amount": 5}


@pytest.mark.parametrize(
    ("shown", "edited", "wanted"),
    [
        ({"a": "*"}, {"a": "*"}, {"a": "S"}),
        ({"a": "*"}, {"a": "x"}, {"a": "x"}),
        ({"a": "*"}, {"b": "*"}, {"b": "*"}),
        ({"a": "*"}, {}, {}),
        ([1, "*", 3], [1, "*"], [1, "S"]),
        ([1, "*"], [1, "*", 3], [1, "S", 3]),
        ({"a": ["*", 2]}, {"a": ["*", 5]}, {"a": ["S", 5]}),
        (1, True, True),
        (1, 1.0, 1.0),
        ("*", {"a": "*"}, {"a": "*"}),
    ],
)
def test_an_edit_keeps_what_it_did_not_touch(shown: Any, edited: Any, wanted: Any) -> None:
    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: whole(item) for name, item in value.items()}
        if isinstance(value, list):
            return [whole(item) for item in value]
        return "S" if value == "*" else value

    found = restored(whole(shown), shown, edited)
    assert digest(found) == digest(wanted)


RESTRICTED = replace(
    QUESTION,
    asked=replace(ASKED, terms=ApprovalTerms(approvers=("lead",), needed=2, self_approval=False)),
)


@pytest.mark.parametrize(
    ("question", "row", "why"),
    [
        (QUESTION, {"by": "boss"}, "needs an ID token"),
        (QUESTION, {"arguments": {"order_id": "1"}}, "cannot run: amount is missing"),
        (QUESTION, {"authenticated_by": "https://idp.example", "by": "eve"}, "not certain"),
        (RESTRICTED, {"roles": ("lead",)}, "it takes somebody with the role lead"),
        (
            QUESTION,
            {
                "authenticated_by": "https://idp.example",
                "by": "eve",
                "answered_at": time.time() - 9 * 86400,
            },
            "not of the time",
        ),
    ],
)
def test_a_row_that_does_not_count_is_told_why_and_the_question_goes_on(
    desk: Desk, question: ApprovalQuestion, row: dict[str, Any], why: str
) -> None:
    here = Here()
    numbers: list[int] = []
    given = ask(
        desk,
        here,
        lambda: numbers.append(desk.answer(**row)),
        here.answered.set,
        question=question,
    )
    assert given == YES
    with desk.inbox() as inbox:
        settled = inbox.look(numbers[0])
    assert settled is not None
    assert (settled.state, why in settled.why) == ("refused", True)
    assert any(why in line for line in desk.said)


def test_the_same_person_does_not_count_twice(desk: Desk) -> None:
    mine = Yes(user_name(), "os", digest(ARGUMENTS))
    two = replace(QUESTION, asked=replace(ASKED, terms=ApprovalTerms(needed=2)), yeses=(mine,))
    desk.answer()
    assert isinstance(ask(desk, Here(Deferred()), question=two), Deferred)
    assert "has approved this already" in desk.said[0]


def test_the_owner_of_the_file_cannot_write_the_superusers_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "user_name", lambda: "ana")
    desk.answer(by="root")
    assert isinstance(ask(desk, Here(Deferred())), Deferred)
    assert "needs an ID token" in desk.said[0]


def test_where_users_have_tokens_nobody_is_a_second_person_as_a_user_of_the_system(
    desk: Desk,
) -> None:
    (desk.folder / "servers.toml").write_text(
        '[identity]\ntoken = "${env:T}"\nissuer = "https://idp.example"\naudience = "a"\n'
    )
    desk.loaded = load(desk.folder / "servers.toml", {})
    terms = ApprovalTerms(self_approval=False)
    asked = replace(ASKED, requester_from="https://idp.example", terms=terms)
    desk.answer()
    given = ask(desk, Here(Deferred()), question=replace(QUESTION, asked=asked))
    assert isinstance(given, Deferred)
    assert "needs an ID token, too" in desk.said[0]


def followed(desk: Desk, *events: Any, waiting: bool = True) -> tuple[list[Any], Answered | None]:
    """The questions and the answer that are left after the transcript said this."""

    async def scene() -> None:
        with desk.approvals(Here(Deferred())) as approvals:
            if waiting:
                await approvals.approve(QUESTION)
            desk.answer()
            for event in events:
                approvals.emit(event if isinstance(event, TextDelta) else record(event))

    asyncio.run(scene())
    with desk.inbox() as inbox:
        return inbox.questions(), inbox.look(1)


GIVEN = replace(YES, via="approvals:1")
RUNS = ToolStarted(
    call_id="c1", server="orders", tool="refund_order", fingerprint="f", arguments={}
)
ENDED = ToolFinished(result=ToolResult(call_id="c1", content=()))


@pytest.mark.parametrize(
    ("events", "questions", "state"),
    [
        ((TextDelta(text="x"), ASKED), 1, "given"),
        ((GIVEN,), 1, "taken"),
        ((GIVEN, RUNS), 0, "taken"),
        ((replace(GIVEN, via="approvals:7"),), 1, "given"),
        ((replace(GIVEN, via="elsewhere"),), 1, "given"),
        ((ENDED,), 0, "refused"),
        ((replace(RUNS, call_id="c2"),), 1, "given"),
        ((ApprovalExpired(call_id="c1"),), 0, "refused"),
        ((RunEnded(reason="done"),), 0, "refused"),
    ],
)
def test_the_inbox_follows_the_transcript(
    desk: Desk, events: tuple[Any, ...], questions: int, state: str
) -> None:
    left, answer = followed(desk, *events)
    assert answer is not None
    assert (len(left), answer.state) == (questions, state)


def test_another_process_of_the_run_withdraws_what_the_first_one_asked(desk: Desk) -> None:
    ask(desk, Here(Deferred()))
    left, _ = followed(desk, RunResumed(principal=Principal(id="x")), ENDED, waiting=False)
    assert left == []


def test_a_run_that_nobody_asked_anything_makes_no_file(desk: Desk) -> None:
    with desk.approvals() as approvals:
        for event in (RunResumed(principal=Principal(id="x")), RUNS, RunEnded(reason="done")):
            approvals.emit(record(event))
        assert approvals.waiting() == []
    assert not desk.state.exists()


def test_what_waits_has_short_ids(desk: Desk) -> None:
    async def scene() -> list[Any]:
        with desk.approvals(Here(Deferred())) as approvals:
            await approvals.approve(QUESTION)
            return approvals.waiting()

    [(short, waiting)] = asyncio.run(scene())
    assert (short, waiting.call_id) == ("b" * 8, "c1")


def test_where_state_db_cannot_be_used_whoever_is_here_is_asked_and_it_is_said_once(
    desk: Desk,
) -> None:
    desk.state.mkdir()
    (desk.state / "state.db").write_text("no database" * 100)
    here = Here()
    assert ask(desk, here, here.answered.set) == YES
    [said] = desk.said
    assert said.startswith("nobody can approve from another terminal")


def test_a_state_db_that_breaks_under_way_ends_no_question(desk: Desk) -> None:
    def breaks() -> None:
        broken = sqlite3.connect(desk.state / "state.db")
        broken.execute("DROP TABLE approval_answers")
        broken.close()

    here = Here()
    assert ask(desk, here, breaks, here.answered.set) == YES
    assert len(desk.said) == 1


def test_a_question_of_no_engine_is_asked_here_alone(desk: Desk) -> None:
    assert ask(desk, Here(YES), question=replace(QUESTION, asked=None)) == YES
    assert not desk.state.exists()


def test_a_question_that_is_given_up_stays_open_for_the_resume(desk: Desk) -> None:
    async def scene() -> None:
        here = Here()
        with desk.approvals(here) as approvals:
            asking = asyncio.get_running_loop().create_task(approvals.approve(QUESTION))
            await here.asked.wait()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert here.withdrawn

    asyncio.run(scene())
    with desk.inbox() as inbox:
        assert len(inbox.questions()) == 1
