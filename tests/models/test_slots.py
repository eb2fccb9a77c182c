"""Which words of a request become which arguments."""

import pytest

from tests.fakes.keywords import calls, said, tool


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
