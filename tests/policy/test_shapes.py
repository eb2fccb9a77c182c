import time

import pytest

from agent_host.policy.shapes import ANYTHING, NEVER, both, either, member, only, plain, shape_of


def kinds(schema):
    return shape_of(schema).kinds


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({}, ANYTHING.kinds),
        (True, ANYTHING.kinds),
        (False, set()),
        ({"type": "integer"}, {"number"}),
        ({"type": ["string", "null"]}, {"string", "null"}),
        ({"enum": ["a", 1, None]}, {"string", "number", "null"}),
        ({"const": True}, {"bool"}),
        ({"type": "string", "enum": ["a", 1]}, {"string"}),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, {"string", "list"}),
        ({"allOf": [{"type": ["string", "null"]}, {"type": ["string", "number"]}]}, {"string"}),
        ({"type": "string", "oneOf": [{"type": "number"}]}, set()),
        ({"$ref": "https://example.com/x"}, ANYTHING.kinds),
        ({"$ref": "#/nowhere"}, ANYTHING.kinds),
        ({"not": {"type": "string"}}, ANYTHING.kinds),
        ({"type": "no such type"}, ANYTHING.kinds),
        ({"type": 3}, ANYTHING.kinds),
        ("no schema", ANYTHING.kinds),
    ],
)
def test_kinds_are_at_least_those_that_the_schema_lets_through(schema, found):
    assert kinds(schema) == found


def test_bounds_and_enums_meet():
    shape = shape_of({"type": "integer", "minimum": 3, "exclusiveMaximum": 7, "enum": [1, 3, 6, 7]})
    assert shape.values == (3, 6)
    (old,) = shape_of({"type": "number", "minimum": 3, "exclusiveMinimum": True}).alternatives
    assert (old.low, old.low_open) == (3, True)
    assert both(only("a", "b"), only("b", "c")).values == ("b",)
    assert both(plain("string"), plain("number")) == NEVER
    assert either(only("a"), only(1)).kinds == {"string", "number"}


def test_members_are_declared_closed_or_open():
    closed = {"type": "object", "properties": {"a": {"type": "string"}}}
    shape = shape_of({**closed, "additionalProperties": False})
    assert member(shape, "a").shape.kinds == {"string"}
    assert (member(shape, "b").declared, member(shape, "b").shape) == (False, NEVER)
    assert member(shape_of(closed), "b").shape == ANYTHING
    assert not member(shape_of(closed), "b").declared
    for loose in (
        {"type": "object"},
        {**closed, "additionalProperties": {"type": "string"}},
        {**closed, "patternProperties": {"^b": {}}},
        {**closed, "if": {}, "then": {"properties": {"b": {}}}},
        {**closed, "allOf": [{"properties": {"b": {}}}]},
        {**closed, "anyOf": [{"properties": {"b": {}}}, {"properties": {"c": {}}}]},
        {**closed, "required": ["b"]},
        {"$ref": "#/$defs/x", "properties": {"b": {}}, "$defs": {"x": closed}},
    ):
        assert member(shape_of(loose), "b").declared, loose


def test_references_inside_the_document_are_followed_and_loops_end():
    schema = {
        "type": "object",
        "properties": {"to": {"$ref": "#/$defs/a~1b"}, "me": {"$ref": "#"}},
        "$defs": {"a/b": {"type": "object", "properties": {"n": {"type": "number"}}}},
    }
    to = member(shape_of(schema), "to").shape
    assert member(to, "n").shape.kinds == {"number"}
    me = member(member(shape_of(schema), "me").shape, "to").shape
    assert member(me, "n").shape.kinds == {"number"}
    assert kinds({"$ref": "#"}) == ANYTHING.kinds


def test_a_bomb_of_references_costs_nothing():  # threat 32
    chain = {"a0": {"type": "string"}}
    for n in range(1, 40):
        ref = {"$ref": f"#/$defs/a{n - 1}"}
        chain[f"a{n}"] = {"anyOf": [ref, ref, {"allOf": [ref, ref]}]}
    schema = {"$ref": "#/$defs/a39", "$defs": chain}
    begun = time.process_time()
    assert "string" in kinds(schema)
    assert time.process_time() - begun < 5
    deep = {"type": "string"}
    for _ in range(500):
        deep = {"anyOf": [deep]}
    assert "string" in kinds(deep)
