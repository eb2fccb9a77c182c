import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.events import ReasoningDelta, TextDelta, ToolArgumentsDelta
from agent_host.core.types import Reasoning, Text, ToolCall
from agent_host.models import accumulate
from agent_host.models.accumulate import Answer, AnswerTooLargeError, parse_arguments


def calls(*pieces: tuple[Any, ...], sound: bool = True, taken: Any = ()) -> list[ToolCall]:
    """Each piece: index, id, name, arguments."""
    answer = Answer()
    for index, call_id, name, arguments in pieces:
        answer.call(index=index, call_id=call_id, name=name, arguments=arguments)
    blocks = answer.blocks(sound=sound, taken=taken)
    return [block for block in blocks if isinstance(block, ToolCall)]


def said(found: list[ToolCall]) -> list[tuple[str, Any]]:
    return [(call.name, call.fault or call.arguments) for call in found]


F1, G2 = ("f", {"x": 1}), ("g", {"y": 2})

SOUND: dict[str, tuple[list[tuple[Any, ...]], list[tuple[str, Any]]]] = {
    "as documented": (
        [(0, "a", "f", ""), (0, "", "", '{"x"'), (0, "", "", ":1}"), (1, "b", "g", '{"y":2}')],
        [F1, G2],
    ),
    "interleaved": (
        [(0, "a", "f", '{"x"'), (1, "b", "g", '{"y"'), (0, "", "", ":1}"), (1, "", "", ":2}")],
        [F1, G2],
    ),
    "index from 1": ([(1, "a", "f", '{"x":1}'), (2, "b", "g", '{"y":2}')], [F1, G2]),
    "index missing": (
        [(None, "a", "f", ""), (None, "", "", '{"x":1}'), (None, "b", "g", '{"y":2}')],
        [F1, G2],
    ),
    "index always 0": ([(0, "a", "f", '{"x":1}'), (0, "b", "g", '{"y":2}')], [F1, G2]),
    "index always 0, interleaved by id": (
        [(0, "a", "f", '{"x"'), (0, "b", "g", '{"y"'), (0, "a", "", ":1}"), (0, "b", "", ":2}")],
        [F1, G2],
    ),
    "index missing, id in each piece": (
        [(None, "a", "f", '{"x"'), (None, "b", "g", '{"y"'), (None, "a", "", ":1}")],
        [F1, ("g", "malformed_call")],
    ),
    "no ids, index always 0": ([(0, "", "f", '{"x":1}'), (0, "", "g", '{"y":2}')], [F1, G2]),
    "no ids, the same tool twice": (
        [(0, "", "f", '{"x":1}'), (0, "", "f", '{"x":2}')],
        [F1, ("f", {"x": 2})],
    ),
    "no ids, no index": ([(None, "", "f", '{"x":1}'), (None, "", "g", '{"y":2}')], [F1, G2]),
    "id and name in each piece": ([(0, "a", "f", '{"x"'), (0, "a", "f", ":1}")], [F1]),
    "name in each piece": ([(0, "", "f", '{"x"'), (0, "", "f", ":1}")], [F1]),
    "the whole call again": ([(0, "a", "f", '{"x":1}'), (0, "a", "f", '{"x":1}')], [F1]),
    "another id in each piece": (
        [(0, "a", "f", ""), (0, "b", "", '{"x"'), (0, "c", "", ":1}"), (1, "d", "g", '{"y":2}')],
        [F1, G2],
    ),
    "the name comes later": ([(0, "a", "", ""), (0, "", "f", '{"x":1}')], [F1]),
    "the id comes later": ([(0, "", "f", ""), (0, "a", "", '{"x":1}')], [F1]),
    "the index goes lost": ([(0, "a", "f", ""), (None, "", "", '{"x":1}')], [F1]),
    "the index comes late": ([(None, "a", "f", ""), (0, "", "", '{"x":1}')], [F1]),
    "arguments as an object": ([(0, "a", "f", {"x": 1})], [F1]),
    "arguments null": ([(0, "a", "f", None)], [("f", {})]),
    "arguments empty": ([(0, "a", "f", "")], [("f", {})]),
    "arguments the text null": ([(0, "a", "f", "null")], [("f", {})]),
    "one id for two calls": ([(0, "a", "f", '{"x":1}'), (1, "a", "g", '{"y":2}')], [F1, G2]),
}


@pytest.mark.parametrize(("pieces", "expected"), SOUND.values(), ids=SOUND.keys())
def test_pieces_find_their_call(
    pieces: list[tuple[Any, ...]], expected: list[tuple[str, Any]]
) -> None:
    found = calls(*pieces)
    assert said(found) == expected
    ids = [call.id for call in found]
    assert all(ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "raw",
    [
        '{"x":1',
        '{"x":1}{"y":2}',
        '{"x":1} x',
        "{'x':1}",
        '{"x":NaN}',
        '{"x":-Infinity}',
        '{"x":1e999}',
        '{"x":1,"x":2}',
        '{"x":{"y":1,"y":1}}',
        "[1]",
        "7",
        '"{}"',
        "true",
        "{} {}",
        "[" * 100_000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        '{"x":' + "[" * 70 + "]" * 70 + "}",
        '{"x":' + "1" * 5000 + "}",
        '{"\\ud800":1,"\\ud801":2}',
    ],
)
def test_what_is_not_one_strict_object_is_a_malformed_call(raw: str) -> None:
    [call] = calls((0, "a", "f", raw))
    assert (call.fault, call.arguments) == ("malformed_call", {})
    assert call.raw
    assert call.raw.startswith(raw[:100])


def test_a_call_without_a_name_is_malformed() -> None:
    [call] = calls((0, "a", "", '{"x":1}'))
    assert (call.name, call.fault) == ("unnamed", "malformed_call")


def test_a_number_of_pieces_without_a_name_do_not_run_as_another_call() -> None:
    assert said(calls((0, "a", "f", '{"x":1}'), (0, "b", "", '{"y":2}'))) == [
        ("f", "malformed_call")
    ]


def test_no_call_of_a_cut_answer_is_sound_however_whole_it_looks() -> None:
    found = calls((0, "a", "f", '{"x":1}'), (1, "b", "g", '{"y"'), sound=False)
    assert [(call.fault, call.arguments, call.raw) for call in found] == [
        ("truncated_call", {}, '{"x":1}'),
        ("truncated_call", {}, '{"y"'),
    ]


@pytest.mark.parametrize("wanted", ["", "a b", "x" * 500, "é", "id\n", "\u202e"])
def test_an_id_that_is_missing_or_no_id_is_made(wanted: str) -> None:
    [call] = calls((0, wanted, "f", ""))
    assert call.id == "call_1"


def test_an_id_of_an_earlier_turn_is_not_given_again() -> None:
    found = calls((0, "call_0", "f", ""), (1, "", "g", ""), taken={"call_0", "call_2"})
    assert len({"call_0", "call_2", *(call.id for call in found)}) == 4


def test_halves_of_a_surrogate_pair_meet_and_lone_ones_are_replaced() -> None:
    answer = Answer()
    shown = []
    for piece in ("a\ud83d", "\ude00b", "\ud800c", "\udc00", "d\ud83d"):
        answer.text(piece)
        shown += answer.deltas()
    shown += answer.rest()
    [text] = answer.blocks(sound=True, taken=())
    assert isinstance(text, Text)
    assert text.text == "a😀b\ufffdc\ufffdd\ufffd"
    assert "".join(d.text for d in shown) == text.text
    text.text.encode()


def test_lone_surrogates_in_arguments_are_replaced() -> None:
    [call] = calls((0, "a", "f", '{"a\\udc00":["\\ud800"],"b":"\\ud83d\\ude00"}'))
    assert call.arguments == {"a\ufffd": ["\ufffd"], "b": "😀"}


def test_what_came_with_one_read_is_shown_in_few_deltas() -> None:
    answer = Answer()
    answer.reasoning("h")
    answer.reasoning("m")
    for piece in "four":
        answer.text(piece)
    answer.call(index=0, call_id="a", name="f", arguments='{"x"')
    answer.call(index=0, call_id="", name="", arguments=":1}")
    assert answer.deltas() == [
        ReasoningDelta(text="hm"),
        TextDelta(text="four"),
        ToolArgumentsDelta(index=0, name="f", text='{"x":1}'),
    ]
    assert answer.deltas() == []
    blocks = answer.blocks(sound=True, taken=())
    assert [type(block) for block in blocks] == [Reasoning, Text, ToolCall]


def test_an_endless_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulate, "MAX_ANSWER", 100)
    answer = Answer()
    for _ in range(100):
        answer.text("x")
    with pytest.raises(AnswerTooLargeError):
        answer.text("x")


def test_endless_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulate, "MAX_ARGUMENTS", 100)
    answer = Answer()
    for _ in range(100):
        answer.call(index=0, call_id="a", name="f", arguments="x")
    with pytest.raises(AnswerTooLargeError):
        answer.call(index=0, call_id="a", name="f", arguments="x")


def test_endless_calls_are_refused() -> None:
    answer = Answer()
    for index in range(accumulate.MAX_CALLS):
        answer.call(index=index, call_id=f"a{index}", name="f", arguments="{}")
    with pytest.raises(AnswerTooLargeError):
        answer.call(index=200, call_id="last", name="f", arguments="{}")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_object_comes_through_and_no_beginning_of_it_does(arguments: dict[str, Any]) -> None:
    raw = json.dumps(arguments)
    assert parse_arguments(raw) == arguments
    for cut in range(1, len(raw)):
        assert parse_arguments(raw[:cut]) is None
