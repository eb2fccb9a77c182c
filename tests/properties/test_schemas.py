"""Whatever a server sends, the provider takes it, nothing valid is refused, and calls come back."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agent_host.models.schemas import Compiled, Dialect, InexpressibleError, compile_schema
from tests.fakes.schema_rules import illegal
from tests.fakes.schema_samples import (
    ANYTHING,
    DIALECTS,
    LOOKS_LIKE_A_SCHEMA,
    OTHER_KEYS,
    VALUES,
    instances,
    roots,
)

MANY = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def compiled_for_each(schema: Any) -> Iterator[tuple[Dialect, Compiled]]:
    for dialect in DIALECTS:
        try:
            yield dialect, compile_schema(schema, dialect)
        except InexpressibleError as error:
            if not (dialect.endswith("-strict") and str(error)):
                raise


@MANY
@given(ANYTHING | LOOKS_LIKE_A_SCHEMA)
def test_any_value_in_gives_a_legal_schema_out_and_the_value_stays(schema: Any) -> None:
    before = repr(schema)
    for dialect, compiled in compiled_for_each(schema):
        assert illegal(compiled.schema, dialect) is None
        again = compile_schema(schema, dialect)
        assert json.dumps(again.schema) == json.dumps(compiled.schema)
    assert repr(schema) == before


@MANY
@given(roots(), st.dictionaries(st.text(max_size=3) | st.sampled_from(OTHER_KEYS), VALUES))
def test_a_valid_schema_gives_a_legal_one_and_any_arguments_come_back(
    schema: Any, value: dict[str, Any]
) -> None:
    for dialect, compiled in compiled_for_each(schema):
        assert illegal(compiled.schema, dialect) is None
        if dialect.endswith("-strict"):
            continue
        assert compiled.restore(compiled.adapt(value)) == value
        renamed = compiled.adapt(dict.fromkeys(schema.get("properties", ()), 1))
        for like_a_name in (renamed, {f"{key}_": 1 for key in renamed}):
            assert compiled.restore(compiled.adapt(like_a_name)) == like_a_name


@MANY
@given(st.data())
def test_what_the_server_takes_the_compiled_schema_takes_and_it_comes_back(
    data: st.DataObject,
) -> None:
    schema = data.draw(roots())
    value = data.draw(instances(schema, schema))
    assume(takes(schema, value) and speaks_of_its_keys(schema, value))
    for dialect, compiled in compiled_for_each(schema):
        wire = compiled.adapt(value)
        assert compiled.restore(wire) == value
        if not dialect.endswith("-strict"):
            assert takes(without_nullable(compiled.schema), wire)


@MANY
@given(st.data())
def test_what_openai_strict_has_a_model_write_comes_back_without_the_nulls(
    data: st.DataObject,
) -> None:
    schema = data.draw(roots())
    value = data.draw(instances(schema, schema))
    assume(takes(schema, value))
    try:
        compiled = compile_schema(schema, "openai-strict")
    except InexpressibleError:
        return
    wire = compiled.adapt(value)
    place = compiled.translation.place
    known = {} if place is None else place.properties
    left_out = {name: None for name, (null, _) in known.items() if null and name not in wire}
    assert compiled.restore({**wire, **left_out}) == value


def takes(schema: Any, value: Any) -> bool:
    try:
        return jsonschema_rs.Draft202012Validator(schema).is_valid(value)
    except (jsonschema_rs.ValidationError, ValueError):
        return False


def speaks_of_its_keys(schema: Any, value: dict[str, Any]) -> bool:
    """Whether an alternative that takes the value declares its keys: a root whose alternatives
    are offered side by side is only looser for those."""
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            rest = {k: v for k, v in schema.items() if k != keyword}
            own = {*schema.get("properties", {}), *OTHER_KEYS}
            return any(
                takes({**rest, "allOf": [part]}, value)
                and value.keys() <= own | part.get("properties", {}).keys()
                for part in schema[keyword]
            )
    return True


def without_nullable(schema: Any) -> Any:
    """Gemini's `nullable` in JSON Schema's words."""
    if isinstance(schema, list):
        return [without_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: without_nullable(value) for key, value in schema.items()}
    if plain.pop("nullable", False) is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain
