"""A large catalogue in a session: searched, found, called, and the same after a resume."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent_host.builtin.source import WithHostTools
from agent_host.core.events import ToolFinished, UserSaid
from agent_host.core.limits import Limits
from agent_host.core.offering import SEARCH_TOOLS, Offering, SearchRules
from agent_host.core.types import Text, Tool, ToolCall, ToolResult
from tests.fakes.rooms import (
    ORIGIN,
    MemoryJournal,
    PlannedModel,
    PriceList,
    TablePolicy,
    World,
    answer,
    said,
    session,
)

MANY = {
    f"s{n % 3}__tool_{n}": Tool(
        name=f"s{n % 3}__tool_{n}", server=f"s{n % 3}", tool=f"tool_{n}",
        description=f"Does number {n}.", input_schema={"type": "object"}, fingerprint=f"p{n}",
    )
    for n in range(300)
}  # fmt: skip


class OneCall:
    """A model that makes one call after another."""

    def __init__(self, *calls, origin=ORIGIN):
        turns = [
            answer("", ToolCall(id=f"c{n}", name=name, arguments=arguments))
            for n, (name, arguments) in enumerate(calls)
        ]
        self.model = PlannedModel([*turns, answer("done")], origin=origin)

    def offered(self, request=-1):
        return [tool.name for tool in self.model.requests[request].tools]


def start(journal, calls, world=None, tmp_path=None, **more):
    world = world or World(tools_table=MANY)
    made = session(journal, model=calls.model, policy=TablePolicy({}), **more)
    made.rooms = replace(made.rooms, tools=WithHostTools(world, tmp_path or Path("/nowhere")))
    return made, world


def run(made, text="go"):
    made.tell(UserSaid(message=said(text)))
    return asyncio.run(made.run())


def test_the_model_searches_calls_what_it_found_and_is_offered_that():
    calls = OneCall((SEARCH_TOOLS, {"query": "tool_123"}), ("s0__tool_123", {}))
    made, world = start(MemoryJournal(), calls)
    run(made)
    assert calls.offered(0) == [SEARCH_TOOLS]
    assert "s0__tool_123" in calls.offered(1)
    assert world.done == [("c1", "tool_123")]
    assert calls.model.requests[2].tools is calls.model.requests[1].tools


def test_a_tool_that_was_not_offered_can_be_called_and_policy_is_asked():
    calls = OneCall(("s1__tool_1", {}), ("s2__tool_2", {}))
    made, world = start(MemoryJournal(), calls)
    made.rooms = replace(made.rooms, policy=TablePolicy({"tool_2": "deny"}))
    run(made)
    assert world.done == [("c0", "tool_1")]
    assert calls.offered(1) == [SEARCH_TOOLS, "s1__tool_1"]


def test_a_resumed_run_is_offered_the_same():
    journal = MemoryJournal()
    calls = OneCall((SEARCH_TOOLS, {"query": "tool_7"}), ("s1__tool_7", {}))
    run(start(journal, calls)[0])
    again = OneCall((SEARCH_TOOLS, {"query": "tool_7"}), ("s1__tool_7", {}))
    again.model.plan.append(answer("and done"))
    run(start(journal, again)[0], "more")
    assert again.offered(0) == calls.offered(-1)


def test_the_tool_that_is_to_be_called_is_offered_in_any_case():
    calls = OneCall(("s1__tool_4", {}))
    run(start(MemoryJournal(), calls, tool_choice="s1__tool_4")[0])
    assert calls.offered(0) == [SEARCH_TOOLS, "s1__tool_4"]
    assert calls.model.requests[0].tool_choice == "s1__tool_4"


def test_the_offline_matcher_gets_every_tool_and_none_of_the_hosts_own():
    calls = OneCall(("s1__tool_4", {}), origin=replace(ORIGIN, adapter="offline"))
    run(start(MemoryJournal(), calls)[0])
    assert calls.offered(0) == list(MANY)


def test_what_is_not_sent_costs_nothing():
    """A limit on money is not reached by definitions that stay at home."""
    prices = PriceList({"planned": (1.0, 0.0)})
    calls = OneCall((SEARCH_TOOLS, {"query": "tool_4"}))
    made, _ = start(MemoryJournal(), calls, prices=prices, limits=Limits(max_cost=2000.0))
    assert run(made).limit is None
    whole = OneCall((SEARCH_TOOLS, {"query": "tool_4"}))
    made, _ = start(MemoryJournal(), whole, prices=prices, limits=Limits(max_cost=2000.0))
    made.rooms = replace(made.rooms, offering=Offering(SearchRules(search="never")))
    assert run(made).limit is not None


def test_tools_that_arrive_in_mid_run_are_found_in_the_next_step():
    world = World(tools_table={"s0__tool_0": MANY["s0__tool_0"]})
    calls = OneCall(("s0__tool_0", {}), (SEARCH_TOOLS, {"query": "tool_200"}), ("s2__tool_200", {}))
    made, _ = start(MemoryJournal(), calls, world)

    class Growing(World):
        async def call(self, tool, arguments, context):
            self.tools_table = MANY
            return await super().call(tool, arguments, context)

    grown = Growing(tools_table=world.tools_table)
    made.rooms = replace(made.rooms, tools=WithHostTools(grown, Path("/nowhere")))
    run(made)
    assert calls.offered(0) == ["s0__tool_0"]
    assert calls.offered(1) == [SEARCH_TOOLS, "s0__tool_0"]
    assert [tool for _, tool in grown.done] == ["tool_0", "tool_200"]


def test_tools_that_go_in_mid_run_are_not_offered_and_a_call_to_one_says_so():
    class Shrinking(World):
        async def call(self, tool, arguments, context):
            self.tools_table = {n: t for n, t in MANY.items() if n != "s2__tool_5"}
            return await super().call(tool, arguments, context)

    calls = OneCall((SEARCH_TOOLS, {"query": "tool_5"}), ("s1__tool_1", {}), ("s2__tool_5", {}))
    journal = MemoryJournal()
    made, _ = start(journal, calls, Shrinking(tools_table=MANY))
    run(made)
    assert "s2__tool_5" in calls.offered(1)
    assert "s2__tool_5" not in calls.offered(2)
    results = [r.event.result for r in journal.records if isinstance(r.event, ToolFinished)]
    assert [r.error for r in results] == [None, None, "unknown_tool"]


@pytest.mark.parametrize(("server", "error"), [("s1", None), ("s9", "tool_error")])
def test_a_server_that_is_not_there_is_said_with_those_that_are(server, error):
    calls = OneCall((SEARCH_TOOLS, {"query": "tool_4", "server": server}))
    journal = MemoryJournal()
    run(start(journal, calls)[0])
    (result,) = (r.event.result for r in journal.records if isinstance(r.event, ToolFinished))
    assert result.error == error
    assert isinstance(result, ToolResult)
    text = result.content[0]
    assert isinstance(text, Text)
    assert "s1" in text.text
