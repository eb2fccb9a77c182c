"""Ledgers of promises: TOML tables whose rows name the tests that keep them.

Theory of operation: a row names tests as `FOLDER/FILE.py::FUNCTION` under tests/, which are looked
up by reading the files, so that a row cannot outlive its test. A test can be marked with the ids
that it was written for, by `requirement`, and then has to stand in their rows.
"""

import ast
import tomllib
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).with_name("requirements.toml")
MISBEHAVIOURS = TESTS / "servers" / "misbehaviours.toml"


def requirement(*ids):
    """Mark a test with the requirements that it was written for."""

    def marked(test):
        test.requirements = ids
        return test

    return marked


def rows(file, key):
    return tomllib.loads(file.read_text())[key]


@cache
def tests_of(path):
    """The names of the tests in a file, each with the ids that it is marked with."""
    file = TESTS / path
    tree = ast.parse(file.read_text()) if file.is_file() else ast.Module([], [])
    return {
        node.name: _ids(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def _ids(node):
    return [
        argument.value
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "requirement"
        for argument in mark.args
    ]


def exists(test):
    path, _, name = test.partition("::")
    return name in tests_of(path)


def marked():
    """Each marked test with its ids."""
    for file in TESTS.rglob("test_*.py"):
        path = file.relative_to(TESTS).as_posix()
        for name, ids in tests_of(path).items():
            if ids:
                yield f"{path}::{name}", ids
