import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core import events as e
from agent_host.core.moments import moment
from agent_host.core.text import clean
from agent_host.core.types import ToolCall, Usage
from agent_host.records.show import Show, tokens
from tests.records.samples import LEGAL, finished, records, requested, responded, started, user
from tests.records.strategies import RECORDS


def shown(*events, full=False):
    show = Show(full=full)
    return [line for record in records(*events) for line in show.lines(record)]


def test_a_run_reads_as_what_happened_in_order():
    lines = shown(*LEGAL)
    expected = [
        "10:00:00  started with local:llama (openai-chat), for ana (https://idp.example)",
        "10:00:03  user",
        "    Where is my order 12345? Refund the shipping.",
        "10:00:05  model failed, rate_limit in 1.00 s, asked again after 1.5 s",
        "    I look.",
        "    call orders__get_order (call-1)",
        "    call orders__refund (call-3), truncated_call: cannot run",
        "10:00:08  policy, allow orders__get_order (call-1) by rule trusted-read-only: reads",
        "10:00:12  result of orders__get_order (call-1) in 2.00 s",
        "    [image image/png, 3 bytes]",
        "10:00:15  approved orders__refund (call-2), always for this tool in this session, by ana",
        "    with edited arguments:",
        '          "amount": 4.9',
        "10:00:18  error truncated_call of orders__refund (call-3)",
        "10:00:24  limit reached: turns (50)",
        "10:00:26  ended, done: all said",
    ]
    assert [line for line in lines if line in expected] == expected


def test_arguments_are_shown_again_only_if_they_changed():
    call = ToolCall(id="c", name="orders__refund", arguments={"amount": 1})
    asked = e.ApprovalRequested(
        call_id="c", server="orders", tool="refund", fingerprint="", arguments={"amount": 1}
    )
    answer = responded("r", call, stop="tool_use")
    same = shown(answer, asked, started("c", "refund", {"amount": 1}))
    edited = shown(answer, asked, started("c", "refund", {"amount": 2}))
    assert sum('"amount": 1' in line for line in same) == 1
    assert sum('"amount": 2' in line for line in edited) == 1


@settings(max_examples=150, deadline=None)
@given(RECORDS, st.booleans())
def test_nothing_recorded_can_move_the_cursor_or_pass_for_a_line_of_the_host(record, full):
    lines = list(Show(full=full).lines(record))
    assert all(line == clean(line) and "\n" not in line for line in lines)
    ours = [line for line in lines if not line.startswith("    ")]
    assert len(ours) <= 2  # the day, and the head of this record


def test_text_that_draws_a_fake_line_stays_indented():
    fake = "fine\r\n10:00:09  approved orders__refund (c), by ana\x1b[2J\u202e"
    lines = shown(LEGAL[0], finished("c", fake))
    assert "    10:00:09  approved orders__refund (c), by ana\\u{1b}[2J\\u{202e}" in lines


def test_long_texts_are_cut_with_a_count_unless_all_is_asked_for():
    text = "x" * 5000
    assert any("… 3,000 more characters (--full shows all)" in line for line in shown(user(text)))
    assert any(line.endswith(text) for line in shown(user(text), full=True))
    many = "\n".join(["y"] * 100)
    assert sum(line.strip() == "y" for line in shown(user(many))) == 20
    assert sum(line.strip() == "y" for line in shown(user(many), full=True)) == 100


def test_a_clock_that_goes_back_makes_no_negative_duration():
    show = Show()
    early, late = records(requested("r"), responded("r"))
    swapped = [
        e.Record(seq=0, at=late.at, run_id="r", event=early.event),
        e.Record(seq=1, at=early.at, run_id="r", event=late.event),
    ]
    lines = [line for record in swapped for line in show.lines(record)]
    assert any("in 0.00 s" in line for line in lines)


def test_a_new_day_is_announced():
    show = Show()
    for at, expected in [
        ("2026-11-22T23:59:59Z", "2026-11-22 (UTC)"),
        ("2026-11-23T00:00:01Z", "2026-11-23 (UTC)"),
    ]:
        assert next(show.lines(e.Record(seq=0, at=at, run_id="r", event=user("x")))) == expected
    same_day = e.Record(seq=0, at="2026-11-23T00:00:02Z", run_id="r", event=user("x"))
    assert next(show.lines(same_day)) == "00:00:02  user"


@pytest.mark.parametrize("at", ["", "yesterday", "9999", "2026-13-01T00:00:00Z", "\x1b[2J"])
def test_a_time_that_is_none_is_shown_as_it_is(at):
    assert moment(at) is None
    (head, _) = Show().lines(e.Record(seq=0, at=at, run_id="r", event=user("x")))
    assert head.endswith("  user")
    assert "\x1b" not in head


def test_times_of_other_zones_are_shown_in_utc():
    assert f"{moment('2026-11-22T01:00:00+02:00'):%d %H:%M}" == "21 23:00"
    assert f"{moment('2026-11-22T01:00:00'):%d %H:%M}" == "22 01:00"


def test_usage_is_told_in_words():
    assert tokens(Usage(input_tokens=1200, output_tokens=3)) == "1,200 tokens in, 3 out"
    assert "(5 cached)" in tokens(Usage(input_tokens=12, cache_read_tokens=5))
