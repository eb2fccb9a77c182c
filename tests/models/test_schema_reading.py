"""What servers send that is no JSON Schema 2020-12, or no sensible one."""

import json
import math
from typing import Any

import pytest

from agent_host.models.schema_losses import Losses
from agent_host.models.schema_reading import Reader
from agent_host.models.schemas import compile_schema
from tests.fakes.schema_rules import illegal
from tests.fakes.schema_samples import DIALECTS


def read(schema: Any) -> tuple[dict[str, Any], list[str]]:
    """What becomes of the property `a` in the dialect that takes most, and the losses."""
    compiled = compile_schema({"type": "object", "properties": {"a": schema}}, "openai")
    for dialect in DIALECTS:
        other = compile_schema({"type": "object", "properties": {"a": schema}}, dialect)
        assert illegal(other.schema, dialect) is None
    return compiled.schema["properties"].get("a"), list(compiled.losses)


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ({"type": "dict"}, {"type": "object", "properties": {}}),
        ({"type": "String"}, {"type": "string"}),
        ({"type": "float"}, {"type": "number"}),
        ({"type": ["int", "none"]}, {"type": ["integer", "null"]}),
        ({"type": "any"}, {}),
        ({"type": ["string", "any"]}, {}),
        ({"type": 7}, {}),
        ({"type": "DateTime"}, {}),
    ],
)
def test_type_names_of_programming_languages_are_understood(given: Any, read_as: Any) -> None:
    found, losses = read(given)
    assert found == read_as
    assert len(losses) == 1
    assert " is read as " in losses[0]


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        (
            {"type": "number", "minimum": 1, "exclusiveMinimum": True},
            {"type": "number", "exclusiveMinimum": 1},
        ),
        (
            {"type": "number", "maximum": 1, "exclusiveMaximum": False},
            {"type": "number", "maximum": 1},
        ),
        (
            {"type": "array", "items": [{"type": "string"}], "additionalItems": False},
            {"type": "array", "prefixItems": [{"type": "string"}], "maxItems": 1, "items": {}},
        ),
        (
            {"type": "array", "items": [{"type": "string"}], "additionalItems": {"const": 1}},
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"const": 1}},
        ),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "string", "enum": ["x"], "nullable": True},
            {"type": ["string", "null"], "enum": ["x", None]},
        ),
        (
            {"type": "string", "const": "x", "nullable": True},
            {"type": ["string", "null"], "enum": ["x", None]},
        ),
        ({"type": "string", "example": "x"}, {"type": "string", "examples": ["x"]}),
        (
            {"dependencies": {"b": ["c", "c"], "d": {"required": ["e"]}, 7: []}},
            {"dependentRequired": {"b": ["c"]}, "dependentSchemas": {"d": {"required": ["e"]}}},
        ),
        (
            {"$id": "x", "$schema": "y", "$comment": "z", "x-own": 1, "type": "null"},
            {"type": "null"},
        ),
        ({"minLength": 3.0}, {"minLength": 3}),
    ],
)
def test_older_drafts_and_openapi_are_translated_without_a_loss(given: Any, read_as: Any) -> None:
    assert read(given) == (read_as, [])


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        (True, {}),
        ({"type": "array", "items": False}, {"type": "array", "maxItems": 0, "items": {}}),
        ({"anyOf": [False, {"type": "null"}]}, {"anyOf": [{"type": "null"}]}),
        ({"not": False, "type": "null"}, {"type": "null"}),
        ({"then": {"type": "null"}}, {}),
        ({"if": {"type": "null"}}, {}),
        ({"items": True}, {"items": {}}),
    ],
)
def test_true_and_false_as_schemas_are_said_more_simply(given: Any, read_as: Any) -> None:
    assert read(given) == (read_as, [])


@pytest.mark.parametrize(
    "never", [{"not": {}}, {"not": True}, {"anyOf": [False]}, {"allOf": [{}, False]}]
)
def test_what_nothing_satisfies_is_not_offered_or_left_open(never: Any) -> None:
    found, losses = read(never)
    assert found is None
    assert losses == ["a key that must be left out is not spoken of: /properties/a"]
    assert read({"contains": never, "items": {}})[0]["contains"] == {"not": {}}


@pytest.mark.parametrize("dialect", ["openai-strict", "anthropic-strict", "gemini", "plain"])
def test_what_contradicts_itself_is_left_open(dialect: Any) -> None:
    both = {"allOf": [{"type": "string"}, {"$ref": "#/$defs/N"}]}
    document = {"type": "object", "properties": {"a": both}, "$defs": {"N": {"type": "integer"}}}
    compiled = compile_schema(document, dialect)
    assert illegal(compiled.schema, dialect) is None
    assert "nothing satisfies it, so it is left open: /properties/a" in compiled.losses


def test_a_key_that_must_be_left_out_is_not_offered() -> None:
    found, losses = read({"type": "object", "properties": {"b": False, "c": {}}})
    assert found["properties"] == {"c": {}}
    assert losses == ["a key that must be left out is not spoken of: /properties/a/properties/b"]


@pytest.mark.parametrize(
    "schema",
    [
        {"minLength": "3"},
        {"minLength": -1},
        {"maxLength": 2**40},
        {"minItems": 1.5},
        {"minimum": math.nan},
        {"maximum": math.inf},
        {"minimum": 10**5000},
        {"multipleOf": 0},
        {"minimum": True},
        {"enum": []},
        {"enum": [math.nan]},
        {"enum": ["\ud800"]},
        {"const": {"\udfff": 1}},
        {"const": {1: 2}},
        {"default": {1, 2}},
        {"default": 10**5000},
        {"examples": "x"},
        {"description": 7},
        {"required": True},
        {"required": "a"},
        {"properties": []},
        {"anyOf": {}},
        {"items": "x"},
        {"additionalProperties": "no"},
        {"dependentRequired": []},
        {"uniqueItems": 1},
        {"patternProperties": {"\ud800": {}}, "additionalProperties": False},
        {"unevaluatedProperties": False},
        {"$dynamicRef": "#x"},
        {"$ref": None},
    ],
)
def test_a_keyword_that_cannot_be_sent_is_left_out_and_reported(schema: Any) -> None:
    found, losses = read(schema)
    assert found == {}
    assert len(losses) == 1
    assert losses[0].endswith(": /properties/a")


@pytest.mark.parametrize("value", ["string", 7, None, [], [{}]])
def test_what_is_no_schema_is_left_open(value: Any) -> None:
    found, losses = read(value)
    assert found == {}
    assert losses == ["what is no schema is left open: /properties/a"]


def test_text_that_utf_8_cannot_hold_is_replaced() -> None:
    found, _ = read({"description": "a\ud800b", "title": "\udfff"})
    assert found == {"description": "a?b", "title": "?"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_five_thousand_levels_are_cut(dialect: Any) -> None:
    schema: Any = {}
    value: Any = 1
    for _ in range(5000):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
        value = [value]
    for document in (schema, {"properties": {"a": {"default": value, "enum": [value]}}}):
        compiled = compile_schema(document, dialect)
        assert illegal(compiled.schema, dialect) is None
        assert any("open" in loss or "left out" in loss for loss in compiled.losses)
    assert illegal(compile_schema(value, dialect).schema, dialect) is None


def test_more_schemas_than_are_read_are_left_open() -> None:
    part = {"type": "string"}
    reader = Reader({"anyOf": [part] * 10_500}, losses := Losses())
    kinds = [child.keywords for child in reader.root.keywords["anyOf"]]
    assert kinds[0] == {"type": ["string"]}
    assert kinds[-1] == {}
    assert "too deep or too much" in losses.sentences()[0]


@pytest.mark.parametrize(
    "definitions",
    [
        {"A": {"$ref": "#/$defs/A"}},
        {"A": {"$ref": "#/$defs/B"}, "B": {"allOf": [{"$ref": "#/$defs/A"}]}},
        {"A": {"anyOf": [{"not": {"$ref": "#/$defs/A"}}]}},
        {"A": {"if": {}, "then": {"dependentSchemas": {"x": {"$ref": "#/$defs/A"}}}}},
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_reference_that_only_leads_to_itself_is_cut(dialect: Any, definitions: Any) -> None:
    document = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": definitions,
    }
    compiled = compile_schema(document, dialect)
    assert illegal(compiled.schema, dialect) is None
    assert any("only leads to itself" in loss for loss in compiled.losses)
    if dialect == "openai":
        loops = json.dumps(compiled.schema).count('"$ref"')
        assert loops == len(definitions), "one reference from outside, and those that go on"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_long_chain_of_references_is_no_trouble(dialect: Any) -> None:
    definitions: Any = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(3000)}
    definitions["d3000"] = {"type": "string"}
    for root in ({"properties": {"a": {"$ref": "#/$defs/d0"}}}, {"$ref": "#/$defs/d0"}):
        compiled = compile_schema({**root, "$defs": definitions}, dialect)
        assert illegal(compiled.schema, dialect) is None


def test_unused_definitions_are_not_sent() -> None:
    schema = {"type": "object", "properties": {}, "$defs": {"A": {"type": "string"}}}
    assert compile_schema(schema, "openai").schema == {"type": "object", "properties": {}}


def test_a_pointer_goes_through_lists_and_escapes() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a/b~": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
            "x": {"$ref": "#/properties/a~1b~0/anyOf/1"},
            "y": {"$ref": "#/properties/a~1b~0/anyOf/2"},
            "z": {"$ref": "#/properties/a~1b~0/anyOf/-1"},
        },
    }
    compiled = compile_schema(schema, "plain")
    assert compiled.schema["properties"]["x"] == {"type": "integer"}
    assert "/properties/y, /properties/z" in compiled.losses[0]
