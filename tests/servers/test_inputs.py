"""What servers ask of the host, in both forms, and who answers."""

import asyncio
import json

import pytest

from agent_host.core.events import ServerLog
from agent_host.ports import Answers, CallPaused, RequestRefused
from agent_host.servers.protocol import patience
from tests.fakes.asked import MODERN, OLD, Person, asking, called, over, pooled, seen
from tests.fakes.hosting import said, until

BOTH = pytest.mark.parametrize("transport", ["stdio", "http"])
YES = {"action": "accept", "content": {"name": "Ada"}}


def run(scenario, transport="stdio", speaks=OLD, mode="", person=None, **spec):
    async def inside():
        with over(transport, speaks, mode, **spec) as found:
            async with pooled(found, person) as pool:
                return await scenario(pool)

    return asyncio.run(inside())


@BOTH
def test_a_server_that_asks_the_user_gets_the_answer(transport):
    person = Person()
    result = run(lambda pool: called(pool, "elicit"), transport, person=person)
    assert json.loads(said(result)) == YES
    ((server, request, call_id),) = person.asked
    assert (server, request.method, call_id) == ("a", "elicitation/create", "call-1")
    assert request.params["message"] == "Who are you?"


def test_where_nobody_can_be_asked_input_is_not_offered_and_declined_all_the_same(tmp_path):
    flags = {"seen": tmp_path / "seen"}
    result = run(lambda pool: called(pool, "elicit"), flags=flags)
    assert json.loads(said(result)) == {"action": "decline"}
    (hello,) = [m for m in seen(flags["seen"]) if m.get("method") == "initialize"]
    assert hello["params"]["capabilities"] == {}


@pytest.mark.parametrize("speaks", [OLD, MODERN])
def test_only_what_will_be_answered_is_offered_to_a_server(tmp_path, speaks):
    flags = {"seen": tmp_path / "seen"}
    spec = {"sampling": True, "roots": ("file:///x",), "flags": flags}
    run(lambda pool: called(pool, "echo"), speaks=speaks, person=Person(), **spec)
    if speaks == OLD:
        (hello,) = [m for m in seen(flags["seen"]) if m.get("method") == "initialize"]
        held = hello["params"]["capabilities"]
    else:
        (call,) = [m for m in seen(flags["seen"]) if m.get("method") == "tools/call"]
        held = call["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    assert held["elicitation"] == {"form": {}, "url": {}}
    assert (held["sampling"], held["roots"]) == ({}, {})
    assert "io.modelcontextprotocol/ui" not in held.get("extensions", {})


@BOTH
def test_sampling_is_refused_unless_the_config_allows_it(transport):
    person = Person({"role": "assistant", "content": {"type": "text", "text": "yes"}, "model": "m"})
    refused = run(lambda pool: called(pool, "sample"), transport, person=person)
    assert json.loads(said(refused))["code"] == -32601
    assert person.asked == []
    answered = run(lambda pool: called(pool, "sample"), transport, person=person, sampling=True)
    assert json.loads(said(answered))["model"] == "m"


def test_a_refusal_reaches_the_server_as_the_protocol_has_it():
    person = Person(RequestRefused("not now"))
    result = run(lambda pool: called(pool, "sample"), person=person, sampling=True)
    assert json.loads(said(result)) == {"code": -1, "message": "not now"}


def test_roots_are_answered_from_the_config():
    spec = {"roots": ("file:///home/ada/my%20notes", "file:///")}
    result = run(lambda pool: called(pool, "roots"), **spec)
    assert json.loads(said(result)) == {
        "roots": [
            {"uri": "file:///home/ada/my%20notes", "name": "my notes"},
            {"uri": "file:///", "name": "/"},
        ]
    }
    assert json.loads(said(run(lambda pool: called(pool, "roots"))))["code"] == -32601


@pytest.mark.parametrize(
    ("tool", "part"),
    [
        ("huge_ask", "larger than 128 KiB"),
        ("deep_ask", "nested too deeply"),
        ("odd", "the host does not do that"),
    ],
)
def test_a_request_that_is_out_of_bounds_never_reaches_a_person(tool, part):
    person = Person()
    result = run(lambda pool: called(pool, tool), person=person)
    assert part in json.loads(said(result))["message"]
    assert person.asked == []


def test_a_server_that_asks_without_end_is_refused_and_that_is_told_once():
    events, person = [], Person()

    async def scenario():
        async with pooled(asking(), person, observe=events.append) as pool:
            return await called(pool, "flood")

    actions = json.loads(said(asyncio.run(scenario())))
    assert actions == ["accept"] * 32 + ["cancel"] * 8
    told = [e.text for e in events if isinstance(e, ServerLog) and "refused" in e.text]
    assert told == ["asks for more than the host lets a server ask; refused"]


def test_a_server_may_see_whether_the_host_is_there():
    assert json.loads(said(run(lambda pool: called(pool, "pings")))) == {}


def test_of_many_questions_at_once_only_some_reach_a_person():
    person = Person(pause=60)
    result = run(lambda pool: called(pool, "crowd"), person=person, call_timeout=2)
    assert said(result) == "asked"
    assert len(person.asked) == person.given_up == 8


@BOTH
def test_while_a_person_thinks_the_time_of_the_call_stands_still(monkeypatch, transport):
    monkeypatch.setattr(patience, "MOST", 2.0)
    person = Person(pause=1.2)
    result = run(lambda pool: called(pool, "elicit"), transport, person=person, call_timeout=0.5)
    assert (result.error, json.loads(said(result))) == (None, YES)


def test_a_question_ends_when_its_call_is_cancelled():
    person = Person(pause=60)

    async def scenario(pool):
        task = asyncio.ensure_future(called(pool, "elicit"))  # to cancel it
        await until(lambda: person.asked)
        task.cancel()
        await asyncio.wait({task})
        await until(lambda: person.given_up == 1)
        return await called(pool, "echo")

    assert run(scenario, person=person).error is None


def test_a_question_that_the_server_takes_back_ends():
    person = Person(pause=60)
    result = run(lambda pool: called(pool, "leave"), person=person)
    assert said(result) == "taken back"
    assert person.given_up == 1


def test_over_http_a_question_belongs_to_the_call_on_whose_stream_it_came():
    person = Person(pause=0.2)

    async def scenario(pool):
        async with asyncio.TaskGroup() as group:
            group.create_task(called(pool, "linger", {"seconds": 0.5}, call_id="other"))
            asks = [group.create_task(called(pool, "elicit", call_id=f"c{i}")) for i in range(3)]
        return [json.loads(said(task.result())) for task in asks]

    assert run(scenario, "http", person=person) == [YES] * 3
    assert sorted(call_id for _, _, call_id in person.asked) == ["c0", "c1", "c2"]


def test_over_stdio_nobody_knows_which_of_two_calls_asks():
    person = Person()

    async def scenario(pool):
        async with asyncio.TaskGroup() as group:
            group.create_task(called(pool, "linger", {"seconds": 0.5}, call_id="other"))
            await asyncio.sleep(0.2)
            group.create_task(called(pool, "elicit", call_id="c"))

    run(scenario, person=person)
    assert [call_id for _, _, call_id in person.asked] == [""]


@BOTH
def test_a_url_that_must_be_visited_is_put_to_the_user_and_the_call_made_again(transport):
    person = Person({"action": "accept"})
    result = run(lambda pool: called(pool, "visit"), transport, person=person, call_timeout=1)
    assert said(result) == "visited"
    ((_, request, call_id),) = person.asked
    assert request.params == {
        "mode": "url",
        "elicitationId": "here",
        "url": "https://a.example/x",
        "message": "Go",
    }
    assert call_id == "call-1"


def test_a_url_that_nobody_visits_fails_the_call_and_says_so(monkeypatch):
    result = run(lambda pool: called(pool, "visit"), person=Person({"action": "decline"}))
    assert result.error == "tool_error"
    assert "the user did not agree to visit it" in said(result)


def test_a_server_that_never_tells_that_a_url_was_visited_is_tried_again_later(monkeypatch):
    from agent_host.servers.protocol import inputs

    monkeypatch.setattr(inputs, "VISIT_SECONDS", 0.3)
    person = Person({"action": "accept"})
    result = run(lambda pool: called(pool, "visit", {"tells": False}), person=person)
    assert said(result) == "visited"


# -- the modern form


@BOTH
def test_a_call_that_wants_answers_pauses_and_goes_on_with_them(transport):
    async def scenario(pool):
        paused = await called(pool, "pause")
        given = {"who": YES}
        answers = Answers(state=paused.state, requests=paused.requests, given=given)
        return paused, await called(pool, "pause", answers=answers)

    roots = {"roots": ("file:///x",)}
    paused, result = run(scenario, transport, MODERN, person=Person(), **roots)
    assert isinstance(paused, CallPaused)
    assert paused.state == " state \u00e9 "
    assert [(r.key, r.method) for r in paused.requests] == [
        ("who", "elicitation/create"),
        ("where", "roots/list"),
    ]
    assert json.loads(said(result)) == {
        "inputResponses": {"who": YES, "where": {"roots": [{"uri": "file:///x", "name": "x"}]}},
        "requestState": " state \u00e9 ",
    }


def test_answers_survive_the_server_that_asked(tmp_path):
    """What was paused over one connection goes on over another, as after a restart."""

    async def scenario():
        async with pooled(asking(MODERN), Person()) as pool:
            paused = await called(pool, "pause")
        answers = Answers(state=paused.state, requests=paused.requests, given={"who": YES})
        async with pooled(asking(MODERN), Person()) as pool:
            return await called(pool, "pause", answers=answers)

    assert json.loads(said(asyncio.run(scenario())))["requestState"] == " state \u00e9 "


def test_roots_alone_are_answered_without_a_pause():
    result = run(lambda pool: called(pool, "both_roots"), speaks=MODERN, roots=("file:///x",))
    assert json.loads(said(result)) == {"r": {"roots": [{"uri": "file:///x", "name": "x"}]}}


def test_legs_that_ask_for_nothing_are_sent_again_with_their_state():
    assert said(run(lambda pool: called(pool, "legs"), speaks=MODERN)) == "after 3"


@pytest.mark.parametrize(
    ("tool", "arguments", "part"),
    [
        ("endless", {}, "was not done after 10 answers"),
        ("bare", {}, "state is no text"),
        ("pause", {"samples": True}, "sampling is not allowed"),
        ("pause", {"odd": True}, "host/selfDestruct, which the host lacks"),
    ],
)
def test_what_makes_no_sense_or_no_end_fails_the_call(monkeypatch, tool, arguments, part):
    from agent_host.servers.protocol import calls

    monkeypatch.setattr(calls, "LEG_PAUSE_MOST", 0.05)
    result = run(lambda pool: called(pool, tool, arguments), speaks=MODERN, person=Person())
    assert result.error == "tool_error"
    assert part in said(result)


def test_a_tool_that_asks_in_the_old_way_over_the_new_protocol_is_explained():
    result = run(lambda pool: called(pool, "old_style"), speaks=MODERN, person=Person())
    assert 'works with `protocol = "legacy"` for this server' in said(result)
