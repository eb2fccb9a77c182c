"""The table of tools that a request offers."""

import copy
from typing import Any

import pytest

from agent_host.core.types import Tool
from agent_host.models.schemas import Dialect, tool_table
from tests.fakes.schema_samples import DIALECTS

all_dialects = pytest.mark.parametrize("dialect", DIALECTS)


def tool(name: str, schema: Any = None, description: str = "does it") -> Tool:
    return Tool(
        name=name, server="s", tool=name, description=description, input_schema=schema or {}
    )


def test_one_tool_that_cannot_be_expressed_fails_nothing_else() -> None:
    table = tool_table(
        [tool("s__a"), tool("s__b", {"type": "array"}), tool("s__c")], "openai-strict"
    )
    assert [one.name for one in table.offered] == ["s__a", "s__c"]
    assert table.withheld == {"s__b": "it says that its arguments are no object"}


@all_dialects
@pytest.mark.parametrize("name", ["", "a.b", "a b", "ä", "x" * 129, "a/b"])
def test_a_tool_with_an_illegal_name_is_withheld(dialect: Dialect, name: str) -> None:
    table = tool_table([tool(name), tool("s__ok-1")], dialect)
    assert [one.name for one in table.offered] == ["s__ok-1"]
    assert "name" in table.withheld[name]


def test_names_are_as_long_as_the_provider_takes_them() -> None:
    assert tool_table([tool("x" * 100)], "openai").withheld
    assert not tool_table([tool("x" * 100)], "anthropic").withheld
    assert tool_table([tool("1a")], "gemini").withheld
    assert not tool_table([tool("1a")], "plain").withheld


def test_tools_beyond_the_count_are_withheld_and_the_order_stays() -> None:
    tools = [tool(f"s__{i}") for i in range(130)]
    table = tool_table(tools, "openai", max_tools=128)
    assert [one.tool for one in table.offered] == tools[:128]
    assert list(table.withheld) == ["s__128", "s__129"]
    assert "128 tools" in table.withheld["s__128"]


def test_tools_beyond_the_total_size_are_withheld_and_smaller_ones_still_fit() -> None:
    large = tool("s__large", description="x" * 500)
    table = tool_table([tool("s__a"), large, tool("s__b")], "plain", max_total=200)
    assert [one.name for one in table.offered] == ["s__a", "s__b"]
    assert "200 characters" in table.withheld["s__large"]


def test_descriptions_are_bounded_and_can_be_sent() -> None:
    table = tool_table([tool("s__a", description="\ud800" + "x" * 50)], "openai", max_description=9)
    assert table.offered[0].description == "?xxxxxxx…"
    assert tool_table([tool("s__a", description="x" * 20_000)], "openai").offered[0].description


def test_calls_go_through_the_table_by_name() -> None:
    odd = {"type": "object", "properties": {"größe": {"type": "string"}}}
    table = tool_table([tool("s__odd", odd), tool("s__even", {"properties": {"a": {}}})], "plain")
    assert table.renamed
    wire = table.adapt("s__odd", {"größe": "L"})
    assert wire != {"größe": "L"}
    assert table.restore("s__odd", wire) == {"größe": "L"}
    same = {"größe": "L"}
    assert table.restore("s__even", same) is same
    assert table.adapt("s__unknown", same) is same
    assert not tool_table([tool("s__even")], "plain").renamed


def test_a_tool_keeps_its_own_schema() -> None:
    schema = {"type": "object", "properties": {"größe": {"anyOf": [{"type": "null"}]}}}
    before = copy.deepcopy(schema)
    one = tool_table([tool("s__odd", schema)], "gemini").offered[0]
    assert one.tool.input_schema is schema
    assert schema == before
