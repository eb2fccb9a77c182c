"""The judge of schemas refuses what providers refuse: it stands for them in all other tests."""

from typing import Any

import pytest

from tests.fakes.schema_rules import illegal
from tests.fakes.schema_samples import DIALECTS

STRICT = ("openai-strict", "anthropic-strict")
NARROW = (*STRICT, "gemini", "plain")
ALL = DIALECTS


def tool(schema: Any, dialect: str, **root: Any) -> dict[str, Any]:
    """An otherwise legal schema with `schema` as its only property."""
    closed = {"additionalProperties": False, "required": ["a"]} if dialect in STRICT else {}
    return {"type": "object", "properties": {"a": schema}, **closed, **root}


@pytest.mark.parametrize("dialect", ALL)
def test_a_plain_schema_is_taken(dialect: str) -> None:
    assert illegal(tool({"type": "string", "description": "x"}, dialect), dialect) is None
    array = {"type": "array", "items": {"type": "integer"}}
    assert illegal(tool(array, dialect), dialect) is None


@pytest.mark.parametrize(
    ("schema", "dialects"),
    [
        ({"anyOf": [{"type": "string"}]}, ALL),
        ({"type": "string"}, ALL),
        ({"type": "object"}, ALL),
        ({"type": "object", "properties": []}, ALL),
        ([], ALL),
        (None, ALL),
        *(
            ({"type": "object", "properties": {}, key: value}, ALL)
            for key, value in {
                "anyOf": [{}],
                "oneOf": [{}],
                "allOf": [{}],
                "not": {},
                "if": {},
                "enum": [{}],
                "const": {},
                "$ref": "#/$defs/x",
            }.items()
        ),
    ],
)
def test_the_root_is_a_plain_object(schema: Any, dialects: tuple[str, ...]) -> None:
    for dialect in dialects:
        assert illegal(schema, dialect)


@pytest.mark.parametrize(
    ("schema", "dialects"),
    [
        ({"type": "string", "description": float("nan")}, ALL),
        ({"type": "string", "description": "\ud800"}, ALL),
        ({"type": "array"}, ALL),
        ({"type": "object"}, ALL),
        ({"type": "string", "minLength": "3"}, ALL),
        ({"type": ["string", "null"]}, NARROW),
        ({}, NARROW),
        ({"description": "any"}, NARROW),
        ({"const": "x"}, NARROW),
        ({"oneOf": [{"type": "string"}]}, NARROW),
        ({"type": "string", "minLength": 3}, NARROW),
        ({"type": "string", "default": "x"}, NARROW),
        ({"type": "integer", "exclusiveMinimum": 3}, ("anthropic-strict", "gemini", "plain")),
        ({"type": "integer", "minimum": 3}, ("anthropic-strict", "plain")),
        ({"type": "string", "pattern": "a"}, ("anthropic-strict", "gemini", "plain")),
        ({"type": "string", "pattern": "(?=a)"}, ("openai-strict",)),
        ({"type": "string", "format": "uri"}, ("openai-strict", "gemini", "plain")),
        ({"type": "string", "format": "x-own"}, NARROW),
        ({"type": "object", "properties": {}}, STRICT),
        ({"type": "object", "properties": {}, "additionalProperties": True}, STRICT),
        ({"type": "object", "properties": {}, "additionalProperties": {}}, NARROW),
        ({"type": "string", "properties": {}}, NARROW),
        ({"type": "string", "items": {"type": "string"}}, NARROW),
        ({"anyOf": [{"type": "string"}], "type": "string"}, NARROW),
        ({"anyOf": [{"type": "string"}], "description": "x"}, ("gemini",)),
        ({"anyOf": []}, ALL),
        ({"type": "integer", "enum": [1]}, ("gemini",)),
        ({"type": "string", "enum": [""]}, ("gemini",)),
        ({"type": "string", "enum": [1]}, NARROW),
        ({"type": "string", "enum": []}, NARROW),
        ({"enum": [{}]}, NARROW),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, ("anthropic-strict",)),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 1}, ("plain",)),
        ({"$ref": "https://x.example/"}, ALL),
        ({"$ref": "#/properties/a"}, ALL),
        ({"$ref": "#/$defs/none"}, ALL),
        ({"type": "array", "items": [{}]}, ALL),
        ({"type": "number", "exclusiveMinimum": True}, ALL),
        ({"x-own": 1, "type": "string"}, NARROW),
    ],
)
def test_what_a_provider_refuses_is_refused(schema: Any, dialects: tuple[str, ...]) -> None:
    assert {d for d in ALL if illegal(tool(schema, d), d)} >= {*dialects}
    for dialect in ("openai", "anthropic"):
        if dialect not in dialects:
            assert illegal(tool(schema, dialect), dialect) is None, "nothing else is wrong"


def test_references_in_strict_dialects_stand_alone_and_anthropics_do_not_recur() -> None:
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}},
        "required": ["next"],
        "additionalProperties": False,
    }
    for dialect, recursive in (("openai-strict", None), ("anthropic-strict", "recursive")):
        leaf = tool({"$ref": "#/$defs/N"}, dialect, **{"$defs": {"N": {"type": "string"}}})
        assert illegal(leaf, dialect) is None
        leaf["properties"]["a"]["description"] = "x"
        assert "beside it" in str(illegal(leaf, dialect))
        tree = tool({"$ref": "#/$defs/N"}, dialect, **{"$defs": {"N": node}})
        assert (recursive or "None") in str(illegal(tree, dialect))


def test_keys_are_checked_where_a_provider_checks_them() -> None:
    def refused(key: str) -> set[str]:
        found = set()
        for dialect in ALL:
            schema = tool({"type": "string"}, dialect)
            schema["properties"] = {key: {"type": "string"}}
            if "required" in schema:
                schema["required"] = [key]
            if illegal(schema, dialect):
                found.add(dialect)
        return found

    assert refused("a.b-c_1") == set()
    for key in ("größe", "", "a b", "x" * 65):
        assert refused(key) == {*NARROW, "anthropic"}


def test_openai_strict_wants_every_key_and_few_levels() -> None:
    missing = tool({"type": "string"}, "openai-strict", required=[])
    assert "every key" in str(illegal(missing, "openai-strict"))
    assert illegal(missing, "anthropic-strict") is None
    assert "not defined" in str(illegal(tool({"type": "null"}, "gemini", required=["b"]), "gemini"))
    schema: Any = {"type": "string"}
    for level in range(11):
        if level == 9:
            assert illegal(schema, "openai-strict") is None
        schema = tool(schema, "openai-strict")
    assert "10 levels" in str(illegal(schema, "openai-strict"))


def test_strict_dialects_count() -> None:
    null = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    many = {
        "type": "object",
        "properties": {f"k{i}": null for i in range(17)},
        "required": [f"k{i}" for i in range(17)],
        "additionalProperties": False,
    }
    assert "union" in str(illegal(many, "anthropic-strict"))
    assert illegal(many, "openai-strict") is None
    many["properties"] = {f"k{i}": {"type": "null"} for i in range(25)}
    assert "optional" in str(illegal({**many, "required": []}, "anthropic-strict"))
    values = {"type": "string", "enum": [f"v{i}" for i in range(1001)]}
    assert "1000 enum values" in str(illegal(tool(values, "openai-strict"), "openai-strict"))
    values["enum"] = ["x" * 60 + str(i) for i in range(251)]
    assert "15000" in str(illegal(tool(values, "openai-strict"), "openai-strict"))
