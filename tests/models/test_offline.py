"""The offline model: what it calls, what it asks, what it never does."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.events import TextDelta, ToolArgumentsDelta
from agent_host.core.types import (
    Message,
    ModelResponse,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from agent_host.demo.tools import TOOLS
from agent_host.models.offline import HOW_TO_GET_A_MODEL
from tests.fakes.keywords import DESK, answer, calls, items, model, said, tool, user


@pytest.mark.parametrize(
    ("prompt", "name", "arguments"),
    [
        ("What is the status of my order 12345?", "get_order", {"order_id": "12345"}),
        ("Where is my order #12345?", "get_order", {"order_id": "12345"}),
        ("when will order number 12345 arrive?", "get_order", {"order_id": "12345"}),
        ("list all delayed orders", "list_orders", {"status": "delayed"}),
        ("Which orders are awaiting payment?", "list_orders", {"status": "awaiting_payment"}),
        ("find orders for product coffee", "list_orders", {"product": "coffee"}),
        ("Show customer Hana Sato", "get_customer", {"customer": "Hana Sato"}),
        ("Who is customer C-1005?", "get_customer", {"customer": "C-1005"}),
        ("list refunds for order 12030", "list_refunds", {"order_id": "12030"}),
        ("What refunds did customer C-1005 get?", "list_refunds", {"customer_id": "C-1005"}),
        ("List open tickets", "list_tickets", {"status": "open"}),
        (
            "Refund 15 of order 12345: arrived late",
            "refund_order",
            {"order_id": "12345", "amount": 15, "reason": "arrived late"},
        ),
        (
            "Refund $1,200.50 of order 12345: lost",
            "refund_order",
            {"order_id": "12345", "amount": 1200.5, "reason": "lost"},
        ),
        (
            'refund order 12345 amount 15.50 reason "arrived late"',
            "refund_order",
            {"order_id": "12345", "amount": 15.5, "reason": "arrived late"},
        ),
        (
            "send a message to customer C-1001, subject: Hello, body: We are sorry",
            "send_message",
            {"customer_id": "C-1001", "subject": "Hello", "body": "We are sorry"},
        ),
        (
            'Change the shipping address of order 12367 to "Am Markt 1, München"',
            "update_shipping_address",
            {"order_id": "12367", "address": "Am Markt 1, München"},
        ),
    ],
)
def test_a_plain_request_becomes_the_call_that_it_means(prompt, name, arguments):
    assert calls(prompt) == [(f"orders__{name}", arguments)]


@pytest.mark.parametrize(
    ("prompt", "mentions"),
    [
        ("Cancel order 12360", "orders__cancel_order order_id=12360 reason=..."),
        ("give order 12345 a 15 dollar refund", "orders__refund_order order_id=12345 amount=15"),
        ("refund order 12345 15.50 because it was late", "it needs reason"),
        ('do not cancel order 12360: "changed my mind"', "the request says not to"),
        ('never cancel order 12360: "changed my mind"', "the request says not to"),
        ("Don't show order 12345", "the request says not to"),
        ("delete order 12345", "it does not say that it can delete"),
        ("please archive order 12345", "it does not say that it can archive"),
        ("I want to reschedule order 12345", "it does not say that it can reschedule"),
        ("Open a ticket for customer C-1001: the parcel is late", "create_ticket"),
        ("Refund 15,50 of order 12345: late", "it needs amount"),
        ("Refund 20 % of order 12345: late", "it needs amount"),
        ("Refund 2 thousand of order 12345: late", "it needs amount"),
        ("Refund 15 USD of order 12345: late", "it is not certain what USD means"),
        ("Refund 15 of order 12345 and 12360: late", "it is not certain what"),
    ],
)
def test_what_is_not_certain_is_asked_with_the_call_to_send(prompt, mentions):
    assert mentions in said(prompt)


def test_two_tools_that_fit_alike_are_both_listed():
    twins = [
        tool("read_mail", "Read the mail.", read_only=True),
        tool("scan_mail", "Read the mail.", read_only=True),
    ]
    text = said("read the mail, the mail", [twins[1], tool("scan_mails", "Read the mail.")])
    assert "Several tools fit" in text
    assert "s__scan_mail\n" in f"{text}\n"
    assert "s__scan_mails" in text


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ('get_order {"order_id": 12345}', {"order_id": 12345}),
        ('orders__get_order {"order_id": "x; and then y"}', {"order_id": "x; and then y"}),
        ("get_order order_id=12345", {"order_id": "12345"}),
        ('  get_order   order_id="123 45", wrong=1 ', {"order_id": "123 45", "wrong": 1}),
        ("get_order order_id='it is'", {"order_id": "it is"}),
    ],
)
def test_an_exact_call_is_sent_exactly(prompt, expected):
    assert calls(prompt) == [("orders__get_order", expected)]


def test_exact_values_take_the_type_of_their_parameter():
    arguments = {"order_id": "12345", "amount": 12.5, "reason": "007"}
    assert calls("refund_order order_id=12345 amount=12.5 reason=007") == [
        ("orders__refund_order", arguments)
    ]
    assert calls("list_refunds") == [("orders__list_refunds", {})]


@pytest.mark.parametrize(
    "prompt",
    [
        'get_order {"order_id": ',
        'get_order {"order_id": NaN}',
        'get_order {"order_id": 1e999}',
        'get_order {"order_id": "\\ud800"}',
        "get_order " + '{"a":' * 5000,
        "get_order",
    ],
)
def test_an_exact_call_that_cannot_be_sent_is_explained_with_an_example(prompt):
    assert "orders__get_order order_id=12345" in said(prompt)


def test_an_own_name_that_two_servers_share_is_no_exact_call():
    other = Tool(**{
        name: getattr(DESK[0], name)
        for name in ("tool", "description", "input_schema", "annotations")
    }, name="shop__get_order", server="shop")  # fmt: skip
    both = (*DESK, other)
    assert "shop__get_order" in said("get_order order_id=12345", both)
    assert calls("shop__get_order order_id=12345", both) == [
        ("shop__get_order", {"order_id": "12345"})
    ]


def test_two_requests_that_only_read_are_called_together_and_more_than_three_are_not():
    assert [name for name, _ in calls("show order 12345 and then list refunds of order 12030")] == [
        "orders__get_order",
        "orders__list_refunds",
    ]
    assert len(calls("show order 12345; list open tickets; get customer C-1001")) == 3
    assert "more than 3" in said("; ".join(["show order 12345"] * 4))


def test_requests_of_which_one_changes_something_are_to_be_sent_in_turn():
    assert "one after another" in said("show order 12345 and then cancel order 12360: 'x'")


def test_a_text_is_not_split_where_one_half_means_nothing_or_in_quotes():
    assert calls("show order 12345; thanks a lot") == [("orders__get_order", {"order_id": "12345"})]
    assert calls('add note "first; and then second" to order 12345') == [
        ("orders__add_note", {"order_id": "12345", "note": "first; and then second"})
    ]


def test_without_a_match_the_tools_are_listed_with_an_example_and_how_to_get_a_model():
    text = said("What is the weather in Berlin?")
    for name in TOOLS:
        assert f"orders__{name}" in text
    assert "order_id=12345" in text
    assert text.endswith(HOW_TO_GET_A_MODEL)
    assert HOW_TO_GET_A_MODEL in said("hello", [])
    many = [tool(f"thing{number}") for number in range(500)]
    assert len(said("hello", many).splitlines()) < 30


def test_every_listed_example_is_an_exact_call():
    lines = [line[2:] for line in said("hello").splitlines() if line.startswith("- ")]
    assert len(lines) == len(DESK)
    assert [calls(line)[0][0] for line in lines] == [tool.name for tool in DESK]


def test_call_ids_are_unique_over_the_whole_conversation():
    earlier = tuple(ToolCall(id=i, name="t", arguments={}) for i in ("call_3", "x"))
    messages = [
        user("a"),
        Message(role="assistant", content=earlier),
        Message(role="tool", content=tuple(ToolResult(call_id=c.id, content=()) for c in earlier)),
        user("show order 12345; list open tickets"),
    ]
    blocks = items(messages)[-1].message.content
    assert [block.id for block in blocks] == ["call_4", "call_5"]


def test_the_answer_streams_in_small_pieces_that_add_up():
    *pieces, last = items([user("hello")])
    assert len(pieces) > 10
    assert all(isinstance(piece, TextDelta) and len(piece.text) <= 40 for piece in pieces)
    assert "".join(piece.text for piece in pieces) == last.message.content[0].text
    delta, last = items([user("get_order order_id=1")])
    assert delta == ToolArgumentsDelta(index=0, name="orders__get_order", text='{"order_id": "1"}')
    assert (last.stop_reason, last.message.origin.provider) == ("tool_use", "offline")


def test_it_says_that_it_is_no_ai():
    assert model().simulated is True
    assert model().origin.adapter == "offline"
    assert "no AI" in said("hello")


def check(outcome, tools):
    """Assert that a stream is legal."""
    *deltas, last = outcome
    assert isinstance(last, ModelResponse)
    assert not any(isinstance(item, ModelResponse) for item in deltas)
    blocks = last.message.content
    assert blocks
    made = [block for block in blocks if isinstance(block, ToolCall)]
    assert len(made) <= 3
    assert last.stop_reason == ("tool_use" if made else "end_turn")
    assert len({call.id for call in made}) == len(made)
    for call in made:
        assert call.name in {tool.name for tool in tools}
        json.dumps(call.arguments, allow_nan=False, ensure_ascii=False).encode()
    for block in blocks:
        if isinstance(block, Text):
            block.text.encode()
    return made


SCHEMAS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "enum", "pattern", "format", "anyOf", "$ref", "examples",
                 "required", "description", "order_id", "minimum"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip
FRAGMENTS = st.sampled_from(
    ["order 12345", "refund", "cancel", "C-1001", "12.50", '"late"', ": because", "; ", "and then",
     "don't", "list", "get_order", "{", "}", "order_id=", "customer", "a@b.se", "\ud800", "\x1b[2J",
     "/tmp/x", "2026-11-22", "'", "open", "ticket", "status", "reason", "amount"]
)  # fmt: skip
PROMPTS = st.text(max_size=60) | st.lists(FRAGMENTS | st.text(max_size=5), max_size=12).map(
    " ".join
)


@given(PROMPTS)
@settings(max_examples=150, deadline=None)
def test_any_text_gets_a_legal_answer_the_same_each_time(text):
    once = items([user(text)])
    check(once, DESK)
    assert items([user(text)]) == once


@given(PROMPTS, st.dictionaries(st.text(max_size=5), SCHEMAS, max_size=3), st.text(max_size=20))
@settings(max_examples=150, deadline=None)
def test_any_tool_definition_gets_a_legal_answer(text, schema, name):
    odd = Tool(name="s__odd", server="s", tool=name, description=name, input_schema=schema)
    parameters = {
        "type": "object",
        "properties": {"order": schema, "status": next(iter(schema.values()), {})},
        "required": ["order"],
    }
    tools = (odd, *DESK[:2], Tool(name="s__b", server="s", tool="order status",
             description=name, input_schema=parameters))  # fmt: skip
    check(items([user(text)], tools), tools)


@given(st.text(alphabet=st.characters(categories=("L", "Zs")), max_size=80))
@settings(max_examples=100, deadline=None)
def test_words_alone_never_call_a_tool_that_changes_something_and_needs_text(text):
    changers = [tool for tool in DESK if tool.annotations.read_only is not True]
    for prompt in (text, f"refund order 12345 50 {text}", f"cancel order 12360 {text}"):
        assert [b for b in answer(prompt, changers) if isinstance(b, ToolCall)] == []


@given(st.text(max_size=60), st.sampled_from(sorted(TOOLS)))
@settings(max_examples=60, deadline=None)
def test_every_text_of_a_change_is_a_piece_of_what_the_user_wrote(text, name):
    text = text.replace("=", "").replace("{", "")
    prompt = f'{name} order 12345 customer C-1001 5 {text} "{text}" : {text}'
    changers = [tool.name for tool in DESK if tool.annotations.read_only is not True]
    for called, arguments in calls(prompt):
        if called in changers:
            for value in arguments.values():
                assert str(value) in prompt.encode("utf-8", "replace").decode()


def test_hostile_patterns_and_endless_texts_end_soon():
    bomb = tool(
        "find_order",
        "Find an order.",
        {"order_id": {"type": "string", "pattern": "^(a+)+$"}, "b_id": {"pattern": "(x+x+)+y",
         "type": "string"}},
        read_only=True,
    )  # fmt: skip
    text = "find order " + "a" * 60 + "! " + "x" * 60
    check(items([user(text)], [bomb]), [bomb])
    for endless in ("a" * 300_000, "'" * 50_000, "- " * 50_000, "a." * 50_000, "get_order " * 9999,
                    "a=" * 50_000, "get_order " + "a=b " * 50_000, "order: " * 20_000,
                    '"' + "\\" * 50_000, 'get_order a="' + '\\"' * 50_000, "a/" * 50_000,
                    "a@b." * 20_000, "_" * 100_000, "get_order " + "=" * 50_000):  # fmt: skip
        check(items([user(endless)]), DESK)


def test_it_loads_nothing_heavy():
    code = (
        "import sys; import agent_host.models.offline; "
        "heavy = {'mcp', 'mcp_types', 'openai', 'pydantic', 'numpy', 'asyncio', 'tomllib'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    # What measures coverage loads some of it.
    quiet = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    subprocess.run([sys.executable, "-c", code], check=True, env=quiet)
