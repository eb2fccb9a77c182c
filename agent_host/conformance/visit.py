"""All that a session may do with one server, once."""

import time
from collections.abc import Mapping
from functools import partial

from agent_host.conformance.samples import sample_arguments
from agent_host.conformance.settings import SERVER, Case
from agent_host.conformance.stand_in import answer, authorize
from agent_host.core.events import ServerLog, ServerLost
from agent_host.core.types import JsonObject, Principal, Tool
from agent_host.ports import CallContext, Observation
from agent_host.servers.pool import Pool
from agent_host.servers.spec import Connector

MAX_CALLS = 20
PRINCIPAL = Principal(id="conformance")


async def visit(case: Case, environ: Mapping[str, str], told: list[str]) -> bool:
    """Connect, list, read and call; append what there is to say to `told`. Return whether there
    was a connection."""

    def observe(event: Observation) -> None:
        match event:
            case ServerLog(text=text) | ServerLost(reason=text):
                told.append(text)
            case _:
                pass

    pool = Pool(
        [case.spec],
        lock=None,
        observe=observe,
        connector=_connector,
        environ=environ,
        monotonic=time.monotonic,
        elicitation=True,
    )
    pool.answer_with(answer)
    async with pool:
        await pool.settled()
        if pool.health()[0].state != "connected":
            told.append(pool.health()[0].error)
            return False
        await _call_tools(pool, case, told)
    return True


async def _connector() -> Connector:
    from agent_host.servers.connection import connect
    from agent_host.servers.login.person import Headless

    return partial(connect, person=Headless(authorize))


async def _call_tools(pool: Pool, case: Case, told: list[str]) -> None:
    tools = [tool for tool in pool.tools().values() if tool.server == SERVER]
    by_name = {tool.tool: tool for tool in tools}
    calls = [(by_name[name], args) for name, args in case.calls if name in by_name]
    for tool, arguments in calls or _every_call(tools):
        result = await pool.call(tool, arguments, _context(tool.tool))
        told.append(f"{tool.tool}: {result.error or 'ok'}")


def _every_call(tools: list[Tool]) -> list[tuple[Tool, JsonObject]]:
    return [
        (tool, sample_arguments(tool.input_schema, tools[0].input_schema))
        for tool in tools[:MAX_CALLS]
    ]


def _context(call_id: str) -> CallContext:
    return CallContext(
        call_id=call_id, principal=PRINCIPAL, progress=lambda _amount, _total, _text: None
    )
