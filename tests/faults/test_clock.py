"""A clock that is wrong, or that is set while nobody looks."""

import re

import pytest

from agent_host.records.reader import conversation, read
from tests.faults.stage import told

HOUR = 3600
DAY = 24 * HOUR


@pytest.mark.parametrize("back", [HOUR, 8 * DAY, 40 * 365 * DAY])
def test_a_run_after_the_clock_was_set_back_is_the_newest(stage, back):
    first = stage.run().items[0]["run_id"]
    stage.ledger.unlink()
    second = stage.run(fault={"clock": -back}).items[0]["run_id"]
    assert second > first
    ended = stage.run("--resume", "last", "Once more.")
    assert {i["run_id"] for i in ended.items if "run_id" in i} == {second}
    listed = stage.host("transcripts", "list").out
    assert listed.index(second) < listed.index(first)


def test_a_run_that_is_resumed_with_the_clock_set_back_goes_on(stage):
    stopped = stage.run(fault={"kind": "kill-after", "nth": 14, "of": "/transcripts/"})
    assert stopped.status == -9
    ended = stage.run("--resume", "last", fault={"clock": -8 * DAY})
    assert ended.status == 0, ended.err
    assert ended.reason == "done"
    assert stage.paid() == ["5", "7"]
    shown = stage.host("transcripts", "show", "last")
    assert shown.status == 0
    assert not re.search(r"-\d[\d,.]* ?s\b", shown.out)
    assert conversation(stage.file()).ended is not None


@pytest.mark.parametrize("clock", [-8 * DAY, 8 * DAY, -60 * 365 * DAY])
def test_whatever_the_clock_says_a_run_takes_its_own_time(stage, clock):
    ended = stage.run("--max-time", "30", "Pay both.", fault={"clock": clock})
    assert ended.status == 0, ended.err
    assert stage.paid() == ["5", "7"]
    assert all(re.fullmatch(r"\d{4}-.*Z", record.at) for record in read(stage.file()))


def test_an_approval_that_waited_over_a_jump_of_the_clock_comes_too_late(stage):
    waits = ("run", "--trust", "--approve", "defer", "Pay both.")
    assert stage.host(*waits).status == 7
    late = stage.run("--resume", "last", fault={"clock": 8 * DAY})
    assert late.status == 4
    assert "nobody approved it in time" in late.err
    assert late.of("approval_expired")
    assert stage.paid() == ["7"]


def test_an_approval_waits_on_although_the_clock_was_set_back(stage):
    waits = ("run", "--trust", "--approve", "defer", "Pay both.")
    assert stage.host(*waits).status == 7
    ended = stage.run("--resume", "last", fault={"clock": -8 * DAY})
    assert ended.status == 0, ended.err
    assert stage.paid() == ["5", "7"]


def test_a_clock_before_1970_is_a_clock(stage):
    ended = stage.run(fault={"clock": -100 * 365 * DAY})
    if ended.status:
        told(ended, "clock")
    assert stage.paid() in (["5", "7"], [])
