import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core import events as e
from agent_host.core.types import Message, Text, ToolCall
from agent_host.records.codec import MAX_DEPTH, encode
from agent_host.records.decode import decode
from agent_host.records.redact import Redactor
from agent_host.records.streamed import redacted
from tests.records.samples import LEGAL, finished, records, responded, started, user

PLAIN = records(*LEGAL)


def through(redactor, event):
    return decode(redactor.encode(records(event)[0])).event


@pytest.mark.parametrize(
    "secret", ["hunter2", 'q"uote"d', "back\\slash", "new\nline", "é\U0001f600é\0xy"]
)
def test_a_secret_is_replaced_wherever_a_record_holds_text(secret):
    redactor = Redactor({"TOKEN": secret})
    arguments = {"a": [f"x{secret}y", {secret: secret}]}
    for event in (
        user(f"use {secret}"),
        started("c", "t", arguments),
        finished("c", secret * 2),
        responded("r", Text(text=secret), ToolCall(id="c", name="n", arguments=arguments)),
        e.ModelFailed(request_id="r", kind="auth", message=f"bad key {secret}"),
        e.ToolsChanged(server="s", added=(f"a{secret}",)),
    ):
        line = redactor.encode(records(event)[0])
        assert json.dumps(secret)[1:-1].encode() not in line
        assert b"[secret:TOKEN]" in line
        assert decode(line).event.type == event.type
    changed = through(redactor, started("c", "t", arguments)).arguments
    mark = "[secret:TOKEN]"
    assert changed == {"a": [f"x{mark}y", {mark: mark}]}


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet='nu\\"0a\n\u00e9[]{}:,\ud800', min_size=6, max_size=8),
    st.lists(st.text(alphabet='nu\\"0a\n\u00e9[]{}:,\ud800', max_size=6), max_size=3),
)
def test_only_the_exact_value_is_replaced_and_the_line_stays_sound(secret, around):
    text = secret.join(around)
    event = Message(role="user", content=(Text(text=text),))
    said = e.UserSaid(message=event)
    back = through(Redactor({"S": secret}), said)
    assert back.message.content[0].text == text.replace(secret, "[secret:S]")


@pytest.mark.parametrize("word", ["run_started", "assistant", "truncated_call", "session_tool"])
def test_a_secret_that_reads_like_a_keyword_breaks_no_record(word):
    redactor = Redactor({"ODD": word})
    for record in PLAIN:
        back = decode(redactor.encode(record))
        assert type(back.event) is type(record.event)
        assert (back.seq, back.at, back.run_id) == (record.seq, record.at, record.run_id)


def test_the_longest_of_two_overlapping_secrets_is_replaced_as_a_whole():
    redactor = Redactor({"SHORT": "abcdef", "LONG": "abcdefgh", "MARK": "secret:SHORT"})
    assert redactor.text("abcdefgh abcdef") == "[secret:LONG] [secret:SHORT]"


def test_records_without_a_secret_are_written_as_ever():
    redactor = Redactor({"A": "hunter2", "EMPTY": "", "SHORT": "abc"})
    for record in PLAIN:
        assert redactor.encode(record) == encode(record)
        assert Redactor({}).encode(record) == encode(record)
    assert redactor.text("abc") == "abc"
    assert Redactor({}).text("abc") == "abc"
    assert Redactor({}).bytes(b"abc") == b"abc"


def test_a_secret_inside_deep_values_does_not_get_through_either():
    value = ["hunter2"]
    for _ in range(MAX_DEPTH + 50):
        value = ["hunter2", value]
    line = Redactor({"A": "hunter2"}).encode(records(started("c", "t", {"x": value}))[0])
    assert b"hunter2" not in line
    assert decode(line)


def test_the_redactor_itself_shows_no_secret():
    assert "hunter2" not in repr(Redactor({"A": "hunter2"}))


def test_a_secret_that_became_known_later_is_replaced_from_then_on():
    redactor = Redactor({"A": "hunter2"})
    redactor.add({"B": "hunter2-b", "SHORT": "abc"})
    assert redactor.text("hunter2 hunter2-b abc") == "[secret:A] [secret:B] abc"
    assert redactor.bytes(b"hunter2-b") == b"[secret:B]"


class Seen(list):
    emit = list.append


def shown(redactor, *items):
    seen = Seen()
    [sink] = redacted([seen], redactor)
    for item in items:
        sink.emit(item)
    return seen


def test_what_is_shown_is_what_is_recorded():
    redactor = Redactor({"TOKEN": "hunter2"})
    found = records(
        finished("c", "a hunter2 b"),
        started("c", "t", {"hunter2": [{"x": "hunter2"}], "plain": 1}),
        e.ToolsChanged(server="s", added=("hunter2",)),
    )
    for record, seen in zip(found, shown(redactor, *found), strict=True):
        assert encode(seen) == redactor.encode(record)
        assert "hunter2" not in repr(seen)
    [log] = shown(redactor, e.ServerLog(server="s", level="error", text="is hunter2"))
    assert log.text == "is [secret:TOKEN]"


def test_what_holds_no_secret_is_shown_as_it_is():
    redactor = Redactor({"TOKEN": "hunter2"})
    items = [*PLAIN, e.ServerLog(server="s", level="error", text="oh")]
    assert all(a is b for a, b in zip(items, shown(redactor, *items), strict=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="abab ", max_size=4), max_size=8))
def test_a_secret_that_is_streamed_in_pieces_is_never_shown(pieces):
    redactor = Redactor({"S": "abaab"})
    items = [e.TextDelta(text=piece) for piece in pieces]
    seen = shown(redactor, *items, records(user("end"))[0])
    text = "".join(item.text for item in seen[:-1])
    assert text == "".join(pieces).replace("abaab", "[secret:S]")


def test_pieces_of_two_streams_are_not_taken_for_one():
    redactor = Redactor({"S": "hunter2"})
    seen = shown(
        redactor,
        e.ReasoningDelta(text="hun"),
        e.TextDelta(text="ter2"),
        e.ToolArgumentsDelta(index=0, name="n", text="hun"),
        e.ToolArgumentsDelta(index=1, name="n", text="ter2"),
        records(user("end"))[0],
    )
    assert [item.text for item in seen[:-1]] == ["hun", "ter2", "hun", "ter2"]
