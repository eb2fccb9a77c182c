"""One function for each action that `decide` names.

Theory of operation: an action is performed by recording its intent, having the effect, and
recording its outcome. What can be done at once (policy, refusals, limits) is done at once; the
rest is a coroutine that the session runs as a task (asking the model: see `question`). Cancelled
by an interruption or a limit, a coroutine records how its intent ended and returns; cancelled by
anything else, it lets go. An effect that must not happen twice starts only when its intent is on
disk.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, assert_never

from agent_host.core import loop
from agent_host.core.calls import CallState
from agent_host.core.compaction import Plan
from agent_host.core.events import (
    ToolFinished,
    ToolPaused,
    ToolProgress,
    ToolStarted,
)
from agent_host.core.offering import RECALLING
from agent_host.core.types import Text, Tool, ToolResult
from agent_host.engine.answers import RequestDesk
from agent_host.engine.compacting import Compactor
from agent_host.engine.judging import NOT_RUN, Judge
from agent_host.engine.keeping import bounded
from agent_host.engine.question import Question
from agent_host.engine.rooms import Host
from agent_host.ports import Answers, CallContext, CallPaused

Work = Coroutine[Any, Any, None]


class Performer:
    """Performs the actions of one session."""

    def __init__(self, session: Host, desk: RequestDesk) -> None:
        self._session = session
        self._desk = desk
        self._judge = Judge(session)
        self.compactor = Compactor(session)
        self._question = Question(session, self.compactor)

    def perform(self, action: loop.Action) -> Work | None:
        """Do what can be done at once and return None, or return the work that takes a while."""
        match action:
            case loop.CallModel():
                return self._question.ask()
            case loop.Compact():
                return self._compact(action.plan)
            case loop.CheckPolicy():
                self._judge.check_policy(action.state, action.tool)
            case loop.AskApproval():
                return self._judge.ask(action)
            case loop.AnswerRequests():
                return self._desk.answer_paused(action)
            case loop.RunTool():
                return self._run_tool(action.state, action.tool)
            case loop.Refuse():
                self._refuse(action)
            case loop.ReachLimit():
                self._session.record(action.event)
            case loop.AwaitUser() | loop.Park() | loop.End():
                pass
            case _ as unreachable:
                assert_never(unreachable)
        return None

    # -- at once ---------------------------------------------------------------------------

    def _compact(self, plan: Plan) -> Work | None:
        if self.compactor.takes_a_model(plan):
            return self._summarized(plan)
        self.compactor.at_once(plan)
        return None

    async def _summarized(self, plan: Plan) -> None:
        await self.compactor.carry_out(plan)

    def _refuse(self, action: loop.Refuse) -> None:
        text, error, name = action.text, action.error, action.state.call.name
        if error == "unknown_tool":
            tools = self._session.rooms.tools
            if (why := tools.withheld(name)) is not None:
                text, error = why, "changed"
            elif near := get_close_matches(name, tools.tools(), n=3):
                text = f"{text}; there is {', '.join(near)}"
        self._judge.finish(action.state.call.id, error, text)

    # -- tools -----------------------------------------------------------------------------

    async def _run_tool(self, state: CallState, tool: Tool) -> None:
        session = self._session
        call_id = state.call.id
        if not self._judge.may_run(state) or self._lacks(state, tool):
            return
        if not self._counted(state, tool):
            return
        session.record(
            ToolStarted(
                call_id=call_id,
                server=tool.server,
                tool=tool.tool,
                fingerprint=tool.fingerprint,
                arguments=state.arguments,
                principal_id=session.principal.id,
            )
        )
        context = CallContext(
            call_id=call_id,
            principal=session.principal,
            progress=self._progress(call_id),
            answers=_answers(state),
        )
        sent = False
        vault = session.rooms.vault
        arguments = vault.reveal(tool, state.arguments) if vault else state.arguments
        result: ToolResult | CallPaused
        try:
            if not tool.repeatable:
                await asyncio.to_thread(session.feed.journal.sync)
            sent = True
            result = await session.rooms.tools.call(tool, arguments, context)
        except asyncio.CancelledError:
            if not session.stopping:
                raise
            result = _cancelled(call_id, sent=sent and not tool.read_only)
        if isinstance(result, CallPaused):
            session.record(
                ToolPaused(call_id=call_id, requests=result.requests, state=result.state)
            )
            return
        if (result.error in NOT_RUN or not sent) and not state.in_doubt:
            session.rooms.policy.end(session.conversation, call_id)
        labels = self._labels(tool, result) if sent else ()
        whole = replace(result, call_id=call_id, labels=labels)
        if vault is not None:
            whole = vault.conceal(whole)
        session.record(ToolFinished(result=bounded(whole, session.feed.journal.keep)))

    def _lacks(self, state: CallState, tool: Tool) -> bool:
        """Whether a secret is missing that stands in the arguments; such a call does not run."""
        vault = self._session.rooms.vault
        problem = vault.missing(tool, state.arguments) if vault is not None else None
        if problem is not None:
            self._judge.finish(state.call.id, "invalid_arguments", f"not executed: {problem}")
        return problem is not None

    def _labels(self, tool: Tool, result: ToolResult) -> tuple[str, ...]:
        """What a result brings along: what the tool's data is, and what this result is said to be.
        What an earlier result brought has all labels of the run."""
        found = {*result.labels, *tool.labels}
        if tool.name in RECALLING:
            found.update(seen.label for seen in self._session.conversation.labels)
        return tuple(sorted(found))

    def _counted(self, state: CallState, tool: Tool) -> bool:
        """Count the call in the running totals; one that cannot be counted does not run. Where
        others counted while a human thought, policy has another word."""
        session = self._session
        problem = session.rooms.policy.begin(
            state.call, state.arguments, tool, session.conversation, session.principal
        )
        if problem is not None and not self._judge.judge_again(state, tool):
            self._judge.finish(state.call.id, "denied", f"not executed: {problem}")
        return problem is None

    def _progress(self, call_id: str) -> Callable[[float, float | None, str], None]:
        def show(progress: float, total: float | None, message: str) -> None:
            self._session.feed.show(
                ToolProgress(call_id=call_id, progress=progress, total=total, message=message)
            )

        return show


def _answers(state: CallState) -> Answers | None:
    """What a call goes on with that the server paused."""
    paused = state.paused
    if paused is None:
        return None
    return Answers(state=paused.state, requests=paused.requests, given=state.answers)


def _cancelled(call_id: str, *, sent: bool) -> ToolResult:
    text = (
        "cancelled while it was running; it may or may not have taken effect"
        if sent
        else "cancelled; it has changed nothing"
    )
    return ToolResult(call_id=call_id, content=(Text(text=text),), error="cancelled")
