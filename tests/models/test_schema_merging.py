"""What must hold together, said as one schema: never stricter than its parts."""

from typing import Any

import jsonschema_rs
import pytest

from agent_host.models.schemas import compile_schema
from tests.fakes.schema_rules import illegal


def merged(*parts: Any, dialect: Any = "openai-strict") -> dict[str, Any]:
    document = {"type": "object", "properties": {"a": {"allOf": [*parts]}}, "required": ["a"]}
    schema = compile_schema(document, dialect).schema
    assert illegal(schema, dialect) is None
    return schema["properties"]["a"]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"minimum": 1}, {"minimum": 3}, {"minimum": 3}),
        ({"maximum": 1}, {"maximum": 3}, {"maximum": 1}),
        ({"exclusiveMinimum": 1}, {"minimum": 3}, {"exclusiveMinimum": 1, "minimum": 3}),
        ({"multipleOf": 2}, {"multipleOf": 3}, {"multipleOf": 2, "description": "a multiple of 3"}),
        ({"description": "mine"}, {"description": "theirs"}, {"description": "mine"}),
        ({"enum": [1, 2.0, 3]}, {"enum": [2, 3, 4]}, {"enum": [2.0, 3]}),
        ({"enum": [1, 2]}, {"const": 2}, {"enum": [2], "type": "integer"}),
        ({"type": "integer"}, {}, {"type": "integer"}),
        ({"type": ["integer", "string"]}, {}, {"type": "integer"}),
    ],
)
def test_of_two_numbers_the_stricter_bound_holds(one: Any, other: Any, both: Any) -> None:
    assert merged({"type": "number", **one}, {"type": "number", **other}) == {
        "type": "number",
        **both,
    }


def test_of_two_lists_items_hold_together_and_tuples_stay_as_the_first_has_them() -> None:
    found = merged(
        {"type": "array", "items": {"type": "number", "minimum": 1}, "minItems": 1, "maxItems": 9},
        {"type": "array", "items": {"type": "integer", "maximum": 5}, "minItems": 2, "maxItems": 3},
    )
    assert found == {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 5},
        "minItems": 2,
        "maxItems": 3,
    }
    found = merged({"prefixItems": [{"type": "null"}], "items": False}, {"items": {"minimum": 1}})
    assert found["items"] == {"type": "null"}
    assert 'items in this order: {"type":"null"}' in found["description"]


@pytest.mark.parametrize("dialect", ["gemini", "plain"])
def test_a_tuple_that_may_go_on_says_nothing_of_what_follows(dialect: Any) -> None:
    order = [{"type": "string"}, {"type": "integer"}]
    open_ = merged({"type": "array", "prefixItems": order}, dialect=dialect)
    assert len(open_["items"]["anyOf"]) == 6, "any value"
    closed = merged({"type": "array", "prefixItems": order, "maxItems": 2}, dialect=dialect)
    assert closed["items"] == {"anyOf": order}
    rest = {"type": "array", "prefixItems": order, "items": {"type": "null"}}
    assert merged(rest, dialect=dialect)["items"]["anyOf"][2] == {"type": "null"}


def test_of_two_objects_keys_and_what_is_required_come_together() -> None:
    found = merged(
        {
            "properties": {"x": {"type": "number", "minimum": 1}, "y": {"type": "null"}},
            "required": ["x"],
            "additionalProperties": False,
        },
        {"properties": {"x": {"type": "integer"}}, "required": ["y", "z"], "minProperties": 2},
        dialect="plain",
    )
    assert found == {
        "type": "object",
        "properties": {
            "x": {"type": "integer", "description": "at least 1"},
            "y": {"type": "null"},
            "z": found["properties"]["z"],
        },
        "required": ["x", "y", "z"],
        "additionalProperties": False,
        "description": "minProperties 2",
    }


def test_an_object_with_keys_by_pattern_is_not_closed() -> None:
    found = merged(
        {
            "type": "object",
            "properties": {"a": {"type": "null"}},
            "patternProperties": {"^x": {"type": "string"}},
            "additionalProperties": False,
        },
        dialect="plain",
    )
    assert found["additionalProperties"] is True
    assert "keys that match ^x" in found["description"]


def test_two_unions_that_must_both_hold_become_their_combinations() -> None:
    def keys(*names: str) -> dict[str, Any]:
        return {"anyOf": [{"required": [name]} for name in names]}

    found = merged({"type": "object"}, keys("a", "b"), keys("c", "d"), dialect="plain")
    assert [part["required"] for part in found["anyOf"]] == [
        ["a", "c"],
        ["a", "d"],
        ["b", "c"],
        ["b", "d"],
    ]
    many = merged({"type": "object"}, keys(*"abcdefgh"), keys(*"ijklmnop"), dialect="plain")
    assert len(many["anyOf"]) == 8
    assert "exactly one of" in many["anyOf"][0]["description"]


def test_the_same_key_in_many_parts_is_no_tower() -> None:
    parts = [{"properties": {"k": {"minLength": i}}} for i in range(3000)]
    for dialect in ("openai", "plain"):
        document = {"allOf": parts, "type": "object"}
        schema = compile_schema(document, dialect).schema
        assert illegal(schema, dialect) is None
        validator = jsonschema_rs.Draft202012Validator(schema)
        assert validator.is_valid({"k": "x" * 3000})


def test_words_about_keys_that_cannot_be_sent_can_be_sent() -> None:
    document = {"type": "object", "dependentRequired": {"a": ["\ud800"], "\ud801": ["a"]}}
    for dialect in ("openai", "gemini"):
        assert illegal(compile_schema(document, dialect).schema, dialect) is None
