"""Every attack and fault of the ledger has tests that exist."""

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LEDGER: dict[str, list[dict[str, Any]]] = tomllib.loads(
    Path(__file__).with_name("ledger.toml").read_text(encoding="utf-8")
)
ROWS = [(kind, row) for kind, rows in LEDGER.items() for row in rows]


@cache
def names(file: str) -> frozenset[str]:
    """The tests of a file, also those in classes."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    )


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=[f"{k}-{r['number']}" for k, r in ROWS])
def test_a_row_names_tests_that_exist_or_says_what_is_not_defended(
    kind: str, row: dict[str, Any]
) -> None:
    assert set(row) <= {"number", "what", "tests", "limit"}, kind
    assert row["tests"] or row.get("limit")
    for test in row["tests"]:
        file, _, name = test.partition("::")
        assert name in names(file), test


def test_numbers_are_unique_and_in_order() -> None:
    for rows in LEDGER.values():
        numbers = [row["number"] for row in rows]
        assert numbers == sorted(set(numbers))
