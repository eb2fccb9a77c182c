"""Keys and places: the way from the model's arguments to the server's, and back."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.models.schema_restoring import MAX_LEVELS, Keys, Place, Translation
from agent_host.models.schemas import compile_schema

SAFE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
KEYS = st.text(max_size=6) | st.sampled_from(["größe", "a b", "a_b", "a+b"])


@given(st.lists(KEYS, unique=True, max_size=12), st.dictionaries(KEYS, st.integers()), st.data())
def test_names_are_legal_distinct_and_lead_back(
    declared: list[str], value: dict[str, int], data: st.DataObject
) -> None:
    keys = Keys(declared, SAFE)
    names = [keys.adapt(key) for key in declared]
    assert len({*names}) == len(declared)
    assert all(SAFE.fullmatch(name) for name in names)
    assert [keys.restore(name) for name in names] == declared
    extra = data.draw(st.sampled_from(names)) if names else "x"
    translation = Translation(keys)
    for like in (value, {extra: 1, f"{extra}_": 2, f"{extra}__": 3, **value}):
        assert translation.restore(translation.adapt(like)) == like


def test_names_do_not_depend_on_the_order_of_the_keys() -> None:
    some = ["größe", "a b", "a+b"]
    forward, backward = Keys(some, SAFE), Keys(some[::-1], SAFE)
    assert [*map(forward.adapt, some)] == [*map(backward.adapt, some)]


def test_a_name_that_the_document_has_already_is_not_taken() -> None:
    first = Keys(["a b"], SAFE).adapt("a b")
    keys = Keys(["a b", first, f"{first}__"], SAFE)
    assert keys.adapt("a b") not in (first, f"{first}__")
    assert keys.adapt(first) == first


def test_a_key_of_the_data_that_the_model_writes_as_the_server_knows_it_stays() -> None:
    keys = Keys(["größe"], SAFE)
    assert Translation(keys).restore({"map": {"größe": 1}}) == {"map": {"größe": 1}}


def test_keys_in_lists_and_below_other_keys_are_translated() -> None:
    translation = Translation(Keys(["ä"], SAFE))
    value = {"x": [{"ä": [[{"ä": 1}]]}], "ä": "ä"}
    wire = translation.adapt(value)
    assert "ä" not in wire
    assert json.dumps(wire).count('\\u00e4"') == 1, "values stay"
    assert translation.restore(wire) == value


def test_nothing_to_translate_gives_the_same_object() -> None:
    translation = Translation(Keys(["a"], SAFE))
    value = {"a": [1]}
    assert not translation
    assert translation.adapt(value) is value
    assert translation.restore(value) is value


def test_a_value_that_is_nested_too_deeply_is_left_as_it_is() -> None:
    value: Any = {"ä": 1}
    for _ in range(3000):
        value = {"a": [value]}
    for place in (None, Place(text=frozenset({"null"}))):
        translation = Translation(Keys(["ä"], SAFE), place)
        wire = translation.adapt(value)
        inner = wire
        for _ in range(MAX_LEVELS):
            inner = next(iter(inner.values())) if isinstance(inner, dict) else inner[0]
        assert translation.restore(wire)["a"][0].keys() == {"a"}


@pytest.mark.parametrize(
    "text", ["{", "NaN", "[Infinity]", "9" * 5000, "[" * 100_000, "", "\ud800"]
)
def test_a_text_that_is_no_json_stays_a_text(text: str) -> None:
    compiled = compile_schema({"properties": {"a": {}}, "required": ["a"]}, "openai-strict")
    assert compiled.restore({"a": text}) == {"a": text}


def test_what_json_cannot_say_is_not_made_a_text() -> None:
    compiled = compile_schema({"properties": {"a": {}}, "required": ["a"]}, "openai-strict")
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    assert compiled.adapt({"a": deep})["a"] is deep


def test_a_null_is_left_out_only_where_no_alternative_wants_it() -> None:
    part = {"type": "object", "properties": {"k": {"const": 1}, "x": {"type": "string"}}}
    other = {"type": "object", "properties": {"k": {"const": 2}, "x": {"type": "null"}}}
    plain = {"type": "object", "properties": {"k": {"const": 3}, "x": {"type": "integer"}}}

    def restored(*parts: Any) -> Any:
        document = {"properties": {"a": {"anyOf": [*parts]}}, "required": ["a"]}
        compiled = compile_schema(document, "openai-strict")
        return compiled.restore({"a": {"k": 1, "x": None}})["a"]

    assert restored(part, plain) == {"k": 1}
    assert restored(part, other) == {"k": 1, "x": None}


def test_a_text_inside_lists_and_alternatives_is_found() -> None:
    document = {
        "properties": {
            "a": {
                "type": "array",
                "items": {
                    "anyOf": [
                        {"type": "object", "properties": {"m": {"type": "object"}}},
                        {"type": "object", "properties": {"n": {"type": "integer"}}},
                    ]
                },
            }
        },
        "required": ["a"],
    }
    compiled = compile_schema(document, "anthropic-strict")
    value = {"a": [{"m": {"x y": None}}, {"n": 1}]}
    wire = compiled.adapt(value)
    assert wire == {"a": [{"m": '{"x y": null}'}, {"n": 1}]}
    assert compiled.restore(wire) == value
