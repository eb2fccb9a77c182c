"""Who allows a call: policy at once, humans when they answer.

Theory of operation: policy is asked once the arguments are valid, and says allow, ask or deny. A
question to a human is a fact with everything that its answer is bound to: the call, its arguments,
the definition of its tool, the rules that ask, whose yes it takes and until when. Another process
that takes the run over asks the same question, which ends when the first one would have ended. The
answer may come from the approver of this session or be told from outside; whichever is first
counts. Where a question takes several people it is asked again until all have answered. What the
time ran out for does not run. An answer of whom nobody vouches for is that of the run's own user.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agent_host.core import loop
from agent_host.core.approvals import binding, not_entitled, refused, terms_of
from agent_host.core.calls import CallState
from agent_host.core.context import DEPTH_LIMIT, deeper_than
from agent_host.core.conversation import Conversation
from agent_host.core.decisions import granted, intact, question_about
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
    Principal,
    Text,
    Tool,
    ToolErrorKind,
    ToolResult,
)
from agent_host.engine.rooms import Host
from agent_host.ports import ApprovalQuestion, Deferred, PolicyAnswer

NOT_RUN: frozenset[ToolErrorKind] = frozenset({"changed", "server_unavailable"})
"""What a tool source answers for a call that certainly did not reach its server."""


class Judge:
    """Asks policy and humans about the calls of one session."""

    def __init__(self, session: Host) -> None:
        self._session = session
        self._asking = 0

    def check_policy(self, state: CallState, tool: Tool) -> None:
        """Ask policy about a call, if its arguments are valid."""
        problem = self._malformed(tool, state.arguments)
        if problem is not None:
            self.finish(state.call.id, "invalid_arguments", f"not executed: {problem}")
            return
        self._record(state, tool, self._judge(state, tool, state.arguments))

    def finish(self, call_id: str, error: ToolErrorKind, text: str) -> None:
        """Give a call a result that certainly did not run, or of which that is not known. One
        that an earlier process started may have run, whatever keeps it from running again."""
        state = self._session.conversation.call(call_id)
        if error != "outcome_unknown" and state is not None and state.in_doubt:
            error, text = "outcome_unknown", f"{loop.UNKNOWN[1]}. Not repeated: {text}"
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

    def may_run(self, state: CallState) -> bool:
        """Whether an approval still holds when its call is about to start. What a server paused
        has started in time."""
        question = question_about(self._session.conversation, state.call.id)
        if state.approval != "approve" or state.paused is not None or question is None:
            return True
        if self._left(question) <= 0:
            self._session.record(ApprovalExpired(call_id=state.call.id))
            return False
        if not intact(state):
            text = "not executed: the arguments changed after a human approved them"
            self.finish(state.call.id, "changed", text)
            return False
        return True

    def judge_again(self, state: CallState, tool: Tool) -> bool:
        """Ask policy once more about a call that cannot be counted as it was allowed, and record
        the answer if it denies, or asks for what nobody answered; False if there is none such."""
        answer = self._judge(state, tool, state.arguments)
        if not _stricter(answer, state):
            return False
        self._record(state, tool, answer)
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
        policy = session.rooms.policy.fingerprint
        session.record(decided(state.call.id, tool, answer, session.principal, policy))

    # -- humans ------------------------------------------------------------------------------

    def _asked(self, state: CallState, tool: Tool) -> ApprovalRequested:
        """The question as it is recorded, now if it was not before."""
        session, principal = self._session, self._session.principal
        question = ApprovalRequested(
            call_id=state.call.id,
            server=tool.server,
            tool=tool.tool,
            fingerprint=tool.fingerprint,
            arguments=state.arguments,
            in_doubt=state.in_doubt,
            rules=state.rules,
            reason=state.reason,
            terms=state.terms,
            requester=principal.id,
            requester_from=principal.authenticated_by,
        )
        shown = session.rooms.recorded(state.arguments)
        bound = binding(session.conversation.run_id, question, shown, state.approvals)
        last = question_about(session.conversation, state.call.id)
        same = last is not None and last.binding == bound
        if last is not None and same and state.asked:
            return last
        # What some have approved with a change is put to the others as it would run.
        until = last.expires_at if last is not None and same else self._expiry(state.terms)
        question = replace(question, binding=bound, expires_at=until)
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
            invalid=lambda arguments: self._unfit(state, tool, arguments),
            waiting=lambda: self._asking - 1,
            asked=asked,
            not_you=self._not_you(state, asked),
            yeses=state.yeses,
            origin=state.origin,
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
        try:
            until = datetime.fromisoformat(question.expires_at).timestamp()
        except ValueError:  # a record that somebody has changed
            return 0.0
        return until - self._session.wall()

    def _take(
        self, action: loop.AskApproval, answer: ApprovalGiven, asked: ApprovalRequested
    ) -> None:
        """Record an answer, unless it came too late or does not count."""
        session, state, tool = self._session, action.state, action.tool
        now = session.conversation.call(state.call.id)
        if now is None or not _unanswered(session.conversation, state.call.id):
            return
        answer = self._signed(answer, asked)
        if answer.decision == "approve" and self._left(asked) <= 0:
            session.record(ApprovalExpired(call_id=state.call.id))
            return
        problem = refused(asked, answer, now.yeses)
        if problem is not None:
            session.feed.show(ServerLog(server="", level="warning", text=f"not taken: {problem}"))
            session.deferred.add(action.key)
            return
        session.record(answer)
        if answer.decision == "approve" and answer.arguments is not None:
            self._check_edited(state, tool, answer.arguments)

    def _signed(self, answer: ApprovalGiven, asked: ApprovalRequested) -> ApprovalGiven:
        """Whoever answers here without saying who vouches for that is the run's own user."""
        who = self._session.principal
        if answer.authenticated_by or (answer.by != who.id and terms_of(asked).anybody):
            return answer
        return replace(answer, by=who.id, authenticated_by=who.authenticated_by, roles=who.roles)

    def _malformed(self, tool: Tool, arguments: JsonObject) -> str | None:
        if deeper_than(arguments, DEPTH_LIMIT):
            return "the arguments are nested too deeply"
        return self._session.rooms.tools.validate(tool, arguments)

    def _unfit(self, state: CallState, tool: Tool, arguments: JsonObject) -> str | None:
        """Why edited arguments cannot run, whoever approves them."""
        problem = self._malformed(tool, arguments)
        if problem is not None:
            return problem
        answer = self._judge(state, tool, arguments)
        if answer.decision != "deny":
            return None
        why = f": {answer.reason}" if answer.reason else ""
        return f"policy denies this call (rule {answer.rule}){why}"

    def _check_edited(self, state: CallState, tool: Tool, arguments: JsonObject) -> None:
        """An edit may break the schema, or reach what policy denies to everybody, or what takes
        other people's yes."""
        problem = self._malformed(tool, arguments)
        if problem is not None:
            text = f"not executed: the user's edit of the arguments is not valid: {problem}"
            self.finish(state.call.id, "invalid_arguments", text)
            return
        answer = self._judge(state, tool, arguments)
        if _stricter(answer, state):
            self._record(state, tool, answer)


def decided(
    call_id: str, tool: Tool, answer: PolicyAnswer, who: Principal, policy: str
) -> PolicyDecided:
    """Return the fact that policy answered about a call; `policy`: the hash of its rules."""
    return PolicyDecided(
        call_id=call_id,
        decision=answer.decision,
        rule=answer.rule,
        reason=answer.reason,
        rules=answer.rules,
        origin=answer.origin,
        terms=answer.terms,
        server=tool.server,
        tool=tool.tool,
        fingerprint=tool.fingerprint,
        principal_id=who.id,
        policy=policy,
    )


def _stricter(answer: PolicyAnswer, state: CallState) -> bool:
    """Whether an answer denies, or asks what the yes to a call does not answer."""
    same = set(answer.rules) <= set(state.rules) and answer.terms in {state.terms, None}
    return answer.decision == "deny" or (answer.decision == "ask" and not same)


def _unanswered(conversation: Conversation, call_id: str) -> bool:
    state = conversation.call(call_id)
    return state is not None and state.approval is None and state.result is None
