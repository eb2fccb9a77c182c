"""The ledger of faults: its rows name tests, each test stands in a row, the page is made of it."""

import tomllib
from pathlib import Path

from tests.attacks.test_ledger import ROOT, names
from tests.faults.table import LEDGER, PAGE, page

ROWS = tomllib.loads(LEDGER.read_text(encoding="utf-8"))["fault"]
THIS = "tests/faults/test_ledger.py"


def test_each_row_names_tests_that_exist_or_says_what_is_not_shown():
    for row in ROWS:
        assert set(row) <= {"number", "what", "injected", "good", "tests", "limit"}, row["what"]
        assert row["tests"] or row.get("limit"), row["what"]
        assert bool(row["tests"]) == bool(row.get("good")), row["what"]
        for test in row["tests"]:
            file, _, name = test.partition("::")
            assert name in names(file), test


def test_each_test_of_a_fault_stands_in_a_row():
    held = {test for row in ROWS for test in row["tests"]}
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        missing = {f"{path}::{name}" for name in names(path)} - held
        assert path == THIS or not missing, missing


def test_numbers_are_unique_and_in_order():
    assert [row["number"] for row in ROWS] == list(range(1, len(ROWS) + 1))


def test_the_page_is_what_the_ledger_says():
    assert PAGE.read_text(encoding="utf-8") == page()
