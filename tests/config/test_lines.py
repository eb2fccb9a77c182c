"""The line of every key of a TOML text."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.config.lines import KeyPath, line_of, locate

EVERYTHING = '''\
model = "auto"                       # 1
"quoted key" = 1                     # 2
dotted."x.y".z = 2                   # 3
text = """
[not.a.table]
not_a_key = 1
"""
literal = \'\'\'
also = "none"\'\'\'
# [commented]
[servers.a]                          # 11
args = [
  "one",                             # 13
  # a comment with ] and "
  { deep = [ 1,                      # 15
             2 ], other = 3 },       # 16
]
env = { A = "b", "C d" = "e" }       # 18
when = 1979-05-27 07:32:00
[servers."b.c"]                      # 20
n.m = 1.5                            # 21
[[policy.rules]]                     # 22
id = "x"
[policy.rules.more]                  # 24
k = "\\"]"                           # 25
[[policy.rules]]                     # 26
id = "y"                             # 27
[[policy.rules.sub]]                 # 28
a = 1                                # 29
[[policy.rules.sub]]                 # 30
a = 2                                # 31
[policy]                             # 32
default = "ask"                      # 33
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("model",), 1),
        (("quoted key",), 2),
        (("dotted",), 3),
        (("dotted", "x.y", "z"), 3),
        (("text",), 4),
        (("literal",), 8),
        (("servers", "a"), 11),
        (("servers", "a", "args"), 12),
        (("servers", "a", "args", 0), 13),
        (("servers", "a", "args", 1, "deep"), 15),
        (("servers", "a", "args", 1, "deep", 1), 16),
        (("servers", "a", "args", 1, "other"), 16),
        (("servers", "a", "env", "C d"), 18),
        (("servers", "b.c", "n", "m"), 21),
        (("policy", "rules", 0, "id"), 23),
        (("policy", "rules", 0, "more", "k"), 25),
        (("policy", "rules", 1), 26),
        (("policy", "rules", 1, "id"), 27),
        (("policy", "rules", 1, "sub", 0, "a"), 29),
        (("policy", "rules", 1, "sub", 1), 30),
        (("policy", "rules", 1, "sub", 1, "a"), 31),
        (("policy", "default"), 33),
    ],
)
def test_the_line_of_a_key_is_right_in_every_form_of_toml(path: KeyPath, line: int):
    tomllib.loads(EVERYTHING)
    assert locate(EVERYTHING)[path] == line


def test_keys_inside_strings_and_comments_are_no_keys():
    found = {part for path in locate(EVERYTHING) for part in path}
    assert not found & {"not", "not_a_key", "also", "commented"}


def test_a_missing_key_has_the_line_of_what_would_hold_it():
    lines = locate(EVERYTHING)
    assert line_of(lines, ("servers", "a", "timeout")) == 11
    assert line_of(lines, ("servers", "zzz")) == 11
    assert line_of(lines, ("nothing", "here")) == 1


def test_a_value_nested_hundreds_deep_does_not_end_the_scan_with_an_error():
    text = "a = 1\nb = " + "[" * 5000 + "]" * 5000 + "\n"
    assert locate(text)[("a",)] == 1


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield (*path, index)
            yield from paths(item, (*path, index))


def holds(value: Any, path: KeyPath) -> bool:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


KEYS = st.text(alphabet="ab-_.' \"é#=[]1", min_size=1, max_size=4)
SCALARS = st.one_of(
    st.integers(-9, 9),
    st.booleans(),
    st.text(alphabet="ab\"'\\\n]}#=,", max_size=6),
    st.floats(0, 1),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_each_key_is_found_in_the_statement_that_first_makes_it_exist(document: dict[str, Any]):
    """The oracle is tomllib itself: a key exists from the first readable beginning that has it."""
    text = tomlkit.dumps(document)
    lines = text.split("\n")
    readable: list[tuple[int, Any]] = [(0, {})]
    for count in range(1, len(lines) + 1):
        try:
            readable.append((count, tomllib.loads("\n".join(lines[:count]) + "\n")))
        except tomllib.TOMLDecodeError:
            continue
    found = locate(text)
    for path in paths(readable[-1][1]):
        index = next(i for i, (_, table) in enumerate(readable) if holds(table, path))
        first, last = readable[index - 1][0] + 1, readable[index][0]
        assert first <= found[path] <= last, (path, text)
