"""The ledgers name tests that exist, and tests and scenarios stand in the ledgers."""

import pytest

from tests.mcp_conformance.ledger import MISBEHAVIOURS, REQUIREMENTS, exists, marked, rows
from tests.mcp_conformance.suite import SCENARIOS

KNOWN = {name for names in SCENARIOS.values() for name in names}


def test_each_requirement_names_tests_and_scenarios_that_exist_or_says_why_not():
    for row in rows(REQUIREMENTS, "requirement"):
        assert row["at"], row["id"]
        assert row["does"].endswith("."), row["id"]
        kept = row.get("tests", []) + row.get("scenarios", [])
        assert bool(kept) != bool(row.get("not_yet")), row["id"]
        assert [test for test in row.get("tests", []) if not exists(test)] == [], row["id"]
        assert set(row.get("scenarios", [])) <= KNOWN, row["id"]


def test_each_scenario_of_the_suite_shows_a_requirement():
    shown = {name for row in rows(REQUIREMENTS, "requirement") for name in row.get("scenarios", [])}
    assert shown == KNOWN


def test_each_marked_test_stands_in_the_rows_that_it_is_marked_with():
    held = {row["id"]: row.get("tests", []) for row in rows(REQUIREMENTS, "requirement")}
    found = list(marked())
    assert found
    for test, ids in found:
        for one in ids:
            assert test in held.get(one, []), f"{test} is not in the row {one}"


@pytest.mark.parametrize(
    ("ledger", "key", "name"),
    [(REQUIREMENTS, "requirement", "id"), (MISBEHAVIOURS, "misbehaviour", "what")],
)
def test_no_row_is_there_twice(ledger, key, name):
    names = [row[name] for row in rows(ledger, key)]
    assert len(names) == len(set(names))


def test_each_misbehaviour_names_tests_that_exist_or_says_why_it_cannot_happen():
    for row in rows(MISBEHAVIOURS, "misbehaviour"):
        assert row["from"], row["what"]
        kept = row.get("tests", [])
        assert bool(kept) != bool(row.get("not_here")), row["what"]
        assert [test for test in kept if not exists(test)] == [], row["what"]
