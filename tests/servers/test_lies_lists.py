"""However a server lies about itself and its tools, what is taken over is bounded and sound."""

import pytest

from tests.fakes.beside import assert_clean, beside, was_lost
from tests.fakes.hosting import call, hostile, said


def looked_at(mode, **spec):
    async def act(pool):
        await pool.settled()

    return beside(hostile(mode, **{"connect_timeout": 10, **spec}), act)


@pytest.mark.parametrize(
    ("lie", "count", "told"),
    [
        ("pages", 4, []),
        ("endless", 100, ["tools/list has more than 100 pages; the rest is left out"]),
        ("empty_pages", 0, ["tools/list has more than 100 pages; the rest is left out"]),
        ("same_cursor", 2, ["tools/list repeats a cursor; the rest is left out"]),
        ("huge_cursor", 1, ["tools/list has a cursor of more than 16 KiB; the rest is left out"]),
        ("odd_cursor", 1, []),
        ("fifty_thousand", 2000, ["it has 50000 tools; those after 2000 are left out"]),
        ("twins", 0, ["twin: the name appears more than once; all are withheld"]),
        ("huge_item", 1, ["huge: the definition is larger than 64 KiB; withheld"]),
        ("fat_pages", 0, ["tools/list is larger than 16 MiB; the rest is left out"]),
        ("ttl_negative", 1, []),
        ("ttl_for_ever", 1, []),
        ("ttl_text", 1, []),
    ],
)
@pytest.mark.parametrize("era", ["", "modern,"])
def test_a_list_is_taken_over_within_its_bounds_and_that_is_said(lie, count, told, era):
    seen = looked_at(f"{era}tools:{lie}")
    assert seen.health.state == "connected"
    assert len(seen.tools) == count
    assert [
        p for p in seen.health.problems if "definition is larger" not in p or told == [p]
    ] == told
    assert len(seen.warnings) == len(told)
    assert_clean(*seen.told, *seen.health.problems)


def test_junk_in_a_list_hides_no_honest_tool():
    seen = looked_at("tools:junk_items")
    assert list(seen.tools) == ["h__honest"]
    assert len(seen.health.problems) == 2


@pytest.mark.parametrize("lie", ["no_list", "nothing", "list_dies"])
def test_a_server_whose_tools_cannot_be_listed_is_not_connected(lie):
    seen = looked_at(f"tools:{lie}")
    assert seen.health.state == "failed"
    assert "tools/list" in seen.health.error
    assert len(was_lost(seen)) == 1
    assert seen.tools == {}
    assert_clean(*seen.told)


@pytest.mark.parametrize("lie", ["init_nasty", "init_long", "init_no_info"])
def test_what_a_server_says_of_itself_is_bounded_and_clean(lie):
    seen = looked_at(lie)
    assert seen.health.state == "connected"
    assert len(seen.tools) == 5
    assert len(seen.health.version) <= 100
    assert_clean(*seen.told, seen.health.version)


@pytest.mark.parametrize(
    ("lie", "part"),
    [
        ("init_odd_version", "protocol version"),
        ("init_no_version", "protocol version"),
        ("future", "protocol version"),
    ],
)
def test_a_handshake_that_makes_no_sense_fails_that_server_with_one_clear_word(lie, part):
    seen = looked_at(lie)
    assert seen.health.state == "failed"
    assert part in seen.health.error
    assert "\n" not in seen.health.error
    assert len(was_lost(seen)) == 1


def test_capabilities_that_are_none_offer_nothing():
    seen = looked_at("init_odd")
    assert seen.health.state in ("connected", "failed")
    assert seen.tools == {}


def test_names_of_tools_are_legal_and_text_of_definitions_is_never_shown_raw():
    seen = looked_at("tools:nasty")
    assert list(seen.tools) == ["h__nasty"]
    assert_clean(*seen.told, *seen.health.problems)


def test_no_icon_of_a_tool_is_fetched_and_the_tool_works():
    # The icon's address is a port where nobody listens: a fetch would be told as a problem.
    async def act(pool):
        return await call(pool, "h__nasty")

    seen = beside(hostile("tools:nasty"), act)
    assert (seen.result.error, said(seen.result)) == (None, "{}")
    assert len(seen.warnings) == 1


def test_a_tool_called_constructor_and_its_like_are_tools_like_any_other():
    names = ["constructor", "__proto__", "toString", "a.b", "a-b", "a/b", "A", "a" * 128]

    async def act(pool):
        return {
            tool.tool: await call(pool, name)
            for name, tool in pool.tools().items()
            if tool.server == "h"
        }

    seen = beside(hostile("tools:odd_names"), act)
    assert set(seen.result) == {n for n in names if "/" not in n} | ({"a/b"} & set(seen.result))
    assert all(result.error is None for result in seen.result.values())
    exposed = list(seen.tools)
    assert len(set(exposed)) == len(exposed)
    assert all(len(name) <= 64 for name in exposed)


def test_tools_of_two_servers_that_would_be_one_name_are_two_tools_or_none():
    async def act(pool):
        return {name: (tool.server, tool.tool) for name, tool in pool.tools().items()}

    spec = hostile("tools:odd_names", name="h")
    seen = beside(spec, act)
    assert len(set(seen.result.values())) == len(seen.result)
