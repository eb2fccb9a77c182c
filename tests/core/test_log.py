"""The messages of a run as a sequence that is shared by all states of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.core.log import Log
from agent_host.core.types import Message, Text


def message(text):
    return Message(role="user", content=(Text(text=str(text)),))


MANY = [message(number) for number in range(8)]


def grown(messages):
    log = Log()
    for one in messages:
        log = log.then(one)
    return log


@given(st.slices(8), st.integers(0, 8))
def test_a_log_is_the_sequence_of_its_messages(part, size):
    log, plain = grown(MANY[:size]), tuple(MANY[:size])
    assert (len(log), tuple(log), bool(log)) == (size, plain, size > 0)
    assert log[part] == plain[part]
    assert [log[i] for i in range(-size, size)] == [plain[i] for i in range(-size, size)]
    for place in (size, -size - 1):
        with pytest.raises(IndexError):
            log[place]


def test_a_log_that_grows_leaves_those_before_it_as_they_were():
    logs = [Log()]
    for one in MANY:
        logs.append(logs[-1].then(one))
    assert [tuple(log) for log in logs] == [tuple(MANY[:n]) for n in range(9)]


def test_two_logs_that_go_on_from_the_same_one_do_not_meet():
    begin = grown(MANY[:3])
    one, other = begin.then(MANY[3]), begin.then(MANY[4])
    assert tuple(one.then(MANY[5])) == (*MANY[:4], MANY[5])
    assert tuple(other.then(MANY[6])) == (*MANY[:3], MANY[4], MANY[6])
    assert tuple(begin) == tuple(MANY[:3])


def test_a_log_equals_the_same_messages_in_a_log_or_a_tuple():
    log = grown(MANY)
    assert log == tuple(MANY)
    assert log == Log([message(number) for number in range(8)])
    assert hash(log) == hash(tuple(MANY))
    assert repr(log) == repr(tuple(MANY))
    assert log != grown(MANY[:7])
    assert log != MANY  # a list is no log
    assert log != grown([*MANY[:7], message("another")])


def test_what_is_a_log_already_stays_one():
    log = grown(MANY)
    assert Log.of(log) is log
    assert Log.of(tuple(MANY)) == log
