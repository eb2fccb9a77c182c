"""However a server lies in HTTP, one call fails with one clear word and the next one works."""

import asyncio

import pytest

from agent_host.servers.spec import HttpSpec
from tests.fakes.beside import assert_clean, beside, was_lost
from tests.fakes.hostile_http import serving
from tests.fakes.hosting import call, said

MEGABYTE = 1 << 20


def lied_to(mode, **spec):
    """Call while the server lies, then once more when it does not; return what was seen, and the
    server."""

    async def act(pool):
        first = await call(pool, text="1")
        server.modes.discard(mode)
        return first, await call(pool, text="2")

    with serving(mode) as server:
        limits = {"connect_timeout": 5, "call_timeout": 5, **spec}
        seen = beside(HttpSpec(name="h", url=server.url, **limits), act)
        assert server.mcp.calls <= 2
    first, after = seen.result
    assert (after.error, said(after)) == (None, '{"text": "2"}')
    assert was_lost(seen) == []
    assert_clean(*seen.told, said(first))
    assert len(seen.warnings) <= 1
    assert len(said(first)) < 1000
    return first, server


@pytest.mark.parametrize(
    ("lie", "said_first"), [("same_event_id", "first"), ("other_events", "yours")]
)
def test_odd_events_around_an_answer_change_nothing(lie, said_first):
    result, _ = lied_to(lie)
    assert (result.error, said(result)) == (None, said_first)


@pytest.mark.parametrize(
    ("lie", "error", "part"),
    [
        ("wrong_type", "tool_error", "application/octet-stream"),
        ("no_type", "tool_error", "content type"),
        ("nasty_type", "tool_error", "content type"),
        ("nasty_error", "tool_error", "HTTP 503"),
        ("nasty_reason", "tool_error", "HTTP 502"),
        ("no_such_status", "tool_error", "HTTP 799"),
        ("accepted", "tool_error", "202 Accepted"),
        ("empty", "tool_error", "JSON"),
        ("array", "tool_error", "JSON"),
        ("half_frame", "outcome_unknown", "without a response"),
        ("bad_chunks", "outcome_unknown", "illegal chunk header"),
        ("not_http", "outcome_unknown", "RemoteProtocolError"),
        ("many_headers", "outcome_unknown", "too long"),
        ("huge_header", "outcome_unknown", "too long"),
        ("deflated", "outcome_unknown", "compressed (deflate)"),
        ("zstd", "outcome_unknown", "compressed (zstd, gzip)"),
    ],
)
def test_an_answer_that_is_none_is_told_as_what_it_is(lie, error, part):
    result, _ = lied_to(lie)
    assert (result.error, part in said(result)) == (error, True), said(result)


@pytest.mark.parametrize(
    ("lie", "error", "most"),
    [
        ("event_without_end", "outcome_unknown", 24),
        ("lines_without_end", "outcome_unknown", 24),
        ("body_without_end", "tool_error", 40),
        ("error_without_end", "tool_error", 24),
    ],
)
def test_what_has_no_end_is_left_after_its_bound(lie, error, most):
    result, server = lied_to(lie)
    assert result.error == error, said(result)
    assert server.flooded.is_set()
    assert server.written < most * MEGABYTE


@pytest.mark.parametrize("lie", ["comments", "drip", "informs_for_ever"])
def test_what_never_becomes_an_answer_costs_the_call_timeout_and_is_left(lie):
    async def act(pool):
        first = await call(pool, text="1")
        server.modes.discard(lie)
        # The client hangs up on the answer that nobody waits for, so the server can write no more.
        left = await asyncio.to_thread(server.flooded.wait, 10)
        return first.error, left, (await call(pool, text="2")).error

    with serving(lie) as server:
        limits = {"connect_timeout": 5, "call_timeout": 0.5}
        seen = beside(HttpSpec(name="h", url=server.url, **limits), act)
    assert seen.result == ("timeout", True, None)


def test_an_answer_to_another_request_is_not_taken_for_this_one():
    result, _ = lied_to("other_id", call_timeout=0.5)
    assert result.error in ("timeout", "tool_error", "outcome_unknown")
    assert "yours" not in said(result)
