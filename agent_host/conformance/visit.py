"""All that a session may do with one server, once."""

import time
from collections.abc import Mapping
from functools import partial

from agent_host.conformance.samples import sample_arguments
from agent_host.conformance.settings import SERVER, Case
from agent_host.conformance.stand_in import answer, authorize
from agent_host.core.events import ServerLog, ServerLost
from agent_host.core.types import JsonObject, Principal, Tool, ToolResult
from agent_host.ports import Answers, CallContext, CallPaused, Observation
from agent_host.servers.offers import Failed
from agent_host.servers.pool import Pool
from agent_host.servers.spec import Connector

MAX_ITEMS = 20
MAX_ROUNDS = 10
"""Times that a call may ask for input."""
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
        await _read_resources(pool, told)
        await _get_prompts(pool, told)
        await _load_skills(pool, case, told)
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
        result = await _called(pool, tool, arguments)
        told.append(f"{tool.tool}: {result.error or 'ok'}")


def _every_call(tools: list[Tool]) -> list[tuple[Tool, JsonObject]]:
    return [
        (tool, sample_arguments(tool.input_schema, tools[0].input_schema))
        for tool in tools[:MAX_ITEMS]
    ]


async def _called(pool: Pool, tool: Tool, arguments: JsonObject) -> ToolResult:
    """Call a tool, answering what it asks for between the rounds, as the engine does."""
    answers: Answers | None = None
    for _ in range(MAX_ROUNDS):
        came = await pool.call(tool, arguments, _context(tool.tool, answers))
        if not isinstance(came, CallPaused):
            return came
        given: dict[str, JsonObject] = {}
        for request in came.requests:
            reply = await answer(SERVER, request, tool.tool)
            if isinstance(reply, dict):
                given[request.key] = reply
        answers = Answers(state=came.state, requests=came.requests, given=given)
    return ToolResult(call_id=tool.tool, content=(), error="tool_error")


def _context(call_id: str, answers: Answers | None) -> CallContext:
    return CallContext(
        call_id=call_id,
        principal=PRINCIPAL,
        progress=lambda _amount, _total, _text: None,
        answers=answers,
    )


async def _read_resources(pool: Pool, told: list[str]) -> None:
    resources, problems = await pool.resources()
    told += problems
    for resource in [one for one in resources if not one.template][:MAX_ITEMS]:
        content = await pool.read_resource(SERVER, resource.uri, PRINCIPAL)
        told.append(f"{resource.name}: {content.text if isinstance(content, Failed) else 'read'}")


async def _get_prompts(pool: Pool, told: list[str]) -> None:
    prompts, problems = await pool.prompts()
    told += problems
    for prompt in prompts[:MAX_ITEMS]:
        given = {argument.name: "text" for argument in prompt.arguments}
        messages = await pool.get_prompt(SERVER, prompt.name, given, PRINCIPAL)
        told.append(f"{prompt.name}: {messages.text if isinstance(messages, Failed) else 'got'}")


async def _load_skills(pool: Pool, case: Case, told: list[str]) -> None:
    """List the skills; load them, that is read each whole, only where that is the point."""
    skills, problems = await pool.skills()
    told += problems
    for skill in skills if case.loads_skills else ():
        for uri in (skill.uri, *(other for other in skill.files or () if other != skill.uri)):
            text = await pool.read_skill(SERVER, skill.name, PRINCIPAL, uri=uri)
            if isinstance(text, Failed):
                told.append(f"{skill.name}: {text.text}")
                break
