"""Who allows a call: policy at once, humans when they answer.

Theory of operation: policy is asked once the arguments are valid, and says allow, ask or deny. A
question to a human is a fact with everything that its answer is bound to: the call, its arguments,
the definition of its tool, the rules that ask, whose yes it takes and until when. The answer may
come from the approver of this session or be told from outside; whichever is first counts. Where a
question takes several people it is asked again until all have answered. What the time ran out for
does not run.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agent_host.core import loop
from agent_host.core.approvals import binding, not_entitled, refused, same_json, terms_of
from agent_host.core.calls import CallState
from agent_host.core.context import DEPTH_LIMIT, deeper_than
from agent_host.core.conversation import Conversation, granted, question_about
from agent_host.core.events import (
    ApprovalExpired,
    ApprovalGiven,
    ApprovalRequested,
    PolicyDecided,
    ServerLog,
    ToolFinished,
)
from agent_host.core.types import (
    ApprovalTerms,
    JsonObject,
    Text,
    Tool,
    ToolErrorKind,
    ToolResult,
)
from agent_host.engine.rooms import Host
from agent_host.ports import ApprovalQuestion, Deferred, PolicyAnswer


class Judge:
    """Asks policy and humans about the calls of one session."""

    def __init__(self, session: Host) -> None:
        self._session = session
        self._asking = 0

    def check_policy(self, state: CallState, tool: Tool) -> None:
        """Ask policy about a call, if its arguments are valid."""
        session = self._session
        problem = (
            "the arguments are nested too deeply"
            if deeper_than(state.arguments, DEPTH_LIMIT)
            else session.rooms.tools.validate(tool, state.arguments)
        )
        if problem is not None:
            self.finish(state.call.id, "invalid_arguments", f"not executed: {problem}")
            return
        self._record(state, tool, self._judge(state, tool, state.arguments))

    def finish(self, call_id: str, error: ToolErrorKind, text: str) -> None:
        """Give a call a result that certainly did not run, or of which that is not known."""
        if error != "outcome_unknown":
            self._session.rooms.policy.end(self._session.conversation, call_id)
        result = ToolResult(call_id=call_id, content=(Text(text=text),), error=error)
        self._session.record(ToolFinished(result=result))

    async def ask(self, action: loop.AskApproval) -> None:
        """Ask a human about a call."""
        session, state, tool = self._session, action.state, action.tool
        call_id = state.call.id
        asked = self._asked(state, tool)
        left = self._left(asked)
        if left <= 0:
            session.record(ApprovalExpired(call_id=call_id))
            return
        self._asking += 1
        try:
            async with asyncio.timeout(None if left == float("inf") else left):
                answer = await session.rooms.approver.approve(self._question(state, tool, asked))
        except TimeoutError:
            if _unanswered(session.conversation, call_id):
                session.record(ApprovalExpired(call_id=call_id))
            return
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
        self._take(action, answer, asked)

    def expired(self, state: CallState) -> bool:
        """Whether a call's approval can no longer be used; that is then recorded."""
        question = question_about(self._session.conversation, state.call.id)
        if state.approval != "approve" or question is None or self._left(question) > 0:
            return False
        self._session.record(ApprovalExpired(call_id=state.call.id))
        return True

    # -- policy ------------------------------------------------------------------------------

    def _judge(self, state: CallState, tool: Tool, arguments: JsonObject) -> PolicyAnswer:
        session = self._session
        c = session.conversation
        answer = session.rooms.policy.decide(state.call, arguments, tool, c, session.principal)
        terms = answer.terms or ApprovalTerms()
        if answer.decision != "ask" or state.in_doubt or not terms.anybody:
            return answer
        grant = granted(
            c,
            server=tool.server,
            tool=tool.tool,
            fingerprint=tool.fingerprint,
            arguments=arguments,
            rules=answer.rules,
        )
        if grant is None:
            return answer
        rule = f"session grant of call {grant.call_id}"
        return PolicyAnswer(
            decision="allow",
            rule=rule,
            reason=f"always allowed by {grant.by}",
            rules=answer.rules,
            origin=answer.origin,
        )

    def _record(self, state: CallState, tool: Tool, answer: PolicyAnswer) -> None:
        session = self._session
        session.record(
            PolicyDecided(
                call_id=state.call.id,
                decision=answer.decision,
                rule=answer.rule,
                reason=answer.reason,
                rules=answer.rules,
                origin=answer.origin,
                terms=answer.terms,
                server=tool.server,
                tool=tool.tool,
                fingerprint=tool.fingerprint,
                principal_id=session.principal.id,
                policy=session.rooms.policy.fingerprint,
            )
        )

    # -- humans ------------------------------------------------------------------------------

    def _asked(self, state: CallState, tool: Tool) -> ApprovalRequested:
        """The question as it is recorded, now if it was not before."""
        session = self._session
        last = question_about(session.conversation, state.call.id)
        # What some have approved with a change is put to the others as it would run.
        if (
            state.asked
            and last is not None
            and last.fingerprint == tool.fingerprint
            and same_json(last.arguments, state.arguments)
        ):
            return last
        principal, terms = session.principal, state.terms
        shown = session.rooms.recorded(state.arguments)
        question = ApprovalRequested(
            call_id=state.call.id,
            server=tool.server,
            tool=tool.tool,
            fingerprint=tool.fingerprint,
            arguments=state.arguments,
            in_doubt=state.in_doubt,
            rules=state.rules,
            reason=state.reason,
            terms=terms,
            requester=principal.id,
            requester_from=principal.authenticated_by,
            expires_at=self._expiry(terms),
            binding=binding(session.conversation.run_id, state.call.id, tool, shown),
        )
        session.record(question)
        return question

    def _question(self, state: CallState, tool: Tool, asked: ApprovalRequested) -> ApprovalQuestion:
        session = self._session
        return ApprovalQuestion(
            call_id=state.call.id,
            tool=tool,
            arguments=state.arguments,
            rule=state.rule,
            reason=state.reason,
            in_doubt=state.in_doubt,
            invalid=lambda arguments: session.rooms.tools.validate(tool, arguments),
            waiting=lambda: self._asking - 1,
            asked=asked,
            not_you=self._not_you(state, asked),
            yeses=tuple(yes.by for yes in state.yeses),
            labels=session.conversation.labels,
        )

    def _not_you(self, state: CallState, asked: ApprovalRequested) -> str | None:
        who = self._session.principal
        said = (who.id, who.authenticated_by)
        if any((yes.by, yes.authenticated_by) == said for yes in state.yeses):
            return "you have approved it; it takes another person as well"
        return not_entitled(terms_of(asked), asked.requester, asked.requester_from, who)

    def _expiry(self, terms: ApprovalTerms | None) -> str:
        if terms is None or terms.seconds is None:
            return ""
        until = datetime.fromtimestamp(self._session.wall(), UTC) + timedelta(seconds=terms.seconds)
        return until.isoformat(timespec="seconds").replace("+00:00", "Z")

    def _left(self, question: ApprovalRequested) -> float:
        """Seconds until a question expires."""
        if not question.expires_at:
            return float("inf")
        until = datetime.fromisoformat(question.expires_at).timestamp()
        return until - self._session.wall()

    def _take(
        self, action: loop.AskApproval, answer: ApprovalGiven, asked: ApprovalRequested
    ) -> None:
        """Record an answer, unless it came too late or does not count."""
        session, state, tool = self._session, action.state, action.tool
        now = session.conversation.call(state.call.id)
        if now is None or not _unanswered(session.conversation, state.call.id):
            return
        if not answer.authenticated_by and answer.by == session.principal.id:
            who = session.principal
            answer = replace(answer, authenticated_by=who.authenticated_by, roles=who.roles)
        problem = refused(asked, answer, now.yeses)
        if problem is not None:
            session.feed.show(ServerLog(server="", level="warning", text=f"not taken: {problem}"))
            session.deferred.add(action.key)
            return
        session.record(answer)
        if answer.decision == "approve" and answer.arguments is not None:
            self._check_edited(state, tool, answer.arguments)

    def _check_edited(self, state: CallState, tool: Tool, arguments: JsonObject) -> None:
        """An edit may break the schema, or reach what policy denies to everybody, or what takes
        other people's yes."""
        problem = self._session.rooms.tools.validate(tool, arguments)
        if problem is not None:
            text = f"not executed: the user's edit of the arguments is not valid: {problem}"
            self.finish(state.call.id, "invalid_arguments", text)
            return
        answer = self._judge(state, tool, arguments)
        same = set(answer.rules) <= set(state.rules) and answer.terms in {state.terms, None}
        if answer.decision == "deny" or (answer.decision == "ask" and not same):
            self._record(state, tool, answer)


def _unanswered(conversation: Conversation, call_id: str) -> bool:
    state = conversation.call(call_id)
    return state is not None and state.approval is None and state.result is None
