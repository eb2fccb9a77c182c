"""A session keeps what its model is sent below the window."""

import asyncio
from contextvars import ContextVar
from dataclasses import replace

import pytest

from agent_host.core.context import view
from agent_host.core.errors import UsageError
from agent_host.core.events import (
    ContextCompacted,
    Interrupted,
    ModelRequested,
    ServerLog,
    SummaryFinished,
    SummaryRequested,
    TextDelta,
    UserSaid,
)
from agent_host.core.handoff import is_legal
from agent_host.core.limits import Limits
from agent_host.core.loop import outcome
from agent_host.core.types import ModelFailure, Origin, Text, ToolResult, Usage
from agent_host.engine.rooms import Compaction, Window
from agent_host.engine.session import Session
from tests.fakes.rooms import (
    MemoryJournal,
    PlannedModel,
    PriceList,
    Watcher,
    World,
    answer,
    call,
    said,
    session,
)

RUN: ContextVar = ContextVar("run")
"""Runs a coroutine in the test's one event loop."""


@pytest.fixture(autouse=True)
def one_loop():
    with asyncio.Runner() as runner:
        token = RUN.set(runner.run)
        yield
        RUN.reset(token)


BIG = ToolResult(call_id="", content=(Text(text="row " * 500),))


def of(journal, kind):
    return [r.event for r in journal.records if isinstance(r.event, kind)]


class Steady(PlannedModel):
    """Calls a tool in each of the first `rounds` requests of a message, then answers; when asked
    for a summary (no tools, one message) it writes `summary`."""

    def __init__(self, rounds: int = 0, summary: object = "SUMMARY: they read rows") -> None:
        super().__init__([], Origin(provider="test", model="planned", adapter="planned"))
        self.rounds = rounds
        self.summary = summary
        self.summaries = []
        self.gate: asyncio.Event | None = None
        self.writing = asyncio.Event()

    async def stream(self, request):
        if request.system.startswith("You write the summary"):
            self.summaries.append(request)
            self.writing.set()
            if self.gate is not None:
                await self.gate.wait()
            yield ServerLog(server="", level="info", text="thinking")
            yield TextDelta(text="SUM")
            if isinstance(self.summary, ModelFailure):
                yield self.summary
            elif self.summary is not None:
                yield answer(str(self.summary))
            return
        self.requests.append(request)
        number = len(self.requests)
        if number % (self.rounds + 1):
            yield answer("", call(f"c{number}", "read", n=number))
        else:
            yield answer(f"done {number}")


def windowed(model, *, tokens=4000, journal=None, by_model=False, share=0.8, **options):
    """A session whose model has so many tokens of room, counted by characters."""
    world = World(results={"read": BIG})
    limits = Limits(max_turns=100, **options.pop("limits", {}))
    made = session(
        MemoryJournal() if journal is None else journal,
        model=model,
        world=world,
        limits=limits,
        compaction=Compaction(share=share, by_model=by_model),
        **options,
    )
    made.rooms = _with(made.rooms, tokens)
    return made


def _with(rooms, tokens):
    return replace(rooms, windows=lambda _origin: Window(tokens=tokens))


def chat(s: Session, *texts: str) -> Session:
    async def scene() -> None:
        for text in texts:
            s.tell(UserSaid(message=said(text)))
            await s.run()

    RUN.get()(scene())
    return s


class Uncounted(Steady):
    """Says of no answer how many tokens it was."""

    async def stream(self, request):
        async for item in super().stream(request):
            yield replace(item, usage=Usage()) if hasattr(item, "usage") else item


def test_old_results_are_left_out_before_the_window_is_full_and_no_request_is_over_it():
    journal, model = MemoryJournal(), Uncounted(rounds=30)
    s = chat(windowed(model, journal=journal), "read all")
    assert outcome(s.conversation) == "done"
    events = of(journal, ContextCompacted)
    assert 1 <= len(events) <= 12
    assert {e.reason for e in events} == {"window"}
    for request in model.requests:
        assert sum(len(str(m.content)) for m in request.messages) / 3.5 < 4000 * 1.5
        assert is_legal(request.messages)
        assert "read all" in str(request.messages[0])
    assert len(s.conversation.messages) == 62
    assert events[0].messages == 0  # results go first
    assert "host__search_conversation" not in str(s.conversation.messages)


def test_a_wider_model_or_a_share_of_one_compacts_nothing():
    for options in ({"tokens": 0}, {"tokens": 10**6}, {"share": 1.0}):
        journal = MemoryJournal()
        chat(windowed(Uncounted(rounds=8), journal=journal, **options), "read all")
        assert not of(journal, ContextCompacted)


def test_a_change_to_a_smaller_window_compacts_before_the_next_request():
    journal = MemoryJournal()
    s = chat(windowed(Uncounted(rounds=8), journal=journal, tokens=10**6), "read all")
    s.rooms = _with(s.rooms, 3000)
    chat(s, "and now?")
    kinds = [r.event.type for r in journal.records]
    last = len(kinds) - 1 - kinds[::-1].index("user_said")
    assert kinds[last + 1] == "context_compacted"


def test_a_resumed_run_sends_what_the_one_before_it_would_have_sent():
    journal = MemoryJournal()
    s = chat(windowed(Uncounted(rounds=12), journal=journal), "read all")
    again = windowed(Uncounted(), journal=MemoryJournal(journal.records))
    assert view(again.conversation) == view(s.conversation)
    model = again.rooms.model
    chat(again, "and?")
    assert outcome(again.conversation) == "done"
    assert len(model.requests) == 1


def test_the_messages_of_requests_between_compactions_keep_their_identity():
    model = Uncounted(rounds=10)
    chat(windowed(model), "read all")
    same = 0
    for one, other in zip(model.requests, model.requests[1:], strict=False):
        if all(a is b for a, b in zip(one.messages, other.messages, strict=False)):
            same += 1
    assert same >= 6


# -- by a model ------------------------------------------------------------------------------------

STORY = ["tell " + "y" * 3000, "more " + "z" * 3000, "more " + "w" * 3000, "more " + "v" * 3000]


def test_the_model_writes_the_summary_and_it_is_counted():
    journal, model = MemoryJournal(), Steady()
    prices = PriceList({"planned": (0.5, 2.0)})
    watcher = Watcher()
    s = windowed(model, journal=journal, by_model=True, prices=prices, sinks=[watcher])
    chat(s, *STORY)

    async def ask():
        return await s.compact("me", "keep the names")

    event = RUN.get()(ask())
    assert event is not None
    assert (event.summary_by, event.reason, event.by) == ("model", "asked", "me")
    assert "SUMMARY: they read rows" in event.summary
    (intent,), (done,) = of(journal, SummaryRequested), of(journal, SummaryFinished)
    assert (intent.instructions, intent.by) == ("keep the names", "me")
    assert (done.text, done.cost) == ("SUMMARY: they read rows", 2.5)
    assert s.conversation.cost == 2.5 * (len(STORY) + 1)
    (request,) = model.summaries
    assert "keep the names" in str(request.messages)
    assert any(isinstance(i, ServerLog) for i in watcher.items)
    chat(s, "and?")
    assert "SUMMARY: they read rows" in str(model.requests[-1].messages[0])


def test_the_summary_of_a_full_window_is_written_before_the_next_request():
    journal, model = MemoryJournal(), Uncounted()
    chat(windowed(model, journal=journal, by_model=True), *STORY, *STORY)
    kinds = [r.event.type for r in journal.records]
    at = kinds.index("summary_requested")
    assert kinds[at : at + 4] == [
        "summary_requested",
        "summary_finished",
        "context_compacted",
        "model_requested",
    ]


DOWN = ModelFailure(kind="unavailable", message="it is down")


@pytest.mark.parametrize(
    ("summary", "why"),
    [(DOWN, "it is down"), (None, "no answer"), ("", "no text came")],
)
def test_where_no_summary_comes_the_beginnings_stand(summary, why):
    journal = MemoryJournal()
    s = chat(windowed(Uncounted(summary=summary), journal=journal, by_model=True), *STORY, *STORY)
    assert outcome(s.conversation) == "done"
    assert all(why in e.error for e in of(journal, SummaryFinished))
    events = of(journal, ContextCompacted)
    assert events
    assert {e.summary_by for e in events} == {"extract"}


def test_a_stop_while_a_summary_is_written_leaves_nothing_out():
    journal, model = MemoryJournal(), Uncounted()
    model.gate = asyncio.Event()
    s = windowed(model, journal=journal, by_model=True, tokens=2000)

    async def scene() -> None:
        for text in STORY:
            s.tell(UserSaid(message=said(text)))
            task = asyncio.ensure_future(s.run())
            done, _ = await asyncio.wait(
                {task, asyncio.ensure_future(model.writing.wait())},
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task not in done:
                s.tell(Interrupted(by="me"))
                await task
                return

    RUN.get()(scene())
    assert outcome(s.conversation) == "interrupted"
    assert [e.error for e in of(journal, SummaryFinished)] == ["stopped"]
    assert not of(journal, ContextCompacted)
    model.gate.set()
    chat(s, "go on")
    assert outcome(s.conversation) == "done"
    assert of(journal, ContextCompacted)


def test_cancelling_what_was_asked_for_leaves_nothing_out_and_the_session_works():
    journal, model = MemoryJournal(), Steady()
    model.gate = asyncio.Event()
    s = chat(windowed(model, journal=journal, by_model=True, tokens=10**6), *STORY)

    async def scene() -> None:
        task = asyncio.ensure_future(s.compact("me"))
        await model.writing.wait()
        with pytest.raises(UsageError, match="nothing else is under way"):
            await s.compact("me")
        with pytest.raises(UsageError, match="being asked"):
            s.rewind(0, "me")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    RUN.get()(scene())
    assert [e.error for e in of(journal, SummaryFinished)] == ["stopped"]
    assert not of(journal, ContextCompacted)
    s.rewind(0, "me")
    assert chat(s, "again").conversation.messages[0] == said("again")


def test_a_message_said_while_a_summary_is_written_waits_for_it():
    journal, model = MemoryJournal(), Steady()
    model.gate = asyncio.Event()
    s = chat(windowed(model, journal=journal, by_model=True, tokens=10**6), *STORY)

    async def scene() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(s.compact("me"))
            await model.writing.wait()
            s.tell(UserSaid(message=said("and?")))
            group.create_task(s.run())
            await asyncio.sleep(0)
            assert len(of(journal, ModelRequested)) == len(STORY)
            model.gate.set()

    RUN.get()(scene())
    assert len(of(journal, ModelRequested)) == len(STORY) + 1
    assert outcome(s.conversation) == "done"


def test_nothing_is_asked_of_the_offline_model():
    journal, model = MemoryJournal(), Steady()
    model.origin = Origin(provider="offline", model="offline", adapter="offline")
    s = chat(windowed(model, journal=journal, by_model=True), *STORY)
    event = RUN.get()(s.compact("me"))
    assert event is not None
    assert event.summary_by == "extract"
    assert not of(journal, SummaryRequested)


# -- by hand ---------------------------------------------------------------------------------------


def test_what_is_asked_for_is_done_once_and_only_when_the_user_is_awaited():
    s = chat(windowed(Steady(), tokens=0), *STORY)
    assert s.window == 0
    before = s.filling()
    event = RUN.get()(s.compact("me", "all of it"))
    assert event is not None
    assert "all of it" in event.summary
    after = s.filling()
    assert after.used < before.used
    assert after.used == sum(part.tokens for part in after.parts)
    assert RUN.get()(s.compact("me")) is None
    s.tell(UserSaid(message=said("x")))
    with pytest.raises(UsageError):
        RUN.get()(s.compact("me"))


def test_going_back_forgets_questions_and_the_next_request_is_without_what_was_taken_back():
    model = Steady()
    s = chat(windowed(model, tokens=9000), "one", "two", "three")
    assert s.window == 9000
    s.rewind(2, "me")
    chat(s, "other two")
    assert [m.content[0].text for m in model.requests[-1].messages] == [
        "one",
        "done 1",
        "other two",
    ]
