import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.models import schemas
from agent_host.models.schemas import parameters
from tests.fakes.chat_server import judge

OPEN = {"type": "object", "properties": {}}


def refused(schema: Any) -> str | None:
    """What a provider would say of a tool with this schema."""
    function = {"name": "f", "parameters": schema}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "tools": [{"type": "function", "function": function}],
    }
    return judge(json.loads(json.dumps(body, allow_nan=False)))


def test_a_schema_that_is_fine_stays_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "minLength": 1, "description": "x"},
            "tags": {"type": "array", "items": {"enum": ["a", None, 7]}, "default": []},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "tree": {"$ref": "#/$defs/Node"},
            "any": {"anyOf": [{"type": "null"}, {"const": None}]},
        },
        "required": ["id"],
        "additionalProperties": False,
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
    }
    assert parameters(schema) == schema


@pytest.mark.parametrize("schema", [None, True, 7, "x", [], {}, {"type": "string"}])
def test_what_is_no_object_becomes_an_open_one(schema: Any) -> None:
    assert parameters(schema) == OPEN


def test_alternatives_at_the_root_are_offered_together() -> None:
    a, b = {"type": "string"}, {"type": "number"}
    rewritten = parameters(
        {
            "properties": {"c": {}},
            "required": ["c"],
            "oneOf": [
                {"properties": {"a": a}, "required": ["a"]},
                {"properties": {"b": b}, "required": ["b"]},
            ],
            "if": {"properties": {"c": {"const": 1}}},
            "then": {"required": ["a"]},
        }
    )
    assert rewritten == {
        "type": "object",
        "properties": {"c": {}, "a": a, "b": b},
        "required": ["c"],
    }


def test_what_must_all_hold_at_the_root_is_merged_with_what_it_requires() -> None:
    part = {"properties": {"a": {}}, "required": ["a"]}
    assert parameters({"allOf": [part]}) == {"type": "object", **part}


def test_a_reference_at_the_root_is_put_in_its_place() -> None:
    node = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    rewritten = parameters({"$ref": "#/$defs/N", "$defs": {"N": node}})
    assert rewritten == {**node, "$defs": {"N": node}}


@pytest.mark.parametrize("ref", ["#/$defs/None", "#/a/b/c", "#", "https://x.example/", 7])
def test_a_reference_that_leads_nowhere_is_left_open(ref: Any) -> None:
    schema = {"$ref": ref, "properties": {"a": {"$ref": ref}}}
    inner = {"a": {"$ref": "#"}} if ref == "#" else {"a": {}}
    assert parameters(schema)["properties"] == inner


def test_a_schema_that_is_too_large_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"type": "object", "properties": {"a": {"description": "x" * 200}}}
    assert parameters(schema) == schema
    monkeypatch.setattr(schemas, "MAX_SIZE", 100)
    assert parameters(schema) == OPEN


def test_what_is_nested_too_deeply_is_left_open() -> None:
    schema: Any = {"default": {}}
    value: Any = 1
    for _ in range(1000):
        schema = {"properties": {"a": schema}}
        value = [value]
    rewritten = parameters({**schema, "default": value})
    assert len(json.dumps(rewritten)) < 5000


KEYWORDS = [
    *("type", "properties", "items", "required", "anyOf", "oneOf", "allOf", "not", "if", "enum"),
    *("$ref", "$defs", "definitions", "prefixItems", "additionalProperties", "default", "const"),
    *("description", "format", "patternProperties", "$schema", "maximum", "contains", "a"),
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["array", "object", "string", "#/$defs/a", "https://x.example/", "a", ""])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4)
    ),
    max_leaves=25,
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=5))
def test_whatever_a_server_sends_the_provider_takes_and_the_original_stays(schema: Any) -> None:
    before = copy.deepcopy(schema)
    rewritten = parameters(schema)
    assert refused(rewritten) is None
    assert repr(schema) == repr(before)
    assert parameters(rewritten) == rewritten
