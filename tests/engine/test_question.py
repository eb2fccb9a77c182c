"""What a session does when a model does not answer, and what an answer costs."""

import asyncio
from collections.abc import Callable

import pytest

from agent_host.core.events import (
    ContextCompacted,
    Interrupted,
    LimitReached,
    ModelChanged,
    ModelFailed,
    ModelResponded,
    ServerLog,
    TextDelta,
    UserSaid,
)
from agent_host.core.limits import Limits
from agent_host.core.loop import outcome
from agent_host.core.types import ModelFailure, Origin, Text, ToolResult
from agent_host.engine.rooms import Retry
from agent_host.engine.session import Session
from tests.fakes.rooms import (
    MemoryJournal,
    PlannedModel,
    PriceList,
    Substitutes,
    Watcher,
    World,
    answer,
    said,
    session,
)

OTHER = Origin(provider="else", model="second", adapter="planned")
DOWN = ModelFailure(kind="auth", message="bad key")
BUSY = ModelFailure(kind="overloaded", message="busy", retryable=True)
FULL = ModelFailure(kind="context_window_exceeded", message="too long")
FAST = Retry(first_wait=0.0, longest_wait=0.0)


def play(made: Callable[[], Session], text: str = "hi") -> Session:
    async def scene() -> Session:
        s = made()
        s.tell(UserSaid(message=said(text)))
        await s.run()
        return s

    return asyncio.run(scene())


def kinds(journal: MemoryJournal) -> list[str]:
    return [record.event.type for record in journal.records]


def of(journal: MemoryJournal, kind: type) -> list:
    return [r.event for r in journal.records if isinstance(r.event, kind)]


# -- another model -------------------------------------------------------------------------------


def test_a_model_that_fails_gives_way_to_the_next_and_the_change_is_recorded():
    journal = MemoryJournal()
    second = PlannedModel([answer("hello")], OTHER)
    s = play(lambda: session(journal, plan=[(DOWN,)], fallback=Substitutes(second)))
    assert outcome(s.conversation) == "done"
    [failed] = of(journal, ModelFailed)
    assert (failed.kind, failed.final) == ("auth", False)
    [changed] = of(journal, ModelChanged)
    assert (changed.provider, changed.model, changed.by) == ("else", "second", "fallback")
    assert changed.reason == "bad key"
    assert of(journal, ModelResponded)[0].model_asked == "second"
    assert s.conversation.origin == OTHER


def test_the_list_is_gone_through_in_order_and_the_last_failure_is_final():
    journal = MemoryJournal()
    models = [PlannedModel([(DOWN,)], OTHER), PlannedModel([(BUSY,)], OTHER)]
    s = play(lambda: session(journal, plan=[(DOWN,)], fallback=Substitutes(*models), retry=FAST))
    assert outcome(s.conversation) == "model_unavailable"
    # The last of the list is asked as often as a model without one.
    assert [m.kind for m in of(journal, ModelFailed)] == ["auth", "auth", *["overloaded"] * 4]
    assert [f.final for f in of(journal, ModelFailed)][-1] is True
    assert len(of(journal, ModelChanged)) == 2


def test_a_busy_model_is_given_up_earlier_while_another_stands_by():
    journal = MemoryJournal()
    second = PlannedModel([answer("hello")], OTHER)
    play(lambda: session(journal, plan=[(BUSY,)], fallback=Substitutes(second), retry=FAST))
    assert [f.kind for f in of(journal, ModelFailed)] == ["overloaded"] * 2


def test_no_other_model_is_asked_once_something_was_shown():
    journal = MemoryJournal()
    second = PlannedModel([answer("hello")], OTHER)
    plan = [(TextDelta(text="Hel"), BUSY)]
    s = play(lambda: session(journal, plan=plan, fallback=Substitutes(second), retry=FAST))
    assert outcome(s.conversation) == "model_unavailable"
    assert of(journal, ModelChanged) == []


def test_a_script_that_does_not_hold_is_no_reason_to_ask_another_model():
    journal = MemoryJournal()
    wrong = ModelFailure(kind="script", message="turn 1 expected x")
    second = PlannedModel([answer("hello")], OTHER)
    s = play(lambda: session(journal, plan=[(wrong,)], fallback=Substitutes(second)))
    assert outcome(s.conversation) == "failed"


class _Slow(Substitutes):
    """Takes for ever to make a model."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    @property
    def waiting(self) -> bool:
        return True

    async def next(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()


def test_an_interruption_while_another_model_is_made_closes_the_request():
    journal = MemoryJournal()

    async def scene() -> Session:
        slow = _Slow()
        s = session(journal, plan=[(DOWN,)], fallback=slow)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await slow.reached.wait()
            s.tell(Interrupted(by="tester"))
        return s

    s = asyncio.run(scene())
    assert s.conversation.requested is None
    assert outcome(s.conversation) == "interrupted"


def test_a_run_that_is_cancelled_while_another_model_is_made_records_nothing_more():
    journal = MemoryJournal()

    async def scene() -> None:
        slow = _Slow()
        s = session(journal, plan=[(DOWN,)], fallback=slow)
        s.tell(UserSaid(message=said("hi")))
        task = asyncio.ensure_future(s.run())
        await slow.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    assert kinds(journal)[-1] == "model_requested"


# -- a conversation that does not fit --------------------------------------------------------------


class _Narrow(PlannedModel):
    """Takes so many characters of messages, and answers."""

    def __init__(self, room: int, origin: Origin = OTHER) -> None:
        super().__init__([], origin)
        self.room = room

    async def stream(self, request):
        self.requests.append(request)
        said_in_all = sum(len(str(m.content)) for m in request.messages)
        yield FULL if said_in_all > self.room else answer("short enough")


def long_story(journal: MemoryJournal, model: PlannedModel, **options: object) -> Session:
    """Six exchanges of some 3,000 characters, and a last question."""

    async def scene() -> Session:
        s = session(journal, model=PlannedModel([answer("x" * 1500)] * 6), **options)
        for _ in range(6):
            s.tell(UserSaid(message=said("y" * 1500)))
            await s.run()
        s.change_model(model, by="tester")
        s.tell(UserSaid(message=said("and now?")))
        await s.run()
        return s

    return asyncio.run(scene())


def test_a_conversation_that_does_not_fit_is_shortened_and_asked_again():
    journal = MemoryJournal()
    model = _Narrow(9_000)
    s = long_story(journal, model)
    assert outcome(s.conversation) == "done"
    assert of(journal, ContextCompacted)
    assert all(not f.final for f in of(journal, ModelFailed))
    assert len(s.conversation.messages) == 14  # the log is whole
    assert len(model.requests[-1].messages) < 14


def test_a_question_that_never_fits_is_a_clear_failure_in_the_end():
    journal = MemoryJournal()
    s = long_story(journal, _Narrow(10))
    assert s.conversation.failure is not None
    assert s.conversation.failure.kind == "context_window_exceeded"
    assert outcome(s.conversation) == "model_unavailable"
    assert 1 <= len(of(journal, ContextCompacted)) <= 6


def test_a_model_with_more_room_answers_what_fits_no_other():
    journal = MemoryJournal()
    wide = _Narrow(10**9)
    s = long_story(journal, _Narrow(10), fallback=Substitutes(wide))
    assert outcome(s.conversation) == "done"


# -- money -----------------------------------------------------------------------------------------


def test_an_answer_is_recorded_with_what_it_cost_and_unknown_is_not_nothing():
    journal = MemoryJournal()
    prices = PriceList({"planned": (0.5, 2.0)})
    s = play(lambda: session(journal, plan=[["read"], []], prices=prices))
    assert [e.cost for e in of(journal, ModelResponded)] == [2.5, 2.5]
    assert (s.conversation.cost, s.conversation.unpriced) == (5.0, 0)
    journal = MemoryJournal()
    s = play(lambda: session(journal, plan=[[]], prices=PriceList({})))
    assert [e.cost for e in of(journal, ModelResponded)] == [None]
    assert s.conversation.unpriced == 1


def test_prices_are_read_beside_the_request_and_not_after_it():
    prices = PriceList({"planned": (0.5, 2.0)})
    model = PlannedModel([[]])
    model.hold = asyncio.Event()

    async def scene() -> tuple[bool, bool]:
        s = session(MemoryJournal(), model=model, prices=prices)
        s.tell(UserSaid(message=said("hi")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await model.reached.wait()
            meanwhile = prices.begun, prices.read
            model.hold.set()
        return meanwhile

    assert asyncio.run(scene()) == (True, False)
    assert prices.read


def test_the_limit_of_money_is_checked_before_a_call_with_its_estimate():
    journal = MemoryJournal()
    prices = PriceList({"planned": (0.0, 0.01)})  # 500 tokens of an answer: 5 dollars
    model = PlannedModel([["read"], []])
    s = play(lambda: session(journal, model=model, prices=prices, limits=Limits(max_cost=5.005)))
    # The first answer cost 1 cent; the second may cost 5 dollars, and is not asked for.
    assert [e.name for e in of(journal, LimitReached)] == ["cost"]
    assert len(model.requests) == 1
    assert outcome(s.conversation) == "limit"


def test_the_estimate_grows_with_what_is_sent():
    prices = PriceList({"planned": (0.001, 0.0)})
    journal = MemoryJournal()
    model = PlannedModel([[]])
    play(
        lambda: session(journal, model=model, prices=prices, limits=Limits(max_cost=1.0)),
        text="x" * 10_000,
    )
    assert model.requests == []
    journal = MemoryJournal()
    play(lambda: session(journal, model=model, prices=prices, limits=Limits(max_cost=1.0)))
    assert len(model.requests) == 1


def test_what_came_after_the_last_count_is_part_of_the_estimate():
    journal = MemoryJournal()
    prices = PriceList({"planned": (0.001, 0.0)})
    model = PlannedModel([["read"], []])
    world = World()
    big = ToolResult(call_id="x", content=(Text(text="y" * 10_000),))
    world.results["read"] = big
    limits = Limits(max_cost=1.0)
    play(lambda: session(journal, model=model, world=world, prices=prices, limits=limits))
    assert len(model.requests) == 1  # the result alone may cost 3 dollars
    assert [e.name for e in of(journal, LimitReached)] == ["cost"]


def test_a_limit_of_money_stops_a_model_whose_price_is_not_known():
    for prices in (PriceList({}), None):
        journal = MemoryJournal()
        model = PlannedModel([[]])
        play(
            lambda j=journal, m=model, p=prices: session(
                j, model=m, prices=p, limits=Limits(max_cost=100)
            )
        )
        assert model.requests == []
        assert [e.name for e in of(journal, LimitReached)] == ["cost"]


class _Reading(PriceList):
    def __init__(self) -> None:
        super().__init__({"planned": (1.0, 1.0)})
        self.reached = asyncio.Event()

    async def ready(self, origin: Origin) -> None:
        self.reached.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("stopped", [True, False])
def test_an_answer_is_not_lost_by_a_stop_while_prices_are_read(stopped: bool):
    journal = MemoryJournal()

    async def scene() -> None:
        prices = _Reading()
        s = session(journal, plan=[[]], prices=prices)
        s.tell(UserSaid(message=said("hi")))
        task = asyncio.ensure_future(s.run())
        await prices.reached.wait()
        if stopped:
            s.tell(Interrupted(by="tester"))
            await task
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scene())
    assert [e.cost for e in of(journal, ModelResponded)] == ([None] if stopped else [])


# -- what is asked ---------------------------------------------------------------------------------


def test_tools_that_a_model_cannot_be_offered_are_left_out_and_named_once():
    journal, watcher = MemoryJournal(), Watcher()
    model = PlannedModel([["read"], ["read"], []])
    model.cannot = {f"w__{name}": "too odd" for name in ("put", "pay", "ask_me", "never", "form")}
    play(lambda: session(journal, model=model, sinks=[watcher]))
    assert [[t.tool for t in r.tools] for r in model.requests] == [["read"]] * 3
    [log] = [item for item in watcher.items if isinstance(item, ServerLog)]
    assert log.server == "w"
    assert log.text == (
        "not offered to this model: put (too odd), pay (too odd), ask_me (too odd) and 2 more"
    )


def test_a_choice_of_tool_is_for_the_first_request_and_a_schema_for_all():
    journal = MemoryJournal()
    model = PlannedModel([["read"], []])
    schema = {"type": "object"}
    play(lambda: session(journal, model=model, tool_choice="required", output_schema=schema))
    assert [r.tool_choice for r in model.requests] == ["required", "auto"]
    assert [r.output_schema for r in model.requests] == [schema, schema]
    assert {r.conversation for r in model.requests} == {"run"}


@pytest.mark.parametrize(
    ("choice", "asked", "said"),
    [
        ("w__read", "w__read", None),
        ("w__raed", "auto", "there is no tool w__raed to choose; did you mean w__read?"),
        ("zzz", "auto", "there is no tool zzz to choose"),
        ("none", "none", None),
    ],
)
def test_a_tool_is_chosen_by_name_and_one_that_is_not_there_is_said(choice, asked, said):
    journal, watcher = MemoryJournal(), Watcher()
    model = PlannedModel([[]])
    play(lambda: session(journal, model=model, tool_choice=choice, sinks=[watcher]))
    assert [r.tool_choice for r in model.requests] == [asked]
    logs = [item.text for item in watcher.items if isinstance(item, ServerLog)]
    assert logs == ([said] if said else [])


def test_a_history_that_is_not_legal_is_put_right_before_it_is_sent():
    journal = MemoryJournal()
    model = PlannedModel([["read"], []])

    async def scene() -> Session:
        s = session(journal, model=model)
        # As an import could leave it: a result without its call, twice.
        from dataclasses import replace

        from agent_host.core.types import Message

        stray = Message(
            role="tool", content=(ToolResult(call_id="gone", content=(Text(text="seven"),)),)
        )
        s.conversation = replace(s.conversation, messages=(said("before"), stray))
        s.tell(UserSaid(message=said("hi")))
        await s.run()
        return s

    asyncio.run(scene())
    roles = [[m.role for m in r.messages] for r in model.requests]
    assert roles == [["user"] * 3, ["user"] * 3 + ["assistant", "tool"]]
