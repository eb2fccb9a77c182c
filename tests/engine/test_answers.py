"""What servers ask of the host: recorded, answered, and carried over a restart."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing

import pytest

from agent_host.core.calls import MAX_ROUNDS
from agent_host.core.events import (
    InputGiven,
    InputRequested,
    Interrupted,
    SamplingFinished,
    SamplingRequested,
    ToolFinished,
    ToolPaused,
    ToolStarted,
    UserSaid,
)
from agent_host.core.limits import Limits
from agent_host.core.loop import outcome
from agent_host.core.types import ServerRequest, Text, ToolResult, Usage
from agent_host.engine.rooms import Sampling
from agent_host.ports import CallPaused, Deferred, RequestRefused, SamplingAnswer
from tests.fakes.rooms import (
    AnsweringApprover,
    MemoryJournal,
    PlannedModel,
    PriceList,
    World,
    answer,
    said,
    session,
)

FORM = {
    "mode": "form",
    "message": "Which size?",
    "requestedSchema": {"type": "object", "properties": {"size": {"type": "string"}}},
}
SAMPLE = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "Say hi"}}],
    "maxTokens": 9000,
    "systemPrompt": "short",
}


def form(key: str = "", **changes: object) -> ServerRequest:
    return ServerRequest(method="elicitation/create", params=FORM | changes, key=key)


def sample(key: str = "", **changes: object) -> ServerRequest:
    return ServerRequest(method="sampling/createMessage", params=SAMPLE | changes, key=key)


class Person:
    """Answers forms with `content`, or with what `gives` says; allows sampling by `allows`."""

    def __init__(self, gives: object = None, allows: object = None) -> None:
        self.gives = gives
        self.allows = allows or SamplingAnswer(allowed=True, by="tester")
        self.asked: list[object] = []
        self.reached = asyncio.Event()

    async def answer(self, question, waiting):
        self.asked.append(question)
        self.reached.set()
        if isinstance(self.gives, asyncio.Event):
            await self.gives.wait()
        if isinstance(self.gives, Deferred):
            return self.gives
        return InputGiven(
            input_id=question.input_id, action="accept", by="tester", content={"size": "XL"}
        )

    async def allow(self, question):
        self.asked.append(question)
        return self.allows


class Pausing(World):
    """The tool `pay` pauses with `rounds` of requests, then ends; keeps what it was given."""

    def __init__(self, *rounds: tuple[ServerRequest, ...], endless: bool = False) -> None:
        super().__init__()
        self.rounds = rounds
        self.endless = endless
        self.given: list[Mapping[str, object] | None] = []
        self.states: list[str | None] = []

    async def call(self, tool, arguments, context):
        given = context.answers
        self.given.append(None if given is None else dict(given.given))
        self.states.append(None if given is None else given.state)
        count = 0 if given is None else int(given.state or 0)
        if self.endless or count < len(self.rounds):
            return CallPaused(
                requests=self.rounds[0 if self.endless else count], state=str(count + 1)
            )
        return ToolResult(call_id=context.call_id, content=(Text(text="paid"),))


class Asking(World):
    """The tool `pay` asks the host itself while it runs."""

    def __init__(self, *requests: ServerRequest) -> None:
        super().__init__()
        self.requests = requests
        self.answers: list[object] = []
        self.answer = None

    async def call(self, tool, arguments, context):
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.answer("w", request, context.call_id))
                for request in self.requests
            ]
        self.answers = [task.result() for task in tasks]
        return ToolResult(call_id=context.call_id, content=(Text(text="paid"),))


def events(s, kind) -> list:
    return [r.event for r in s.feed.journal.records if isinstance(r.event, kind)]


def run(s):
    s.tell(UserSaid(message=said("pay")))
    return asyncio.run(s.run())


def opened(world: World, person: Person | None = None, journal=None, **options):
    s = session(
        journal or MemoryJournal(), plan=[["pay"]], world=world, respondent=person, **options
    )
    if isinstance(world, Asking):
        world.answer = s.answer
    return s


def test_a_paused_call_goes_on_with_the_answers_and_the_servers_own_state():
    world, person = Pausing((form("a"), form("b"))), Person()
    s = opened(world, person)
    c = run(s)
    accepted = {"action": "accept", "content": {"size": "XL"}}
    assert world.given == [None, {"a": accepted, "b": accepted}]
    assert world.states == [None, "1"]
    assert [e.key for e in events(s, InputRequested)] == ["a", "b"]
    assert len(events(s, ToolStarted)) == 2
    assert [e.result.error for e in events(s, ToolFinished)] == [None]
    assert outcome(c) == "done"


def test_a_call_may_pause_several_times_but_not_for_ever():
    world = Pausing((form("a"),), (form("b"),))
    assert outcome(run(opened(world, Person()))) == "done"
    endless = Pausing((form("a"),), endless=True)
    s = opened(endless, Person())
    run(s)
    [finished] = events(s, ToolFinished)
    assert finished.result.error == "tool_error"
    assert f"{MAX_ROUNDS + 1} times" in finished.result.content[0].text


def test_without_anybody_to_ask_input_is_declined_and_the_model_refused():
    world = Pausing((form("a"),))
    run(opened(world))
    assert world.given[1] == {"a": {"action": "decline"}}
    asking = Asking(form(), sample())
    s = opened(asking)
    run(s)
    assert asking.answers[0] == {"action": "decline"}
    assert isinstance(asking.answers[1], RequestRefused)
    assert [e.by for e in events(s, InputGiven)] == ["nobody to ask"]
    assert [e.outcome for e in events(s, SamplingFinished)] == ["refused"]


def test_a_deferred_answer_parks_the_run_and_the_resumed_run_goes_on_where_the_server_paused():
    journal = MemoryJournal()
    world = Pausing((form("a"),))
    s = opened(world, Person(gives=Deferred()), journal)
    c = run(s)
    assert outcome(c) is None
    assert c.awaiting == "input"
    again = opened(world, Person(), MemoryJournal(journal.records))
    c = asyncio.run(again.run())
    assert outcome(c) == "done"
    assert world.states == [None, "1"]  # the first call was not made again
    assert len(events(again, ToolPaused)) == 1


def test_an_answer_given_before_the_restart_is_not_asked_for_again():
    journal = MemoryJournal()
    world = Pausing((form("a"), form("b")))

    class Once(Person):
        async def answer(self, question, waiting):
            return await super().answer(question, waiting) if question.key == "a" else Deferred()

    run(opened(world, Once(), journal))
    person = Person()
    again = opened(world, person, MemoryJournal(journal.records))
    asyncio.run(again.run())
    assert [q.key for q in person.asked] == ["b"]
    assert set(world.given[-1]) == {"a", "b"}


def test_a_paused_call_that_was_approved_is_not_approved_twice():
    approver = AnsweringApprover()
    world = Pausing((form("a"),))
    s = session(
        MemoryJournal(), plan=[["ask_me"]], world=world, respondent=Person(), approver=approver
    )
    run(s)
    assert len(approver.questions) == 1


@pytest.mark.parametrize("held", [(form("a"),), (form("a"), form("b")), (form("a"), sample("b"))])
def test_a_stop_while_a_form_is_open_ends_it_with_its_call(held):
    """Nobody is asked what else the call waits for."""

    async def scene():
        person = Person(gives=asyncio.Event())
        s = opened(Pausing(held), person)
        s.tell(UserSaid(message=said("pay")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await person.reached.wait()
            s.tell(Interrupted(by="me"))
        assert [e.result.error for e in events(s, ToolFinished)] == ["cancelled"]
        assert len(events(s, InputRequested)) == 1
        assert events(s, SamplingRequested) == []
        assert s.conversation.inputs == ()
        assert outcome(s.conversation) == "interrupted"

    asyncio.run(scene())


@pytest.mark.parametrize("world", [Pausing((form("a"),)), Asking(form())])
def test_an_answer_from_elsewhere_ends_the_question(world):
    async def scene():
        person = Person(gives=asyncio.Event())
        s = opened(world, person)
        s.tell(UserSaid(message=said("pay")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await person.reached.wait()
            [asked] = s.conversation.inputs
            s.tell(
                InputGiven(
                    input_id=asked.input_id, action="accept", by="other", content={"size": "S"}
                )
            )
        assert [e.by for e in events(s, InputGiven)] == ["other"]
        result = {"action": "accept", "content": {"size": "S"}}
        assert result in (world.answers if isinstance(world, Asking) else world.given[1].values())
        assert outcome(s.conversation) == "done"

    asyncio.run(scene())


def test_a_server_that_gives_up_its_question_closes_it():
    async def scene():
        person = Person(gives=asyncio.Event())
        s = opened(Asking(), person)
        world = s.rooms.tools
        world.gates["read"] = asyncio.Event()
        s.tell(UserSaid(message=said("pay")))

        async def call(tool, arguments, context):
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(s.answer("w", form(), context.call_id))
                await person.reached.wait()
                asking.cancel()
            return ToolResult(call_id=context.call_id, content=(Text(text="ok"),))

        world.call = call
        await s.run()
        assert [(e.action, e.by) for e in events(s, InputGiven)] == [
            ("cancel", "the server gave up")
        ]
        assert outcome(s.conversation) == "done"

    asyncio.run(scene())


def test_nobody_is_asked_while_the_user_is_at_the_prompt():
    async def scene():
        person = Person()
        s = opened(World(), person)
        assert await s.answer("w", form(), "") == {"action": "decline"}
        assert isinstance(await s.answer("w", sample(), ""), RequestRefused)
        assert person.asked == []

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"message": 3}, "no message"),
        ({"message": "x" * 9000}, "longer than"),
        ({"mode": "telepathy"}, "neither form nor url"),
        ({"mode": "url", "url": "javascript:alert(1)"}, "not an http"),
        ({"mode": "url", "url": "https://x/" + "a" * 20000}, "longer than"),
        ({"requestedSchema": None}, "no schema"),
        (
            {"requestedSchema": {"type": "object", "properties": {str(n): {} for n in range(65)}}},
            "more than 64 fields",
        ),
    ],
)
def test_a_request_that_is_not_sound_is_declined_and_not_shown(changes, why):
    person, world = Person(), Pausing((form("a", **changes),))
    s = opened(world, person)
    run(s)
    assert person.asked == []
    assert world.given[1] == {"a": {"action": "decline"}}
    [asked] = events(s, InputRequested)
    assert why in asked.message


def test_a_server_gets_the_models_answer_and_nothing_of_the_conversation():
    model = PlannedModel([["pay"], [], []])
    world, person = Asking(sample()), Person()
    s = opened(world, person, model=model, sampling=Sampling(max_tokens=50))
    run(s)
    [got] = world.answers
    assert got["content"] == {"type": "text", "text": "t0"}
    request = model.requests[1]
    assert (request.system, request.tools, request.max_output_tokens) == ("short", (), 50)
    assert [b.text for m in request.messages for b in m.content] == ["Say hi"]
    [question] = person.asked
    assert question.model == "test:planned"
    assert question.max_tokens == 50
    [finished] = events(s, SamplingFinished)
    assert (finished.outcome, finished.by) == ("answered", "tester")


def test_what_servers_use_of_the_model_counts_for_the_run():
    prices = PriceList({"planned": (1.0, 1.0)})
    s = opened(Asking(sample()), Person(), prices=prices, limits=Limits(max_cost=1000.0))
    c = run(s)
    assert c.usage == Usage(input_tokens=3, output_tokens=3)
    assert c.cost == 6.0


def test_the_number_of_requests_for_the_model_is_limited():
    world = Asking(sample(), sample(), sample())
    s = opened(world, Person(), sampling=Sampling(max_requests=2))
    run(s)
    refused = [a for a in world.answers if isinstance(a, RequestRefused)]
    assert len(refused) == 1
    assert "2 requests" in refused[0].text


def test_always_holds_for_that_server_in_that_run():
    person = Person(allows=SamplingAnswer(allowed=True, by="tester", always=True))
    world = Pausing((sample("a"), sample("b")))
    run(opened(world, person))
    assert len(person.asked) == 1


def test_without_asking_the_config_allows():
    s = opened(Asking(sample()), None, sampling=Sampling(ask=False))
    run(s)
    assert [e.by for e in events(s, SamplingFinished)] == ["config"]


def test_a_refused_request_for_the_model_ends_the_call_that_it_holds_up():
    person = Person(allows=SamplingAnswer(allowed=False, by="tester"))
    s = opened(Pausing((sample("a"),)), person)
    run(s)
    [finished] = events(s, ToolFinished)
    assert finished.result.error == "tool_error"
    assert "not allowed" in finished.result.content[0].text


def test_a_model_that_fails_or_says_nothing_is_a_reason_for_the_server():
    for step in ((), (answer("", stop_reason="end_turn"),)):
        model = PlannedModel([["pay"], []])

        async def stream(request, model=model, step=step, real=model.stream):
            if request.request_id.startswith("sampling"):
                for item in step:
                    yield item
                return
            async for item in real(request):
                yield item

        model.stream = stream
        world = Asking(sample())
        s = opened(world, Person(), model=model)
        run(s)
        assert isinstance(world.answers[0], RequestRefused)
        assert [e.outcome for e in events(s, SamplingFinished)] == ["failed"]


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": []},
        {"messages": [{"role": "system", "content": {"type": "text", "text": "x"}}]},
        {"messages": [{"role": "user", "content": {"type": "video"}}]},
        {"messages": [{"role": "user", "content": {"type": "text", "text": "x" * 300_000}}]},
        {"messages": [SAMPLE["messages"][0]] * 201},
        {"maxTokens": None},
        {"tools": [{"name": "x"}]},
    ],
)
def test_a_request_for_the_model_that_is_not_sound_is_refused_and_not_shown(changes):
    person, world = Person(), Asking(sample(**changes))
    s = opened(world, person)
    run(s)
    assert isinstance(world.answers[0], RequestRefused)
    assert person.asked == []
    [asked] = events(s, SamplingRequested)
    assert asked.params == {}


def test_deferred_sampling_parks_a_paused_call_and_refuses_a_running_one():
    person = Person(allows=Deferred())
    s = opened(Pausing((sample("a"),)), person)
    assert outcome(run(s)) is None
    world = Asking(sample())
    run(opened(world, person))
    assert isinstance(world.answers[0], RequestRefused)


def test_what_the_host_does_not_do_is_refused():
    world = Asking(ServerRequest(method="roots/list", params={}))
    run(opened(world, Person()))
    assert isinstance(world.answers[0], RequestRefused)


@pytest.mark.parametrize("world", [Asking(sample()), Pausing((sample("a"),))])
def test_a_stop_while_a_server_waits_for_the_model_closes_its_request(world):
    async def scene():
        model = PlannedModel([["pay"], []])
        s = opened(world, Person(), model=model)
        s.tell(UserSaid(message=said("pay")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            while len(model.requests) < 1:
                await asyncio.sleep(0)
            model.hold = asyncio.Event()
            model.reached.clear()
            await model.reached.wait()
            s.tell(Interrupted(by="me"))
        assert [e.outcome for e in events(s, SamplingFinished)] == ["failed"]
        assert s.conversation.samplings == ()
        assert outcome(s.conversation) == "interrupted"

    asyncio.run(scene())


def test_a_stop_while_a_human_is_asked_about_the_model_refuses_it():
    async def scene():
        asked = asyncio.Event()

        class Slow(Person):
            async def allow(self, question):
                asked.set()
                await asyncio.Event().wait()

        world = Asking(sample())
        s = opened(world, Slow())
        s.tell(UserSaid(message=said("pay")))
        async with asyncio.TaskGroup() as group:
            group.create_task(s.run())
            await asked.wait()
            s.tell(Interrupted(by="me"))
        assert [e.by for e in events(s, SamplingFinished)] == ["stopped"]

    asyncio.run(scene())


def test_a_server_gets_nothing_more_of_the_model_once_a_limit_is_reached():
    world = Asking(sample(), sample())
    s = opened(world, Person(), limits=Limits(max_tokens=4))
    run(s)
    outcomes = [e.outcome for e in events(s, SamplingFinished)]
    assert sorted(outcomes) == ["answered", "refused"]


class Unhurried(PlannedModel):
    """Lets everybody else go on before it answers."""

    async def stream(self, request):
        for _ in range(20):
            await asyncio.sleep(0)
        async with aclosing(super().stream(request)) as stream:
            async for item in stream:
                yield item


def test_requests_that_come_together_do_not_pass_a_limit_together():
    world = Asking(*[sample()] * 5)
    model = Unhurried([["pay"], []])
    s = opened(world, Person(), model=model, limits=Limits(max_tokens=4))
    run(s)
    outcomes = [e.outcome for e in events(s, SamplingFinished)]
    assert sorted(outcomes) == ["answered", *["refused"] * 4]
    assert len(model.requests) == 2


def test_requests_that_a_human_thinks_about_together_do_not_pass_their_number_together():
    class Thoughtful(Person):
        async def allow(self, question):
            await asyncio.sleep(0.01)
            return self.allows

    world = Asking(*[sample()] * 5)
    s = opened(world, Thoughtful(), sampling=Sampling(max_requests=2))
    run(s)
    refused = [a.text for a in world.answers if isinstance(a, RequestRefused)]
    assert refused == ["this run's 2 requests for the model are used up"] * 3


def test_a_question_that_is_let_go_by_a_crash_of_the_engine_stays_open():
    async def scene():
        person = Person(gives=asyncio.Event())
        s = opened(Pausing((form("a"),)), person)
        s.tell(UserSaid(message=said("pay")))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(s.run())
            await person.reached.wait()
            [asked] = s.conversation.inputs
            task.cancel()
        assert asked in s.conversation.inputs or not s.conversation.inputs
        person.gives.set()
        await s.run()
        assert outcome(s.conversation) == "done"

    asyncio.run(scene())


def test_a_deferred_question_that_is_answered_from_elsewhere_lets_the_run_go_on():
    async def scene():
        world = Pausing((form("a"),))
        s = opened(world, Person(gives=Deferred()))
        s.tell(UserSaid(message=said("pay")))
        await s.run()
        [asked] = s.conversation.inputs
        s.tell(InputGiven(input_id=asked.input_id, action="decline", by="other"))
        await s.run()
        assert world.given[1] == {"a": {"action": "decline"}}
        assert outcome(s.conversation) == "done"

    asyncio.run(scene())


def test_a_form_of_a_call_that_ended_is_no_longer_answered():
    async def scene():
        person = Person(gives=asyncio.Event())
        s = opened(World(), person)

        async def call(tool, arguments, context):
            group = asyncio.get_running_loop()
            asking = group.create_task(s.answer("w", form(), context.call_id))
            await person.reached.wait()
            late.append(asking)
            return ToolResult(call_id=context.call_id, content=(Text(text="ok"),))

        late: list[asyncio.Task] = []
        s.rooms.tools.call = call
        s.tell(UserSaid(message=said("pay")))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(s.run())
            while not late:
                await asyncio.sleep(0)
            person.gives.set()
            await running
        assert (await late[0])["action"] == "accept"
        assert s.conversation.inputs == ()

    asyncio.run(scene())
