"""What a session does with tools that are withheld, and with what artifacts bring along."""

import asyncio
from dataclasses import replace

from agent_host.core.events import ToolFinished, UserSaid
from agent_host.core.offering import READ_ARTIFACT
from agent_host.core.types import Message, Text, ToolCall, ToolResult
from tests.fakes.rooms import TOOLS, MemoryJournal, World, answer, call, said, session


def run(plan, world):
    async def scenario():
        journal = MemoryJournal()
        s = session(journal, plan=plan, world=world)
        s.tell(UserSaid(message=said("go")))
        await s.run()
        results = {
            r.event.result.call_id: r.event.result
            for r in journal.records
            if isinstance(r.event, ToolFinished)
        }
        return results, s.conversation

    return asyncio.run(scenario())


def test_a_call_of_a_tool_that_is_withheld_is_told_why():
    world = World(kept_back={"w__gone": "withheld: only the user can allow it again"})
    results, _ = run([answer("", call("a", "gone"), call("b", "went")), answer("ok")], world)
    assert (results["a"].error, results["b"].error) == ("changed", "unknown_tool")
    assert results["a"].content[0].text == "withheld: only the user can allow it again"
    assert world.done == []


def test_what_an_artifact_holds_has_the_labels_of_all_that_the_run_has_seen():
    reader = replace(TOOLS["w__read"], name=READ_ARTIFACT, server="host", tool="read_artifact")
    crm = replace(TOOLS["w__read"], labels=("private",))
    world = World(tools_table={"w__read": crm, READ_ARTIFACT: reader})
    world.results["read"] = ToolResult(
        call_id="a", content=(Text(text="x"),), labels=("untrusted",)
    )
    look = ToolCall(id="b", name=READ_ARTIFACT, arguments={})
    plan = [answer("", call("a", "read")), answer("", look), answer("ok")]
    results, conversation = run(plan, world)
    assert results["a"].labels == results["b"].labels == ("private", "untrusted")
    assert {one.label for one in conversation.labels} == {"private", "untrusted"}
    assert isinstance(conversation.messages[-1], Message)
