"""Calls that go on after the server answered: tasks of both forms, progress, time, cancellation."""

import asyncio
import json

import pytest

from agent_host.core.types import Principal
from agent_host.servers.protocol import patience as patience_module
from tests.fakes.asked import (
    MODERN,
    OLD,
    Person,
    asking,
    asking_http,
    called,
    methods,
    over,
    pooled,
    seen,
)
from tests.fakes.hosting import said, until

FORMS = pytest.mark.parametrize("speaks", [OLD, MODERN])
BOTH = pytest.mark.parametrize("transport", ["stdio", "http"])


def run(scenario, transport="stdio", speaks=OLD, mode="", person=None, **spec):
    async def inside():
        with over(transport, speaks, mode, **spec) as found:
            async with pooled(found, person) as pool:
                return await scenario(pool)

    return asyncio.run(inside())


@FORMS
@BOTH
def test_a_call_to_a_tool_that_runs_as_a_task_simply_works(transport, speaks):
    heard = []

    def progress(_, __, text):
        heard.append(text)

    result = run(lambda pool: called(pool, "task", progress=progress), transport, speaks)
    assert (result.error, said(result)) == (None, "task said null")
    assert heard[0].startswith("step ")


@FORMS
@BOTH
def test_a_task_that_asks_gets_its_answer_and_ends(transport, speaks):
    person = Person()
    result = run(lambda pool: called(pool, "task_ask"), transport, speaks, person=person)
    answer = json.loads(said(result).removeprefix("task said "))
    given = answer["q"] if speaks == MODERN else answer
    assert given == {"action": "accept", "content": {"name": "Ada"}}
    ((_, request, call_id),) = person.asked
    assert (request.params["message"], call_id) == ("Who?", "call-1")


@FORMS
def test_a_task_that_fails_is_a_failed_call(speaks):
    result = run(lambda pool: called(pool, "task_fail"), speaks=speaks)
    assert result.error == "tool_error"
    if speaks == MODERN:
        assert "out of steam" in said(result)


@FORMS
def test_a_task_may_take_longer_than_a_silent_call(speaks):
    result = run(lambda pool: called(pool, "task", {"steps": 25}), speaks=speaks, call_timeout=0.5)
    assert result.error is None


@FORMS
@pytest.mark.parametrize("tool", ["task", "task_ask"])
def test_a_task_that_is_to_be_polled_rarely_is_not_taken_for_silent(speaks, tool):
    result = run(
        lambda pool: called(pool, tool, {"steps": 6}),
        speaks=speaks,
        mode="rare_polls",
        person=Person(),
        call_timeout=0.5,
    )
    assert result.error is None


@FORMS
def test_a_task_that_never_ends_is_given_up_and_cancelled(tmp_path, monkeypatch, speaks):
    from agent_host.servers.protocol import calls, tasks

    monkeypatch.setattr(patience_module, "MOST", 2.0)
    monkeypatch.setattr(calls, "MOST", 2.0)
    monkeypatch.setattr(tasks, "TASK_SECONDS", 0.6)
    flags = {"seen": tmp_path / "seen"}
    result = run(
        lambda pool: called(pool, "task_forever"), speaks=speaks, call_timeout=0.3, flags=flags
    )
    assert result.error == "timeout"
    assert "still at work" in said(result)
    assert "tasks/cancel" in methods(flags["seen"])


@FORMS
def test_cancelling_a_call_cancels_its_task(tmp_path, speaks):
    flags = {"seen": tmp_path / "seen"}

    async def scenario(pool):
        task = asyncio.ensure_future(called(pool, "task_forever"))  # to cancel it
        await until(lambda: "tasks/get" in methods(flags["seen"]))
        task.cancel()
        await asyncio.wait({task})
        return await called(pool, "echo")

    assert run(scenario, speaks=speaks, flags=flags).error is None
    assert "tasks/cancel" in methods(flags["seen"])


def test_a_tool_that_need_not_be_a_task_of_a_server_without_tasks_is_just_called(tmp_path):
    """The old form is only asked for where the server says that it has it."""
    flags = {"seen": tmp_path / "seen"}
    run(lambda pool: called(pool, "echo"), flags=flags)
    (call,) = [m for m in seen(flags["seen"]) if m.get("method") == "tools/call"]
    assert "task" not in call["params"]


def test_a_task_without_a_name_is_a_failed_call():
    result = run(lambda pool: called(pool, "empty_task"), speaks=MODERN)
    assert result.error == "tool_error"


def test_a_task_outlives_the_process_that_began_it(tmp_path):
    flags = {"state": tmp_path / "tasks"}

    async def scenario():
        spec = asking(MODERN, "die_with_task", flags=flags)
        async with pooled(spec) as pool:
            result = await called(pool, "task", {"steps": 12})
            return result, pool.health()[0].restarts

    result, restarts = asyncio.run(scenario())
    assert (result.error, said(result)) == (None, "task said null")
    assert restarts >= 1


def test_a_task_that_nobody_knows_any_more_is_in_doubt():
    async def scenario():
        async with pooled(asking(MODERN, "die_with_task")) as pool:
            return await called(pool, "task", {"steps": 50})

    result = asyncio.run(scenario())
    assert result.error == "outcome_unknown"
    assert "check before trying again" in said(result)


# -- the time of a call


@BOTH
@FORMS
def test_progress_renews_the_time_of_its_own_call(transport, speaks):
    async def scenario(pool):
        async with asyncio.TaskGroup() as group:
            busy = group.create_task(called(pool, "progress", {"steps": 12, "every": 0.1}))
            silent = group.create_task(called(pool, "linger", {"seconds": 3}))
        return busy.result(), silent.result()

    busy, silent = run(scenario, transport, speaks, call_timeout=0.6)
    assert (busy.error, said(busy)) == (None, "arrived")
    assert silent.error == "timeout"
    assert "No answer within 0.6 s" in said(silent)


def test_progress_without_end_has_an_end(monkeypatch):
    from agent_host.servers.protocol import calls

    monkeypatch.setattr(patience_module, "MOST", 3.0)
    monkeypatch.setattr(calls, "MOST", 3.0)
    result = run(
        lambda pool: called(pool, "progress", {"steps": 500, "every": 0.02}), call_timeout=0.3
    )
    assert result.error == "timeout"
    assert "still at work after 0.9 s" in said(result)


@BOTH
@FORMS
def test_cancelling_a_call_reaches_the_server_and_leaves_the_connection(transport, speaks):
    async def scenario(pool):
        task = asyncio.ensure_future(called(pool, "linger"))  # to cancel it
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.wait({task})

        async def cancelled():
            return int(said(await called(pool, "cancelled")))

        async with asyncio.timeout(5):
            while not await cancelled():
                await asyncio.sleep(0.02)
        return pool.health()[0]

    health = run(scenario, transport, speaks)
    assert (health.state, health.restarts) == ("connected", 0)


# -- for whom


@FORMS
@BOTH
def test_a_server_is_told_for_whom_a_call_is_made_where_the_config_says_so(transport, speaks):
    from agent_host.servers.spec import UserSpec

    async def scenario(pool):
        people = [
            Principal(id="ada", authenticated_by="oidc", roles=("x",), claims={"iss": "https://i"}),
            Principal(id="bob"),
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(called(pool, "echo", principal=who)) for who in people]
        return [json.loads(said(task.result()))["_meta"].get("com.example/user") for task in tasks]

    user = UserSpec(meta="com.example/user")
    assert run(scenario, transport, speaks, user=user) == [
        {"id": "ada", "issuer": "https://i", "roles": ["x"]},
        {"id": "bob", "issuer": "os", "roles": []},
    ]
    assert run(scenario, transport, speaks) == [None, None]


def test_a_server_that_comes_back_over_http_still_has_its_task(tmp_path):
    flags = {"state": tmp_path / "tasks"}

    async def scenario():
        with asking_http(MODERN, "die_with_task", flags=flags) as spec:
            port = int(spec.url.rpartition(":")[2].partition("/")[0])
            async with pooled(spec) as pool:
                task = asyncio.ensure_future(called(pool, "task", {"steps": 12}))
                await asyncio.sleep(0.4)
                with asking_http(MODERN, "", flags=flags, port=port):
                    return await task

    result = asyncio.run(scenario())
    assert (result.error, said(result)) == (None, "task said null")
