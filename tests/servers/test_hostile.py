"""What a hostile server does costs its own budget and nothing else."""

import asyncio
import re
import time
from dataclasses import replace

import pytest

from agent_host.core.events import ServerConnected, ServerLog, ServerLost, ToolsChanged
from tests.fakes.hosting import call, context, hostile, running, said, until

TOOLS = ["h__echo", "h__slow", "h__die", "h__env", "h__progress"]
UNSAFE = ("\x1b", "\x07", "\u202e")


def run_one(mode, *extra, arguments=None, tool="h__echo", **spec):
    """Start one server, call one tool; return result, pool, events."""

    async def scenario():
        events = []
        async with running(hostile(mode, *extra, **spec), observe=events.append) as pool:
            result = None
            if tool in pool.tools():
                result = await call(pool, tool, **(arguments or {"text": "hi"}))
            return result, pool.health()[0], dict(pool.tools()), events

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    "mode",
    ["", "string_ids", "banner", "stderr_flood", "esc", "die_first_unknown", "list_changed_flood",
     "progress_flood", "log_flood", "request_flood", "no_schema", "dup", "names", "schemas",
     "huge_tool", "pages"],
)  # fmt: skip
def test_a_call_works_although_the_server(mode):
    result, health, tools, _ = run_one(mode)
    assert (result.error, said(result)) == (None, '{"text": "hi"}')
    assert health.state == "connected"
    assert set(TOOLS) <= set(tools)


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("bad_utf8", "caf\ufffd \ufffd"),
        ("surrogate", "a\ufffdb"),
        ("content_string", "not a list"),
        ("big_result", "x" * (4 << 20)),
    ],
)
def test_a_result_that_is_odd_still_arrives(mode, text):
    result, _, _, _ = run_one(mode)
    assert (result.error, said(result)) == (None, text)


@pytest.mark.parametrize(
    ("mode", "part"),
    [
        ("huge_line", "larger than the host accepts"),
        ("unterminated", "larger than the host accepts"),
        ("huge_int", "could not be read"),
        ("deep", "could not be read"),
        ("truncated", "could not be read"),
        ("result_string", "not an object"),
        ("rpc_error", "boom"),
        ("is_error", "no such order"),
    ],
)
def test_a_broken_answer_fails_that_call_only(mode, part):
    result, health, _, _ = run_one(mode)
    assert result.error == "tool_error"
    assert part in said(result)
    assert health.state == "connected"


@pytest.mark.parametrize(
    ("mode", "part"),
    [
        ("die", "exit code 9"),
        ("die_initialize", "exit code 3"),
        ("future", "Unsupported protocol version"),
        ("list_error", "tools/list failed: no list"),
        ("list_garbage", "no list of tools"),
        ("close_stdout", "it closed its output"),
        ("flood_stdout", "flooded|larger than the host accepts"),
        ("flood_lines", "flooded|not ready"),
    ],
)
def test_a_server_that_cannot_be_used_says_why(mode, part):
    _, health, tools, events = run_one(mode, connect_timeout=4)
    assert health.state == "failed"
    assert re.search(part, health.error)
    assert tools == {}
    assert [type(e) for e in events if not isinstance(e, ServerLog)] == [ServerLost]


@pytest.mark.parametrize("mode", ["hang_initialize", "hang_list"])
def test_a_server_that_hangs_costs_its_connect_timeout(mode):
    began = time.monotonic()
    _, health, _, _ = run_one(mode, connect_timeout=0.6)
    assert "not ready within 0.6 s (connect_timeout)" in health.error
    assert time.monotonic() - began < 5


def test_healthy_tools_are_there_beside_every_kind_of_bad_server():
    bad = ["hang_initialize", "die", "flood_stdout", "flood_lines", "close_stdout", "schemas"]

    async def scenario():
        specs = [hostile(m, name=f"bad{i}", connect_timeout=1.5) for i, m in enumerate(bad)]
        async with running(hostile(), *specs) as pool:
            assert set(TOOLS) <= set(pool.tools())
            result = await call(pool, text="hi")
            assert result.error is None

    asyncio.run(scenario())


def test_no_text_of_a_server_reaches_an_event_or_a_health_report_unescaped():
    for mode in ("log_flood", "names", "die", "list_error", "banner", "rpc_error", "stderr_flood"):
        result, health, _, events = run_one(mode)
        seen = repr(health) + "".join(str(e) for e in events)
        seen += said(result) if result is not None and result.error else ""
        texts = [getattr(e, "text", "") + getattr(e, "reason", "") for e in events]
        texts += [health.error, health.stderr, health.version, *health.problems, seen]
        assert not any(mark in text for mark in UNSAFE for text in texts), mode


def test_log_floods_are_cut_off():
    _, _, _, events = run_one("log_flood")
    assert len([e for e in events if isinstance(e, ServerLog)]) <= 201


def test_only_the_last_of_what_a_server_logs_is_kept():
    _, health, _, _ = run_one("stderr_flood")
    assert health.stderr.endswith("the last words")
    assert len(health.stderr) < 20_000


def test_bad_definitions_are_withheld_with_a_reason_and_the_others_live():
    _, health, tools, _ = run_one("schemas,names,dup,huge_tool")
    assert set(tools) == {*TOOLS, "h__o_notobject"}
    problems = "\n".join(health.problems)
    for name in ("s_selfref", "s_doubling", "s_network", "s_file", "s_missing", "s_badtype",
                 "s_notobject", "o_selfref", "o_doubling", "twin", "huge"):  # fmt: skip
        assert f"{name}: " in problems
    assert "b\\u0430sh" in problems


def test_tools_of_an_endless_or_circular_list_are_bounded():
    _, health, _, _ = run_one("endless")
    assert any("more than 100 pages" in text for text in health.problems)
    _, health, _, _ = run_one("same_cursor")
    assert any("repeats a cursor" in text for text in health.problems)


def test_more_tools_than_anyone_needs_are_left_out():
    _, health, tools, _ = run_one("many", tool="h__t0")
    assert len(tools) == 2000
    assert any("5000 tools" in text for text in health.problems)


def test_a_call_without_an_answer_ends_at_the_call_timeout_and_the_server_is_told():
    async def scenario():
        async with running(hostile(call_timeout=0.3)) as pool:
            late = await call(pool, "h__slow", seconds=3)
            assert late.error == "timeout"
            assert "0.3 s" in said(late)
            told = await call(pool, cancelled=True)
            assert said(told) != "[]"

    asyncio.run(scenario())


def test_cancelling_a_call_tells_the_server_and_keeps_the_connection():
    async def scenario():
        async with running(hostile()) as pool:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(call(pool, "h__slow", seconds=3))
                await asyncio.sleep(0.05)
                task.cancel()
            assert said(await call(pool, cancelled=True)) != "[]"
            assert pool.health()[0].state == "connected"

    asyncio.run(scenario())


def test_a_lying_structured_result_arrives_with_a_note():
    result, _, _, _ = run_one("lying_output", tool="h__lie")
    assert result.error is None
    assert '{"n": "x"}' in said(result)
    assert "does not match the tool's own output schema" in said(result)


def test_unknown_content_becomes_text():
    result, _, _, _ = run_one("odd_content")
    assert '"hologram"' in said(result)
    assert "plain" in said(result)


def test_progress_is_passed_on_cleaned():
    async def scenario():
        heard = []
        async with running(hostile()) as pool:
            await call(pool, "h__progress", progress=lambda *p: heard.append(p))
        return heard

    (only,) = asyncio.run(scenario())
    assert only[:2] == (1.0, 4.0)
    assert only[2].startswith("one")
    assert not any(mark in only[2] for mark in UNSAFE)


def test_a_flood_of_progress_is_thinned_out():
    async def scenario():
        heard = []
        async with running(hostile("progress_flood")) as pool:
            await call(pool, progress=lambda *p: heard.append(p))
        return heard

    assert 1 <= len(asyncio.run(scenario())) < 200


def test_changed_tools_are_listed_again_and_an_old_definition_is_refused():
    async def scenario():
        events = []
        async with running(hostile("changing"), observe=events.append) as pool:
            before = pool.tools()
            old = before["h__echo"]
            assert pool.tools() is before
            assert (await call(pool, text="hi")).error is None
            await until(lambda: "h__extra" in pool.tools())
            assert pool.tools() is not before
            result = await pool.call(old, {"text": "hi"}, context())
            assert (result.error, result.call_id) == ("changed", "call-1")
        return events

    events = asyncio.run(scenario())
    changed = next(e for e in events if isinstance(e, ToolsChanged))
    assert (changed.added, changed.changed) == (("extra",), ("echo",))


def test_a_flood_of_changes_is_one_list():
    async def scenario():
        events = []
        async with running(hostile("list_changed_flood,changing"), observe=events.append) as pool:
            await call(pool, text="hi")
            await until(lambda: "h__extra" in pool.tools())
            return (await call(pool, "h__env")).error, events

    error, events = asyncio.run(scenario())
    assert error is None
    assert len([e for e in events if isinstance(e, ServerConnected)]) == 1


def test_many_problems_with_tools_are_told_in_one_line_and_kept_whole():
    _, health, _, events = run_one("schemas,names,dup,huge_tool")
    told = [e.text for e in events if isinstance(e, ServerLog)]
    assert len(told) == 1
    more = f"and {len(health.problems) - 1} more; `agent-host servers test h` shows them"
    assert told == [f"{health.problems[0]} ({more})"]
    assert len(set(health.problems)) == len(health.problems)
    assert '"": the name is not legal; the tool is withheld' in health.problems


@pytest.mark.parametrize(
    ("mode", "word"), [("die", "no license"), ("die_initialize", "cannot reach the database")]
)
def test_a_server_that_ends_is_told_with_its_last_words(mode, word):
    _, health, _, events = run_one(mode)
    lost = [e.reason for e in events if isinstance(e, ServerLost)]
    assert [word in reason for reason in lost] == [True]
    assert "; its last words: " in health.error


def test_the_same_misbehaviour_is_told_once_however_often_the_server_is_started():
    async def scenario():
        events = []
        spec = hostile("banner,die_initialize")
        async with running(spec, observe=events.append) as pool:
            await until(lambda: pool.health()[0].restarts >= 2 and pool.health()[0].stderr)
        return [e.text for e in events if isinstance(e, ServerLog)]

    told = asyncio.run(scenario())
    assert [text.partition(";")[0] for text in told] == ["sent a line that is no message"]


SPILLING = """import os, sys
sys.stderr.write("x" * int(sys.argv[1]) + " " + os.environ["TOKEN"] + " y" * int(sys.argv[2]))
sys.exit(3)
"""


@pytest.mark.parametrize(("before", "after"), [(150, 0), (0, 994), (0, 0), (3000, 0)])
def test_what_is_cut_out_of_a_servers_log_holds_no_part_of_a_word(before, after):
    token = "hunter2-and-more"
    spec = replace(
        hostile(env={"TOKEN": token}), args=("-I", "-S", "-c", SPILLING, str(before), str(after))
    )

    async def scenario():
        async with running(spec) as pool:
            return pool.health()[0]

    health = asyncio.run(scenario())
    for text in (health.error, health.stderr):
        whole = text.replace(token, "")
        assert not any(part in whole for part in ("hunter", "2-and", "more"))
