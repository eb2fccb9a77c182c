"""8,726 tool definitions that others wrote (bfcl-eval, Apache-2.0), for each dialect."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agent_host.models.schemas import InexpressibleError, compile_schema
from tests.fakes.schema_rules import illegal
from tests.fakes.schema_samples import DIALECTS

DATA = Path(__file__).parents[2] / ".corpus/bfcl_eval/data"


@cache
def definitions() -> list[dict[str, Any]]:
    """Every tool definition of the corpus, as its authors have it."""
    if not DATA.is_dir():
        pytest.fail("there is no corpus in .corpus: run scripts/setup --test", pytrace=False)
    found = []
    for file in sorted(DATA.glob("BFCL_v4_*.json")):
        for line in file.read_text().splitlines():
            case = json.loads(line) if line.startswith('{"id"') else {}
            functions = case.get("function", [])
            found += functions if isinstance(functions, list) else [functions]
    return found


@cache
def schemas() -> list[Any]:
    """The schemas of all definitions, each once: the corpus uses most in several cases."""
    return list(
        {json.dumps(one["parameters"]): one["parameters"] for one in definitions()}.values()
    )


def test_the_corpus_is_whole() -> None:
    assert len(definitions()) == 8726
    assert len(schemas()) > 3000


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_definition_is_legal_in_every_dialect(dialect: Any) -> None:
    refused = set()
    for schema in schemas():
        try:
            compiled = compile_schema(schema, dialect)
        except InexpressibleError as error:
            refused.add(str(error))
            continue
        assert illegal(compiled.schema, dialect) is None
        assert compiled.schema["properties"].keys() == {
            compiled.translation.keys.adapt(key) for key in schema["properties"]
        }
    more = "it has more than 24 optional properties, which strict mode does not take"
    assert refused == ({more} if dialect == "anthropic-strict" else set())
