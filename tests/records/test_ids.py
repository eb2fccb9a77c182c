import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.records.ids import new_run_id

TIMES = st.integers(0, (1 << 48) - 1)
RANDOM = st.binary(min_size=10, max_size=10)


@given(TIMES, TIMES, RANDOM, RANDOM)
def test_ids_sort_as_their_times_do(one, other, some, more):
    if one != other:
        assert (one < other) == (new_run_id(one, some) < new_run_id(other, more))


@given(TIMES, RANDOM, RANDOM)
def test_different_random_bytes_make_different_ids(now, some, more):
    assert (some == more) == (new_run_id(now, some) == new_run_id(now, more))


def test_an_id_is_a_ulid():
    # The example of https://github.com/ulid/spec: 1469918176385 ms are 01ARYZ6S41.
    assert new_run_id(1469918176385, b"\0" * 10) == "01ARYZ6S41" + "0" * 16
    assert new_run_id((1 << 48) - 1, b"\xff" * 10) == "7" + "Z" * 25


@pytest.mark.parametrize(("now", "like"), [(-5, 0), (1 << 60, (1 << 48) - 1)])
def test_a_clock_that_is_wrong_still_gives_an_id(now, like):
    assert new_run_id(now, b"a" * 10) == new_run_id(like, b"a" * 10)


@given(st.integers(0, (1 << 48) - 2), TIMES, RANDOM, RANDOM)
def test_a_new_run_comes_after_all_others_although_the_clock_was_set_back(before, now, some, more):
    known = new_run_id(before, some)
    others = ["notes", "", known, new_run_id(max(0, before - 5), more), "z" * 26]
    assert new_run_id(now, more, others) > known
    if now > before:
        assert new_run_id(now, more, others) == new_run_id(now, more)


def test_too_few_random_bytes_are_a_mistake():
    with pytest.raises(ValueError, match="10 random bytes"):
        new_run_id(0, b"short")
