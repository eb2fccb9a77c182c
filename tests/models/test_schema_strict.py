"""Strict dialects: closed objects, nulls for what is left out, JSON text for what is open."""

from typing import Any

import pytest

from agent_host.models.schemas import Compiled, Dialect, InexpressibleError, compile_schema
from tests.fakes.schema_rules import illegal

strict_dialects = pytest.mark.parametrize("dialect", ["openai-strict", "anthropic-strict"])


def legal(schema: Any, dialect: Dialect) -> Compiled:
    """Compile, and let the provider judge."""
    before = repr(schema)
    compiled = compile_schema(schema, dialect)
    assert illegal(compiled.schema, dialect) is None
    assert repr(schema) == before
    return compiled


def field(schema: Any, dialect: Dialect, **document: Any) -> dict[str, Any]:
    """What becomes of a required property `a`."""
    whole = {"type": "object", "properties": {"a": schema}, "required": ["a"], **document}
    return legal(whole, dialect).schema["properties"]["a"]


def test_openai_strict_requires_every_key_and_says_null_for_left_out() -> None:
    compiled = legal(
        {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "note": {"type": "string", "description": "d"},
                "unit": {"enum": ["C", "F"]},
                "maybe": {"type": ["integer", "null"]},
                "deep": {"type": "object", "properties": {"x": {"type": "number"}}},
            },
            "required": ["id", "deep"],
        },
        "openai-strict",
    )
    properties = compiled.schema["properties"]
    null = {"type": "null"}
    assert compiled.schema["required"] == ["id", "note", "unit", "maybe", "deep"]
    assert properties["note"] == {"anyOf": [{"type": "string"}, null], "description": "d"}
    assert properties["unit"]["anyOf"] == [{"type": "string", "enum": ["C", "F"]}, null]
    assert properties["maybe"]["anyOf"] == [{"type": "integer"}, null]
    sent = {"id": "1", "note": None, "unit": None, "maybe": None, "deep": {"x": None}}
    assert compiled.restore(sent) == {"id": "1", "maybe": None, "deep": {}}
    own = {"id": "1", "deep": {"x": 2}}
    assert compiled.restore(compiled.adapt(own)) == own


def test_anthropic_strict_leaves_optional_keys_out_of_required() -> None:
    schema = legal(
        {"type": "object", "properties": {"a": {"type": "string"}}}, "anthropic-strict"
    ).schema
    assert schema["required"] == []
    assert schema["properties"] == {"a": {"type": "string"}}
    assert schema["additionalProperties"] is False


@strict_dialects
def test_what_a_strict_dialect_cannot_describe_is_json_text(dialect: Dialect) -> None:
    compiled = legal(
        {
            "type": "object",
            "properties": {
                "any": {},
                "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                "list": {"type": "array"},
                "some": {"anyOf": [{"type": "integer"}, {"type": "object"}]},
                "either": {"anyOf": [{"type": "string"}, {"type": "object"}]},
            },
            "required": ["any", "map", "list", "some", "either"],
        },
        dialect,
    )
    value = {
        "any": "123",
        "map": {"größe": 1, "x": 2},
        "list": [1, "a", {"b": None}],
        "some": {"k": [1]},
        "either": "{}",
    }
    wire = compiled.adapt(value)
    assert wire == {
        "any": '"123"',
        "map": '{"größe": 1, "x": 2}',
        "list": ["1", '"a"', '{"b": null}'],
        "some": '{"k": [1]}',
        "either": '"{}"',
    }
    assert compiled.restore(wire) == value
    assert compiled.restore({"any": "no JSON", "some": 3}) == {"any": "no JSON", "some": 3}
    assert any("written as JSON text" in loss for loss in compiled.losses)
    kinds = {name: found.get("type") for name, found in compiled.schema["properties"].items()}
    assert kinds == {
        "any": "string",
        "map": "string",
        "list": "array",
        "some": None,
        "either": "string",
    }


@strict_dialects
@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array"}, "no object"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "any keys"),
        ({"patternProperties": {"^x": {}}}, "any keys"),
        ({"not": {}}, "no object"),
        ({"properties": {f"k{i}": {"enum": ["x" * 300]} for i in range(1000)}}, "more than"),
    ],
)
def test_a_strict_dialect_says_why_a_tool_cannot_be_expressed(
    dialect: Dialect, schema: Any, why: str
) -> None:
    with pytest.raises(InexpressibleError, match=why) as caught:
        compile_schema(schema, dialect)
    assert "\n" not in str(caught.value)


def test_anthropic_strict_takes_24_optional_keys() -> None:
    properties = {f"k{i}": {"type": "string"} for i in range(25)}
    legal({"properties": {k: properties[k] for k in list(properties)[:24]}}, "anthropic-strict")
    with pytest.raises(InexpressibleError, match="24 optional"):
        compile_schema({"properties": properties}, "anthropic-strict")
    legal({"properties": properties, "required": ["k0"]}, "anthropic-strict")


def test_openai_strict_takes_ten_levels_and_the_rest_as_text() -> None:
    schema: Any = {"type": "integer"}
    value: Any = 5
    for _ in range(14):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
        value = {"a": value}
    compiled = legal(schema, "openai-strict")
    assert compiled.restore(compiled.adapt(value)) == value
    assert any("JSON text" in loss for loss in compiled.losses)


def test_a_long_enumeration_is_told_where_a_strict_dialect_counts() -> None:
    values = [f"v{i}" for i in range(300)]
    found = field({"enum": values}, "openai-strict")
    assert found["type"] == "string"
    assert "and 292 more" in found["description"]
    assert field({"enum": values}, "plain")["enum"] == values
