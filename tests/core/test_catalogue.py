"""Names under which models see tools, and hashes of definitions."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent_host.core.catalogue import (
    build_catalogue,
    changes,
    exposed_name,
    fingerprint,
    look_alikes,
)
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


ODD = st.sampled_from(
    ["constructor", "__proto__", "hasOwnProperty", "toString", "a.b", "a_b", "a-b", "a/b", "A_B",
     "a__b", "_", "-", "1", "x" * 63, "x" * 62 + ".", "x" * 128, "search", "Search", "a b", "é"]
)  # fmt: skip


@given(st.lists(st.tuples(ODD, ODD), min_size=2, max_size=60, unique=True))
def test_every_pair_of_odd_names_has_a_legal_name_of_its_own_and_comes_back(pairs):
    table, problems = build_catalogue(make(server, tool) for server, tool in pairs)
    assert problems == ()
    assert all(LEGAL.fullmatch(name) for name in table)
    assert [(tool.server, tool.tool) for tool in table.values()] == pairs
    assert all(tool.name == name for name, tool in table.items())


@given(st.lists(st.tuples(ODD, ODD), max_size=20, unique=True), st.randoms())
def test_a_name_depends_on_its_own_pair_alone(pairs, random):
    shuffled = pairs[: len(pairs) // 2]
    random.shuffle(shuffled)
    whole = {(t.server, t.tool): n for n, t in build_catalogue(make(*p) for p in pairs)[0].items()}
    for name, tool in build_catalogue(make(*pair) for pair in shuffled)[0].items():
        assert whole[tool.server, tool.tool] == name


def test_names_that_only_case_tells_apart_are_two_names():
    table, _ = build_catalogue([make("s", "get"), make("s", "Get"), make("S", "get")])
    assert list(table) == ["s__get", "s__Get", "S__get"]


def test_names_of_two_servers_that_look_alike_are_told():
    tools = [make("bank", "send_all"), make("evil", "send_a1l"), make("evil", "Send_aII")]
    assert look_alikes(tools) == (
        "send_all of bank and send_a1l of evil look alike",
        "send_all of bank and Send_aII of evil look alike",
    )
    assert look_alikes([make("github", "a"), make("g1thub", "b"), make("GitHub", "c")]) == (
        "the names of the servers github and g1thub look alike",
        "the names of the servers github and GitHub look alike",
    )
    assert look_alikes([make("modem", "x"), make("modern", "y")]) != ()


def test_the_same_name_on_two_servers_and_other_names_are_no_look_alikes():
    assert look_alikes([make("a", "search"), make("b", "SEARCH"), make("b", "research")]) == ()
    assert look_alikes([make("a", "get_x"), make("a", "Get_X"), make("a", "get-x")]) == ()
