"""From hostile bytes to sound messages."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.servers.frames import MAX_JUNK, Gate, Lines, Oversize, parse, sound
from agent_host.servers.spec import Hooks


class Heard:
    def __init__(self):
        self.logs = []

    def gate(self):
        hooks = Hooks(tools_changed=lambda: None, log=lambda *told: self.logs.append(told[1]))
        return Gate(hooks)


def line(**message):
    return json.dumps({"jsonrpc": "2.0", **message}).encode()


@given(st.lists(st.binary(max_size=30)), st.integers(1, 7))
def test_lines_do_not_depend_on_how_the_bytes_are_cut(parts, size):
    data = b"\n".join(parts) + b"\n"
    whole = list(Lines().feed(data))
    lines = Lines()
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert [found for piece in pieces for found in lines.feed(piece)] == whole
    assert whole == [part for part in data.split(b"\n") if part.strip()]


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(1, 9))
def test_lines_over_the_cap_are_told_once_and_the_next_line_is_whole(sizes, size):
    data = b"".join(b"x" * n + b"\n" for n in sizes)
    lines = Lines(cap=20)
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    found = [item for piece in pieces for item in lines.feed(piece)]
    wanted = [n for n in sizes if n]
    assert [isinstance(item, Oversize) for item in found] == [n > 20 for n in wanted]
    assert [item for item in found if isinstance(item, bytes)] == [
        b"x" * n for n in wanted if n <= 20
    ]


def test_an_unterminated_line_holds_no_more_than_the_cap():
    lines = Lines(cap=1000)
    for _ in range(1000):
        list(lines.feed(b"x" * 1000))
    assert sum(map(len, lines._parts)) <= 1000
    assert lines.dropped > 900_000


@given(st.text())
def test_sound_text_can_be_encoded(text):
    sound(text).encode()


@given(st.binary(max_size=200))
def test_the_gate_survives_any_line(data):
    gate = Heard().gate()
    gate.sent_request(1, "tools/call")
    for frame in gate.line(data):
        json.dumps(frame)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip
KEYS = st.sampled_from(["id", "method", "params", "result", "error", "jsonrpc"])


@given(
    st.dictionaries(KEYS, JSON | st.sampled_from([1, "1", "tools/list", "notifications/progress"]))
)
def test_the_gate_survives_any_message_and_answers_each_request_once(message):
    gate = Heard().gate()
    gate.sent_request(1, "tools/list")
    first = gate.frames(message)
    if any("method" not in frame for frame in first):
        assert gate.frames(message) == [] or "method" in message


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' + "9" * 5000 + "}", "nope", "", "1"])
def test_what_cannot_be_parsed_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse(text.encode())


def test_nan_and_infinity_become_their_names():
    assert parse(b'{"a": NaN, "b": -Infinity}') == {"a": "NaN", "b": "-Infinity"}


def test_a_result_passes_as_it_came():
    gate = Heard().gate()
    gate.sent_request(3, "tools/call")
    (frame,) = gate.line(line(id="3", result={"content": 5, "odd": True}))
    assert frame == {"jsonrpc": "2.0", "id": 3, "result": {"content": 5, "odd": True}}
    assert gate.open_requests == 0


def test_a_broken_line_fails_the_request_it_names_else_the_oldest():
    gate = Heard().gate()
    for number in (1, 2, 3):
        gate.sent_request(number, "tools/call")
    assert gate.line(b'{"jsonrpc":"2.0","id":2,"result":{')[0]["id"] == 2
    assert gate.line(b'{"jsonrpc":"2.0","id":77,"result":{')[0]["id"] == 1
    assert gate.line(Oversize(b'{"jsonrpc"'))[0]["id"] == 3
    assert gate.line(Oversize(b"")) == []


def test_a_request_that_stays_open_by_design_is_never_failed_by_a_broken_line():
    gate = Heard().gate()
    gate.sent_request("listen-1", "subscriptions/listen")
    assert gate.line(b'{"jsonrpc":"2.0","id":5,"result":{') == []


def test_an_answer_to_nothing_is_junk_and_told_once():
    heard = Heard()
    gate = heard.gate()
    for number in range(100):
        assert gate.line(line(id=number, result={})) == []
    assert gate.junk == 100
    assert len(heard.logs) == 1


def test_the_answer_to_a_cancelled_request_is_dropped_and_no_junk():
    heard = Heard()
    gate = heard.gate()
    gate.sent_request(1, "tools/call")
    gate.sent_cancel(1)
    gate.sent_request(2, "server/discover")
    gate.forget("server/discover")
    assert gate.line(line(id="1", result={"content": []})) == []
    assert gate.line(line(id=2, error={"code": -1, "message": "no"})) == []
    assert (gate.junk, heard.logs) == (0, [])


def test_a_notification_goes_to_whoever_hears_it_and_no_further():
    heard, told = Heard(), []
    gate = heard.gate()
    gate.hear("notifications/tools/list_changed", told.append)
    assert gate.line(line(method="notifications/tools/list_changed", params={"a": 1})) == []
    assert gate.line(line(method="notifications/tools/list_changed", params=7)) == []
    assert gate.line(line(method="notifications/prompts/list_changed")) == []
    assert gate.line(line(method="notifications/message", params={"data": "\x1b[2Jhi"})) == []
    assert told == [{"a": 1}, {}]
    assert heard.logs == ["\\u{1b}[2Jhi"]


def test_a_server_that_takes_its_request_back_may_send_another():
    gate = Heard().gate()
    for number in range(40):
        assert gate.line(line(id=number, method="elicitation/create")) != []
        cancel = line(method="notifications/cancelled", params={"requestId": number})
        assert gate.line(cancel)[0]["method"] == "notifications/cancelled"


def test_progress_goes_to_the_call_it_belongs_to():
    gate, heard = Heard().gate(), []
    gate.watch_progress("p1", lambda *args: heard.append(args))
    params = {"progressToken": "p1", "progress": 2, "total": "many", "message": "a\x1b"}
    gate.line(line(method="notifications/progress", params=params))
    gate.line(line(method="notifications/progress", params={"progressToken": "p2", "progress": 1}))
    gate.line(line(method="notifications/progress", params={**params, "progress": 1e400}))
    gate.line(line(method="notifications/progress", params={**params, "progress": True}))
    assert heard == [(2.0, None, "a\\u{1b}")]


def test_a_server_may_only_ask_so_much_at_once():
    gate = Heard().gate()
    passed = [gate.line(line(id=f"r{i}", method="ping")) for i in range(100)]
    assert sum(map(len, passed)) == 32
    gate.sent_answer("r0")
    assert len(gate.line(line(id="again", method="ping"))) == 1


def test_a_flood_of_junk_is_noticed_and_a_sound_message_forgives():
    gate = Heard().gate()
    for _ in range(MAX_JUNK // 1_000_000 + 1):
        gate.line(b"x" * 1_000_000)
    assert gate.flooded
    gate.line(line(method="notifications/tools/list_changed"))
    assert not gate.flooded


def test_errors_are_made_sound():
    gate = Heard().gate()
    for number, error in enumerate(["boom", {"code": "x"}, {"code": -1, "message": "\x1b"}, None]):
        gate.sent_request(number, "tools/call")
        (frame,) = gate.line(line(id=number, error=error))
        assert isinstance(frame["error"]["code"], int)
        assert "\x1b" not in frame["error"]["message"]


def test_no_depth_of_nesting_is_too_much_for_the_gate():
    for depth in range(100, 1100):
        nested = "[" * depth + "]" * depth
        heard = Heard()
        gate = heard.gate()
        gate.sent_request(1, "tools/call")
        error = f'{{"jsonrpc":"2.0","id":1,"error":{nested}}}'
        (answer,) = gate.line(error.encode())
        assert answer["error"]["message"]
        note = f'{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":{nested}}}}}'
        assert gate.line(note.encode()) == []
