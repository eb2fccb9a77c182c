"""A hostile server in one pool with an honest one, and the proof that the honest one noticed
nothing."""

import asyncio
from dataclasses import dataclass
from typing import Any

from agent_host.core.events import ServerConnected, ServerLog, ServerLost
from tests.fakes.hostile_lies import UNSAFE
from tests.fakes.hosting import call, hostile, running, said


@dataclass
class Seen:
    """`result`: what `act` returned. `told`: texts of events about the hostile server."""

    result: Any
    health: Any
    tools: dict
    events: list
    told: list

    @property
    def warnings(self):
        """What the host itself says of the server."""
        return [e.text for e in self.events if isinstance(e, ServerLog) and e.server == "h"]


def beside(spec, act, **more):
    """Run `act(pool)` with `spec` and an honest server in one pool; meanwhile and afterwards call
    the honest one."""

    async def scenario():
        events = []
        good = hostile(name="good", call_timeout=20)
        async with running(spec, good, observe=events.append, **more) as pool:
            async with asyncio.TaskGroup() as group:
                meanwhile = group.create_task(call(pool, "good__echo", text="meanwhile"))
                result = await act(pool)
            after = await call(pool, "good__echo", text="after")
            assert (meanwhile.result().error, said(meanwhile.result())) == (
                None,
                '{"text": "meanwhile"}',
            )
            assert (after.error, said(after)) == (None, '{"text": "after"}')
            healths = {health.name: health for health in pool.health()}
            assert healths["good"].state == "connected"
            tools = {name: tool for name, tool in pool.tools().items() if tool.server == spec.name}
        of_good = [e for e in events if getattr(e, "server", "") == "good"]
        assert [type(e) for e in of_good] == [ServerConnected]
        return Seen(result, healths[spec.name], tools, events, texts(events))

    return asyncio.run(scenario())


def texts(events):
    """Everything in events that a person is shown."""
    names = ("text", "reason", "level", "version", "message")
    values = (getattr(event, name, None) for event in events for name in names)
    return [value for value in values if isinstance(value, str)]


def assert_clean(*found):
    """No text holds what a terminal or a reader could be fooled by."""
    for text in found:
        assert not any(mark in text for mark in UNSAFE), repr(text)[:300]


def was_lost(seen):
    return [e.reason for e in seen.events if isinstance(e, ServerLost) and e.server == "h"]
