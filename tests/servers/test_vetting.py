"""Schemas are measured before they are compiled, and checked in bounded time."""

import json
import time

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.types import Tool
from agent_host.servers.tools.validation import Checker, Validation
from agent_host.servers.tools.vetting import SchemaError, vet
from tests.fakes.hostile_server import SCHEMAS, doubling

BUDGET = 1.0  # seconds of CPU


def timed(work):
    began = time.process_time()
    result = work()
    assert time.process_time() - began < BUDGET
    return result


@pytest.mark.parametrize("name", ["selfref", "doubling", "network", "file", "missing", "badtype"])
def test_hostile_schemas_are_refused_in_time(name):
    with pytest.raises(SchemaError):
        timed(lambda: Checker(SCHEMAS[name]))


def tree(branches):
    same = {"anyOf": [{"$ref": "#"} for _ in range(branches)]}
    return {"type": "object", "properties": {"next": same}}


def chain(depth):
    value = {}
    for _ in range(depth):
        value = {"next": value}
    return value


FILTER = {
    "anyOf": [
        {"type": "object", "properties": {"and": {"type": "array", "items": {"$ref": "#"}}}},
        {"type": "object", "properties": {"or": {"type": "array", "items": {"$ref": "#"}}}},
        {"type": "object", "properties": {"field": {"type": "string"}}, "required": ["field"]},
    ]
}
VARIANTS = {
    "anyOf": [
        {"type": "object", "properties": {"type": {"const": n}, "a": {"type": "object"}}}
        for n in range(12)
    ]
}


@pytest.mark.parametrize("schema", [tree(1), FILTER, VARIANTS, doubling(5)])
def test_usual_schemas_also_recursive_ones_are_accepted(schema):
    Checker(schema)


def test_deep_values_of_a_plain_recursive_schema_are_checked():
    checker = Checker(tree(1))
    assert timed(lambda: checker.problems(chain(50))) == ()
    value = {"and": [{"or": [{"field": "x"}] * 5}] * 5}
    assert timed(lambda: Checker(FILTER).problems(value)) == ()


def test_a_recursion_that_doubles_with_each_level_is_bounded():
    checker = Checker(tree(2))
    assert timed(lambda: checker.problems(chain(8))) == ()
    (problem,) = timed(lambda: checker.problems(chain(60)))
    assert "nested too deeply" in problem


def test_a_pattern_that_backtracks_for_ever_elsewhere_is_linear_here():
    checker = Checker({"type": "string", "pattern": "^(a+)+$"})
    assert timed(lambda: checker.problems("a" * 50_000 + "!"))


def test_a_pattern_the_engine_cannot_express_is_left_out_and_the_rest_is_checked():
    checker = Checker(
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}
    )
    assert checker.problems({"a": "y"}) == ()
    assert checker.problems({"a": 1})


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"$ref": "#/allOf/0"}]},
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}},
        {"$anchor": "x", "anyOf": [{"$ref": "#x"}]},
        {"properties": {"a": {"$ref": "other.json"}}},
        {"items": {"$dynamicRef": "https://example.com/x"}},
    ],
)
def test_references_that_never_end_or_lead_outside_are_refused(schema):
    with pytest.raises(SchemaError):
        vet(schema)


def test_what_looks_like_a_reference_in_data_is_data():
    schema = {"properties": {"a": {"enum": [{"$ref": "x"}], "default": {"$ref": "y"}}}}
    assert vet(schema)[1] == 1
    assert vet({"properties": {"$ref": {"type": "string"}, "enum": {"type": "string"}}})


def test_references_by_own_id_anchor_and_pointer_work():
    schema = {
        "$id": "https://example.com/s",
        "$defs": {"a/b": {"type": "integer"}, "c": {"$anchor": "c", "type": "string"}},
        "properties": {
            "x": {"$ref": "#/$defs/a~1b"},
            "y": {"$ref": "#c"},
            "z": {"$ref": "https://example.com/s#/$defs/c"},
        },
    }
    checker = Checker(schema)
    assert checker.problems({"x": 1, "y": "s", "z": "s"}) == ()
    assert len(checker.problems({"x": "1", "y": 1, "z": 1})) == 3


def test_schemas_that_are_too_large_or_deep_are_refused_in_time():
    deep = {}
    for _ in range(150):
        deep = {"properties": {"a": deep}}
    wide = {"properties": {f"p{i}": {"type": "string"} for i in range(30_000)}}
    for schema in (deep, wide):
        with pytest.raises(SchemaError):
            timed(lambda schema=schema: vet(schema))


def test_large_arguments_are_not_checked_for_ever():
    (problem,) = timed(lambda: Checker({"type": "object"}).problems({"a": list(range(200_000))}))
    assert "too large" in problem


ITEMS = [{"a": 4999}] * 40_000
SLOW = [
    ({"items": {"enum": [{"a": n} for n in range(5000)]}}, ITEMS),
    ({"items": {"multipleOf": 1e-300}}, [1e300] * 90_000),
    ({"items": {"anyOf": [{"minLength": n} for n in range(300)]}}, [1] * 30_000),
    ({"propertyNames": {"pattern": "^a+$"}}, {f"a{n}": 1 for n in range(40_000)}),
    ({"items": {"required": [f"r{n}" for n in range(5000)]}}, [{}] * 40_000),
    ({"uniqueItems": True}, ITEMS),
]


@pytest.mark.parametrize(("schema", "value"), SLOW)
def test_values_that_make_a_check_slow_are_bounded(schema, value):
    checker = timed(lambda: Checker(schema))
    assert len(timed(lambda: checker.problems(value))) == 1


def test_patterns_that_are_slow_to_compile_are_bounded_in_number():
    schema = {
        "properties": {f"p{n}": {"pattern": f"((a{{20}}){{20}}){{20}}{n}"} for n in range(1000)}
    }
    timed(lambda: Checker(schema))


def test_a_result_too_large_to_be_checked_is_passed_on_without_a_note():
    tool = Tool(
        name="x", server="s", tool="x", description="", input_schema={}, fingerprint="f",
        output_schema={"items": {"type": "string"}},
    )  # fmt: skip
    assert Validation().result(tool, list(range(200_000))) is None
    assert "does not match" in (Validation().result(tool, [1]) or "")


SCHEMA_KEYS = st.sampled_from(
    ["properties", "anyOf", "allOf", "items", "not", "$ref", "$defs", "additionalProperties",
     "type", "enum", "if", "then", "unevaluatedProperties", "prefixItems", "$anchor"]
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers(-3, 3)
    | st.sampled_from(["#", "#/$defs/a", "#/properties/a", "#x", "string", "object", "http://x"])
)  # fmt: skip
SCHEMA = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(SCHEMA_KEYS | st.sampled_from("abx"), inner, max_size=4)
    ),
    max_leaves=25,
)


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(SCHEMA_KEYS, SCHEMA, max_size=5),
    LEAVES | st.dictionaries(st.sampled_from("ab"), LEAVES),
)
def test_any_schema_is_refused_or_checks_in_time(schema, value):
    try:
        checker = timed(lambda: Checker(schema))
    except SchemaError:
        return
    problems = timed(lambda: checker.problems(value))
    json.dumps(problems)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from("ab"), st.integers() | st.text(max_size=3)))
def test_the_answer_is_the_validators_own(value):
    schema = {"properties": {"a": {"type": "integer"}}, "required": ["b"]}
    assert (Checker(schema).problems(value) == ()) == jsonschema_rs.is_valid(schema, value)


def test_problems_are_few_short_and_clean():
    schema = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(50)}}
    problems = Checker(schema).problems({f"p{i}": ["\x1b" * 5000] for i in range(50)})
    assert len(problems) == 9
    assert all(len(problem) < 500 and "\x1b" not in problem for problem in problems)


def test_checkers_are_kept_by_fingerprint_and_forgotten_in_turn():
    validation = Validation()
    for number in range(600):
        tool = Tool(
            name="x", server="s", tool="x", description="", input_schema={"type": "object"},
            fingerprint=str(number),
        )  # fmt: skip
        assert validation.arguments(tool, {}) is None
    assert len(validation._cache) == 512


def test_a_schema_that_cannot_be_used_says_so_instead_of_passing_anything():
    tool = Tool(name="x", server="s", tool="x", description="", input_schema={"$ref": "#"})
    assert "cannot be used" in (Validation().arguments(tool, {}) or "")
