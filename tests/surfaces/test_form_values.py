import time

import pytest

from agent_host.surfaces.form_fields import fields_of
from agent_host.surfaces.form_values import HIDDEN, Problem, hint, problem, read, shown
from tests.fakes.screens import FORBIDDEN, HOSTILE
from tests.fakes.typists import object_of
from tests.surfaces.test_form_fields import field

SIZE = {
    "oneOf": [
        {"const": "s", "title": "Small"},
        {"const": "l", "title": "Large"},
        {"const": "xl", "title": "Very large"},
    ]
}
SIZES = {"type": "array", "items": SIZE}


@pytest.mark.parametrize(
    ("definition", "typed", "value"),
    [
        ({"type": "string"}, " as it is ", " as it is "),
        ({"type": "string", "format": "email"}, "ann@example.com", "ann@example.com"),
        ({"type": "string", "format": "uri"}, "https://a.example/x?y=z", "https://a.example/x?y=z"),
        ({"type": "string", "format": "date"}, "2026-11-30", "2026-11-30"),
        ({"type": "string", "format": "date-time"}, "2026-11-30T14:05:00Z", "2026-11-30T14:05:00Z"),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, "AB", "AB"),
        ({"type": "string", "minLength": 2, "maxLength": 2}, "ü😀", "ü😀"),
        ({"type": "integer"}, " -12 ", -12),
        ({"type": "integer"}, "0", 0),
        ({"type": "number"}, "12", 12),
        ({"type": "number"}, "1.50", 1.5),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "number", "multipleOf": 0.1}, "0.3", 0.3),
        ({"type": "boolean"}, "Y", True),
        ({"type": "boolean"}, "no", False),
        (SIZE, "2", "l"),
        (SIZE, "xl", "xl"),
        (SIZE, "very LARGE", "xl"),
        ({"enum": ["10", "20"]}, "20", "20"),
        ({"enum": [10, 20]}, "20", 20),
        (SIZES, "1,3", ["s", "xl"]),
        (SIZES, "3 1 1", ["s", "xl"]),
        (SIZES, "2-3", ["l", "xl"]),
        (SIZES, "all", ["s", "l", "xl"]),
        (SIZES, "none", []),
        (SIZES, "very large, small", ["s", "xl"]),
    ],
)
def test_what_is_typed_becomes_the_value_that_was_asked_for(
    definition: object, typed: str, value: object
) -> None:
    found = read(field(definition), typed)
    assert found == value
    assert type(found) is type(value)
    assert not isinstance(found, Problem)


@pytest.mark.parametrize(
    ("definition", "typed", "why"),
    [
        ({"type": "string", "minLength": 3}, "ab", "too short: 2 of at least 3 characters"),
        ({"type": "string", "maxLength": 1}, "ab", "too long: 2 of at most 1 character"),
        ({"type": "string", "format": "email"}, "ann", "not an email address; write it as ann@"),
        ({"type": "string", "format": "uri"}, "no url", "not a URL"),
        ({"type": "string", "format": "date"}, "2026-02-30", "not a date; write it as 2026-"),
        ({"type": "string", "format": "date-time"}, "today", "not a date and time"),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, "ab", "does not match the pattern ^[A-Z]"),
        ({"type": "integer"}, "1.5", "write a whole number"),
        ({"type": "integer"}, "1_000", "write a whole number"),
        ({"type": "integer"}, "٣", "write a whole number"),
        ({"type": "number"}, "1,5", "write a number"),
        ({"type": "number"}, "nan", "write a number"),
        ({"type": "number"}, "1e999", "too large"),
        ({"type": "integer"}, "9" * 5000, "too long for a number"),
        ({"type": "integer", "minimum": 1}, "0", "at least 1"),
        ({"type": "integer", "maximum": 10000}, "10001", "at most 10,000"),
        ({"type": "number", "exclusiveMinimum": 0}, "0", "more than 0"),
        ({"type": "number", "exclusiveMaximum": 1}, "1", "less than 1"),
        ({"type": "number", "multipleOf": 0.25}, "0.3", "a multiple of 0.25"),
        ({"type": "boolean"}, "maybe", "answer y or n"),
        (SIZE, "4", "'4' is none of them; type a number from 1 to 3"),
        (SIZE, "0", "none of them"),
        (SIZES, "2-9", "2-9 is no range from 1 to 3"),
        (SIZES, "small, huge", "none of them"),
        ({**SIZES, "minItems": 1}, "none", "choose at least 1 (that is 0)"),
        ({**SIZES, "maxItems": 2}, "all", "choose at most 2 (that is 3)"),
    ],
)
def test_what_is_no_value_is_said_with_what_would_be_one(
    definition: object, typed: str, why: str
) -> None:
    found = read(field(definition), typed)
    assert isinstance(found, Problem)
    assert why in found


def test_a_pattern_that_doubles_its_work_with_each_character_takes_no_time() -> None:
    before = time.process_time()
    found = read(field({"type": "string", "pattern": "^(a+)+$"}), "a" * 40_000 + "!")
    assert isinstance(found, Problem)
    assert time.process_time() - before < 2


def test_a_pattern_that_only_the_server_can_check_is_left_to_it_and_said() -> None:
    found = field({"type": "string", "pattern": "^(?=.*x)(?!.*y).*$"})
    assert read(found, "anything") == "anything"
    assert "(the server checks it)" in hint(found)


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"type": "string"}, "text, may be left out"),
        ({"type": "string", "minLength": 3, "maxLength": 40}, "text, 3 to 40 characters, may"),
        ({"type": "string", "minLength": 4, "maxLength": 4}, "text, 4 characters, may"),
        ({"type": "string", "maxLength": 40}, "at most 40 characters"),
        ({"type": "string", "format": "date"}, "a date, as 2026-11-30, may"),
        ({"type": "string", "pattern": "^a$"}, "pattern ^a$, may"),
        ({"type": "integer", "minimum": 1, "maximum": 5}, "a whole number, 1 to 5, may"),
        ({"type": "number", "exclusiveMinimum": 0, "multipleOf": 5}, "more than 0, a multiple of"),
        ({"type": "boolean"}, "yes or no, may"),
        (SIZE, "one of these, may"),
        ({**SIZES, "minItems": 1, "maxItems": 2}, "any of these, 1 to 2 choices, may"),
    ],
)
def test_a_hint_says_what_a_field_wants(definition: object, said: str) -> None:
    assert said in hint(field(definition))


def test_a_default_is_held_to_the_bounds_of_its_field() -> None:
    assert problem(field({"type": "integer", "minimum": 1, "default": 0}), 0)
    assert problem(field({"type": "string", "maxLength": 1, "default": "ab"}), "ab")
    assert problem(field({**SIZES, "minItems": 1, "default": []}), [])
    assert problem(field({"type": "number", "default": 2.5}), 2.5) is None
    assert problem(field({"type": "boolean", "default": False}), False) is None


def test_values_are_shown_as_people_call_them() -> None:
    assert shown(field(SIZE), "l") == "Large (l)"
    assert shown(field(SIZES), ["s", "l"]) == "Small (s), Large (l)"
    assert shown(field(SIZES), []) == "none of them"
    assert shown(field({"enum": ["a"]}), "a") == "a"
    assert shown(field({"type": "boolean"}), False) == "no"
    assert shown(field({"type": "number"}), 1.5) == "1.5"
    assert shown(field({"type": "string"}, "password"), "hunter2") == HIDDEN


def test_no_hostile_text_is_shown() -> None:
    for text in HOSTILE:
        choice = field({"oneOf": [{"const": text, "title": text}]})
        assert not set(FORBIDDEN) & set(shown(choice, text))
        assert not set(FORBIDDEN) & set(shown(field({"type": "string"}), text))
        assert not set(FORBIDDEN) & set(hint(field({"type": "string", "pattern": text})))
        problems = read(choice, text + "!")
        assert isinstance(problems, Problem)
        assert not set(FORBIDDEN) & set(problems)


def test_every_field_of_a_schema_is_of_its_own() -> None:
    fields = fields_of(object_of(a={"type": "integer"}, b=SIZE))
    assert not isinstance(fields, str)
    assert [read(f, "1") for f in fields] == [1, "s"]
