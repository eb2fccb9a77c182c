"""However a server lies about what it needs from the host, its call ends with one clear word, and
nobody is asked what makes no sense."""

import pytest

from agent_host.ports import CallPaused
from agent_host.servers.spec import HttpSpec
from tests.fakes.beside import assert_clean, beside
from tests.fakes.hostile_http import serving
from tests.fakes.hosting import call, hostile, said


def called(lie):
    async def act(pool):
        return await call(pool, text="hi")

    return beside(hostile(f"modern,{lie}"), act, elicitation=True)


@pytest.mark.parametrize(
    ("lie", "part"),
    [
        ("wants_junk", "not as the protocol has them"),
        ("wants_no_method", "which the host lacks"),
        ("wants_unknown", "which the host lacks"),
        ("wants_many", "not as the protocol has them"),
        ("wants_large", "larger than 128 KiB"),
        ("wants_deep", "nested too deeply"),
        ("wants_nasty_key", "a key that is too long or no text"),
        ("wants_huge_state", "too long to carry"),
        ("wants_odd_state", "too long to carry"),
        ("wants_file_mode", "neither form nor url"),
        ("url_needed_junk", "visited"),
        ("task_junk", "task"),
    ],
)
def test_a_wish_that_makes_no_sense_fails_its_call_and_asks_nobody(lie, part):
    seen = called(lie)
    assert not isinstance(seen.result, CallPaused)
    assert seen.result.error == "tool_error"
    assert part in said(seen.result)
    assert len(said(seen.result)) < 5000
    assert_clean(said(seen.result), *seen.told)
    assert seen.health.state == "connected"


@pytest.mark.parametrize(
    ("lie", "seconds"),
    [("wants_nothing", 1.0), ("wants_state_for_ever", 1.0), ("task_for_ever", 0.4)],
)
def test_a_server_that_always_wants_more_time_gets_its_call_timeout(lie, seconds, monkeypatch):
    async def act(pool):
        return await call(pool, text="hi")

    # A task that answers each poll may take an hour; ten times the call's time is the least.
    monkeypatch.setattr("agent_host.servers.protocol.tasks.TASK_SECONDS", 0.0)
    with serving(f"modern,{lie}") as server:
        spec = HttpSpec(name="h", url=server.url, call_timeout=seconds, connect_timeout=5)
        seen = beside(spec, act)
        asked = [method for method, _ in server.seen if method in ("tools/call", "tasks/get")]
    assert seen.result.error in ("timeout", "tool_error", "outcome_unknown")
    assert_clean(said(seen.result), *seen.told)
    # However often the server says "at once": a request now and then, and not as fast as it goes.
    assert 1 < len(asked) < 60


def test_a_form_that_never_ends_pauses_the_call_each_time_and_carries_its_own_state():
    async def act(pool):
        return [await call(pool, text=str(i)) for i in range(3)]

    seen = beside(hostile("modern,asks_for_ever"), act, elicitation=True)
    states = [paused.state for paused in seen.result]
    assert states == ["s1", "s2", "s3"]
