"""When a server that fails is tried again, by a clock that only the test moves."""

import pytest

from agent_host.servers.breaker import (
    CALL_REST,
    FIRST_REST,
    IDLE_REST,
    MOST_ASKED,
    MOST_IDLE_REST,
    MOST_REST,
    PATIENCE,
    Breaker,
    CallBreaker,
)


class Clock:
    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


def fail(breaker, times=1, **more):
    for _ in range(times):
        breaker.trying()
        breaker.failed(**{"quick": True, **more})


def test_a_first_failure_is_tried_again_soon_and_calls_wait_for_it(clock):
    breaker = Breaker(clock)
    fail(breaker)
    assert breaker.state == "closed"
    assert not breaker.calls_fail()
    first = breaker.pause(0.5)
    fail(breaker)
    assert 0 < first < breaker.pause(0.5) <= 2


def test_three_quick_failures_open_it_and_each_further_one_rests_longer(clock):
    breaker = Breaker(clock)
    fail(breaker, PATIENCE)
    assert breaker.state == "open"
    rests = []
    for _ in range(8):
        assert breaker.calls_fail()
        rests.append(breaker.retry_seconds())
        clock.time += rests[-1]
        assert not breaker.calls_fail()
        fail(breaker)
    assert rests[:3] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST]
    assert rests[-1] == MOST_REST


def test_half_open_is_one_attempt_that_calls_wait_for(clock):
    breaker = Breaker(clock)
    fail(breaker, PATIENCE)
    breaker.trying()
    assert breaker.state == "half-open"
    assert not breaker.calls_fail()


def test_without_calls_it_is_tried_rarely_and_ever_more_rarely(clock):
    breaker = Breaker(clock)
    pauses = []
    fail(breaker, PATIENCE)
    for _ in range(6):
        pauses.append(breaker.pause(0.0))
        fail(breaker)
    assert pauses[:2] == [IDLE_REST, 2 * IDLE_REST]
    assert pauses[-1] == MOST_IDLE_REST


def test_a_connection_that_lasted_makes_it_new(clock):
    breaker = Breaker(clock)
    fail(breaker, PATIENCE + 3)
    fail(breaker, quick=False)
    assert breaker.state == "closed"
    fail(breaker, PATIENCE - 1)
    assert breaker.retry_seconds() == FIRST_REST


def test_a_server_that_asks_to_be_left_alone_is_within_bounds(clock):
    breaker = Breaker(clock)
    fail(breaker, asked=7.0)
    assert breaker.calls_fail()
    assert breaker.pause(0.0) == 7.0
    fail(breaker, asked=1e9)
    assert breaker.retry_seconds() == MOST_ASKED


def test_what_only_a_person_can_mend_is_asked_for_as_often_as_calls_want(clock):
    breaker = Breaker(clock)
    for _ in range(9):
        breaker.give_up(steady=True)
        assert (breaker.state, breaker.retry_seconds()) == ("open", FIRST_REST)
        assert breaker.pause(0.0) == IDLE_REST
        clock.time += FIRST_REST


def test_many_failures_do_not_overflow(clock):
    breaker = Breaker(clock)
    fail(breaker, 5000)
    assert breaker.pause(0.9) <= MOST_IDLE_REST


def time_out(breaker, clock, times=1):
    for _ in range(times):
        began = breaker.began()
        clock.time += 1
        opened = breaker.timed_out(began)
    return opened


def test_three_calls_in_a_row_without_an_answer_stop_further_ones(clock):
    breaker = CallBreaker(clock)
    assert time_out(breaker, clock, PATIENCE)
    assert breaker.state == "open"
    assert breaker.refuses() == (
        f"the last 3 calls got no answer in time; it is tried again in {CALL_REST:.0f} s"
    )


def test_an_answer_between_them_counts_for_the_server(clock):
    breaker = CallBreaker(clock)
    time_out(breaker, clock, PATIENCE - 1)
    breaker.answered()
    assert not time_out(breaker, clock, PATIENCE - 1)
    assert breaker.refuses() == ""


def test_calls_that_ran_at_the_same_time_count_as_one(clock):
    breaker = CallBreaker(clock)
    began = [breaker.began() for _ in range(8)]
    clock.time += 1
    assert not any(breaker.timed_out(at) for at in began)
    assert breaker.timeouts == 1


def test_after_its_rest_one_call_is_made_and_decides(clock):
    breaker = CallBreaker(clock)
    time_out(breaker, clock, PATIENCE)
    clock.time += CALL_REST
    assert breaker.refuses() == ""
    began = breaker.began()
    assert breaker.state == "half-open"
    assert "one more is being tried" in breaker.refuses()
    assert breaker.timed_out(began)
    assert breaker.retry_seconds() == 2 * CALL_REST
    clock.time += 2 * CALL_REST
    breaker.began()
    breaker.answered()
    assert (breaker.state, breaker.refuses()) == ("closed", "")


def test_a_probe_that_says_nothing_makes_room_for_the_next(clock):
    breaker = CallBreaker(clock)
    time_out(breaker, clock, PATIENCE)
    clock.time += CALL_REST
    breaker.began()
    breaker.over()
    assert breaker.refuses() == ""
