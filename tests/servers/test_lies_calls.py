"""However a server lies about a call, that call ends with one clear word and nothing else does."""

import asyncio

import pytest

from agent_host.core.events import ServerLog
from tests.fakes.beside import assert_clean, beside, was_lost
from tests.fakes.hosting import call, hostile, said


def call_twice(mode, *, between=None, **spec):
    """Call the lying tool, stop the lie as far as it is one of the first call, and call again."""

    async def act(pool):
        first = await call(pool, text="1")
        return first, await call(pool, text="2")

    return beside(hostile(mode, **{"call_timeout": 15, **spec}), act)


@pytest.mark.parametrize(
    ("lie", "answer"),
    [
        ("wrong_ids", "yours"),
        ("next_id", "yours"),
        ("twice", "first"),
        ("batch", "batched"),
        ("batch_flood", "after"),
        ("twin_keys", "b"),
        ("crlf_and_bom", "windows"),
        ("nul_bytes", "after"),
        ("utf16", "after"),
        ("blank_lines", "after"),
        ("odd_progress", "after"),
        ("odd_logs", "after"),
        ("unknown_messages", "after"),
        ("elicitation_flood", "after"),
        ("sampling_flood", "after"),
        ("same_request_id", "after"),
        ("cancels_the_call", "after"),
    ],
)
def test_what_is_said_beside_the_answer_changes_no_answer(lie, answer):
    seen = call_twice(lie)
    assert [(r.error, said(r)) for r in seen.result] == [(None, answer)] * 2
    assert seen.health.state == "connected"
    assert was_lost(seen) == []
    assert_clean(*seen.told)


@pytest.mark.parametrize("lie", ["wrong_ids", "next_id", "twice", "nul_bytes", "utf16"])
def test_the_same_misbehaviour_is_told_in_one_line(lie):
    assert len(call_twice(lie).warnings) == 1


@pytest.mark.parametrize("lie", ["elicitation_flood", "sampling_flood", "unknown_messages"])
def test_a_flood_of_questions_is_told_once_for_each_bound(lie):
    told = call_twice(lie).warnings
    assert "more requests than the host serves at once" in told[0]
    assert len(told) <= 2


@pytest.mark.parametrize(
    ("lie", "error", "part"),
    [
        ("both", "tool_error", "and not"),
        ("neither", "tool_error", "the result is not an object"),
        ("odd_error", "tool_error", "just a text"),
        ("strange_result_type", "tool_error", "hologram"),
        ("odd_fields", "tool_error", "the host cannot give"),
        ("huge_error", "tool_error", "eeee"),
        ("hundred_megabytes", "tool_error", "larger than the host accepts"),
        ("ansi_error", "tool_error", "The server answered with an error"),
    ],
)
def test_an_answer_that_is_none_fails_its_call_with_one_clear_word(lie, error, part):
    seen = call_twice(lie)
    for result in seen.result:
        assert (result.error, part in said(result)) == (error, True)
        assert len(said(result)) < 5000
        assert_clean(said(result))
    assert seen.health.state == "connected"
    assert len(seen.warnings) <= 1


def test_numbers_that_json_does_not_have_arrive_as_what_it_has():
    for result in call_twice("not_json_numbers").result:
        assert said(result) == '{"a": "NaN", "b": null, "c": "-Infinity"}'


def test_sixty_thousand_blocks_are_bounded_and_counted():
    for result in call_twice("many_blocks").result:
        assert len(result.content) <= 1001
        assert "more" in result.content[-1].text


def test_no_text_beside_a_result_reaches_an_event_unescaped():
    async def act(pool):
        heard = []
        await call(pool, text="hi", progress=lambda *told: heard.append(told[2]))
        return heard

    seen = beside(hostile("ansi_everywhere"), act)
    assert len(seen.result) == 1
    assert_clean(*seen.result, *seen.told)


def test_a_log_that_is_huge_or_of_no_level_is_one_short_line():
    seen = call_twice("odd_logs")
    logs = [e for e in seen.events if isinstance(e, ServerLog)]
    assert 2 <= len(logs) <= 20
    assert all(len(log.text) < 5000 and len(log.level) < 100 for log in logs)


def test_progress_of_one_call_keeps_no_other_call_alive():
    async def act(pool):
        hanging = asyncio.ensure_future(call(pool, "h__slow", seconds=600))
        ended = 0
        while not hanging.done():
            assert (await call(pool, "h__progress")).error is None
            ended += 1
        return ended, await hanging

    seen = beside(hostile(call_timeout=0.6), act)
    ended, result = seen.result
    assert ended > 1
    assert result.error == "timeout"


def test_a_late_answer_to_a_cancelled_call_answers_no_other():
    async def act(pool):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(call(pool, "h__slow", seconds=0.2))
            await asyncio.sleep(0.05)
            task.cancel()
        answers = [await call(pool, "h__slow", seconds=0.1) for _ in range(4)]
        return [said(a) for a in answers]

    seen = beside(hostile(), act)
    assert seen.result == ["late"] * 4
    assert seen.warnings == []
