"""Each row of what providers reject, for each dialect."""

import json
from typing import Any

import pytest

from agent_host.models import schemas
from agent_host.models.schemas import (
    Compiled,
    Dialect,
    InexpressibleError,
    compile_schema,
)
from tests.fakes.schema_rules import illegal
from tests.fakes.schema_samples import DIALECTS

NARROW: tuple[Dialect, ...] = ("openai-strict", "anthropic-strict", "gemini", "plain")
OPEN = {"type": "object", "properties": {}}
all_dialects = pytest.mark.parametrize("dialect", DIALECTS)


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


# -- each row of the table ----------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_schema_that_is_fine_stays_as_it_is(dialect: Dialect) -> None:
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "minLength": 1, "pattern": "\\d", "description": "x"},
            "tags": {"type": "array", "items": {"enum": ["a", None, 7]}, "default": []},
            "map": {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
            "tree": {"$ref": "#/$defs/Node", "description": "siblings are fine"},
            "any": {"oneOf": [{"type": "null"}, {"const": None}], "title": "T"},
            "n": {"type": ["number", "null"], "exclusiveMinimum": 0, "multipleOf": 0.5},
            "t": {"type": "array", "prefixItems": [{}], "items": {"not": {"type": "null"}}},
        },
        "required": ["id"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"if": {"type": "null"}, "then": {"enum": [None]}}},
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"next": {"$ref": "#/$defs/Node"}},
                "dependentRequired": {"next": ["id"]},
            }
        },
    }
    compiled = legal(schema, dialect)
    assert compiled.schema == schema
    assert compiled.losses == ()


@all_dialects
@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_alternatives_at_the_root_are_offered_side_by_side(dialect: Dialect, keyword: str) -> None:
    compiled = legal(
        {
            "type": "object",
            "properties": {"c": {"type": "string"}},
            "required": ["c"],
            keyword: [
                {
                    "properties": {"a": {"type": "string"}, "k": {"const": 1}},
                    "required": ["a", "k"],
                },
                {
                    "properties": {"b": {"type": "number"}, "k": {"const": 2}},
                    "required": ["b", "k"],
                },
                {"type": "string"},
            ],
        },
        dialect,
    )
    assert list(compiled.schema["properties"]) == ["c", "a", "k", "b"]
    if dialect != "openai-strict":
        assert compiled.schema["required"] == ["c", "k"], "what every alternative requires"
    assert "one of these: a, k | b, k" in compiled.schema["description"]
    assert "alternatives are offered side by side: the root" in compiled.losses
    k = compiled.schema["properties"]["k"]
    assert "1" in json.dumps(k)
    assert "2" in json.dumps(k)


@all_dialects
def test_what_must_all_hold_at_the_root_is_merged_with_what_it_requires(dialect: Dialect) -> None:
    part = {"properties": {"a": {"type": "string"}}, "required": ["a"]}
    more = {"properties": {"b": {"type": "integer"}}}
    schema = legal({"allOf": [part, {"$ref": "#/$defs/M"}], "$defs": {"M": more}}, dialect).schema
    assert list(schema["properties"]) == ["a", "b"]
    assert "a" in schema["required"]
    assert "$defs" not in schema


@all_dialects
@pytest.mark.parametrize(
    ("root", "words", "keys"),
    [
        ({"if": {"required": ["a"]}, "then": {"properties": {"b": {}}}}, "if like", ["a", "b"]),
        ({"not": {"required": ["a", "z"]}}, "must not match", ["a"]),
        ({"dependentSchemas": {"a": {"properties": {"c": {}}}}}, 'with "a"', ["a", "c"]),
        ({"enum": [{"a": "x"}]}, 'one of: {"a":"x"}', ["a"]),
        ({"const": {"a": "x"}}, 'one of: {"a":"x"}', ["a"]),
    ],
)
def test_a_condition_at_the_root_is_said_in_words(
    dialect: Dialect, root: Any, words: str, keys: list[str]
) -> None:
    compiled = legal({"type": "object", "properties": {"a": {"type": "string"}}, **root}, dialect)
    assert words in compiled.schema["description"]
    assert list(compiled.schema["properties"]) == keys
    assert any("said in words only: the root" in loss for loss in compiled.losses)


@all_dialects
def test_a_reference_at_the_root_is_put_in_its_place(dialect: Dialect) -> None:
    node = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    schema = legal({"$ref": "#/$defs/N", "$defs": {"N": node}}, dialect).schema
    assert schema["properties"] == {"a": {"type": "string"}}
    assert schema["required"] == ["a"]


@all_dialects
@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"type": "array"}, None, True, 7, []])
def test_every_tool_has_properties_and_every_array_items(dialect: Dialect, schema: Any) -> None:
    if schema != {"type": "array"} or not dialect.endswith("-strict"):
        assert legal(schema, dialect).schema["properties"] == {}
    assert "items" in json.dumps(field({"type": "array"}, dialect))


@all_dialects
def test_keys_that_a_provider_refuses_have_other_names_at_any_depth(dialect: Dialect) -> None:
    inner = {"type": "object", "properties": {"größe": {"type": "integer"}}, "required": ["größe"]}
    compiled = legal(
        {
            "type": "object",
            "properties": {
                "user name": {"$ref": "#/$defs/Üser"},
                "list": {"type": "array", "items": {"anyOf": [inner, {"type": "string"}]}},
                "x" * 65: {"type": "boolean"},
                "constructor": {"type": "string"},
                "__proto__": {"type": "string"},
            },
            "required": ["user name"],
            "$defs": {"Üser": inner},
        },
        dialect,
    )
    value = {
        "user name": {"größe": 1},
        "list": [{"größe": 2}, "größe"],
        "x" * 65: True,
        "constructor": "a",
        "__proto__": "b",
    }
    wire = compiled.adapt(value)
    assert compiled.restore(wire) == value
    if dialect != "openai":
        assert next(iter(wire)).startswith("user_name_")
        assert wire["list"][1] == "größe", "only keys are renamed"
        assert wire["constructor"] == "a"
        said = compiled.schema["properties"][next(iter(wire))]
        assert 'stands for the key \\"user name\\"' in json.dumps(said)


def test_two_keys_that_would_have_the_same_name_have_two() -> None:
    properties = {key: {"type": "string"} for key in ("a b", "a+b", "a_b", "a/b")}
    compiled = legal({"type": "object", "properties": properties}, "anthropic")
    assert len(compiled.schema["properties"]) == 4
    value = {key: key for key in properties}
    assert compiled.restore(compiled.adapt(value)) == value
    again = legal({"type": "object", "properties": properties}, "gemini")
    assert again.adapt(value).keys() == compiled.adapt(value).keys(), "names are stable"


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_reference_is_kept_in_definitions_with_legal_names(dialect: Dialect) -> None:
    schema = legal(
        {
            "type": "object",
            "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "string"}}},
                "c": {"$ref": "#/properties/a/properties/b"},
                "d": {"$ref": "#/definitions/x~1y%20z"},
                "e": {"$ref": "#"},
            },
            "definitions": {"x/y z": {"type": "integer"}},
        },
        dialect,
    ).schema
    assert schema["properties"]["c"] == {"$ref": "#/$defs/b"}
    assert schema["properties"]["d"] == {"$ref": "#/$defs/x_1y_z"}
    assert schema["$defs"]["b"] == {"type": "string"}
    assert schema["$defs"]["root"]["properties"]["e"] == {"$ref": "#/$defs/root"}


@pytest.mark.parametrize("dialect", NARROW)
def test_a_narrow_dialect_has_a_reference_in_its_place_with_what_stands_beside_it(
    dialect: Dialect,
) -> None:
    found = field(
        {"$ref": "#/$defs/N", "description": "mine", "minimum": 2},
        dialect,
        **{"$defs": {"N": {"type": "integer", "description": "theirs", "maximum": 9}}},
    )
    assert found["type"] == "integer"
    assert found["description"].startswith("mine")
    if "minimum" in found:
        assert (found["minimum"], found["maximum"]) == (2, 9)
    else:
        assert "at least 2" in found["description"]
        assert "at most 9" in found["description"]


@pytest.mark.parametrize("dialect", NARROW)
def test_recursion_is_cut_and_reported(dialect: Dialect) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}, "required": ["next"]}
    document = {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "required": ["n"]}
    compiled = legal({**document, "$defs": {"N": node}}, dialect)
    assert any("recursion" in loss for loss in compiled.losses)
    value = {"n": {"next": {"next": {"next": {"next": 5}}}}}
    assert compiled.restore(compiled.adapt(value)) == value


@all_dialects
@pytest.mark.parametrize(
    "ref", ["#/$defs/None", "#/a/b/c", "https://x.example/", "a.json", 7, "#x"]
)
def test_a_reference_that_leads_nowhere_is_left_open_and_reported(
    dialect: Dialect, ref: Any
) -> None:
    compiled = legal({"type": "object", "properties": {"a": {"$ref": ref}}}, dialect)
    assert any("leads nowhere" in loss and "/properties/a" in loss for loss in compiled.losses)
    if dialect in ("openai", "anthropic"):
        assert compiled.schema["properties"]["a"] == {}


@all_dialects
@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "minLength": 3}, "minLength 3"),
        ({"type": "string", "format": "email-or-so"}, "format: email-or-so"),
        ({"type": "string", "pattern": "^(?=a)"}, "must match ^(?=a)"),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "all items different",
        ),
        ({"type": "object", "minProperties": 1, "properties": {"x": {}}}, "minProperties 1"),
        (
            {"type": "object", "propertyNames": {"maxLength": 3}, "properties": {"x": {}}},
            "each key",
        ),
        ({"type": "array", "items": {}, "contains": {"const": 1}}, "at least one item like"),
        ({"type": "number", "multipleOf": 5}, "a multiple of 5"),
        ({"type": "number", "exclusiveMinimum": 5}, "more than 5"),
        ({"type": "string", "default": "x"}, 'default: "x"'),
        ({"type": "string", "not": {"const": "x"}}, "must not match"),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, "items in this order"),
    ],
)
def test_what_a_dialect_does_not_have_is_said_in_words_and_reported(
    dialect: Dialect, schema: Any, words: str
) -> None:
    compiled = legal({"type": "object", "properties": {"a": schema}, "required": ["a"]}, dialect)
    keyword = [key for key in schema if key not in ("type", "items", "properties")][-1]
    found = compiled.schema["properties"]["a"]
    if keyword in found:
        assert found[keyword] == schema[keyword]
        assert compiled.losses == ()
    else:
        assert words in json.dumps(found).replace('\\"', '"')
        assert any(keyword in loss and "/properties/a" in loss for loss in compiled.losses)


def test_which_dialect_keeps_which_keyword() -> None:
    sample: dict[str, Any] = {
        "minLength": {"type": "string", "minLength": 3},
        "uniqueItems": {"type": "array", "items": {"type": "null"}, "uniqueItems": True},
        "minProperties": {"type": "object", "properties": {"x": {}}, "minProperties": 1},
        "patternProperties": {"type": "object", "properties": {"x": {}}, "patternProperties": {}},
        "exclusiveMinimum": {"type": "number", "exclusiveMinimum": 0},
        "minimum": {"type": "number", "minimum": 0},
        "multipleOf": {"type": "number", "multipleOf": 2},
        "const": {"const": "x"},
        "default": {"type": "string", "default": "x"},
        "pattern": {"type": "string", "pattern": "^a+$"},
        "oneOf": {"oneOf": [{"type": "string"}, {"type": "number"}]},
        "minItems": {"type": "array", "items": {"type": "null"}, "minItems": 1},
        "maxItems": {"type": "array", "items": {"type": "null"}, "maxItems": 4},
    }
    everything = {*sample}
    kept = {
        dialect: {key for key, schema in sample.items() if key in field(schema, dialect)}
        for dialect in DIALECTS
    }
    assert kept == {
        "openai": everything,
        "anthropic": everything,
        "openai-strict": {
            *("exclusiveMinimum", "minimum", "multipleOf", "pattern", "minItems", "maxItems")
        },
        "anthropic-strict": {"minItems"},
        "gemini": {"minimum", "minItems", "maxItems"},
        "plain": set(),
    }


def test_formats_that_a_dialect_knows_are_kept() -> None:
    kept = {
        dialect: [
            name
            for name in ("date-time", "uuid", "uri", "x-own")
            if "format" in field({"type": "string", "format": name}, dialect)
        ]
        for dialect in DIALECTS
    }
    assert kept == {
        "openai": ["date-time", "uuid", "uri", "x-own"],
        "anthropic": ["date-time", "uuid", "uri", "x-own"],
        "openai-strict": ["date-time", "uuid"],
        "anthropic-strict": ["date-time", "uuid", "uri"],
        "gemini": ["date-time"],
        "plain": [],
    }


def test_gemini_enumerates_nothing_but_strings() -> None:
    assert field({"const": "x"}, "gemini") == {"type": "string", "enum": ["x"]}
    assert field({"enum": ["a", "b", None]}, "gemini") == {
        "type": "string",
        "enum": ["a", "b"],
        "nullable": True,
    }
    for values in ([1, 2], ["a", ""], [True]):
        found = field({"enum": values}, "gemini")
        assert "enum" not in found
        assert found["description"].startswith("one of: ")


def test_gemini_says_a_nullable_type_by_nullable_and_a_union_by_nothing_but_any_of() -> None:
    assert field({"type": ["string", "null"], "description": "d"}, "gemini") == {
        "type": "string",
        "nullable": True,
        "description": "d",
    }
    union = field(
        {"description": "d", "oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
        "gemini",
    )
    assert union == {
        "anyOf": [{"type": "string", "description": "d"}, {"type": "integer"}, {"type": "null"}]
    }


@pytest.mark.parametrize("dialect", NARROW)
def test_a_union_of_constants_is_one_enumeration(dialect: Dialect) -> None:
    values = [f"v{i}" for i in range(60)]
    found = field({"anyOf": [{"const": value} for value in values]}, dialect)
    assert found == {"type": "string", "enum": values}


@pytest.mark.parametrize("dialect", NARROW)
def test_what_stands_beside_a_union_holds_for_each_of_its_alternatives(dialect: Dialect) -> None:
    found = field(
        {
            "type": "object",
            "properties": {"k": {"type": "string"}},
            "required": ["k"],
            "anyOf": [{"required": ["a"]}, {"properties": {"b": {"type": "integer"}}}],
        },
        dialect,
    )
    first, second = found["anyOf"]
    assert list(first["properties"]) == ["k", "a"]
    assert list(second["properties"]) == ["k", "b"]
    if dialect != "openai-strict":
        assert (first["required"], second["required"]) == (["k", "a"], ["k"])


@pytest.mark.parametrize("dialect", NARROW)
def test_an_enumeration_that_its_type_excludes_is_told_and_the_type_kept(dialect: Dialect) -> None:
    found = field({"type": "integer", "enum": ["1", "2"]}, dialect)
    assert found == {"type": "integer", "description": 'one of: "1", "2"'}


def test_an_optional_argument_as_pydantic_writes_it_becomes_short() -> None:
    schema = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "Note"}
    assert field(schema, "gemini") == {"type": "string", "nullable": True, "title": "Note"}
    assert field(schema, "plain") == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_patterns_that_a_decoder_refuses_are_told_in_strict_mode() -> None:
    for pattern in ("^[A-Z]{3}-\\d+$", "^(?:a|b)?\\.c$", ""):
        assert field({"type": "string", "pattern": pattern}, "openai-strict")["pattern"] == pattern
    for pattern in ("(?=a)", "\\bx", "(a)\\1", "(", ")(", "[", "a{5000}", "ä", "a**", "x" * 400):
        assert "pattern" not in field({"type": "string", "pattern": pattern}, "openai-strict")


@pytest.mark.parametrize("dialect", NARROW)
@pytest.mark.parametrize("kind", ["array", "object"])
def test_levels_beyond_those_of_the_dialect_are_left_open(dialect: Dialect, kind: str) -> None:
    schema: Any = {"type": "integer"}
    value: Any = 1
    for _ in range(20):
        part = {"items": schema} if kind == "array" else {"properties": {"a": schema}}
        schema = {"type": kind, **part}
        value = [value] if kind == "array" else {"a": value}
    compiled = legal({"type": "object", "properties": {"a": schema}, "required": ["a"]}, dialect)
    assert compiled.losses
    assert compiled.restore(compiled.adapt({"a": value})) == {"a": value}


@pytest.mark.parametrize("dialect", NARROW)
def test_unions_inside_unions_are_followed_only_so_far(dialect: Dialect) -> None:
    schema: Any = {"type": "integer"}
    for level in range(20):
        schema = {"anyOf": [schema, {"const": f"v{level}"}]}
    compiled = legal({"type": "object", "properties": {"a": schema}, "required": ["a"]}, dialect)
    assert any("left open" in loss for loss in compiled.losses)


# -- open dialects: what could turn a looser schema into a stricter one --------------------------


def test_keywords_that_would_refuse_more_are_told_once_the_document_was_loosened() -> None:
    broken = {"a": {"minLength": "x"}}
    schema = {
        "type": "object",
        "properties": {
            **broken,
            "n": {"not": {"type": "string"}},
            "one": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            "c": {"type": "array", "items": {}, "contains": {"const": 1}, "maxContains": 2},
        },
    }
    found = legal(schema, "openai").schema["properties"]
    assert found["n"] == {"description": 'must not match {"type":"string"}'}
    assert found["one"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert "maxContains" not in found["c"]
    assert found["c"]["contains"] == {"const": 1}


def test_keywords_about_the_text_of_keys_are_told_where_keys_are_renamed() -> None:
    schema = {
        "type": "object",
        "properties": {"größe": {}},
        "patternProperties": {"^g": {"type": "integer"}},
        "additionalProperties": False,
        "propertyNames": {"maxLength": 5},
    }
    compiled = legal(schema, "anthropic")
    assert compiled.schema.keys() == {"type", "properties", "description"}
    assert len(compiled.losses) == 3


# -- too much -----------------------------------------------------------------------------------


@all_dialects
def test_a_document_that_doubles_with_every_reference_stays_bounded(dialect: Dialect) -> None:
    definitions: Any = {
        f"d{i}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/d{i + 1}"} for k in "ab"}}
        for i in range(40)
    }
    definitions["d40"] = {"type": "string"}
    root = {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}, "y": {"type": "string"}}}
    compiled = legal({**root, "$defs": definitions}, dialect)
    assert compiled.schema["properties"].keys() == {"x", "y"}
    assert len(json.dumps(compiled.schema)) <= 32 * 1024
    if dialect not in ("openai", "anthropic"):
        assert "levels of it are told" in compiled.losses[0]


@all_dialects
def test_a_schema_that_is_too_large_is_told_less(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = {"type": "object", "properties": {"b": {"description": "x" * 500, "type": "string"}}}
    schema = {"type": "object", "properties": {"a": deep}, "required": ["a"]}
    monkeypatch.setattr(schemas, "MAX_SIZE", 480)
    compiled = legal(schema, dialect)
    assert list(compiled.schema["properties"]) == ["a"]
    assert compiled.losses[0].startswith("only 1 levels of it are told")
    monkeypatch.setattr(schemas, "MAX_SIZE", 40)
    if dialect.endswith("-strict"):
        with pytest.raises(InexpressibleError, match="more than 40 characters"):
            compile_schema(schema, dialect)
    else:
        assert legal(schema, dialect).schema == OPEN


@all_dialects
def test_losses_are_few_and_short(dialect: Dialect) -> None:
    properties = {f"k\n{i}": {"$ref": i, "minLength": "x", f"x{i}": 1} for i in range(24)}
    types = {f"t{i}": {"type": f"Type{i}"} for i in range(30)}
    schema = {"properties": properties, "allOf": 7, "patternProperties": {"^t": {"allOf": []}}}
    more = {"type": "array", "items": {"anyOf": list(types.values())}}
    properties["k\n0"] = more
    losses = legal(schema, dialect).losses
    assert len(losses) == 20
    assert "more kinds of loss" in losses[-1]
    assert all(len(loss) <= 300 and "\n" not in loss for loss in losses)
