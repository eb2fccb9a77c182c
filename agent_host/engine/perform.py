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
from agent_host.core.context import DEPTH_LIMIT, deeper_than
from agent_host.core.conversation import Conversation, granted
from agent_host.core.events import (
    ApprovalRequested,
    PolicyDecided,
    ToolFinished,
    ToolPaused,
    ToolProgress,
    ToolStarted,
)
from agent_host.core.types import (
    JsonObject,
    Text,
    Tool,
    ToolErrorKind,
    ToolResult,
)
from agent_host.engine.answers import RequestDesk
from agent_host.engine.keeping import bounded
from agent_host.engine.question import Question
from agent_host.engine.rooms import Host
from agent_host.ports import (
    Answers,
    ApprovalQuestion,
    CallContext,
    CallPaused,
    Deferred,
    PolicyAnswer,
)

Work = Coroutine[Any, Any, None]


class Performer:
    """Performs the actions of one session."""

    def __init__(self, session: Host, desk: RequestDesk) -> None:
        self._session = session
        self._desk = desk
        self._asking = 0
        self._question = Question(session)

    def perform(self, action: loop.Action) -> Work | None:
        """Do what can be done at once and return None, or return the work that takes a while."""
        match action:
            case loop.CallModel():
                return self._question.ask()
            case loop.CheckPolicy():
                self._check_policy(action.state, action.tool)
            case loop.AskApproval():
                return self._ask_approval(action)
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

    def _check_policy(self, state: CallState, tool: Tool) -> None:
        session = self._session
        problem = (
            "the arguments are nested too deeply"
            if deeper_than(state.arguments, DEPTH_LIMIT)
            else session.rooms.tools.validate(tool, state.arguments)
        )
        if problem is not None:
            self._finish(state.call.id, "invalid_arguments", f"not executed: {problem}")
            return
        answer = self._judge(state, tool, state.arguments)
        session.record(
            PolicyDecided(
                call_id=state.call.id,
                decision=answer.decision,
                rule=answer.rule,
                reason=answer.reason,
            )
        )

    def _judge(self, state: CallState, tool: Tool, arguments: JsonObject) -> PolicyAnswer:
        session = self._session
        c = session.conversation
        answer = session.rooms.policy.decide(state.call, arguments, tool, c, session.principal)
        if answer.decision != "ask" or state.in_doubt:
            return answer
        grant = granted(
            c,
            server=tool.server,
            tool=tool.tool,
            fingerprint=tool.fingerprint,
            arguments=arguments,
        )
        if grant is None:
            return answer
        rule = f"session grant of call {grant.call_id}"
        return PolicyAnswer(decision="allow", rule=rule, reason=f"always allowed by {grant.by}")

    def _refuse(self, action: loop.Refuse) -> None:
        text = action.text
        if action.error == "unknown_tool":
            names = self._session.rooms.tools.tools()
            near = get_close_matches(action.state.call.name, names, n=3)
            if near:
                text = f"{text}; there is {', '.join(near)}"
        self._finish(action.state.call.id, action.error, text)

    def _finish(self, call_id: str, error: ToolErrorKind, text: str) -> None:
        result = ToolResult(call_id=call_id, content=(Text(text=text),), error=error)
        self._session.record(ToolFinished(result=result))

    # -- humans ----------------------------------------------------------------------------

    async def _ask_approval(self, action: loop.AskApproval) -> None:
        session, state, tool = self._session, action.state, action.tool
        call_id = state.call.id
        if not state.asked or _shown(session.conversation, call_id) != tool.fingerprint:
            session.record(
                ApprovalRequested(
                    call_id=call_id,
                    server=tool.server,
                    tool=tool.tool,
                    fingerprint=tool.fingerprint,
                    arguments=state.arguments,
                    in_doubt=state.in_doubt,
                )
            )
        question = ApprovalQuestion(
            call_id=call_id,
            tool=tool,
            arguments=state.arguments,
            rule=state.rule,
            reason=state.reason,
            in_doubt=state.in_doubt,
            invalid=lambda arguments: session.rooms.tools.validate(tool, arguments),
            waiting=lambda: self._asking - 1,
        )
        self._asking += 1
        try:
            answer = await session.rooms.approver.approve(question)
        except asyncio.CancelledError:
            # Answered from elsewhere, or stopped: either way decide goes on from the record.
            if not session.stopping and _unanswered(session.conversation, call_id):
                raise
            return
        finally:
            self._asking -= 1
        if isinstance(answer, Deferred):
            session.deferred.add(action.key)
            return
        # An answer to what is over came too late.
        if _unanswered(session.conversation, call_id):
            session.record(answer)
            if answer.decision == "approve" and answer.arguments is not None:
                self._check_edited(state, tool, answer.arguments)

    def _check_edited(self, state: CallState, tool: Tool, arguments: JsonObject) -> None:
        """An edit may break the schema, or reach what policy denies to everybody."""
        problem = self._session.rooms.tools.validate(tool, arguments)
        if problem is not None:
            text = f"not executed: the user's edit of the arguments is not valid: {problem}"
            self._finish(state.call.id, "invalid_arguments", text)
            return
        answer = self._judge(state, tool, arguments)
        if answer.decision == "deny":
            self._session.record(
                PolicyDecided(
                    call_id=state.call.id,
                    decision="deny",
                    rule=answer.rule,
                    reason=answer.reason,
                )
            )

    # -- tools -----------------------------------------------------------------------------

    async def _run_tool(self, state: CallState, tool: Tool) -> None:
        session = self._session
        call_id = state.call.id
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
        result: ToolResult | CallPaused
        try:
            if not tool.repeatable:
                await asyncio.to_thread(session.feed.journal.sync)
            sent = True
            result = await session.rooms.tools.call(tool, state.arguments, context)
        except asyncio.CancelledError:
            if not session.stopping:
                raise
            result = _cancelled(call_id, sent=sent and not tool.read_only)
        if isinstance(result, CallPaused):
            session.record(
                ToolPaused(call_id=call_id, requests=result.requests, state=result.state)
            )
            return
        whole = replace(result, call_id=call_id)
        session.record(ToolFinished(result=bounded(whole, session.feed.journal.keep)))

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


def _unanswered(conversation: Conversation, call_id: str) -> bool:
    state = conversation.call(call_id)
    return state is not None and state.approval is None and state.result is None


def _shown(conversation: Conversation, call_id: str) -> str | None:
    """The fingerprint of the definition that was last shown with a question about a call."""
    asked = (q.fingerprint for q in reversed(conversation.questions) if q.call_id == call_id)
    return next(asked, None)


def _cancelled(call_id: str, *, sent: bool) -> ToolResult:
    text = (
        "cancelled while it was running; it may or may not have taken effect"
        if sent
        else "cancelled; it has changed nothing"
    )
    return ToolResult(call_id=call_id, content=(Text(text=text),), error="cancelled")
