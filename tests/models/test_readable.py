"""Results told in words."""

import json

from agent_host.core.types import (
    Image,
    Message,
    Resource,
    Text,
    ToolCall,
    ToolResult,
)
from agent_host.models.readable import readable_text
from tests.fakes.keywords import items, user


def result(text, error=None, name="orders__get_order", extra=()):
    call = ToolCall(id="call_1", name=name, arguments={})
    outcome = ToolResult(call_id="call_1", content=(Text(text=text), *extra), error=error)
    messages = [
        user("x"),
        Message(role="assistant", content=(call,)),
        Message(role="tool", content=(outcome,)),
    ]
    last = items(messages)[-1]
    assert last.stop_reason == "end_turn"
    return "".join(block.text for block in last.message.content)


def test_a_result_in_json_is_told_in_lines_and_rows_and_ends_the_turn():
    value = {
        "order_id": "12345",
        "totalCents": 200.0,
        "late": False,
        "gift": None,
        "items": [{"product": "Mat", "quantity": 1}, {"product": "Tray", "quantity": 2}],
        "tags": ["a", "b"],
        "notes": [],
        "address": {"city": "Stockholm"},
    }
    assert result(json.dumps(value)).splitlines() == [
        "Order id: 12345",
        "Total cents: 200",
        "Late: no",
        "Gift: none",
        "Items:",
        "  - Product: Mat, Quantity: 1",
        "  - Product: Tray, Quantity: 2",
        "Tags: a, b",
        "Notes: none",
        "Address:",
        "  City: Stockholm",
    ]
    assert result('{"result": 5}') == "5"
    assert result("[]") == "Nothing found."


def test_text_stays_as_it_is_and_other_content_is_named():
    assert result("It is  done.\n{not json}") == "It is  done.\n{not json}"
    told = result(
        "Here:",
        extra=(
            Image(data="AA==", media_type="image/png"),
            Resource(uri="file:///a", name="a.txt"),
        ),
    )
    assert told.splitlines() == ["Here:", "(image, image/png)", "a.txt: file:///a"]
    assert result("") == "orders__get_order answered nothing."


def test_an_error_becomes_a_sentence():
    assert result("There is no order 1.", "tool_error") == (
        "orders__get_order failed: There is no order 1."
    )
    assert result("by you", "denied") == "orders__get_order gave no answer (denied): by you"
    assert result("", "timeout") == "orders__get_order gave no answer (timeout)."


def test_several_results_are_told_under_their_names():
    messages = [
        Message(
            role="assistant",
            content=tuple(ToolCall(id=i, name=f"s__{i}", arguments={}) for i in "ab"),
        ),
        Message(
            role="tool",
            content=tuple(ToolResult(call_id=i, content=(Text(text=i * 3),)) for i in "ab"),
        ),
    ]
    assert items(messages)[-1].message.content[0].text == "s__a:\naaa\n\ns__b:\nbbb"


def test_a_result_of_any_size_or_depth_is_told_in_bounded_text():
    assert len(readable_text(json.dumps([{"a": 1}] * 10_000)).splitlines()) == 201
    deep = json.dumps({"a": 1})
    for _ in range(300):
        deep = f'{{"a": {deep}, "b": [{deep if len(deep) < 300 else 1}]}}'
    assert len(readable_text(deep)) < 20_000
    assert readable_text("[" * 100_000) == "[" * 100_000
