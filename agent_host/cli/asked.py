"""What a server asks while a tool is called by hand: put to whoever sits at the terminal.

Theory of operation: there is no session, so nothing is recorded and no model is asked; a form or a
page is. A call that pauses for answers is made again with them. Without a terminal servers are not
told that they may ask, and what they ask all the same is declined.
"""

import os
import secrets
import sys
from dataclasses import replace

from agent_host.core.calls import input_result
from agent_host.core.events import InputGiven
from agent_host.core.server_requests import input_requested
from agent_host.core.types import JsonObject, ServerRequest, Text, Tool, ToolResult
from agent_host.host import user_name
from agent_host.ports import Answers, CallContext, CallPaused, RequestRefused, Respondent
from agent_host.servers.pool import Pool
from agent_host.surfaces.browser import open_page
from agent_host.surfaces.outlet import Outlet
from agent_host.surfaces.people import make_people

MAX_ROUNDS = 10
"""Times that one call may pause for answers."""


def can_ask() -> bool:
    """Whether there is a terminal at which a question would be seen."""
    return sys.stderr.isatty()


async def call_asking(
    pool: Pool, tool: Tool, arguments: JsonObject, context: CallContext
) -> ToolResult:
    """Call a tool, and answer what its server asks for it."""
    respondent = _respondent() if can_ask() else None
    desk = _Desk(respondent)
    pool.answer_with(desk.answer)
    answers: Answers | None = None
    for _ in range(MAX_ROUNDS):
        outcome = await pool.call(tool, arguments, replace(context, answers=answers))
        if isinstance(outcome, ToolResult):
            return outcome
        given = await desk.answer_all(tool.server, outcome, context.call_id)
        if isinstance(given, str):
            return _failed(context, given)
        answers = Answers(state=outcome.state, requests=outcome.requests, given=given)
    return _failed(context, f"The server still asked after {MAX_ROUNDS} answers.")


def _respondent() -> Respondent | None:
    screen = Outlet(sys.stderr, os.environ)
    people = make_people(
        "all",
        by=user_name(),
        screen=screen,
        hold=(screen,),
        sign=secrets.token_hex(2),
        browser=open_page(os.environ),
        interrupt=lambda: None,
    )
    return people.respondent


class _Desk:
    """Answers requests (`ports.Answer`)."""

    def __init__(self, respondent: Respondent | None) -> None:
        self._respondent = respondent
        self._asked = 0

    async def answer(
        self, server: str, request: ServerRequest, call_id: str
    ) -> JsonObject | RequestRefused:
        """See `ports.Answer`."""
        if request.method != "elicitation/create":
            return RequestRefused("a tool that is called by hand gets no answers of a model")
        self._asked += 1
        question = input_requested(
            request.params,
            input_id=f"by-hand-{self._asked}",
            server=server,
            call_id=call_id,
            key=request.key,
        )
        if isinstance(question, str) or self._respondent is None:
            return {"action": "decline"}
        given = await self._respondent.answer(question, lambda: 0)
        return input_result(question, given) if isinstance(given, InputGiven) else _DECLINED

    async def answer_all(
        self, server: str, paused: CallPaused, call_id: str
    ) -> dict[str, JsonObject] | str:
        """The answers that a paused call waits for, or why there are none."""
        given: dict[str, JsonObject] = {}
        for request in paused.requests:
            if request.method == "roots/list":
                continue
            answer = await self.answer(server, request, call_id)
            if isinstance(answer, RequestRefused):
                return f"The server asked for what it did not get: {answer.text}."
            given[request.key] = answer
        return given


_DECLINED: JsonObject = {"action": "decline"}


def _failed(context: CallContext, text: str) -> ToolResult:
    return ToolResult(call_id=context.call_id, content=(Text(text=text),), error="tool_error")
