"""Names under which models see tools, and hashes of definitions."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent_host.core.catalogue import build_catalogue, changes, exposed_name, fingerprint
from agent_host.core.types import Annotations, Tool

LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
names = st.one_of(
    st.text(min_size=1, max_size=80), st.text(alphabet="ab_-.1", min_size=1, max_size=8)
)


def make(server: str, tool: str, **more: object) -> Tool:
    return Tool(name="", server=server, tool=tool, description="d", input_schema={}, **more)


def test_a_plain_pair_reads_as_server_and_tool():
    assert exposed_name("orders", "get_order") == "orders__get_order"


@given(names, names)
def test_any_pair_gives_a_name_that_every_provider_accepts(server, tool):
    assert LEGAL.fullmatch(exposed_name(server, tool))


@given(names, names, names, names)
def test_two_pairs_never_share_a_name(a, b, c, d):
    if (a, b) != (c, d):
        assert exposed_name(a, b) != exposed_name(c, d)


def test_names_that_would_join_to_one_text_stay_apart():
    assert exposed_name("a__b", "c") != exposed_name("a", "b__c")
    assert exposed_name("a_", "b") != exposed_name("a", "_b")
    assert exposed_name("s", "a.b") != exposed_name("s", "a_b")


def test_a_name_that_starts_with_a_digit_is_made_legal():
    assert exposed_name("1st", "x").startswith("_1st__x_")


def test_a_long_name_is_cut_and_keeps_a_hash():
    name = exposed_name("s" * 60, "tool")
    assert len(name) == 64


def test_the_table_keeps_the_order_and_names_each_tool():
    table, problems = build_catalogue([make("b", "y"), make("a", "x")])
    assert list(table) == ["b__y", "a__x"]
    assert table["a__x"].name == "a__x"
    assert problems == ()
    assert build_catalogue(table.values())[0]["b__y"] is table["b__y"]


def test_two_tools_of_one_name_are_both_withheld():
    twice = make("a", "x")
    table, problems = build_catalogue([twice, make("a", "y"), twice, twice])
    assert list(table) == ["a__y"]
    assert problems == ("two tools share the name a__x: both are withheld",)


def test_a_fingerprint_changes_with_each_part_of_the_definition():
    tool = make("a", "x")
    others = [
        replace(tool, tool="y"),
        replace(tool, description="e"),
        replace(tool, input_schema={"type": "object"}),
        replace(tool, output_schema={}),
        replace(tool, annotations=Annotations(read_only=True)),
    ]
    assert len({fingerprint(t) for t in [tool, *others]}) == 6
    assert fingerprint(replace(tool, name="n", server="z", trusted=True)) == fingerprint(tool)


def test_changes_between_two_listings_are_named():
    before = {"same": "1", "gone": "2", "other": "3"}
    after = {"same": "1", "other": "4", "new": "5"}
    assert changes(before, after) == (("new",), ("gone",), ("other",))
