"""The offline model: what it calls, what it asks, what it never does."""

import asyncio
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.events import TextDelta, ToolArgumentsDelta
from agent_host.core.types import (
    Annotations,
    Image,
    Message,
    ModelRequest,
    ModelResponse,
    Resource,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from agent_host.demo.tools import TOOLS
from agent_host.models.offline import HOW_TO_GET_A_MODEL, create
from agent_host.models.readable import readable_text
from agent_host.models.settings import AdapterSettings

DESK = tuple(
    Tool(
        name=f"orders__{tool.name}",
        server="orders",
        tool=tool.name,
        description=tool.description,
        input_schema=tool.input,
        annotations=Annotations(read_only=tool.read_only),
    )
    for tool in TOOLS.values()
)


def tool(name, description="", parameters=None, required=None, read_only=None, **schema):
    parameters = parameters or {}
    needed = list(parameters) if required is None else required
    return Tool(
        name=f"s__{name}",
        server="s",
        tool=name,
        description=description,
        input_schema={
            "type": "object",
            "properties": parameters,
            "required": needed,
            **schema,
        },
        annotations=Annotations(read_only=read_only),
    )


def model():
    return create(AdapterSettings(provider="offline", model="keywords"))


def user(text):
    return Message(role="user", content=(Text(text=text),))


def items(messages, tools=DESK, adapter=None):
    request = ModelRequest(request_id="r", system="", messages=tuple(messages), tools=tuple(tools))

    async def collect():
        return [item async for item in (adapter or model()).stream(request)]

    return asyncio.run(collect())


def answer(text, tools=DESK):
    return items([user(text)], tools)[-1].message.content


def calls(text, tools=DESK):
    return [(b.name, b.arguments) for b in answer(text, tools) if isinstance(b, ToolCall)]


def said(text, tools=DESK):
    blocks = answer(text, tools)
    assert all(isinstance(block, Text) for block in blocks), blocks
    return "".join(block.text for block in blocks)


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


def test_a_number_that_could_be_either_of_two_parameters_is_not_guessed_for_a_change():
    pay = {"account": {"type": "integer"}, "amount": {"type": "number"}}
    change = tool("transfer", "Transfer money.", pay)
    assert "it is not certain what" in said("transfer money 5 10", [change])
    assert calls("transfer money account 5 amount 10", [change]) == [
        ("s__transfer", {"account": 5, "amount": 10})
    ]
    assert calls("transfer money 10 to account 5", [change]) == [
        ("s__transfer", {"account": 5, "amount": 10})
    ]


def test_the_only_number_is_not_taken_for_the_id_of_what_is_changed():
    drop = tool("drop_agent", "Drop an agent.", {"agent_id": {"type": "string"}})
    assert "it is not certain what agent_id" in said("drop agents older than 60 minutes", [drop])
    assert calls("drop agent 60", [drop]) == [("s__drop_agent", {"agent_id": "60"})]


TEXT = {"type": "string"}
TYPED = [
    tool("read_file", "Read a file.", {"path": TEXT}, read_only=True),
    tool("fetch", "Fetch a web page.", {"url": {"type": "string", "format": "uri"}}),
    tool(
        "book_room",
        "Book a room.",
        {
            "day": {"type": "string", "format": "date"},
            "guests": {"type": "integer"},
            "breakfast": {"type": "boolean"},
            "size": {"enum": ["small", "king_size"]},
        },
        required=["day"],
    ),
    tool("invite", "Invite somebody.", {"email": TEXT, "greeting": TEXT}),
    tool("forecast", "Weather forecast.", {"city": TEXT}, read_only=True),
    tool("look_up_word", "Explain a word.", {"word": TEXT, "limit": {"type": "integer"}},
         required=["word"], read_only=True),
    tool("track_parcel", "Track a parcel.",
         {"parcel": {"type": "string", "pattern": "^(?:[A-Z]{2}[0-9]+)$"}}, read_only=True),
    tool("scan_badge", "Scan a badge.", {"badge": {"type": "string", "pattern": "["}}),
    tool("convert", "Convert an amount.", {"amount": {"type": "number"}, "to": TEXT}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "name", "arguments"),
    [
        ("read the file src/main.py", "read_file", {"path": "src/main.py"}),
        ("Read file /etc/hosts please", "read_file", {"path": "/etc/hosts"}),
        ("fetch the web page https://a.example/b?c=1", "fetch", {"url": "https://a.example/b?c=1"}),
        ("book a room for 2026-12-24", "book_room", {"day": "2026-12-24"}),
        (
            "book a king size room on 2026-12-24, guests: 2, breakfast: yes",
            "book_room",
            {"day": "2026-12-24", "size": "king_size", "guests": 2, "breakfast": True},
        ),
        (
            "book room: day=2026-12-24 size=small breakfast=no",
            "book_room",
            {"day": "2026-12-24", "size": "small", "breakfast": False},
        ),
        ('invite a.b@example.com: "hello"', "invite",
         {"email": "a.b@example.com", "greeting": "hello"}),
        ("weather forecast for Berlin", "forecast", {"city": "Berlin"}),
        ("what is the weather forecast in New York", "forecast", {"city": "New York"}),
        ("explain the word 'frugal'", "look_up_word", {"word": "frugal"}),
        ("explain the word frugal, limit 3", "look_up_word", {"word": "frugal", "limit": 3}),
        ("track parcel AB123456", "track_parcel", {"parcel": "AB123456"}),
        ("track parcels, mine has AB123456", "track_parcel", {"parcel": "AB123456"}),
        ("convert an amount, to: EUR, amount: 5.50", "convert", {"amount": 5.5, "to": "EUR"}),
    ],
)  # fmt: skip
def test_a_value_is_known_by_its_type_format_pattern_or_label(prompt, name, arguments):
    assert calls(prompt, TYPED) == [(f"s__{name}", arguments)]


@pytest.mark.parametrize(
    ("prompt", "mentions"),
    [
        ("book a room for 24 December", "it needs day"),
        ("book a room on 2026-12-24, guests: many", "it is not certain what guests should be"),
        ("invite somebody", "it needs email and greeting"),
        ("scan a badge that is red", "it needs badge"),
        ("convert the amount 5 to EUR", "it needs to"),
    ],
)
def test_a_value_of_another_type_is_not_bent(prompt, mentions):
    assert mentions in said(prompt, TYPED)


def test_a_number_out_of_a_parameters_range_is_not_used():
    resize = tool("resize", "Resize the picture.", {"percent": {"type": "integer", "maximum": 100}})
    assert calls("resize the picture percent 50", [resize])
    assert "it needs percent" in said("resize the picture percent 500", [resize])


def test_free_text_of_a_change_comes_only_from_quotes_labels_or_after_a_colon():
    note = tool("add_note", "Add a note.", {"note": {"type": "string"}})
    assert "it needs note" in said("add note buy milk", [note])
    for prompt in ('add note "buy milk"', "add note: buy milk", "add a note, note=buy milk"):
        assert calls(prompt, [note]) == [("s__add_note", {"note": "buy milk"})], prompt


def test_arrays_and_objects_are_never_filled():
    tag = tool("tag", "Tag a picture.", {"tags": {"type": "array", "items": {"type": "string"}}})
    assert "it needs tags" in said('tag a picture with tags "a"', [tag])
    assert calls('tag {"tags": ["a"]}', [tag]) == [("s__tag", {"tags": ["a"]})]


def test_optional_schemas_and_references_are_seen_through():
    level = tool(
        "set_level",
        "Set the alarm level.",
        {
            "level": {"$ref": "#/$defs/Level"},
            "hours": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        },
        **{"$defs": {"Level": {"type": "string", "enum": ["red", "green"]}}},
    )
    assert calls("set the alarm level to red, hours 3", [level]) == [
        ("s__set_level", {"level": "red", "hours": 3})
    ]


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
    subprocess.run([sys.executable, "-c", code], check=True)
