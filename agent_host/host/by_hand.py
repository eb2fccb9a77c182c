"""What an organisation's policy says of a call that somebody types, without a run.

Theory of operation: whoever types a call is the human who would be asked, so policy is not asked
about it, except where there is an organisation's file: its rules are not the user's to leave out.
Then all rules count as in a run. What they deny does not run; what they ask takes a yes that the
user may give, and typing is that yes; what takes other people needs a run, which can wait for them.
The call counts in running totals.
"""

import secrets
from collections.abc import Mapping

from agent_host.config.load import Loaded
from agent_host.core.approvals import Yes, lacking, not_entitled
from agent_host.core.conversation import Conversation
from agent_host.core.events import PolicyDecided
from agent_host.core.types import (
    ApprovalTerms,
    JsonObject,
    Principal,
    Tool,
    ToolCall,
    ToolErrorKind,
)
from agent_host.engine.judging import NOT_RUN, decided

CALL = "by-hand"
"""The id of such a call."""


class TypedCall:
    """A call that `who` types. `decided` is what policy answered (None: it was not asked),
    `refused` why the call may not run, for people, or "". Raises ConfigError."""

    def __init__(
        self,
        loaded: Loaded,
        environ: Mapping[str, str],
        tool: Tool,
        arguments: JsonObject,
        who: Principal,
        *,
        interactive: bool,
    ) -> None:
        self.decided: PolicyDecided | None = None
        self.refused = ""
        self._conversation = Conversation(
            run_id=f"{CALL}-{secrets.token_hex(8)}", principal=who, tool_calls=1
        )
        if loaded.organisation is None:
            return
        from agent_host.host.policy import make_policy

        self._policy = make_policy(loaded, environ, interactive=interactive)
        about = (
            ToolCall(id=CALL, name=tool.name, arguments=arguments),
            arguments,
            tool,
            self._conversation,
            who,
        )
        answer = self._policy.decide(*about)
        self.decided = decided(CALL, tool, answer, who, self._policy.fingerprint)
        where = f" ({answer.origin})" if answer.origin else ""
        why = f": {answer.reason}" if answer.reason else ""
        if answer.decision == "deny":
            self.refused = f"policy denies this call (rule {answer.rule}{where}){why}"
        elif answer.decision == "ask" and (other := _others(answer.terms, who)):
            self.refused = (
                f"rule {answer.rule}{where} asks{why}; {other}; ask for it in a run, which can "
                "wait for them"
            )
        else:
            self.refused = self._policy.begin(*about) or ""

    def ended(self, error: ToolErrorKind | None) -> None:
        """Count the call no more if it certainly did not run."""
        if self.decided is not None and error in NOT_RUN:
            self._policy.end(self._conversation, CALL)


def _others(terms: ApprovalTerms | None, who: Principal) -> str:
    """Why the yes of whoever types is not enough, or ""."""
    terms = terms or ApprovalTerms()
    problem = not_entitled(terms, who.id, who.authenticated_by, who)
    if problem is None and lacking(terms, [Yes(who.id, who.authenticated_by, "", who.roles)]):
        problem = "it takes other people's yes as well"
    return problem or ""
